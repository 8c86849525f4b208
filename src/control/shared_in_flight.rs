//! Work in flight in a fleet of proxies: what each node reports of its releases, and what is not drained elsewhere.
//!
//! A report says which revision of the fleet all workers have taken up, and what was left of each release after that. So
//! one that has this node's revision, or a later one, and names a release no more will not send to it again by what this
//! node knows.

use std::collections::BTreeSet;

use super::{
    Controller,
    clock::now,
    shared_state::SharedState,
    watch_set::ReleaseKey,
    work::{is_weighed, keeps_sessions},
};
use crate::{
    api::{FleetNode, FleetWork, GoneNode, NodeWork, Timestamp, UndrainedNode},
    fleet::{Roster, RosterRole},
    table::RoutingTable,
};

/// Largest number of releases in a report: of more it says nothing, and none of them is drained.
const MOST_RELEASES: usize = 200;
/// Time for which a node that says nothing any more is known to be missing: what it has in flight has ended by then.
const MISSED_MS: u64 = 15 * 60 * 1_000;
/// Largest number of such nodes.
const MOST_GONE: usize = 1_000;

/// A revision of the fleet that this node has, and itself.
struct Asking<'a> {
    node: &'a str,
    revision: u64,
}

impl Controller {
    /// Work that this node has left of each release: all with requests in flight, and those without weight that are not drained.
    /// `None` of too many.
    pub(super) fn node_work(&self, live: &RoutingTable) -> Option<Vec<NodeWork>> {
        let watched = self.fleet.watched();
        let known = watched
            .iter()
            .filter(|one| one.role != RosterRole::Candidate);
        let known = known.map(|one| &one.roster);
        let own = live.compiled().releases().values().map(|own| own.roster());
        let pinned = pinned_releases(live);
        let is_meant = |roster: &&std::sync::Arc<Roster>| {
            roster.in_flight() > 0 || pinned.contains(roster.release().as_str())
        };
        let mut all: Vec<NodeWork> = Vec::new();
        let mut seen: BTreeSet<ReleaseKey> = BTreeSet::new();
        for roster in known.chain(own).filter(is_meant) {
            let key = (roster.release().clone(), roster.version().clone());
            if !seen.insert(key.clone()) {
                continue;
            }
            let is_weighed = is_weighed(live, roster);
            let (in_flight, keeps) = (roster.in_flight(), keeps_sessions(live, roster));
            if in_flight == 0 && (is_weighed || !keeps) {
                continue;
            }
            if all.len() == MOST_RELEASES {
                return None;
            }
            all.push(NodeWork {
                release: key.0,
                version: key.1,
                in_flight,
                draining: !is_weighed,
            });
        }
        Some(all)
    }

    /// The other nodes on which a release is not drained, or that do not say.
    pub(super) fn undrained_elsewhere(&self, roster: &Roster) -> Vec<UndrainedNode> {
        let Some(node) = self.shared.node() else {
            return Vec::new();
        };
        let key = (roster.release().clone(), roster.version().clone());
        let state = self.shared.state();
        let asking = Asking {
            node: &node.name,
            revision: state.revision,
        };
        undrained(&state.nodes, &state.gone, &asking, &key)
    }
}

impl SharedState {
    /// Takes what the nodes have reported. One that had reported before and does not any more is missing for a while.
    pub(super) fn hear_nodes(&mut self, nodes: Vec<FleetNode>, own: &str) {
        let at = now();
        self.gone = gone(&self.nodes, &nodes, &self.gone, (own, at));
        self.nodes = nodes;
    }
}

/// The releases without weight to which sessions with a pin may still come.
fn pinned_releases(live: &RoutingTable) -> BTreeSet<&str> {
    let routes = live.compiled().spec().routes().iter();
    let pinned = routes.filter(|route| route.has_pins());
    let releases = pinned.flat_map(|route| route.split.iter());
    let without = releases.filter(|(_, weight)| **weight == 0);
    without.map(|(release, _)| release.as_str()).collect()
}

/// The nodes that are missing: those of before, and those that have reported and do not any more.
fn gone(
    before: &[FleetNode],
    now: &[FleetNode],
    gone: &[GoneNode],
    (own, at): (&str, Timestamp),
) -> Vec<GoneNode> {
    let is_there = |name: &str| name == own || now.iter().any(|node| node.node == name);
    let is_recent = |since: Timestamp| at.millis().saturating_sub(since.millis()) < MISSED_MS;
    let kept = gone.iter().filter(|one| is_recent(one.since)).cloned();
    let new = before.iter().map(|node| GoneNode {
        node: node.node.clone(),
        since: at,
    });
    let missing = kept.chain(new).filter(|one| !is_there(&one.node));
    missing.take(MOST_GONE).collect()
}

fn undrained(
    nodes: &[FleetNode],
    gone: &[GoneNode],
    asking: &Asking<'_>,
    release: &ReleaseKey,
) -> Vec<UndrainedNode> {
    let others = nodes.iter().filter(|node| node.node != asking.node);
    let undrained = others.filter_map(|node| {
        let (in_flight, reason) = left_on(node, asking.revision, release)?;
        Some(UndrainedNode {
            node: node.node.clone(),
            in_flight,
            reason,
        })
    });
    let gone = gone.iter().map(|one| UndrainedNode {
        node: one.node.clone(),
        in_flight: None,
        reason: format!("unknown: it has said nothing since {}", one.since),
    });
    undrained.chain(gone).collect()
}

