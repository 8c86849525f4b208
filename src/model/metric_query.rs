//! Query of a rollout's plan, whose values for the two releases are compared.

use std::{fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MetricName, Percent, Problem, ReleaseName, RouteName, Version};

/// Longest query in bytes.
const LONGEST: usize = 4 * 1024;
/// Placeholder for the release, without which both would have the same value.
const RELEASE: &str = "release";
/// Names of the placeholders.
const PLACEHOLDERS: [&str; 4] = ["route", RELEASE, "version", "interval"];

/// Query of a Prometheus, asked for both releases once in each interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricQuery {
    /// Name in verdicts.
    pub name: MetricName,
    /// The query in `PromQL`, with one value as its result. `{{release}}`, `{{version}}`, `{{route}}` and `{{interval}}`
    /// stand for those of the rollout.
    pub query: String,
    /// Direction in which a value is worse.
    pub worse: WorseWhen,
    /// Percents of the stable release's value by which that of the release on trial may be worse; 10 by default.
    #[serde(default = "tolerance", skip_serializing_if = "is_tolerance")]
    pub tolerance: Percent,
}

/// Direction in which a value is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorseWhen {
    /// The higher one is worse.
    Higher,
    /// The lower one is worse.
    Lower,
}

const fn tolerance() -> Percent {
    Percent::of(10)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_tolerance(percent: &Percent) -> bool {
    *percent == tolerance()
}

impl MetricQuery {
    /// The query for a release.
    pub fn text(
        &self,
        route: &RouteName,
        (release, version): (&ReleaseName, &Version),
        interval: Duration,
    ) -> String {
        let (mut text, mut rest) = (String::new(), &*self.query);
        while let Some((before, name, after)) = next_placeholder(rest) {
            text.push_str(before);
            // Writing to a string cannot fail.
            let _ = match name {
                "route" => write!(text, "{route}"),
                RELEASE => write!(text, "{release}"),
                "version" => write!(text, "{version}"),
                _ => write!(text, "{}s", interval.as_secs().max(1)),
            };
            rest = after;
        }
        text + rest
    }

    /// Problems of the query, with their paths under this one.
    pub(super) fn problems(&self, path: &str, found: &mut Vec<Problem>) {
        let at = format!("{path}.query");
        if self.query.len() > LONGEST {
            let message = format!("longer than {LONGEST} bytes");
            found.push(Problem::new(&at, message));
        }
        let (mut rest, mut names) = (&*self.query, Vec::new());
        while let Some((_, name, after)) = next_placeholder(rest) {
            names.push(name);
            rest = after;
        }
        if let Some(unknown) = names.iter().find(|name| !PLACEHOLDERS.contains(name)) {
            let problem = Problem::new(&at, format!("there is no placeholder `{unknown}`"));
            found.push(problem.hint(format!("there are {}", PLACEHOLDERS.join(", "))));
        }
        if !names.iter().any(|name| [RELEASE, "version"].contains(name)) {
            let problem = Problem::new(&at, "both releases would have the same value");
            found.push(problem.hint("select the series of one, as in `release=\"{{release}}\"`"));
        }
    }
}

/// The text before the next placeholder, its name, and the text after it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name.trim(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> MetricQuery {
        let json = serde_json::json!({"name": "p99", "query": text, "worse": "higher"});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in_and_other_braces_stay() {
        let query = query(
            r#"sum(rate(e{r="{{ route }}",v="{{version}}",n="{{release}}"}[{{interval}}])) by () or vector({x})"#,
        );
        let (route, release) = ("chat".parse().unwrap(), "green".parse().unwrap());
        let version = Version::new("2.0").unwrap();
        let interval = Duration::from_secs(60);
        assert_eq!(
            query.text(&route, (&release, &version), interval),
            r#"sum(rate(e{r="chat",v="2.0",n="green"}[60s])) by () or vector({x})"#
        );
    }

    #[test]
    fn a_query_that_cannot_tell_the_releases_apart_is_refused() {
        let problems = |text: &str| {
            let mut found = Vec::new();
            query(text).problems("plan.metrics.0", &mut found);
            let messages = found.into_iter().map(|one| one.message);
            messages.collect::<Vec<_>>()
        };
        assert!(problems(r#"up{release="{{release}}"}"#).is_empty());
        assert_eq!(problems("up"), ["both releases would have the same value"]);
        assert_eq!(
            problems(r#"up{release="{{release}}",pod="{{pod}}"}"#),
            ["there is no placeholder `pod`"]
        );
        assert_eq!(
            problems(&format!("{{{{release}}}}{}", "x".repeat(5_000))).len(),
            1
        );
    }
}
