//! The progress of a change through a fleet: the revision of the fleet that has it, and the nodes of which that is not known.

use std::collections::BTreeSet;

use super::{clock::now, revision_log::RevisionLog, shared::Node, shared_state::SharedState};
use crate::{
    api::{FleetNode, FleetProgress, FleetState, MissingNode},
    model::{LocalRollback, Revision, TablePart},
};

/// Most nodes that are named.
const MOST_NAMED: usize = 100;
/// The reasons of a node that keeps something else than the fleet has.
const DISPUTED: &str = "it keeps a rollback of its own that is in dispute";
const NOT_SHARED: &str = "it keeps a rollback of its own that the fleet does not have yet";
/// The reason of a node that is gone.
const GONE: &str = "it does not report any more";

/// A change of this node, as far as its way through the fleet depends on it.
#[derive(Debug, Default)]
pub(super) struct SharedChange {
    /// Revision of the fleet that it was made with; none of a rollback, which the fleet gets later.
    revision: Option<u64>,
    /// The parts that it touches.
    parts: BTreeSet<TablePart>,
}

/// The progress, as it is shown.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) shown: FleetProgress,
    /// True if there is nothing to wait for: all have it, or those that do not need a person.
    pub(super) is_over: bool,
}

// === impl SharedChange ===

impl SharedChange {
    /// The change that made a revision of this node.
    pub(super) fn of(node: &Node, log: &RevisionLog, revision: Revision) -> Self {
        let kept = {
            let index = log.index();
            index.get(revision).cloned()
        };
        let Some(kept) = kept else {
            return Self::default();
        };
        let own = format!("{}-{revision}-", node.name);
        let mark = kept.record.shared.as_ref();
        let mark = mark.filter(|mark| !mark.rollbacks.iter().any(|one| one.id.starts_with(&own)));
        Self {
            revision: mark.map(|mark| mark.revision),
            parts: kept.touched.parts().collect(),
        }
    }
}

// === impl SharedState ===

impl SharedState {
    /// The progress of a change. `seen` are nodes that were there when somebody began to wait for it.
    pub(super) fn progress(&self, own: &str, change: &SharedChange, seen: &[String]) -> Progress {
        let of_change = |one: &&LocalRollback| change.parts.contains(&one.part);
        let pending: Vec<_> = self.rollbacks.all().iter().filter(of_change).collect();
        let revision = pending
            .is_empty()
            .then(|| change.revision.unwrap_or(self.revision));
        let own_name = std::iter::once(own);
        let names = seen.iter().map(String::as_str).chain(own_name);
        let gone: BTreeSet<&str> = names
            .filter(|name| !self.nodes.iter().any(|node| node.node == *name))
            .collect();
        let mut missing: Vec<(MissingNode, bool)> = self
            .nodes
            .iter()
            .filter_map(|node| lacking(node, revision, change))
            .collect();
        missing.extend(gone.iter().map(|name| without_report(name, own)));
        let needs_person =
            self.standing == FleetState::Stopped || pending.iter().any(|one| one.disputed);
        let (nodes, waiting_for) = (self.nodes.len() + gone.len(), missing.len());
        let is_stuck = revision.is_some() && missing.iter().all(|(_, is_stuck)| *is_stuck);
        let named = missing.into_iter().map(|(node, _)| node);
        Progress {
            is_over: needs_person || is_stuck,
            shown: FleetProgress {
                revision,
                converged_at: (revision.is_some() && waiting_for == 0).then(now),
                nodes,
                waiting_for,
                missing: named.take(MOST_NAMED).collect(),
                reason: self.obstacle(&pending),
            },
        }
    }

    /// The reason why the fleet does not have what went back here.
    fn obstacle(&self, pending: &[&LocalRollback]) -> Option<String> {
        if pending.is_empty() {
            return None;
        }
        if let Some(one) = pending.iter().find(|one| one.disputed) {
            return Some(format!("the {} is in dispute on this node", one.part));
        }
        let state = match self.standing {
            FleetState::Following | FleetState::Off => return None,
            FleetState::Alone => "this node is without the store",
            FleetState::Stopped => "this node has stopped following",
        };
        let reason = self.reason.as_deref().unwrap_or_default();
        Some(format!("{state}: {reason}"))
    }
}

/// A node that lacks a change, and whether it will without a person; none if it has it.
fn lacking(
    node: &FleetNode,
    revision: Option<u64>,
    change: &SharedChange,
) -> Option<(MissingNode, bool)> {
    let has_read = revision.is_some_and(|revision| node.followed >= revision);
    let has_taken_up = revision.is_some_and(|revision| node.revision >= revision);
    let is_other = keeps_other(node, change);
    if has_taken_up && !is_other {
        return None;
    }
    let is_blocked = has_read && node.reason.is_some();
    let is_disputed = has_read && is_other && node.disputed > 0;
    let reason = match (&node.reason, is_other) {
        (Some(reason), _) if is_blocked => Some(reason.clone()),
        (_, true) if is_disputed => Some(DISPUTED.to_owned()),
        (_, true) => Some(NOT_SHARED.to_owned()),
        _ => None,
    };
    let missing = MissingNode {
        node: node.node.clone(),
        revision: Some(node.revision),
        reason,
        reported_at: Some(node.reported_at),
    };
    Some((missing, is_blocked || is_disputed))
}

