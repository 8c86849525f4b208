//! Which records go when there are too many. Pure.
//!
//! What is live and what a rollback can reach stay; of the rest the oldest go first, and when the chain itself is
//! longer than what is kept, its far end goes.

use std::collections::{BTreeMap, BTreeSet};

use super::replay::Kept;
use crate::model::{Cause, Revision};

/// How many revisions are kept.
pub const KEPT_REVISIONS: usize = 1_000;

/// How many more there may be before the surplus goes in one step: whole tables are written then.
const SLACK: usize = 64;

/// What goes, and what needs a whole table because of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Records that go.
    pub remove: Vec<Revision>,
    /// Records whose state can no longer be made from what is kept.
    pub snapshots: Vec<Revision>,
}

/// Plans which of the kept records go; `chain` is what a rollback can reach, live first.
pub fn plan(kept: &BTreeMap<Revision, Kept>, chain: &[Revision], limit: usize) -> Pruned {
    if kept.len() <= limit + SLACK.min(limit) {
        return Pruned::default();
    }
    let mut surplus = kept.len() - limit;
    let on_chain: BTreeSet<_> = chain.iter().copied().collect();
    let mut remove: Vec<Revision> = kept
        .keys()
        .copied()
        .filter(|revision| !on_chain.contains(revision))
        .take(surplus)
        .collect();
    surplus -= remove.len();
    // The live revision is first on the chain and never goes.
    remove.extend(chain.iter().skip(1).rev().take(surplus));
    let snapshots = orphans(kept, &remove.iter().copied().collect());
    Pruned { remove, snapshots }
}

/// The records that were made from one that goes.
fn orphans(kept: &BTreeMap<Revision, Kept>, removed: &BTreeSet<Revision>) -> Vec<Revision> {
    let mut orphans = Vec::new();
    let mut before_goes = false;
    for (revision, entry) in kept {
        if entry.state.is_none() {
            continue;
        }
        let source_goes = match entry.record.cause {
            Cause::Rollback { to } => removed.contains(&to) || !kept.contains_key(&to),
            Cause::Import | Cause::Publish | Cause::RollbackRoute | Cause::Roster | Cause::Void => {
                false
            }
        };
        let goes = removed.contains(revision);
        if !goes && (before_goes || source_goes) {
            orphans.push(*revision);
        }
        before_goes = goes;
    }
    orphans
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Actor, Author, Digest, RevisionRecord, TableState, Touched};

    fn kept(revision: u64, cause: Cause) -> (Revision, Kept) {
        let record = RevisionRecord {
            revision: Revision(revision),
            parent: Revision(revision - 1),
            undo_to: None,
            published_at_ms: 0,
            author: Author {
                actor: Actor::System,
                name: String::new(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause,
            digest: Digest::default(),
            change: None,
            request: None,
        };
        let kept = Kept {
            record: Arc::new(record),
            whole: BTreeMap::new(),
            state: Some(TableState::default()),
            touched: Touched::default(),
        };
        (Revision(revision), kept)
    }

    #[test]
    fn the_chain_and_the_live_revision_outlive_younger_facts() {
        let kept: BTreeMap<_, _> = (1..=20)
            .map(|n| {
                kept(
                    n,
                    if n <= 2 {
                        Cause::Publish
                    } else {
                        Cause::Roster
                    },
                )
            })
            .collect();
        let pruned = plan(&kept, &[Revision(20), Revision(2), Revision(1)], 5);
        assert_eq!(pruned.remove, (3..=17).map(Revision).collect::<Vec<_>>());
        assert_eq!(pruned.snapshots, [Revision(18)]);
    }

    #[test]
    fn a_chain_that_is_too_long_loses_its_far_end() {
        let kept: BTreeMap<_, _> = (1..=20).map(|n| kept(n, Cause::Publish)).collect();
        let chain: Vec<_> = (1..=20).rev().map(Revision).collect();
        let pruned = plan(&kept, &chain, 5);
        assert_eq!(pruned.remove, (1..=15).map(Revision).collect::<Vec<_>>());
        assert_eq!(pruned.snapshots, [Revision(16)]);
        assert_eq!(
            plan(&kept, &chain, 19),
            Pruned::default(),
            "a few more wait for the next step"
        );
    }

    #[test]
    fn a_rollback_whose_origin_goes_needs_a_whole_table() {
        let mut all: BTreeMap<_, _> = (1..=10).map(|n| kept(n, Cause::Publish)).collect();
        all.extend([kept(11, Cause::Rollback { to: Revision(2) })]);
        let pruned = plan(&all, &[Revision(11), Revision(10), Revision(9)], 3);
        assert_eq!(pruned.remove, (1..=8).map(Revision).collect::<Vec<_>>());
        assert_eq!(pruned.snapshots, [Revision(9), Revision(11)]);
    }
}
