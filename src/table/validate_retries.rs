//! Validation of the retries of a route.

use super::route_check::Check;
use crate::model::RetriesSpec;

/// Maximum number of attempts: more would only multiply the load on what fails.
const MOST_ATTEMPTS: u32 = 10;
/// Maximum number of other endpoints to try.
const MOST_ENDPOINTS: u32 = 64;

pub(super) fn problems(retries: &RetriesSpec, check: &mut Check<'_>) {
    if let Some(attempts) = retries.attempts
        && !(1..=MOST_ATTEMPTS).contains(&attempts)
    {
        let message = format!("{attempts} attempts; the number is from 1 to {MOST_ATTEMPTS}");
        check.problem("retries.attempts", message, "1 sends nothing again");
    }
    if let Some(endpoints) = retries.endpoints
        && endpoints > MOST_ENDPOINTS
    {
        let message = format!("{endpoints} endpoints; the maximum is {MOST_ENDPOINTS}");
        check.problem("retries.endpoints", message, "");
    }
    for (place, status) in retries.on_status.iter().enumerate() {
        let key = format!("retries.on_status.{place}");
        if !RetriesSpec::STATUSES.contains(status) {
            let hint = "502, 503 and 504 are: the service was absent or overloaded";
            check.problem(&key, format!("{status} is no status to retry after"), hint);
        } else if retries.on_status[..place].contains(status) {
            check.problem(&key, format!("{status} is listed twice"), "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RouteSpec, Weights};

    fn found(retries: &RetriesSpec) -> Vec<String> {
        let mut found = Vec::new();
        let route = RouteSpec::plain("all".parse().unwrap(), Weights::new());
        problems(retries, &mut Check::new(&route, &mut found));
        found.iter().map(|problem| problem.path.clone()).collect()
    }

    #[test]
    fn retries_are_bounded_and_follow_only_gateway_errors() {
        let none = RetriesSpec::default();
        assert!(found(&none).is_empty());
        for attempts in [0, 11] {
            let attempts = Some(attempts);
            let paths = found(&RetriesSpec {
                attempts,
                ..none.clone()
            });
            assert_eq!(paths, ["routes.all.retries.attempts"]);
        }
        let paths = found(&RetriesSpec {
            endpoints: Some(65),
            on_status: vec![503, 500, 503],
            ..none
        });
        let expected = ["endpoints", "on_status.1", "on_status.2"];
        assert_eq!(
            paths,
            expected.map(|key| format!("routes.all.retries.{key}"))
        );
    }
}
