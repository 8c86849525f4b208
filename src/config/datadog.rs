//! Settings of the exporter to Datadog.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, Problem};

/// Shortest and longest time between two flushes.
const INTERVAL: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(1), HumanDuration::seconds(60));
/// Most tags, and the longest one.
const MOST_TAGS: usize = 32;
const LONGEST_TAG: usize = 200;
/// Longest path of a Unix socket.
const LONGEST_PATH: usize = 107;
/// Address of the agent on the same machine.
const AGENT: &str = "127.0.0.1:8125";

/// Metrics and events for Datadog's agent, over `DogStatsD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Datadog {
    /// Address of the agent over UDP, `host:port`; `127.0.0.1:8125` if neither this nor `socket` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Path of the agent's Unix datagram socket, instead of `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Unified service tag `service`.
    pub service: String,
    /// Unified service tag `env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Unified service tag `version`: that of this deployment, not of the releases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Further tags, `key:value`.
    pub tags: Vec<String>,
    /// Time between two flushes.
    pub interval: HumanDuration,
}

impl Default for Datadog {
    fn default() -> Self {
        Self {
            address: None,
            socket: None,
            service: "switchback".to_owned(),
            env: None,
            version: None,
            tags: Vec::new(),
            interval: HumanDuration::seconds(10),
        }
    }
}

impl Datadog {
    /// Address of the agent over UDP, if there is no Unix socket.
    pub fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(AGENT)
    }

    /// All tags: names and values.
    pub fn all_tags(&self) -> Vec<(String, String)> {
        let unified = [
            ("service", Some(&self.service)),
            ("env", self.env.as_ref()),
            ("version", self.version.as_ref()),
        ];
        let unified = unified
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        let own = self.tags.iter().filter_map(|tag| tag.split_once(':'));
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        unified.chain(own).collect()
    }

    /// Checks the address, the tags and the interval.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        self.check_target(found);
        for (key, value) in [
            ("service", Some(&self.service)),
            ("env", self.env.as_ref()),
            ("version", self.version.as_ref()),
        ] {
            if value.is_some_and(|value| !is_tag_text(value)) {
                let problem = Problem::new(format!("datadog.{key}"), "not a value of a tag");
                found.push(problem.hint("use letters, digits, `_`, `-`, `.`, `:` or `/`"));
            }
        }
        self.check_tags(found);
        let (least, most) = INTERVAL;
        if self.interval < least || self.interval > most {
            let message = format!("{} is not from {least} to {most}", self.interval);
            let problem = Problem::new("datadog.interval", message);
            found.push(problem.hint("the agent itself sends every 10s"));
        }
    }

    fn check_target(&self, found: &mut Vec<Problem>) {
        if let Some(address) = self.address.as_deref().filter(|text| !is_host_port(text)) {
            let message = format!("`{address}` is not `host:port`");
            found.push(Problem::new("datadog.address", message).hint(format!("such as `{AGENT}`")));
        }
        let Some(socket) = &self.socket else { return };
        if self.address.is_some() {
            let problem = Problem::new("datadog.socket", "there is an `address` as well");
            found.push(problem.hint("use one of them: UDP, or the Unix socket"));
        }
        if socket.as_os_str().len() > LONGEST_PATH {
            let message = format!("a path of more than {LONGEST_PATH} bytes");
            found.push(Problem::new("datadog.socket", message));
        }
    }

    fn check_tags(&self, found: &mut Vec<Problem>) {
        if self.tags.len() > MOST_TAGS {
            let message = format!("more than {MOST_TAGS} tags");
            found.push(Problem::new("datadog.tags", message));
        }
        for (place, tag) in self.tags.iter().enumerate() {
            let is_tag = tag.split_once(':').is_some_and(|(name, value)| {
                name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && is_tag_text(name)
                    && is_tag_text(value)
            });
            if !is_tag || tag.chars().count() > LONGEST_TAG {
                let message = format!("`{tag}` is not a tag `key:value`");
                let problem = Problem::new(format!("datadog.tags.{place}"), message);
                found.push(problem.hint(
                    "it begins with a letter and has letters, digits, `_`, `-`, `.`, `:` or `/`",
                ));
            }
        }
    }
}

fn is_tag_text(text: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.' | '/');
    !text.is_empty() && text.chars().count() <= LONGEST_TAG && text.chars().all(is_allowed)
}

/// True for an address with a port, or a host name with one.
pub(super) fn is_host_port(text: &str) -> bool {
    if text
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.port() > 0)
    {
        return true;
    }
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_number = host.split('.').all(|part| part.parse::<u32>().is_ok());
        let is_host = (1..=253).contains(&host.len()) && host.chars().all(is_allowed);
        is_host && !is_number && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(datadog: &Datadog) -> Vec<String> {
        let mut found = Vec::new();
        datadog.check(&mut found);
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn the_default_is_valid_and_goes_to_the_agent_of_the_machine() {
        assert_eq!(crate::config::Config::default().datadog, None);
        let datadog = Datadog::default();
        assert!(problems(&datadog).is_empty());
        assert_eq!(datadog.address(), "127.0.0.1:8125");
        let service = ("service".to_owned(), "switchback".to_owned());
        assert_eq!(datadog.all_tags(), [service]);
    }

    #[test]
    fn every_wrong_value_is_a_problem() {
        let datadog = Datadog {
            address: Some("localhost".to_owned()),
            socket: Some("/x".repeat(60).into()),
            service: "a|b".to_owned(),
            env: Some(String::new()),
            version: Some("1.2,3".to_owned()),
            tags: ["team:agents", "team", "9:x", "a:b#c", ":x"]
                .map(str::to_owned)
                .into(),
            interval: HumanDuration::seconds(61),
        };
        assert_eq!(
            problems(&datadog),
            [
                "datadog.address",
                "datadog.socket",
                "datadog.socket",
                "datadog.service",
                "datadog.env",
                "datadog.version",
                "datadog.tags.1",
                "datadog.tags.2",
                "datadog.tags.3",
                "datadog.tags.4",
                "datadog.interval",
            ]
        );
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["127.0.0.1:8125", "[::1]:1", "datadog-agent:8125", "a.b:1"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in [
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "1.2.3:1",
            "::1:8125",
            "a b:1",
            "127.0.0.1:0",
        ] {
            assert!(!is_host_port(bad), "{bad}");
        }
    }
}