/// The reason for which a release is not drained on a node, with its requests in flight there, if they are known.
fn left_on(
    node: &FleetNode,
    revision: u64,
    (release, version): &ReleaseKey,
) -> Option<(Option<u64>, String)> {
    let unknown = |reason: &str| Some((None, format!("unknown: {reason}")));
    let Some(work) = &node.work else {
        return unknown("it does not say what it has in flight");
    };
    let is_it = |one: &&NodeWork| one.release == *release && one.version == *version;
    if let Some(left) = work.iter().find(is_it) {
        let reason = match (left.draining, left.in_flight) {
            (false, _) => "a route there still gives it requests".to_owned(),
            (true, 0) => "sessions with a pin may still come".to_owned(),
            (true, in_flight) => format!("{in_flight} in flight"),
        };
        return Some((Some(left.in_flight), reason));
    }
    if node.rollbacks > 0 || node.reason.is_some() {
        return unknown("it has another table than the fleet");
    }
    if node.revision < revision {
        return unknown("it has not taken up what the fleet has");
    }
    None
}

/// The work of all nodes, by release.
pub(super) fn sum(nodes: &[FleetNode]) -> Vec<FleetWork> {
    let mut all: std::collections::BTreeMap<ReleaseKey, FleetWork> =
        std::collections::BTreeMap::new();
    for work in nodes.iter().flat_map(|node| node.work.iter().flatten()) {
        let key = (work.release.clone(), work.version.clone());
        let sum = all.entry(key).or_insert_with(|| FleetWork {
            release: work.release.clone(),
            version: work.version.clone(),
            in_flight: 0,
            draining: 0,
        });
        sum.in_flight = sum.in_flight.saturating_add(work.in_flight);
        sum.draining += usize::from(work.draining);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Revision, Version};

    fn key(release: &str) -> ReleaseKey {
        (release.parse().unwrap(), Version::new("1").unwrap())
    }

    fn node(name: &str, revision: u64, work: &[(&str, u64, bool)]) -> FleetNode {
        let work = work.iter().map(|(release, in_flight, draining)| NodeWork {
            release: key(release).0,
            version: key(release).1,
            in_flight: *in_flight,
            draining: *draining,
        });
        FleetNode {
            node: name.to_owned(),
            version: "1".to_owned(),
            revision,
            followed: revision,
            live: Revision(1),
            digest: Digest::of(&"a table"),
            rollbacks: 0,
            disputed: 0,
            kept: Vec::new(),
            reason: None,
            reported_at: Timestamp::from_millis(0),
            work: Some(work.collect()),
        }
    }

    fn reasons(nodes: &[FleetNode], gone: &[GoneNode]) -> Vec<String> {
        let asking = Asking {
            node: "a",
            revision: 5,
        };
        let left = undrained(nodes, gone, &asking, &key("blue"));
        let words = left.into_iter();
        words
            .map(|one| format!("{} {}", one.node, one.reason))
            .collect()
    }

    #[test]
    fn a_release_is_drained_once_each_node_has_the_revision_and_nothing_left() {
        let own = node("a", 5, &[("blue", 9, true)]);
        let other = node("b", 5, &[("green", 3, false)]);
        assert!(reasons(&[own, other.clone(), node("c", 6, &[])], &[]).is_empty());
        let left = [
            node("b", 6, &[("blue", 2, true)]),
            node("c", 4, &[]),
            node("d", 5, &[("blue", 0, false)]),
            node("e", 5, &[("blue", 0, true)]),
            FleetNode {
                work: None,
                ..other.clone()
            },
            FleetNode {
                rollbacks: 1,
                ..other
            },
        ];
        assert_eq!(
            reasons(&left, &[]),
            [
                "b 2 in flight",
                "c unknown: it has not taken up what the fleet has",
                "d a route there still gives it requests",
                "e sessions with a pin may still come",
                "b unknown: it does not say what it has in flight",
                "b unknown: it has another table than the fleet",
            ]
        );
    }

    #[test]
    fn a_node_that_says_nothing_any_more_is_unknown_for_a_while_or_until_it_is_back() {
        let at = Timestamp::from_millis;
        let both = [node("a", 5, &[]), node("b", 5, &[])];
        let one = [node("a", 5, &[])];
        let missing = gone(&both, &one, &[], ("a", at(1_000)));
        assert_eq!(missing.len(), 1);
        let words = reasons(&one, &missing);
        assert!(
            words[0].starts_with("b unknown: it has said nothing since 1970-01-01"),
            "{words:?}"
        );
        let still = gone(&one, &one, &missing, ("a", at(MISSED_MS)));
        assert_eq!(still, missing, "since when does not move");
        assert!(gone(&one, &one, &missing, ("a", at(MISSED_MS + 1_000))).is_empty());
        assert!(gone(&one, &both, &missing, ("a", at(2_000))).is_empty());
        assert!(
            gone(&both, &[], &[], ("a", at(0)))
                .iter()
                .all(|one| one.node == "b")
        );
    }

    #[test]
    fn what_is_in_flight_is_summed_by_release() {
        let nodes = [
            node("a", 5, &[("blue", 2, true), ("green", 1, false)]),
            node("b", 5, &[("blue", 3, true)]),
        ];
        let sums: Vec<_> = sum(&nodes)
            .into_iter()
            .map(|one| (one.release.to_string(), one.in_flight, one.draining))
            .collect();
        assert_eq!(
            sums,
            [("blue".to_owned(), 5, 2), ("green".to_owned(), 1, 0)]
        );
    }
}
