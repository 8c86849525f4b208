//! Validation of what feedback may name the answers of a route by.

use super::route_check::Check;
use crate::model::{FeedbackBy, RouteSpec};

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    for (place, by) in route.feedback_by.iter().enumerate() {
        let key = format!("feedback_by.{place}");
        if route.feedback_by[..place].contains(by) {
            check.problem(&key, "it is listed twice", "");
        } else if *by == FeedbackBy::Session && !route.has_sessions() {
            check.problem(
                &key,
                "the route has no sessions",
                "give it `affinity` or `pins`, or take `request_id`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &str) -> Vec<String> {
        let text = format!("name = \"chat\"\nsplit = {{ blue = 1 }}\n{lines}");
        let route: RouteSpec = toml::from_str(&text).unwrap();
        let mut found = Vec::new();
        problems(&route, &mut Check::new(&route, &mut found));
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_route_without_sessions_cannot_remember_them_and_nothing_is_listed_twice() {
        let affinity = "affinity = [\"client_address\"]";
        let both = "feedback_by = [\"request_id\", \"session\"]";
        assert_eq!(found(both), ["routes.chat.feedback_by.1"]);
        assert!(found(&format!("{both}\n{affinity}")).is_empty());
        assert!(found("feedback_by = [\"request_id\"]").is_empty());
        assert!(found(&format!("{both}\nagent_protocol = \"mcp\"")).is_empty());
        let twice = format!("feedback_by = [\"session\", \"session\"]\n{affinity}");
        assert_eq!(found(&twice), ["routes.chat.feedback_by.1"]);
    }
}
