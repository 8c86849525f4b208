//! Validation of what a release says about balancing: limits, slow start, ejection.

use std::time::Duration;

use crate::model::{Balance, EjectionSpec, HumanDuration, Problem, ReleaseSpec};

/// Longest span of time that may be asked for.
const LONGEST: HumanDuration = HumanDuration::seconds(24 * 60 * 60);

pub(super) fn problems(
    at: &impl Fn(&str) -> String,
    spec: &ReleaseSpec,
    problems: &mut Vec<Problem>,
) {
    let limits = &spec.limits;
    let all = [
        limits.concurrency,
        limits.connections_per_endpoint,
        limits.in_flight_per_endpoint,
    ];
    if all.contains(&Some(0)) {
        problems.push(
            Problem::new(at("limits"), "a limit of 0 refuses every request")
                .hint("leave it out for no limit"),
        );
    }
    let slow_start = spec.slow_start.map(|span| ("slow_start", span));
    let max_retry_after = spec.max_retry_after.map(|span| ("max_retry_after", span));
    for (key, span) in slow_start.into_iter().chain(max_retry_after) {
        too_long(at(key), span, problems);
    }
    if spec.slow_start.is_some() && spec.balance == Balance::ConsistentHash {
        problems.push(
            Problem::new(
                at("slow_start"),
                "keys would move with the weight of a new endpoint",
            )
            .hint("leave it out with `balance = \"consistent_hash\"`"),
        );
    }
    if let Some(ejection) = &spec.ejection {
        ejection_problems(&at("ejection"), ejection, problems);
    }
}

fn ejection_problems(at: &str, spec: &EjectionSpec, problems: &mut Vec<Problem>) {
    for (key, span) in [
        ("interval", spec.interval),
        ("base_time", spec.base_time),
        ("max_time", spec.max_time),
    ] {
        let at = format!("{at}.{key}");
        if span < HumanDuration(Duration::from_millis(10)) {
            problems.push(
                Problem::new(at, format!("`{span}` is too short")).hint("the minimum is 10ms"),
            );
        } else {
            too_long(at, span, problems);
        }
    }
    if spec.max_time < spec.base_time {
        problems.push(
            Problem::new(
                format!("{at}.max_time"),
                format!("`{}` is shorter than `base_time`", spec.max_time),
            )
            .hint(format!("write at least `{}`", spec.base_time)),
        );
    }
    if spec.max_percent > 100 {
        problems.push(
            Problem::new(
                format!("{at}.max_percent"),
                format!("{} is no percentage", spec.max_percent),
            )
            .hint("write 0 to 100"),
        );
    }
    if spec.consecutive_failures == 0 && spec.consecutive_gateway_failures == 0 {
        problems.push(
            Problem::new(at, "nothing ejects an endpoint")
                .hint("set `consecutive_failures`, or leave `ejection` out"),
        );
    }
}

fn too_long(at: String, span: HumanDuration, problems: &mut Vec<Problem>) {
    if span > LONGEST {
        problems.push(Problem::new(at, format!("`{span}` is too long")).hint("the maximum is 24h"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let spec: ReleaseSpec = serde_json::from_str(text).unwrap();
        let mut found = Vec::new();
        problems(&|key| format!("blue.{key}"), &spec, &mut found);
        found.iter().map(|problem| problem.path.clone()).collect()
    }

    #[test]
    fn what_makes_no_sense_is_refused_at_its_place() {
        for (text, places) in [
            (r#"{"ejection":{}}"#, &[][..]),
            (r#"{"balance":"peak_ewma","slow_start":"30s"}"#, &[]),
            (r#"{"max_retry_after":"0s"}"#, &[]),
            (
                r#"{"limits":{"in_flight_per_endpoint":0}}"#,
                &["blue.limits"],
            ),
            (r#"{"slow_start":"25h"}"#, &["blue.slow_start"]),
            (
                r#"{"balance":"consistent_hash","slow_start":"30s"}"#,
                &["blue.slow_start"],
            ),
            (
                r#"{"ejection":{"base_time":"1ms","max_percent":101}}"#,
                &["blue.ejection.base_time", "blue.ejection.max_percent"],
            ),
            (
                r#"{"ejection":{"max_time":"1s"}}"#,
                &["blue.ejection.max_time"],
            ),
            (
                r#"{"ejection":{"consecutive_failures":0}}"#,
                &["blue.ejection"],
            ),
        ] {
            assert_eq!(found(text), places, "{text}");
        }
    }
}
