//! Collector of a route's problems, with the checks that several keys need.

use crate::model::{Problem, RouteSpec};

/// Maximum number of header matches and of affinity sources of a route.
pub(super) const MOST_MATCHES: usize = 16;

/// The problems of a route, as they are found.
pub(super) struct Check<'a> {
    at: String,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Check<'a> {
    pub(super) fn new(route: &RouteSpec, problems: &'a mut Vec<Problem>) -> Self {
        Self {
            at: format!("routes.{}", route.name),
            problems,
        }
    }

    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        let problem = Problem::new(format!("{}.{key}", self.at), message);
        self.problems.push(if hint.is_empty() {
            problem
        } else {
            problem.hint(hint)
        });
    }

    pub(super) fn header_name(&mut self, key: &str, name: &str) {
        let token =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
            self.problem(
                key,
                format!("`{name}` is not a header field name"),
                "use lower case letters, digits and `-`",
            );
        }
    }
}
