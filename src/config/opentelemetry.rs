//! Settings of the exporter to OpenTelemetry.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::SecretSpec;
use crate::model::{HookUrl, HumanDuration, Percent, Problem, Scheme};

/// Shortest and longest time between two requests.
const INTERVAL: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(1), HumanDuration::seconds(300));
/// Longest timeout.
const TIMEOUT: HumanDuration = HumanDuration::seconds(60);
/// Most headers, and most attributes.
const MOST: usize = 32;
/// Longest name and longest value of an attribute.
const LONGEST: usize = 255;
/// Paths of signals, which follow the URL of a collector.
const SIGNALS: [&str; 3] = ["/v1/metrics", "/v1/traces", "/v1/logs"];
/// Headers that are ours.
const OWN_HEADERS: [&str; 8] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
];
/// Attributes that have keys of their own, and these keys.
const OWN_ATTRIBUTES: [(&str, &str); 4] = [
    ("service.name", "service"),
    ("service.version", "version"),
    ("service.instance.id", "instance"),
    ("deployment.environment.name", "env"),
];

/// Metrics, events and traces for a collector of OpenTelemetry, over OTLP (HTTP, protobuf).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Opentelemetry {
    /// URL of the collector, without `/v1/metrics`; `http://127.0.0.1:4318` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<HookUrl>,
    /// Headers of each request, such as an API key, from files or environment variables.
    pub headers: BTreeMap<String, SecretSpec>,
    /// Authorities, or the certificate of the collector itself; those of the system when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Resource attribute `service.name`.
    pub service: String,
    /// Resource attribute `service.version`: that of this deployment, not of the releases; that of switchback when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Resource attribute `service.instance.id`; another one at each start when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Resource attribute `deployment.environment.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Further resource attributes.
    pub attributes: BTreeMap<String, String>,
    /// Meaning of the values of counters and histograms.
    pub temporality: TemporalityName,
    /// Time between two requests with all metrics.
    pub interval: HumanDuration,
    /// Timeout for one request.
    pub timeout: HumanDuration,
    /// True to send revisions and verdicts as log records.
    pub events: bool,
    /// Traces of requests; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
}

/// Traces of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// Percents of the requests without a trace that are recorded.
    pub sample: Percent,
    /// True if failed requests are recorded, sampled or not.
    pub failures: bool,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            sample: Percent::of(1),
            failures: false,
        }
    }
}

/// Meaning of the value of a counter or a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemporalityName {
    /// The total since the start.
    Cumulative,
    /// The increase since the last value.
    Delta,
}

impl Default for Opentelemetry {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: BTreeMap::new(),
            ca: None,
            service: "switchback".to_owned(),
            version: None,
            instance: None,
            env: None,
            attributes: BTreeMap::new(),
            temporality: TemporalityName::Cumulative,
            interval: HumanDuration::seconds(60),
            timeout: HumanDuration::seconds(10),
            events: false,
            traces: None,
        }
    }
}

impl Opentelemetry {
    /// URL of the collector.
    ///
    /// # Panics
    /// Never: the default is a URL.
    pub fn endpoint(&self) -> HookUrl {
        let default = || {
            "http://127.0.0.1:4318"
                .parse()
                .expect("the default is a URL")
        };
        self.endpoint.clone().unwrap_or_else(default)
    }

    /// Visits every file path with its configuration path.
    pub(super) fn each_path(&mut self, visit: &mut impl FnMut(String, &mut PathBuf)) {
        if let Some(ca) = &mut self.ca {
            visit("opentelemetry.ca".into(), ca);
        }
        for (name, secret) in &mut self.headers {
            if let Some(file) = &mut secret.file {
                visit(format!("opentelemetry.headers.{name}.file"), file);
            }
        }
    }

