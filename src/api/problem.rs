//! Errors of the admin API, as RFC 9457 problem documents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Conflict, RevisionSummary};
use crate::model::{Problem, ReleaseName, Revision};

/// Prefix of every problem type.
const PREFIX: &str = "urn:switchback:problem:";

/// An RFC 9457 problem document. Empty members are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// The type: `urn:switchback:problem:` and a stable word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type in words.
    pub title: String,
    /// Status of the response.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// The error in this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A hint: how to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Every single problem, with its path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The existing names, where an unknown one was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// The live revision, where the request was about another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Revisions published since the one in the request, latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub since: Vec<RevisionSummary>,
    /// Releases that cannot take requests now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<ReleaseName>,
    /// The nearest revision that a rollback could restore now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_ready: Option<Revision>,
    /// Entries that changed in the file and live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
}

impl ProblemDocument {
    /// Creates a problem from the word of its type and its title.
    pub fn new(status: u16, kind: &str, title: &str) -> Self {
        Self {
            kind: format!("{PREFIX}{kind}"),
            title: title.to_owned(),
            status,
            ..Self::default()
        }
    }

    /// True if its type belongs to the admin API.
    pub fn is_of_admin(&self) -> bool {
        self.kind.starts_with(PREFIX)
    }

    /// The word of its type, such as `conflict`.
    pub fn word(&self) -> &str {
        self.kind.strip_prefix(PREFIX).unwrap_or(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_problem_does_not_say_is_left_out() {
        let problem = ProblemDocument::new(404, "unknown-path", "no such path");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:switchback:problem:unknown-path", "title": "no such path", "status": 404,
            })
        );
        assert_eq!(problem.word(), "unknown-path");
    }
}
