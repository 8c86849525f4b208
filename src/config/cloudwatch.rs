//! Settings of the exporter to `CloudWatch`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::datadog::is_host_port;
use crate::model::{HumanDuration, Problem};

/// Shortest and longest time between two flushes.
const INTERVAL: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(1), HumanDuration::seconds(300));
/// Longest namespace and value of a dimension.
const LONGEST: usize = 255;

/// Metrics for `CloudWatch`, in its Embedded Metric Format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cloudwatch {
    /// Target: `stdout`, `tcp://host:port` or `udp://host:port` of the agent, or `file:/path`.
    pub to: String,
    /// Namespace of the metrics.
    pub namespace: String,
    /// Value of the dimension `Service`.
    pub service: String,
    /// Time between two flushes.
    pub interval: HumanDuration,
}

/// Target of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTarget {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
    /// An agent over TCP.
    Tcp(String),
    /// An agent over UDP.
    Udp(String),
}

impl Default for Cloudwatch {
    fn default() -> Self {
        Self {
            to: "stdout".to_owned(),
            namespace: "switchback".to_owned(),
            service: "switchback".to_owned(),
            interval: HumanDuration::seconds(60),
        }
    }
}

impl Cloudwatch {
    /// The target; `None` if `to` is none.
    pub fn target(&self) -> Option<EventTarget> {
        let address = |text: &str| is_host_port(text).then(|| text.to_owned());
        if self.to == "stdout" {
            return Some(EventTarget::Stdout);
        }
        if let Some(path) = self.to.strip_prefix("file:") {
            let path = Path::new(path);
            return path
                .is_absolute()
                .then(|| EventTarget::File(path.to_owned()));
        }
        if let Some(text) = self.to.strip_prefix("tcp://") {
            return address(text).map(EventTarget::Tcp);
        }
        address(self.to.strip_prefix("udp://")?).map(EventTarget::Udp)
    }

    /// Checks the target, the names and the interval.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        if self.target().is_none() {
            let message = format!("`{}` is not a target", self.to);
            found.push(Problem::new("cloudwatch.to", message).hint(
                "use `stdout`, `tcp://127.0.0.1:25888`, `udp://127.0.0.1:25888` or `file:/absolute/path`",
            ));
        }
        let is_namespace =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '#' | ':');
        let namespace = self.namespace.as_str();
        if namespace.is_empty() || namespace.len() > LONGEST || !namespace.chars().all(is_namespace)
        {
            let problem = Problem::new("cloudwatch.namespace", "not a namespace");
            found
                .push(problem.hint("use 1 to 255 letters, digits, `.`, `-`, `_`, `/`, `#` or `:`"));
        }
        if namespace.starts_with("AWS/") {
            let problem = Problem::new("cloudwatch.namespace", "`AWS/` is reserved");
            found.push(problem.hint("such as `switchback`"));
        }
        let is_visible = |c: char| c.is_ascii_graphic() || c == ' ';
        if self.service.trim().is_empty()
            || self.service.len() > LONGEST
            || !self.service.chars().all(is_visible)
            || self.service.starts_with(':')
        {
            let problem = Problem::new("cloudwatch.service", "not a value of a dimension");
            found.push(
                problem.hint("use 1 to 255 visible ASCII characters, the first of them not `:`"),
            );
        }
        let (least, most) = INTERVAL;
        if self.interval < least || self.interval > most {
            let message = format!("{} is not from {least} to {most}", self.interval);
            let problem = Problem::new("cloudwatch.interval", message);
            found.push(problem.hint("CloudWatch keeps a value a minute"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_their_texts() {
        let target = |to: &str| {
            let to = to.to_owned();
            Cloudwatch {
                to,
                ..Cloudwatch::default()
            }
            .target()
        };
        assert_eq!(target("stdout"), Some(EventTarget::Stdout));
        assert_eq!(target("file:/a/b"), Some(EventTarget::File("/a/b".into())));
        let agent = "127.0.0.1:25888".to_owned();
        assert_eq!(
            target("tcp://127.0.0.1:25888"),
            Some(EventTarget::Tcp(agent.clone()))
        );
        assert_eq!(
            target("udp://127.0.0.1:25888"),
            Some(EventTarget::Udp(agent))
        );
        for bad in [
            "",
            "stderr",
            "file:a",
            "file:",
            "tcp://",
            "tcp://a",
            "http://a:1",
        ] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_wrong_value_is_a_problem_and_the_default_has_none() {
        let problems = |settings: Cloudwatch| {
            let mut found = Vec::new();
            settings.check(&mut found);
            found.into_iter().map(|one| one.path).collect::<Vec<_>>()
        };
        assert_eq!(crate::config::Config::default().cloudwatch, None);
        assert!(problems(Cloudwatch::default()).is_empty());
        let wrong = Cloudwatch {
            to: "nowhere".to_owned(),
            namespace: "AWS/é".to_owned(),
            service: ":a".to_owned(),
            interval: HumanDuration::seconds(301),
        };
        assert_eq!(
            problems(wrong),
            [
                "cloudwatch.to",
                "cloudwatch.namespace",
                "cloudwatch.namespace",
                "cloudwatch.service",
                "cloudwatch.interval",
            ]
        );
    }
}
