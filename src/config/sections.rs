//! Settings of the control plane: access, history, logs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Kubernetes, ListenerTls, Size};
use crate::model::{HumanDuration, Percent};

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Its address. Other than loopback, it needs an operator token.
    pub address: SocketAddr,
    /// TLS; plain HTTP when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Bearer tokens; with none, every client that reaches the address has full access.
    pub tokens: Vec<TokenSpec>,
    /// Allowed `Host` names, in addition to addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Largest body of a change.
    pub max_body: Size,
    /// Largest body that holds a whole table.
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

/// Source of a bearer token: a file or an environment variable, never the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Name for the token's owner in the history; by default the file's or the variable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Access level of the token.
    pub role: TokenRole,
    /// File that holds the token, with only white space around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Environment variable that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

impl TokenSpec {
    /// Name for the token's owner in the history, at most 64 bytes.
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

/// Access level of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenRole {
    /// Read and write.
    Operator,
    /// Read only.
    ReadOnly,
}

/// A listener that serves `/metrics`, `/livez` and `/readyz`, and on request the dashboard, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Its address.
    pub address: SocketAddr,
    /// True if it serves the dashboard too, without its buttons, to everyone who reaches it.
    #[serde(default)]
    pub dashboard: bool,
}

/// Storage of revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// Path of the folder.
    pub path: PathBuf,
    /// Number of revisions kept; the live one and the targets of a rollback are kept in addition.
    pub keep: usize,
    /// Timeout for a publish to reach the disk, before it is refused.
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

/// Retention of warm revisions, so that a rollback is instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// Number of earlier revisions kept compiled, health-checked and connected.
    pub warm_revisions: usize,
    /// Time that a revision is kept warm.
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

/// DNS resolution of the host names of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Shortest time between two lookups of a name, whatever its TTL.
    pub min_ttl: HumanDuration,
    /// Longest time between two lookups of a name.
    pub max_ttl: HumanDuration,
    /// Timeout for one lookup.
    pub timeout: HumanDuration,
    /// Watch of Services in a Kubernetes cluster; without it their names are resolved as others are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            min_ttl: HumanDuration::seconds(1),
            max_ttl: HumanDuration::seconds(60),
            timeout: HumanDuration::seconds(5),
            kubernetes: None,
        }
    }
}

/// Global settings of active health checks; each release configures its own check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthChecks {
    /// Number of concurrent checks.
    pub concurrency: usize,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self { concurrency: 64 }
    }
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// Format of a line.
    pub format: AccessLogFormat,
    /// File to append to; standard output when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Lines queued for writing; more are dropped and counted.
    pub queue: usize,
    /// Percents of the successful requests that are logged; all others are.
    pub sample: Percent,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: AccessLogFormat::Json,
            path: None,
            queue: 8_192,
            sample: Percent::ALL,
        }
    }
}

/// Format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
    /// The Common Log Format with the referrer and the user agent.
    Combined,
    /// The Common Log Format of web servers.
    Common,
    /// One JSON object per line.
    Json,
    /// No access log.
    Off,
    /// Human-readable lines.
    Text,
}

/// The event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Filter: a level, or directives such as `info,switchback::health=debug`.
    pub level: String,
    /// Format of a line.
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

/// Format of the event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Human-readable lines.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_a_name_is_called_after_where_it_comes_from() {
        let token = TokenSpec {
            name: None,
            role: TokenRole::Operator,
            file: Some("/run/secrets/ci.token".into()),
            env: None,
        };
        assert_eq!(token.name(), "ci");
    }
}
