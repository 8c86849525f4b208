//! The fleet of proxies in a few words: in the status, and in the receipt of a change.

use std::fmt::Write as _;

use super::text::{clean, count};
use crate::api::{FleetNode, FleetProgress, FleetState, FleetStatus, MissingNode, Receipt};

/// Most nodes that are named.
const MOST: usize = 5;

/// The state of a node, before the number of its revision.
pub(super) const fn state(state: FleetState) -> &'static str {
    match state {
        FleetState::Off => "shares nothing;",
        FleetState::Following => "follows its fleet:",
        FleetState::Alone => "is without etcd: it serves",
        FleetState::Stopped => "has stopped at",
    }
}

/// The latest revision of the fleet that is known.
pub(super) fn last(status: &FleetStatus) -> u64 {
    let last = status.nodes.iter().map(|node| node.revision).max();
    last.unwrap_or_default().max(status.revision)
}

/// The line of a status: this node, those that lag, and the disputes.
pub(super) fn line(status: &FleetStatus) -> String {
    let own = clean(status.node.as_deref().unwrap_or_default());
    let (state, revision) = (state(status.state), status.revision);
    let mut text = format!("fleet: {own} {state} revision {revision}");
    if status.state == FleetState::Following {
        text.push_str(&others(status));
    } else if let Some(reason) = &status.reason {
        text = format!("{text}: {}", clean(reason));
    }
    let disputed = status.rollbacks.iter().filter(|one| one.disputed).count();
    match (disputed, status.rollbacks.len()) {
        (0, 0) => {}
        (0, waiting) => {
            let rollbacks = count(waiting as u64, "rollback");
            text = format!("{text}; {rollbacks} of this node not in the fleet yet");
        }
        (disputed, _) => {
            let rollbacks = count(disputed as u64, "rollback");
            text = format!(
                "{text}; {rollbacks} of this node IN DISPUTE: `switchback fleet keep mine|theirs`"
            );
        }
    }
    text + "\n"
}

/// The number of nodes, and those that lag, cannot follow or are in dispute.
fn others(status: &FleetStatus) -> String {
    let last = last(status);
    let trouble = |node: &FleetNode| {
        let name = clean(&node.node);
        match (&node.reason, node.disputed, last - node.revision.min(last)) {
            (Some(reason), ..) => Some(format!("{name}: {}", clean(reason))),
            (None, 0, 0) => None,
            (None, 0, behind) => Some(format!("{name} is {behind} behind")),
            (None, disputed, _) => Some(format!("{name} has {disputed} in dispute")),
        }
    };
    let nodes = count(status.node_count as u64, "node");
    let troubled: Vec<String> = status.nodes.iter().filter_map(trouble).collect();
    if troubled.is_empty() {
        return format!("; {nodes}, all current");
    }
    format!("; {nodes}{}", listed(&troubled))
}

/// The first of several texts, each after a comma.
fn listed(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(MOST);
    let mut shown = String::new();
    for text in texts.iter().take(MOST) {
        shown = shown + ", " + text;
    }
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

/// The progress of a change that has waited for the fleet.
pub(super) fn progress(receipt: &Receipt) -> String {
    let Some(fleet) = &receipt.fleet else {
        return String::new();
    };
    let FleetProgress {
        nodes, waiting_for, ..
    } = *fleet;
    if fleet.converged_at.is_some() {
        let nodes = count(nodes as u64, "node");
        return format!("  taken up by every worker of {nodes}\n");
    }
    if fleet.revision.is_none() {
        return format!("  live on this node; {}\n", without(fleet));
    }
    let mut text = format!(
        "  live; {waiting_for} of {} not known to have it:\n",
        count(nodes as u64, "node")
    );
    for node in &fleet.missing {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {}", missing(node));
    }
    text
}

/// The reason why the fleet does not have a rollback, unless that is a matter of moments.
pub(super) fn obstacle(receipt: &Receipt) -> String {
    let fleet = receipt.fleet.as_ref();
    let fleet = fleet.filter(|fleet| fleet.reason.is_some());
    fleet.map_or_else(String::new, |fleet| format!("  {}\n", without(fleet)))
}

fn without(fleet: &FleetProgress) -> String {
    let reason = fleet.reason.as_deref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {}", clean(reason)));
    format!("the fleet does not have it yet{reason}")
}

fn missing(node: &MissingNode) -> String {
    let mut text = clean(&node.node);
    if let Some(revision) = node.revision {
        text = format!("{text} has revision {revision} of the fleet");
    }
    if let Some(at) = node.reported_at {
        text = format!("{text}, by its report of {at}");
    }
    match &node.reason {
        Some(reason) => format!("{text}: {}", clean(reason)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(changes: &serde_json::Value) -> FleetStatus {
        let node = |name: &str, revision: u64, disputed: usize| {
            json!({ "node": name, "version": "1", "revision": revision, "live": 9, "digest": "0".repeat(64),
                "disputed": disputed, "reported_at": "2026-11-20T13:50:00.000000Z" })
        };
        let mut status = json!({ "state": "following", "node": "a", "revision": 7, "node_count": 3,
            "nodes": [node("a", 7, 0), node("b", 5, 0), node("c", 7, 1)] });
        for (key, value) in changes.as_object().unwrap() {
            status[key] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_line_of_a_status_names_who_lags_and_what_is_in_dispute() {
        assert_eq!(
            line(&status(&json!({}))),
            "fleet: a follows its fleet: revision 7; 3 nodes, b is 2 behind, c has 1 in dispute\n"
        );
        let fine = status(&json!({ "nodes": [], "node_count": 3 }));
        assert!(line(&fine).ends_with("3 nodes, all current\n"));
        let part = json!({ "id": "1", "part": { "route": "chat" }, "of": 6, "disputed": true });
        let alone = json!({ "state": "alone", "reason": "no answer", "rollbacks": [part] });
        assert_eq!(
            line(&status(&alone)),
            "fleet: a is without etcd: it serves revision 7: no answer; 1 rollback of this node IN DISPUTE: `switchback fleet keep mine|theirs`\n"
        );
    }
}
