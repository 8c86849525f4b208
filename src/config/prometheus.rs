//! Settings of the Prometheus that plans of rollouts query.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::SecretSpec;
use crate::model::{HookUrl, HumanDuration, Problem};

/// Shortest and longest interval.
const INTERVAL: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(1), HumanDuration::seconds(3600));
/// Longest timeout.
const TIMEOUT: HumanDuration = HumanDuration::seconds(300);

/// Prometheus, or what speaks its HTTP API, for the `metrics` of plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    /// Its URL, without `/api/v1/query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<HookUrl>,
    /// Interval at which values are asked for and compared.
    pub interval: HumanDuration,
    /// Timeout for one query.
    pub timeout: HumanDuration,
    /// Bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSpec>,
    /// Authorities, or the certificate of the server itself; those of the system when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            url: None,
            interval: HumanDuration::seconds(60),
            timeout: HumanDuration::seconds(10),
            token: None,
            ca: None,
        }
    }
}

impl Prometheus {
    /// Visits every file path with its configuration path.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(String, &mut PathBuf)) {
        let token = self.token.as_mut();
        if let Some(file) = token.and_then(|token| token.file.as_mut()) {
            visit("prometheus.token.file".into(), file);
        }
        if let Some(ca) = &mut self.ca {
            visit("prometheus.ca".into(), ca);
        }
    }

    /// Checks what can be said without reading the token.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        let interval = self.interval;
        if !(INTERVAL.0..=INTERVAL.1).contains(&interval) {
            let message = format!("{interval} is not from {} to {}", INTERVAL.0, INTERVAL.1);
            let problem = Problem::new("prometheus.interval", message);
            found.push(problem.hint("four times its `scrape_interval`, so that `rate` has values"));
        }
        if self.timeout.0.is_zero() || self.timeout > TIMEOUT {
            let message = format!("{} is not from 1ms to {TIMEOUT}", self.timeout);
            found.push(Problem::new("prometheus.timeout", message));
        }
        let token = self.token.as_ref();
        if token.is_some_and(|token| token.file.is_some() == token.env.is_some()) {
            let problem = Problem::new("prometheus.token", "a token needs exactly one source");
            found.push(problem.hint("give either `file` or `env`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked_and_the_default_is_within_them() {
        let problems = |text: &str| {
            let mut found = Vec::new();
            let prometheus: Prometheus = toml::from_str(text).unwrap();
            prometheus.check(&mut found);
            found.into_iter().map(|one| one.path).collect::<Vec<_>>()
        };
        assert!(problems("").is_empty());
        assert_eq!(
            problems("interval = \"500ms\"\ntimeout = \"0s\"\ntoken = {}"),
            [
                "prometheus.interval",
                "prometheus.timeout",
                "prometheus.token"
            ]
        );
    }
}
