//! Settings of the end of the process: not ready first, then drained class by class, ended when the grace is over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, Problem, WorkClass, WorkPolicy};

/// Shutdown of the process, in this order: not ready, drained, ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Time after SIGTERM in which `/readyz` is not ready and everything is served as before, so that load balancers
    /// see it and send nothing more. It is part of `grace`. When absent: 3 s where `TERMINATION_GRACE_PERIOD_SECONDS` is
    /// set in the environment, but no more than a quarter of `grace`; none otherwise. SIGINT skips it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready_for: Option<HumanDuration>,
    /// Policies for what is in flight once the listeners close, by class, within `grace`.
    #[serde(skip_serializing_if = "ShutdownPolicies::is_default")]
    pub in_flight: ShutdownPolicies,
    /// Longest time that work may go on after SIGTERM. When absent: five seconds less than
    /// `TERMINATION_GRACE_PERIOD_SECONDS` where that is set in the environment, ten minutes otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<HumanDuration>,
}

/// Policies for what is in flight when the process ends, by class; each may `finish` by default, which the grace ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownPolicies {
    /// Requests whose response is no stream, or has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unary: Option<WorkPolicy>,
    /// Streams of events or of lines of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<WorkPolicy>,
    /// A WebSocket or another upgrade. Those that are left are closed in the last quarter of the grace, one after the
    /// other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WorkPolicy>,
    /// gRPC calls whose response has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_stream: Option<WorkPolicy>,
}

impl Shutdown {
    /// The effective grace period.
    pub fn effective_grace(&self) -> Duration {
        let of_environment = grace_of_environment();
        self.grace
            .map_or_else(|| default_grace(of_environment.as_deref()), |grace| grace.0)
    }

    /// The effective time of not being ready while everything is served, a part of the grace period.
    pub fn effective_not_ready_for(&self) -> Duration {
        let of_environment = grace_of_environment();
        let default = || default_not_ready_for(of_environment.as_deref(), self.effective_grace());
        self.not_ready_for.map_or_else(default, |span| span.0)
    }

    /// The problem of a time of not being ready that leaves work no time to finish.
    pub(super) fn problem(&self) -> Option<Problem> {
        let (not_ready_for, grace) = (self.not_ready_for?, self.effective_grace());
        if not_ready_for.0.is_zero() || not_ready_for.0 < grace {
            return None;
        }
        let message = format!(
            "{not_ready_for} leaves no time to finish, since it is part of `grace`, {}",
            HumanDuration(grace)
        );
        let problem = Problem::new("shutdown.not_ready_for", message);
        Some(problem.hint("raise `grace`, or lower `not_ready_for`"))
    }

    /// Warnings about policies that never end anything, since the grace is over before.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Problem> {
        let grace = self.effective_grace();
        let late = move |class: &WorkClass| {
            let limit = self.in_flight.of(*class).limit();
            limit.is_some_and(|limit| limit > grace)
        };
        let warning = move |class: WorkClass| {
            let at = format!("shutdown.in_flight.{}", class.as_str());
            let message = format!(
                "everything ends with `grace`, {}, which is shorter",
                HumanDuration(grace)
            );
            Problem::new(at, message).hint("raise `grace`, or lower the time")
        };
        WorkClass::ALL.into_iter().filter(late).map(warning)
    }

    /// Part of the work of a class that is to be ended `since` the drain began, which may take `left` in all: from 0 to
    /// `u32::MAX` for all of it. A little of the time is kept for clients to read the end.
    pub fn ended_part(&self, class: WorkClass, since: Duration, left: Duration) -> u32 {
        let longest = left.saturating_sub((left / 8).min(Duration::from_secs(1)));
        let begin = longest / 4 * 3;
        let by_grace = match class {
            // Their clients come back at once, so they are not all closed together.
            WorkClass::Websocket if since < begin => 0,
            WorkClass::Websocket => {
                let over = HumanDuration(longest.saturating_sub(begin));
                WorkPolicy::CutOver(over).part(since.saturating_sub(begin))
            }
            WorkClass::Unary | WorkClass::Stream | WorkClass::GrpcStream => {
                WorkPolicy::FinishWithin(HumanDuration(longest)).part(since)
            }
        };
        self.in_flight.of(class).part(since).max(by_grace)
    }
}

