//! Rollbacks that one node of a fleet offers to another one, while the store is away.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Timestamp, message_error};
use crate::model::{Author, Change, LocalRollback};

/// Longest name of a node or of an author, and longest identifier of a rollback, in characters.
const LONGEST: usize = 256;

/// `POST /v1/fleet/offers`: rollbacks that were made together on another node. They are taken together, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetOffer {
    /// Name of the node that offers them.
    pub node: String,
    /// Revision of the fleet that it has taken up.
    pub revision: u64,
    /// Identifier of that revision, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_id: Option<String>,
    /// Author of the rollbacks.
    pub author: Author,
    /// The rollbacks, in an order in which they can be made.
    pub rollbacks: Vec<OfferedRollback>,
}

impl FleetOffer {
    /// The first thing that no node writes, if there is one: it would be kept in the history.
    pub fn problem(&self) -> Option<String> {
        let message = self.author.message.as_deref();
        message
            .and_then(message_error)
            .or_else(|| self.wrong_text())
            .or_else(|| self.wrong_rollbacks())
    }

    fn wrong_text(&self) -> Option<String> {
        let author = &self.author;
        let texts = [
            Some(&self.node),
            Some(&author.name),
            author.group.as_ref(),
            self.revision_id.as_ref(),
        ];
        let mut wrong = texts.into_iter().flatten().filter(|text| is_odd(text));
        wrong
            .next()
            .map(|_| format!("a text is not up to {LONGEST} printable characters"))
    }

    fn wrong_rollbacks(&self) -> Option<String> {
        if self.rollbacks.is_empty() {
            return Some("`rollbacks` is empty".to_owned());
        }
        let rollbacks = self.rollbacks.iter().map(|one| &one.rollback);
        let parts: BTreeSet<_> = rollbacks.clone().map(|one| &one.part).collect();
        let ids: BTreeSet<_> = rollbacks.map(|one| &one.id).collect();
        if parts.len().min(ids.len()) < self.rollbacks.len() {
            return Some("a part or an identifier is there twice".to_owned());
        }
        let mut wrong = self.rollbacks.iter().filter_map(|one| one.wrong(self));
        wrong.next()
    }
}

impl OfferedRollback {
    fn wrong(&self, offer: &FleetOffer) -> Option<String> {
        let LocalRollback {
            id, of, replaces, ..
        } = &self.rollback;
        let most = LocalRollback::MOST_REPLACED;
        if replaces.len() > most {
            return Some(format!("`replaces` has more than {most} identifiers"));
        }
        let mut ids = replaces.iter().chain([id]);
        if ids.any(|id| id.is_empty() || is_odd(id)) {
            return Some(format!(
                "an identifier is not 1 to {LONGEST} printable characters"
            ));
        }
        let is_ordered = self.changed <= *of && *of <= offer.revision;
        (!is_ordered).then(|| "`changed`, `of` and `revision` are not in this order".to_owned())
    }
}

fn is_odd(text: &str) -> bool {
    text.chars().count() > LONGEST || text.contains(char::is_control)
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedRollback {
    /// The rollback.
    pub rollback: LocalRollback,
    /// Last revision of the fleet that may have changed the part, up to the one from which it went back.
    pub changed: u64,
    /// The change that puts the part as it went back, or removes it: as one of `POST /v1/changes`.
    #[schema(value_type = Object)]
    pub change: Change,
}

/// Answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetOfferAnswer {
    /// Name of the node that answers.
    pub node: String,
    /// Outcome there.
    pub outcome: OfferOutcome,
    /// The reason, where it does not roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Outcome of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferOutcome {
    /// It has rolled back as well: live there.
    Taken,
    /// It had rolled back already.
    Known,
    /// It does not, for now or at all.
    Refused,
}

/// Another node, as this one reaches it without the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetPeer {
    /// URL of its admin API.
    pub url: String,
    /// Its name, once it has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Number of rollbacks of this node that it has as well, of those that the fleet does not have yet.
    pub taken: usize,
    /// The reason why it does not have the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the last offer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(change: impl FnOnce(&mut Value)) -> Option<String> {
        let rollback = json!({ "id": "a-1", "part": { "route": "chat" }, "of": 1 });
        let change_of_part = json!({ "kind": "remove_route", "route": "chat" });
        let mut offer = json!({ "node": "a", "revision": 1, "author": { "actor": "api", "name": "carla" },
            "rollbacks": [{ "rollback": rollback, "changed": 1, "change": change_of_part }] });
        change(&mut offer);
        serde_json::from_value::<FleetOffer>(offer)
            .unwrap()
            .problem()
    }

    #[test]
    fn what_no_node_would_write_is_named() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(problem(|_| ()), None);
        let name = problem(|offer| offer["author"]["name"] = json!(long));
        assert!(name.unwrap().starts_with("a text is not"));
        let name = problem(|offer| offer["author"]["name"] = json!("a\u{1b}[1m"));
        assert!(name.unwrap().starts_with("a text is not"));
        let empty = problem(|offer| offer["rollbacks"] = json!([]));
        assert_eq!(empty.unwrap(), "`rollbacks` is empty");
        let id = problem(|offer| offer["rollbacks"][0]["rollback"]["id"] = json!(long));
        assert!(id.unwrap().starts_with("an identifier is not"));
        let later = problem(|offer| offer["rollbacks"][0]["rollback"]["of"] = json!(u64::MAX));
        assert!(later.unwrap().ends_with("not in this order"));
        let twice = problem(|offer| {
            let one = offer["rollbacks"][0].clone();
            offer["rollbacks"] = json!([one, one]);
        });
        assert!(twice.unwrap().ends_with("twice"));
        let many = vec!["x"; LocalRollback::MOST_REPLACED + 1];
        let many = problem(|offer| offer["rollbacks"][0]["rollback"]["replaces"] = json!(many));
        assert!(many.unwrap().starts_with("`replaces` has more"));
    }
}