    /// Checks what can be said without reading a secret.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        self.check_headers(found);
        self.check_endpoint(found);
        for (key, value) in [
            ("service", Some(&self.service)),
            ("version", self.version.as_ref()),
            ("instance", self.instance.as_ref()),
            ("env", self.env.as_ref()),
        ] {
            if value.is_some_and(|value| !is_value(value)) {
                found.push(no_value(&format!("opentelemetry.{key}")));
            }
        }
        self.check_attributes(found);
        let (interval, (least, most)) = (self.interval, INTERVAL);
        if interval < least || interval > most {
            let message = format!("{interval} is not from {least} to {most}");
            let problem = Problem::new("opentelemetry.interval", message);
            found.push(problem.hint("collectors expect metrics once a minute"));
        }
        if self.timeout.0.is_zero() || self.timeout > TIMEOUT {
            let message = format!("{} is not from 1ms to {TIMEOUT}", self.timeout);
            found.push(Problem::new("opentelemetry.timeout", message));
        }
    }

    fn check_endpoint(&self, found: &mut Vec<Problem>) {
        let endpoint = self.endpoint();
        let target = endpoint.target();
        if self.ca.is_some() && endpoint.origin().scheme() == Scheme::Http {
            let hint = "write `https://` in `endpoint`, or leave `ca` out";
            let problem = Problem::new(
                "opentelemetry.ca",
                format!("`{}` does not use TLS", endpoint.origin()),
            );
            found.push(problem.hint(hint));
        }
        let mut refuse = |message: &str, hint: &str| {
            let problem = Problem::new("opentelemetry.endpoint", message);
            found.push(problem.hint(hint));
        };
        if target.contains('?') {
            let hint = "a key goes into `headers`, as `{ env = \"NAME\" }` or `{ file = \"…\" }`";
            refuse("it has a query, which is not sent", hint);
        }
        let target = target.trim_end_matches('/');
        if SIGNALS.iter().any(|path| target.ends_with(path)) {
            refuse(
                "it ends with the path of a signal, which is added to it",
                "leave `/v1/metrics`, `/v1/traces` or `/v1/logs` out",
            );
        }
    }

    fn check_headers(&self, found: &mut Vec<Problem>) {
        if self.headers.len() > MOST {
            let message = format!("more than {MOST} headers");
            found.push(Problem::new("opentelemetry.headers", message));
        }
        for (name, source) in &self.headers {
            let path = format!("opentelemetry.headers.{name}");
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_name) {
                let problem = Problem::new(path.clone(), "not a name of a header");
                found.push(problem.hint("use letters, digits, `-`, `_` or `.`"));
            } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                let problem = Problem::new(path.clone(), "a header that switchback sets itself");
                found.push(problem.hint("leave it out"));
            }
            if source.file.is_some() == source.env.is_some() {
                let problem = Problem::new(path, "a header needs exactly one source");
                found.push(problem.hint("give either `file` or `env`"));
            }
        }
    }

    fn check_attributes(&self, found: &mut Vec<Problem>) {
        if self.attributes.len() > MOST {
            let message = format!("more than {MOST} attributes");
            found.push(Problem::new("opentelemetry.attributes", message));
        }
        for (name, value) in &self.attributes {
            let path = format!("opentelemetry.attributes.{name}");
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_name) {
                let problem = Problem::new(path.clone(), "not a name of an attribute");
                found.push(problem.hint("such as `\"team.name\" = \"agents\"`"));
            }
            if let Some((_, key)) = OWN_ATTRIBUTES.iter().find(|(own, _)| own == name) {
                let problem = Problem::new(path.clone(), "an attribute with a key of its own");
                found.push(problem.hint(format!("set `{key}` of `[opentelemetry]` instead")));
            }
            if !is_value(value) {
                found.push(no_value(&path));
            }
        }
    }
}

fn is_value(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
}

fn no_value(path: &str) -> Problem {
    let problem = Problem::new(path.to_owned(), "not a value of an attribute");
    problem.hint(format!(
        "use 1 to {LONGEST} bytes without control characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let settings: Opentelemetry = toml::from_str(text).unwrap();
        settings.check(&mut found);
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn the_default_is_valid_and_goes_to_the_collector_of_the_machine() {
        assert_eq!(crate::config::Config::default().opentelemetry, None);
        assert!(problems("").is_empty());
        let endpoint = Opentelemetry::default().endpoint();
        let metrics = endpoint.under("/v1/metrics");
        assert_eq!(metrics.origin().to_string(), "http://127.0.0.1:4318");
        assert_eq!(metrics.target(), "/v1/metrics");
    }

    #[test]
    fn every_wrong_value_is_a_problem() {
        let text = "
            endpoint = 'http://127.0.0.1:4318/v1/metrics?key=x'
            ca = 'collector.pem'
            service = ' '
            version = \"a\\u0007\"
            instance = ''
            env = ''
            interval = '301s'
            timeout = '0s'
            [headers]
            Host = { env = 'X' }
            'a b' = { env = 'X' }
            x-key = {}
            [attributes]
            'a b' = 'c'
            team = ''
            'service.name' = 'x'
        ";
        assert_eq!(
            problems(text),
            [
                "opentelemetry.headers.Host",
                "opentelemetry.headers.a b",
                "opentelemetry.headers.x-key",
                "opentelemetry.ca",
                "opentelemetry.endpoint",
                "opentelemetry.service",
                "opentelemetry.version",
                "opentelemetry.instance",
                "opentelemetry.env",
                "opentelemetry.attributes.a b",
                "opentelemetry.attributes.service.name",
                "opentelemetry.attributes.team",
                "opentelemetry.interval",
                "opentelemetry.timeout",
            ]
        );
    }
}
