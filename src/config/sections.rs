//! Settings of the control plane: access, history, logs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{ListenerTls, Size};
use crate::model::{HumanDuration, Problem};

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

/// A listener that serves only `/metrics`, `/livez` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Its address.
    pub address: SocketAddr,
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

/// Format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
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

/// Shutdown of the process, in this order: not ready, drained, ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Time after SIGTERM in which `/readyz` is not ready and everything is served as before, so that load balancers
    /// see it and send nothing more. It is part of `grace`. When absent: 3 s where `TERMINATION_GRACE_PERIOD_SECONDS` is
    /// set in the environment, but no more than a quarter of `grace`; none otherwise. SIGINT skips it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready_for: Option<HumanDuration>,
    /// Longest time that `WebSockets` may go on after that; those that are left are closed (1012) one after the other in
    /// the last quarter of it. By default what is left of `grace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websockets: Option<HumanDuration>,
    /// Longest time that work may go on after SIGTERM. When absent: five seconds less than
    /// `TERMINATION_GRACE_PERIOD_SECONDS` where that is set in the environment, ten minutes otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<HumanDuration>,
}

impl Shutdown {
    /// The effective grace period.
    pub fn effective_grace(&self) -> Duration {
        let of_environment = grace_of_environment();
        self.grace
            .map_or_else(|| default_grace(of_environment.as_deref()), |grace| grace.0)
    }

    /// The effective time of not being ready while everything is served, a part of the grace period.
    pub fn effective_not_ready_for(&self) -> Duration {
        let of_environment = grace_of_environment();
        let default = || default_not_ready_for(of_environment.as_deref(), self.effective_grace());
        self.not_ready_for.map_or_else(default, |span| span.0)
    }

    /// The problem of a time of not being ready that leaves work no time to finish.
    pub(super) fn problem(&self) -> Option<Problem> {
        let (not_ready_for, grace) = (self.not_ready_for?, self.effective_grace());
        if not_ready_for.0.is_zero() || not_ready_for.0 < grace {
            return None;
        }
        let message = format!(
            "{not_ready_for} leaves no time to finish, since it is part of `grace`, {}",
            HumanDuration(grace)
        );
        let problem = Problem::new("shutdown.not_ready_for", message);
        Some(problem.hint("raise `grace`, or lower `not_ready_for`"))
    }

    /// Begin and end of closing `WebSockets`, from the begin of the drain, which may take `left`. A little is kept for
    /// them to read the close frame.
    pub fn websocket_closing(&self, left: Duration) -> (Duration, Duration) {
        let longest = left.saturating_sub((left / 8).min(Duration::from_secs(1)));
        let end = self.websockets.map_or(longest, |span| span.0.min(longest));
        (end / 4 * 3, end)
    }
}

fn grace_of_environment() -> Option<String> {
    std::env::var("TERMINATION_GRACE_PERIOD_SECONDS").ok()
}

fn default_not_ready_for(of_environment: Option<&str>, grace: Duration) -> Duration {
    let seconds = of_environment.and_then(|seconds| seconds.trim().parse::<u64>().ok());
    seconds.map_or(Duration::ZERO, |_| Duration::from_secs(3).min(grace / 4))
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
            role: TokenRole::Operator,
            file: Some("/run/secrets/ci.token".into()),
            env: None,
        };
        assert_eq!(token.name(), "ci");
    }

    #[test]
    fn where_an_orchestrator_ends_the_process_it_is_not_ready_first() {
        let default = |of_environment, grace| {
            default_not_ready_for(of_environment, Duration::from_secs(grace))
        };
        assert_eq!(default(None, 25), Duration::ZERO);
        assert_eq!(default(Some("30"), 25), Duration::from_secs(3));
        let quarter = Duration::from_millis(750);
        assert_eq!(default(Some("8"), 3), quarter, "most of the grace is left");
    }

    #[test]
    fn not_being_ready_leaves_a_part_of_the_grace() {
        let problem = |not_ready_for, grace| {
            let shutdown = Shutdown {
                grace: Some(HumanDuration::seconds(grace)),
                not_ready_for: Some(HumanDuration::seconds(not_ready_for)),
                ..Shutdown::default()
            };
            shutdown.problem()
        };
        assert!(problem(4, 5).is_none() && problem(0, 0).is_none());
        let refused = problem(5, 5).unwrap();
        assert_eq!(refused.path, "shutdown.not_ready_for");
        assert!(refused.hint.is_some());
    }

    #[test]
    fn websockets_are_closed_in_the_last_quarter_of_their_time() {
        let closing = |websockets: Option<u64>, left| {
            let websockets = websockets.map(HumanDuration::seconds);
            let shutdown = Shutdown {
                websockets,
                ..Shutdown::default()
            };
            let (begin, end) = shutdown.websocket_closing(Duration::from_secs(left));
            (begin.as_secs_f64(), end.as_secs_f64())
        };
        assert_eq!(closing(None, 601), (450.0, 600.0));
        assert_eq!(closing(Some(20), 601), (15.0, 20.0));
        assert_eq!(closing(Some(20), 0), (0.0, 0.0));
    }

    #[test]
    fn the_grace_follows_what_the_environment_allows() {
        assert_eq!(default_grace(None), Duration::from_secs(600));
        assert_eq!(default_grace(Some("30")), Duration::from_secs(25));
        assert_eq!(default_grace(Some("3")), Duration::ZERO);
        assert_eq!(default_grace(Some("soon")), Duration::from_secs(600));
    }
}
