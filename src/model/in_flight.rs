//! Policy for what is in flight on a release when it leaves a route, by cause and by class.
//!
//! The values are words, such as `finish within 15m`, so that a table of them reads as a decision.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HumanDuration, LeaveCause, WorkClass, text_serde::serde_as_text};

/// Time in which work may finish, unless a route says something else.
const FINISH: HumanDuration = HumanDuration::seconds(15 * 60);

/// Policies of a route, by the cause for which a release leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InFlightSpec {
    /// All weight went to another release: a switch or a promotion.
    #[serde(default, skip_serializing_if = "LeavePolicies::is_default")]
    pub switch: LeavePolicies,
    /// Its weight became 0 by another change of the split.
    #[serde(default, skip_serializing_if = "LeavePolicies::is_default")]
    pub split: LeavePolicies,
    /// A rollback, or an abort.
    #[serde(default, skip_serializing_if = "LeavePolicies::is_default")]
    pub rollback: LeavePolicies,
    /// The release, its version or the route was removed; `timeouts.drain` is a limit on all of it.
    #[serde(default, skip_serializing_if = "LeavePolicies::is_default")]
    pub remove: LeavePolicies,
}

/// Policies for one cause, by class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeavePolicies {
    /// Requests whose response is no stream, or has not begun; by default `finish within 15m`, but `finish` after a
    /// removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unary: Option<WorkPolicy>,
    /// Streams of events or of lines of JSON; by default `finish within 15m`, but `finish` after a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<WorkPolicy>,
    /// A WebSocket or another upgrade; by default `finish within 15m`, but `finish` after a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WorkPolicy>,
    /// gRPC calls whose response has begun; by default `finish within 15m`, but `finish` after a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_stream: Option<WorkPolicy>,
    /// Sessions that hold a pin; by default `keep`, but `move` after a rollback or a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionPolicy>,
}

/// Policy for work of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkPolicy {
    /// It may finish, however long it takes.
    Finish,
    /// It may finish within this time, and is cut then.
    FinishWithin(HumanDuration),
    /// It is cut at once.
    Cut,
    /// It is cut, evenly spread over this time.
    CutOver(HumanDuration),
}

/// Policy for sessions that hold a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionPolicy {
    /// They stay on their release.
    Keep,
    /// They stay on their release for this time, and move with the first request after it.
    KeepFor(HumanDuration),
    /// They move with their next request.
    Move,
}

// === impl InFlightSpec ===

impl InFlightSpec {
    /// True if every policy is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Policies for a cause.
    pub fn of(&self, cause: LeaveCause) -> &LeavePolicies {
        match cause {
            LeaveCause::Switch => &self.switch,
            LeaveCause::Split => &self.split,
            LeaveCause::Rollback => &self.rollback,
            LeaveCause::Remove => &self.remove,
        }
    }

    /// Policy for work of a class.
    pub fn work(&self, cause: LeaveCause, class: WorkClass) -> WorkPolicy {
        let own = self.of(cause);
        let own = match class {
            WorkClass::Unary => own.unary,
            WorkClass::Stream => own.stream,
            WorkClass::Websocket => own.websocket,
            WorkClass::GrpcStream => own.grpc_stream,
        };
        own.unwrap_or(match cause {
            // `timeouts.drain` ends what is on a release that is not in the table any more.
            LeaveCause::Remove => WorkPolicy::Finish,
            LeaveCause::Switch | LeaveCause::Split | LeaveCause::Rollback => {
                WorkPolicy::FinishWithin(FINISH)
            }
        })
    }

    /// Policy for sessions.
    pub fn session(&self, cause: LeaveCause) -> SessionPolicy {
        self.of(cause).session.unwrap_or(match cause {
            LeaveCause::Switch | LeaveCause::Split => SessionPolicy::Keep,
            LeaveCause::Rollback | LeaveCause::Remove => SessionPolicy::Move,
        })
    }
}

// === impl LeavePolicies ===

impl LeavePolicies {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl WorkPolicy ===

impl WorkPolicy {
    /// Part of the work that is cut when a release left `since` ago, from 0 to `u32::MAX` for all of it.
    pub fn part(self, since: Duration) -> u32 {
        match self {
            Self::Finish => 0,
            Self::FinishWithin(HumanDuration(within)) if since < within => 0,
            Self::FinishWithin(_) | Self::Cut => u32::MAX,
            Self::CutOver(HumanDuration(over)) if since >= over => u32::MAX,
            Self::CutOver(HumanDuration(over)) => {
                let part = since.as_nanos() * u128::from(u32::MAX) / over.as_nanos().max(1);
                u32::try_from(part).unwrap_or(u32::MAX)
            }
        }
    }

    /// Time after which all of the work is cut; `None` if it may finish.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Finish => None,
            Self::Cut => Some(Duration::ZERO),
            Self::FinishWithin(HumanDuration(limit)) | Self::CutOver(HumanDuration(limit)) => {
                Some(limit)
            }
        }
    }
}

