//! Validation of what a release declares about the way back from it.

use crate::model::{LONGEST_REASON, Problem, RollbackSpec};

pub(super) fn problems(at: &str, spec: &RollbackSpec, problems: &mut Vec<Problem>) {
    if !spec.is_guard() {
        problems.push(
            Problem::new(at, "it restricts nothing")
                .hint("write `allowed = false` with a `reason`, or name a hook as `check`"),
        );
    }
    if !spec.allowed && spec.check.is_some() {
        problems.push(
            Problem::new(at, "`allowed = false` leaves nothing to ask `check`")
                .hint("remove one of them"),
        );
    }
    if let Some(reason) = &spec.reason {
        let path = format!("{at}.reason");
        if reason.len() > LONGEST_REASON {
            let message = format!("{} bytes; the maximum is {LONGEST_REASON}", reason.len());
            problems.push(Problem::new(path, message));
        } else if reason.chars().any(char::is_control) {
            problems.push(Problem::new(
                path,
                "a reason is one line without control characters",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<String> {
        let spec: RollbackSpec = serde_json::from_str(json).unwrap();
        let mut found = Vec::new();
        problems("releases.green.rollback", &spec, &mut found);
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_declaration_restricts_in_one_way() {
        assert_eq!(found(r#"{"allowed":false,"reason":"schema 12"}"#), [""; 0]);
        assert_eq!(found(r#"{"check":"schema"}"#), [""; 0]);
        for wrong in [
            "{}",
            r#"{"allowed":true}"#,
            r#"{"allowed":false,"check":"schema"}"#,
        ] {
            assert_eq!(found(wrong), ["releases.green.rollback"], "{wrong}");
        }
        let long = format!(r#"{{"allowed":false,"reason":"{}"}}"#, "x".repeat(257));
        for wrong in [&long, r#"{"allowed":false,"reason":"a\nb"}"#] {
            assert_eq!(found(wrong), ["releases.green.rollback.reason"], "{wrong}");
        }
    }
}
