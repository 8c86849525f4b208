//! What went wrong with a request to the admin API, as an RFC 9457 problem document.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Conflict, RevisionSummary};
use crate::model::{Problem, ReleaseName, Revision};

/// The prefix of every problem type.
const PREFIX: &str = "urn:switchback:problem:";

/// An RFC 9457 problem document. Members that say nothing are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// What kind of problem: `urn:switchback:problem:` and a word that does not change.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, in words.
    pub title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Every mistake, with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The names that exist, where one was asked for that does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// The live revision, where the request was about another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What was published since the revision that the request named, latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub since: Vec<RevisionSummary>,
    /// Releases that cannot take requests now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<ReleaseName>,
    /// The nearest revision that a rollback could go to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_ready: Option<Revision>,
    /// Entries that changed in the file and live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
}

impl ProblemDocument {
    /// A problem of a kind: the word of its type, and what it means.
    pub fn new(status: u16, kind: &str, title: &str) -> Self {
        Self {
            kind: format!("{PREFIX}{kind}"),
            title: title.to_owned(),
            status,
            ..Self::default()
        }
    }

    /// True if its type is one of the admin API's.
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
