//! Selection of the records to remove when there are too many. Pure.
//!
//! The live record and the nearest rollback targets always stay, and so does the near end of the undo chain, up to
//! half of the limit: facts must not displace rollback targets. Of the rest the oldest are removed first, whether a
//! rollback can reach them or has undone them.

use std::collections::{BTreeMap, BTreeSet};

use super::replay::StoredRevision;
use crate::model::{Cause, Revision};

/// Number of revisions to keep.
pub const KEPT_REVISIONS: usize = 1_000;

/// Surplus that is allowed before a prune, since a prune writes whole tables.
const SLACK: usize = 64;

/// Result of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Records to remove.
    pub remove: Vec<Revision>,
    /// Records that need a whole table, since their state can no longer be derived.
    pub snapshots: Vec<Revision>,
}

/// Plans a prune; `chain` is what a rollback can reach, live first. Its first `needed` records always stay.
pub fn plan_pruning(
    kept: &BTreeMap<Revision, StoredRevision>,
    chain: &[Revision],
    needed: usize,
    limit: usize,
) -> Pruned {
    if kept.len() <= limit + SLACK.min(limit) {
        return Pruned::default();
    }
    let near: BTreeSet<_> = chain.iter().take(needed.max(limit / 2)).collect();
    let remove: Vec<Revision> = kept
        .keys()
        .filter(|revision| !near.contains(revision))
        .take(kept.len() - limit)
        .copied()
        .collect();
    let snapshots = orphans(kept, &remove.iter().copied().collect());
    Pruned { remove, snapshots }
}

/// Records that are derived from a removed one.
fn orphans(
    kept: &BTreeMap<Revision, StoredRevision>,
    removed: &BTreeSet<Revision>,
) -> Vec<Revision> {
    let mut orphans = Vec::new();
    let mut before_goes = false;
    for (revision, entry) in kept {
        if entry.state.is_none() {
            continue;
        }
        let source_goes = match entry.record.cause {
            Cause::Rollback { to } | Cause::Drill { to: Some(to) } => {
                removed.contains(&to) || !kept.contains_key(&to)
            }
            Cause::Import
            | Cause::Publish
            | Cause::RollbackFlag { .. }
            | Cause::RollbackRoute { .. }
            | Cause::ReturnPart { .. }
            | Cause::Drill { to: None }
            | Cause::Roster
            | Cause::Void => false,
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
    use crate::model::{Actor, Author, ChangeSet, Digest, RevisionRecord, TableState};

    fn kept(revision: u64, cause: Cause) -> (Revision, StoredRevision) {
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
            cut: false,
            shared: None,
        };
        let kept = StoredRevision {
            record: Arc::new(record),
            whole: BTreeMap::new(),
            state: Some(TableState::default()),
            touched: ChangeSet::default(),
        };
        (Revision(revision), kept)
    }

    #[test]
    fn the_near_end_of_the_chain_outlives_younger_facts() {
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
        let pruned = plan_pruning(&kept, &[Revision(20), Revision(2), Revision(1)], 2, 6);
        assert_eq!(pruned.remove, (3..=16).map(Revision).collect::<Vec<_>>());
        assert_eq!(pruned.snapshots, [Revision(17)]);
    }

    #[test]
    fn a_chain_that_is_too_long_loses_its_far_end() {
        let kept: BTreeMap<_, _> = (1..=20).map(|n| kept(n, Cause::Publish)).collect();
        let chain: Vec<_> = (1..=20).rev().map(Revision).collect();
        let pruned = plan_pruning(&kept, &chain, 2, 5);
        assert_eq!(pruned.remove, (1..=15).map(Revision).collect::<Vec<_>>());
        assert_eq!(pruned.snapshots, [Revision(16)]);
        assert_eq!(
            plan_pruning(&kept, &chain, 2, 19),
            Pruned::default(),
            "a few more wait for the next step"
        );
    }

    #[test]
    fn what_a_rollback_goes_to_is_kept_however_little_is_to_be_kept() {
        let kept: BTreeMap<_, _> = (1..=20).map(|n| kept(n, Cause::Publish)).collect();
        // A group of three is live, so a rollback goes three back.
        let chain = [20, 19, 18, 12, 11].map(Revision);
        let pruned = plan_pruning(&kept, &chain, 4, 1);
        let stays: Vec<_> = kept
            .keys()
            .filter(|revision| !pruned.remove.contains(revision))
            .collect();
        assert_eq!(
            stays,
            [&Revision(12), &Revision(18), &Revision(19), &Revision(20)]
        );
        assert_eq!(pruned.snapshots, [Revision(12), Revision(18)]);
    }

    #[test]
    fn what_was_undone_outlives_what_is_much_older() {
        // Ninety on the chain, then nine that a rollback to the ninetieth undid.
        let mut all: BTreeMap<_, _> = (1..=99).map(|n| kept(n, Cause::Publish)).collect();
        all.extend([kept(100, Cause::Rollback { to: Revision(90) })]);
        all.extend((101..=120).map(|n| kept(n, Cause::Publish)));
        let chain: Vec<_> = (100..=120)
            .rev()
            .chain((1..90).rev())
            .map(Revision)
            .collect();
        let pruned = plan_pruning(&all, &chain, 2, 50);
        assert_eq!(pruned.remove, (1..=70).map(Revision).collect::<Vec<_>>());
    }

    #[test]
    fn a_rollback_whose_origin_goes_needs_a_whole_table() {
        let mut all: BTreeMap<_, _> = (1..=10).map(|n| kept(n, Cause::Publish)).collect();
        all.extend([kept(11, Cause::Rollback { to: Revision(2) })]);
        let pruned = plan_pruning(&all, &[Revision(11), Revision(10), Revision(9)], 3, 3);
        assert_eq!(pruned.remove, (1..=8).map(Revision).collect::<Vec<_>>());
        assert_eq!(pruned.snapshots, [Revision(9), Revision(11)]);
    }
}
