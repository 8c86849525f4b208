//! Hooks: programs and servers that hear of rollouts, and gates that decide whether one goes on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::SecretSpec;
use crate::model::{HookEvent, HookUrl, HumanDuration, RouteName};

/// A hook: a URL or a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookSpec {
    /// URL that messages are posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<HookUrl>,
    /// Program with its arguments, which gets a message on its standard input. No shell reads it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Format of a message.
    pub format: HookFormat,
    /// Events that it is told; as a gate it is asked whatever they are.
    pub events: Vec<HookEvent>,
    /// Routes whose rollouts it is told of; all if there are none.
    pub routes: Vec<RouteName>,
    /// Secrets that sign each request.
    pub secrets: Vec<SecretSpec>,
    /// Authorities, or the certificate of the server itself; those of the system when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Timeout for one request, or one run of the command.
    pub timeout: HumanDuration,
    /// Retries of a question to a gate, before the rollout pauses.
    pub retries: u32,
    /// Time until a gate that said `wait` is asked again.
    pub interval: HumanDuration,
    /// True if a gate is asked throughout a step, so that it can take the release back at any time.
    pub watch: bool,
    /// Time for which the delivery of a message is tried.
    pub give_up_after: HumanDuration,
}

impl Default for HookSpec {
    fn default() -> Self {
        Self {
            url: None,
            command: Vec::new(),
            format: HookFormat::Json,
            events: Vec::new(),
            routes: Vec::new(),
            secrets: Vec::new(),
            ca: None,
            timeout: HumanDuration::seconds(10),
            retries: 3,
            interval: HumanDuration::seconds(10),
            watch: false,
            give_up_after: HumanDuration::seconds(24 * 3600),
        }
    }
}

/// Format of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookFormat {
    /// An event of `CloudEvents` 1.0, structured.
    Cloudevents,
    /// The event and the rollout.
    Json,
    /// A message for an incoming webhook of Slack.
    Slack,
}
