//! Settings of the control plane: who may change what, what is kept, what is told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{ListenerTls, Size};
use crate::model::HumanDuration;

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Its address. One that is not loopback needs an operator token.
    pub address: SocketAddr,
    /// TLS; plain HTTP without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Bearer tokens; without any, whoever reaches the address may do everything.
    pub tokens: Vec<TokenSpec>,
    /// Names, beside addresses and `localhost`, by which the API may be called.
    pub hosts: Vec<String>,
    /// The largest body of a change.
    pub max_body: Size,
    /// The largest body that holds a whole table.
    pub max_table: Size,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9900)),
            tls: None,
            tokens: Vec::new(),
            hosts: Vec::new(),
            max_body: Size::kib(64),
            max_table: Size::mib(16),
        }
    }
}

/// Where a bearer token is read from: a file or a variable of the environment, never the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// The name under which the history shows what the token's owner did; by default the file's or the variable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the token allows.
    pub role: Role,
    /// A file that holds the token and nothing else but white space around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The variable of the environment that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

impl TokenSpec {
    /// The name under which the history shows what the token's owner did, at most 64 bytes.
    pub fn name(&self) -> String {
        let file = self.file.as_deref().and_then(Path::file_stem);
        let name = self
            .name
            .clone()
            .or_else(|| file.map(|stem| stem.to_string_lossy().into_owned()))
            .or_else(|| self.env.clone());
        name.unwrap_or_default().chars().take(64).collect()
    }
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To see and to change.
    Operator,
    /// To see.
    ReadOnly,
}

/// A listener that shows `/metrics`, `/livez` and `/readyz` and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Its address.
    pub address: SocketAddr,
}

/// Where revisions are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// The folder.
    pub path: PathBuf,
    /// How many revisions are kept; the live one and those that a rollback would go to are kept beyond it.
    pub keep: usize,
    /// How long a publish may take to reach the disk before it is refused.
    pub durable_within: HumanDuration,
}

impl Default for History {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/lib/switchback"),
            keep: 1_000,
            durable_within: HumanDuration::seconds(2),
        }
    }
}

/// What is kept warm, so that a rollback is instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// How many earlier revisions are kept compiled, checked and connected.
    pub warm_revisions: usize,
    /// For how long.
    pub warm_for: HumanDuration,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            warm_revisions: 2,
            warm_for: HumanDuration::seconds(24 * 3600),
        }
    }
}

/// How host names of endpoints become addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// The shortest time between two look-ups of a name, whatever its time to live says.
    pub min_ttl: HumanDuration,
    /// The longest.
    pub max_ttl: HumanDuration,
    /// How long one look-up may take.
    pub timeout: HumanDuration,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            min_ttl: HumanDuration::seconds(1),
            max_ttl: HumanDuration::seconds(60),
            timeout: HumanDuration::seconds(5),
        }
    }
}

/// Active health checks in general; what is checked stands with each release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthChecks {
    /// How many checks may run at a time.
    pub concurrency: usize,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self { concurrency: 64 }
    }
}

/// The log of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// What a line looks like.
    pub format: AccessLogFormat,
    /// The file to append to; standard output when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Lines that may wait to be written; more are dropped and counted.
    pub queue: usize,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: AccessLogFormat::Json,
            path: None,
            queue: 8_192,
        }
    }
}

/// What a line of the access log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// There is no access log.
    Off,
    /// A line for people.
    Text,
}

/// The log of what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: a level, or directives such as `info,switchback::health=debug`.
    pub level: String,
    /// What a line looks like.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
        }
    }
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// A line for people.
    Text,
}

/// How the process ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long work may go on after SIGTERM. When absent: five seconds less than
    /// `TERMINATION_GRACE_PERIOD_SECONDS` where the environment has that, ten minutes otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<HumanDuration>,
}

impl Shutdown {
    /// The grace that holds.
    pub fn effective_grace(&self) -> Duration {
        let of_environment = std::env::var("TERMINATION_GRACE_PERIOD_SECONDS").ok();
        self.grace
            .map_or_else(|| default_grace(of_environment.as_deref()), |grace| grace.0)
    }
}

fn default_grace(of_environment: Option<&str>) -> Duration {
    of_environment
        .and_then(|seconds| seconds.trim().parse::<u64>().ok())
        .map_or(Duration::from_secs(600), |seconds| {
            Duration::from_secs(seconds.saturating_sub(5))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_a_name_is_called_after_where_it_comes_from() {
        let token = TokenSpec {
            name: None,
            role: Role::Operator,
            file: Some("/run/secrets/ci.token".into()),
            env: None,
        };
        assert_eq!(token.name(), "ci");
    }

    #[test]
    fn the_grace_follows_what_the_environment_allows() {
        assert_eq!(default_grace(None), Duration::from_secs(600));
        assert_eq!(default_grace(Some("30")), Duration::from_secs(25));
        assert_eq!(default_grace(Some("3")), Duration::ZERO);
        assert_eq!(default_grace(Some("soon")), Duration::from_secs(600));
    }
}