impl ShutdownPolicies {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn of(&self, class: WorkClass) -> WorkPolicy {
        let own = match class {
            WorkClass::Unary => self.unary,
            WorkClass::Stream => self.stream,
            WorkClass::Websocket => self.websocket,
            WorkClass::GrpcStream => self.grpc_stream,
        };
        own.unwrap_or(WorkPolicy::Finish)
    }
}

fn grace_of_environment() -> Option<String> {
    std::env::var("TERMINATION_GRACE_PERIOD_SECONDS").ok()
}

fn default_not_ready_for(of_environment: Option<&str>, grace: Duration) -> Duration {
    let seconds = of_environment.and_then(|seconds| seconds.trim().parse::<u64>().ok());
    seconds.map_or(Duration::ZERO, |_| Duration::from_secs(3).min(grace / 4))
}

fn default_grace(of_environment: Option<&str>) -> Duration {
    of_environment
        .and_then(|seconds| seconds.trim().parse::<u64>().ok())
        .map_or(Duration::from_secs(600), |seconds| {
            Duration::from_secs(seconds.saturating_sub(5))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_orchestrator_ends_the_process_it_is_not_ready_first() {
        let default = |of_environment, grace| {
            default_not_ready_for(of_environment, Duration::from_secs(grace))
        };
        assert_eq!(default(None, 25), Duration::ZERO);
        assert_eq!(default(Some("30"), 25), Duration::from_secs(3));
        let quarter = Duration::from_millis(750);
        assert_eq!(default(Some("8"), 3), quarter, "most of the grace is left");
    }

    #[test]
    fn not_being_ready_leaves_a_part_of_the_grace() {
        let problem = |not_ready_for, grace| {
            let shutdown = Shutdown {
                grace: Some(HumanDuration::seconds(grace)),
                not_ready_for: Some(HumanDuration::seconds(not_ready_for)),
                ..Shutdown::default()
            };
            shutdown.problem()
        };
        assert!(problem(4, 5).is_none() && problem(0, 0).is_none());
        let refused = problem(5, 5).unwrap();
        assert_eq!(refused.path, "shutdown.not_ready_for");
        assert!(refused.hint.is_some());
    }

    #[test]
    fn the_grace_follows_what_the_environment_allows() {
        assert_eq!(default_grace(None), Duration::from_secs(600));
        assert_eq!(default_grace(Some("30")), Duration::from_secs(25));
        assert_eq!(default_grace(Some("3")), Duration::ZERO);
        assert_eq!(default_grace(Some("soon")), Duration::from_secs(600));
    }

    #[test]
    fn a_policy_that_the_grace_makes_void_is_warned_of() {
        let shutdown: Shutdown = serde_json::from_value(serde_json::json!({
            "grace": "1m",
            "in_flight": {"unary": "finish within 1m", "stream": "cut over 2m", "websocket": "cut"},
        }))
        .unwrap();
        let places: Vec<_> = shutdown.warnings().map(|one| one.path).collect();
        assert_eq!(places, ["shutdown.in_flight.stream"]);
    }

    #[test]
    fn a_class_ends_by_its_policy_and_all_of_it_before_the_grace_is_over() {
        let shutdown: Shutdown = serde_json::from_value(serde_json::json!({
            "in_flight": {"unary": "finish within 5s", "grpc_stream": "finish within 1h"},
        }))
        .unwrap();
        let seconds = Duration::from_secs;
        let part = |class, since| {
            let part = shutdown.ended_part(class, seconds(since), seconds(401));
            part / (u32::MAX / 4)
        };
        assert_eq!([4, 5].map(|since| part(WorkClass::Unary, since)), [0, 4]);
        for class in [WorkClass::Stream, WorkClass::GrpcStream] {
            assert_eq!([399, 400].map(|since| part(class, since)), [0, 4]);
        }
        let websockets = [299, 350, 400].map(|since| part(WorkClass::Websocket, since));
        assert_eq!(websockets, [0, 2, 4]);
        let none = Shutdown::default();
        assert_eq!(
            none.ended_part(WorkClass::Websocket, seconds(0), seconds(0)),
            u32::MAX
        );
    }
}