/// True if a node keeps one of the parts of a change as it was rolled back there.
fn keeps_other(node: &FleetNode, change: &SharedChange) -> bool {
    let names_all = node.kept.len() >= node.rollbacks;
    !names_all || node.kept.iter().any(|part| change.parts.contains(part))
}

/// A node without a report: this one before its first, or one that is gone.
fn without_report(name: &str, own: &str) -> (MissingNode, bool) {
    let is_gone = name != own;
    let missing = MissingNode {
        node: name.to_owned(),
        revision: None,
        reason: is_gone.then(|| GONE.to_owned()),
        reported_at: None,
    };
    (missing, is_gone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, changes: &serde_json::Value) -> FleetNode {
        let mut node = json!({ "node": name, "version": "1", "revision": 7, "followed": 7, "live": 9,
            "digest": "0".repeat(64), "reported_at": "2026-11-20T13:50:00.000000Z" });
        for (key, value) in changes.as_object().unwrap() {
            node[key] = value.clone();
        }
        serde_json::from_value(node).unwrap()
    }

    fn chat() -> SharedChange {
        SharedChange {
            revision: Some(7),
            parts: [TablePart::Route("chat".parse().unwrap())].into(),
        }
    }

    fn state(nodes: Vec<FleetNode>) -> SharedState {
        SharedState {
            standing: FleetState::Following,
            revision: 7,
            nodes,
            ..SharedState::default()
        }
    }

    /// The nodes that lack the change, each with its reason, and whether there is nothing to wait for.
    fn progress(nodes: Vec<FleetNode>, seen: &[&str]) -> (Vec<(String, Option<String>)>, bool) {
        let seen: Vec<String> = seen.iter().map(|name| (*name).to_owned()).collect();
        let progress = state(nodes).progress("a", &chat(), &seen);
        let shown = progress.shown;
        assert_eq!(shown.converged_at.is_some(), shown.waiting_for == 0);
        assert_eq!(shown.missing.len(), shown.waiting_for);
        let missing = shown.missing.into_iter().map(|one| (one.node, one.reason));
        (missing.collect(), progress.is_over)
    }

    #[test]
    fn all_have_it_once_the_workers_of_each_have_taken_it_up() {
        let other = json!({ "rollbacks": 1, "disputed": 1, "kept": [{ "route": "search" }] });
        let nodes = vec![node("a", &json!({})), node("b", &other)];
        assert_eq!(progress(nodes, &["a", "b"]), (Vec::new(), true));
        let late = vec![node("a", &json!({})), node("b", &json!({ "revision": 6 }))];
        assert_eq!(progress(late, &[]), (vec![("b".to_owned(), None)], false));
        // This node is one of them, also before its first report.
        assert_eq!(
            progress(Vec::new(), &[]),
            (vec![("a".to_owned(), None)], false)
        );
    }

    #[test]
    fn what_only_a_person_can_help_is_named_and_not_waited_for() {
        let own = || node("a", &json!({}));
        let blocked = json!({ "revision": 6, "reason": "no such file" });
        let kept = json!({ "rollbacks": 1, "disputed": 1, "kept": [{ "route": "chat" }] });
        // It may be about an earlier revision, which this one mends.
        let before = json!({ "revision": 5, "followed": 6, "reason": "no such file" });
        let unnamed = json!({ "rollbacks": 21, "kept": [] });
        for (other, reason, is_over) in [
            (node("b", &blocked), Some("no such file"), true),
            (node("b", &kept), Some(DISPUTED), true),
            (node("b", &before), None, false),
            (node("b", &unnamed), Some(NOT_SHARED), false),
        ] {
            let missing = vec![("b".to_owned(), reason.map(ToOwned::to_owned))];
            assert_eq!(progress(vec![own(), other], &[]), (missing, is_over));
        }
        let gone = vec![("b".to_owned(), Some(GONE.to_owned()))];
        assert_eq!(progress(vec![own()], &["a", "b"]), (gone, true));
    }

    #[test]
    fn a_large_fleet_is_counted_and_a_hundred_are_named() {
        let late = json!({ "revision": 6 });
        let nodes = (0..300).map(|number| node(&format!("n{number}"), &late));
        let shown = state(nodes.collect()).progress("n0", &chat(), &[]).shown;
        assert_eq!(
            (shown.nodes, shown.waiting_for, shown.missing.len()),
            (300, 300, MOST_NAMED)
        );
    }
}
