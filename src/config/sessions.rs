//! Settings of sessions: the keys that seal their ids, and how long a pin holds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Size;
use crate::model::{HumanDuration, Problem};

/// Sessions of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Secrets that seal session ids and preview tokens: the first one seals, all of them open. With none, one is made
    /// at the first start and kept in the folder of the history.
    pub keys: Vec<SecretSpec>,
    /// Age from which a pin is not followed.
    pub max_age: HumanDuration,
    /// Memory for the starts of MCP sessions, which are repeated when a session is moved.
    pub mcp_starts: Size,
    /// Number of ids of tasks and contexts that are learned from the responses of agents and remembered.
    pub learned_ids: usize,
    /// Longest time that each of them is remembered.
    pub learned_for: HumanDuration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            max_age: HumanDuration::seconds(30 * 24 * 3600),
            mcp_starts: Size::mib(16),
            learned_ids: 65_536,
            learned_for: HumanDuration::seconds(24 * 3600),
        }
    }
}

/// Source of a secret: a file or an environment variable, never the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// File that holds the secret, with only white space around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Environment variable that holds the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// Largest number of keys: the current one, and those before it.
const MOST_KEYS: usize = 16;

/// Checks what can be said without reading a secret.
pub(super) fn check(sessions: &Sessions, found: &mut Vec<Problem>) {
    let count = sessions.keys.len();
    if count > MOST_KEYS {
        let message = format!("{count} keys; the maximum is {MOST_KEYS}");
        found.push(Problem::new("sessions.keys", message).hint("remove the oldest ones"));
    }
    for (place, key) in sessions.keys.iter().enumerate() {
        if key.file.is_some() == key.env.is_some() {
            let problem = Problem::new(
                format!("sessions.keys.{place}"),
                "a key needs exactly one source",
            );
            found.push(problem.hint("give either `file` or `env`"));
        }
    }
}