impl FromStr for WorkPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no policy: write `finish`, `finish within 15m`, `cut` or `cut over 30s`"
            )
        };
        let span = str::parse::<HumanDuration>;
        match text {
            "finish" => Ok(Self::Finish),
            "cut" => Ok(Self::Cut),
            _ => match (
                text.strip_prefix("finish within "),
                text.strip_prefix("cut over "),
            ) {
                (Some(within), _) => span(within).map(Self::FinishWithin),
                (_, Some(over)) => span(over).map(Self::CutOver),
                (None, None) => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for WorkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finish => f.write_str("finish"),
            Self::FinishWithin(within) => write!(f, "finish within {within}"),
            Self::Cut => f.write_str("cut"),
            Self::CutOver(over) => write!(f, "cut over {over}"),
        }
    }
}

// === impl SessionPolicy ===

impl SessionPolicy {
    /// True if a session moves with its next request, where its release left `since` ago.
    pub fn moves(self, since: Duration) -> bool {
        match self {
            Self::Keep => false,
            Self::KeepFor(HumanDuration(time)) => since >= time,
            Self::Move => true,
        }
    }
}

impl FromStr for SessionPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            // The word that other work has for it.
            "keep" | "finish" => Ok(Self::Keep),
            "move" => Ok(Self::Move),
            _ => match text.strip_prefix("keep for ") {
                Some(time) => time.parse().map(Self::KeepFor),
                None => Err(format!(
                    "`{text}` is no policy for sessions: write `keep`, `keep for 15m` or `move`"
                )),
            },
        }
    }
}

impl fmt::Display for SessionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::KeepFor(time) => write!(f, "keep for {time}"),
            Self::Move => f.write_str("move"),
        }
    }
}

serde_as_text!(WorkPolicy, SessionPolicy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for text in ["finish", "finish within 15m", "cut", "cut over 30s"] {
            assert_eq!(text.parse::<WorkPolicy>().unwrap().to_string(), text);
        }
        for text in ["keep", "keep for 15m", "move"] {
            assert_eq!(text.parse::<SessionPolicy>().unwrap().to_string(), text);
        }
        assert_eq!("finish".parse(), Ok(SessionPolicy::Keep));
        for text in [
            "",
            "finish in 15m",
            "cut over",
            "cut over soon",
            "finish within 3",
        ] {
            assert!(text.parse::<WorkPolicy>().is_err(), "{text}");
        }
        assert!(
            "cut"
                .parse::<SessionPolicy>()
                .unwrap_err()
                .contains("`keep for 15m`")
        );
    }

    #[test]
    fn the_defaults_are_those_of_the_table_in_the_documentation() {
        let none = InFlightSpec::default();
        for class in WorkClass::ALL {
            for cause in [LeaveCause::Switch, LeaveCause::Split, LeaveCause::Rollback] {
                assert_eq!(none.work(cause, class).to_string(), "finish within 15m");
            }
            assert_eq!(none.work(LeaveCause::Remove, class), WorkPolicy::Finish);
        }
        let sessions = LeaveCause::ALL.map(|cause| none.session(cause).to_string());
        assert_eq!(sessions, ["keep", "keep", "move", "move"]);
    }

    #[test]
    fn each_key_is_the_policy_of_its_own_cause_and_class() {
        let causes = ["switch", "split", "rollback", "remove"];
        let classes = ["unary", "stream", "websocket", "grpc_stream", "session"];
        for (cause, leave) in causes.into_iter().zip(LeaveCause::ALL) {
            for class in classes {
                let policy = if class == "session" {
                    "keep for 7s"
                } else {
                    "cut over 7s"
                };
                let text = format!(r#"{{"{cause}":{{"{class}":"{policy}"}}}}"#);
                let spec: InFlightSpec = serde_json::from_str(&text).unwrap();
                let mut own = Vec::new();
                for other in LeaveCause::ALL {
                    let works = WorkClass::ALL
                        .map(|work| (work.as_str(), spec.work(other, work).to_string()));
                    let all = works
                        .into_iter()
                        .chain([("session", spec.session(other).to_string())]);
                    let set = all.filter(|(_, policy)| policy.ends_with("7s"));
                    own.extend(set.map(|(class, policy)| (other, class, policy)));
                }
                assert_eq!(own, [(leave, class, policy.to_owned())]);
                assert_eq!(serde_json::to_string(&spec).unwrap(), text);
            }
        }
    }

    #[test]
    fn a_cut_over_a_time_takes_a_growing_part_and_the_others_all_or_nothing() {
        let seconds = Duration::from_secs;
        let part = |text: &str, since| text.parse::<WorkPolicy>().unwrap().part(seconds(since));
        assert_eq!(part("finish", 1_000_000), 0);
        assert_eq!((part("cut", 0), part("finish within 2s", 1)), (u32::MAX, 0));
        assert_eq!(part("finish within 2s", 2), u32::MAX);
        let over = [0, 15, 30].map(|since| part("cut over 30s", since));
        assert_eq!(over, [0, u32::MAX / 2, u32::MAX]);
        assert_eq!(part("cut over 0s", 0), u32::MAX);
    }

    #[test]
    fn a_session_stays_as_long_as_its_policy_says() {
        let moves = |text: &str, since| {
            let policy: SessionPolicy = text.parse().unwrap();
            policy.moves(Duration::from_secs(since))
        };
        assert!(!moves("keep", 1_000_000) && moves("move", 0));
        assert!(!moves("keep for 10s", 9) && moves("keep for 10s", 10));
    }
}
