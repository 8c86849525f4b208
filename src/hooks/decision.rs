//! Answer of a gate: `{"decision": "continue" | "wait" | "rollback", "reason": "…"}`.

use serde::Deserialize;

/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 200;

/// Decision of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The rollout goes on.
    Continue,
    /// It is asked again later.
    Wait,
    /// The release is taken back at once.
    Rollback,
}

/// Answer of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// Its reason, for people.
    pub reason: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    decision: Decision,
    #[serde(default)]
    reason: Option<String>,
}

impl Decision {
    /// Name in answers, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Wait => "wait",
            Self::Rollback => "rollback",
        }
    }
}

impl Answer {
    /// Reads an answer. Other members are ignored; anything that is no decision is none.
    ///
    /// # Errors
    /// The mistake, in words.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Body = serde_json::from_slice(body).map_err(|error| {
            let whole = one_line(&error.to_string());
            format!("the answer is no decision ({whole})")
        })?;
        let reason = body.reason.as_deref().map(one_line);
        Ok(Self {
            decision: body.decision,
            reason: reason.filter(|reason| !reason.is_empty()),
        })
    }
}

/// A foreign text in one line of bounded length, without control characters.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = spaced.take(LONGEST_REASON).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_decision_is_read_with_its_reason() {
        let answer = Answer::parse(br#"{"decision":"rollback","reason":"p99\nis up","more":[1]}"#);
        let answer = answer.unwrap();
        assert_eq!(answer.decision, Decision::Rollback);
        assert_eq!(answer.reason.as_deref(), Some("p99 is up"));
        for decision in [Decision::Continue, Decision::Wait, Decision::Rollback] {
            let json = format!(r#"{{"decision":"{}"}}"#, decision.as_str());
            assert_eq!(Answer::parse(json.as_bytes()).unwrap().decision, decision);
        }
    }

    #[test]
    fn what_is_no_decision_is_none() {
        for garbage in [
            "",
            "ok",
            "true",
            "\"continue\"",
            "{}",
            r#"{"decision":"Continue"}"#,
            r#"{"decision":["continue"]}"#,
            r#"{"decision":"continue"} {"decision":"rollback"}"#,
            r#"{"decision":"wait","decision":"continue"}"#,
            r#"[{"decision":"continue"}]"#,
            "<html>continue</html>",
        ] {
            assert!(Answer::parse(garbage.as_bytes()).is_err(), "{garbage}");
        }
    }

    proptest! {
        /// Only a body that says so goes on, whatever bytes a server sends.
        #[test]
        fn no_other_bytes_mean_continue(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(answer) = Answer::parse(&body) {
                let text = String::from_utf8(body).unwrap();
                prop_assert!(text.contains(answer.decision.as_str()));
            }
        }

        #[test]
        fn a_damaged_answer_is_never_another_decision(at in 0_usize..24, byte in any::<u8>()) {
            let mut body = br#"{"decision":"rollback"}"#.to_vec();
            let at = at.min(body.len() - 1);
            body[at] = byte;
            if let Ok(answer) = Answer::parse(&body) {
                prop_assert_eq!(answer.decision, Decision::Rollback);
            }
        }
    }
}
