//! A table of the fleet becomes live on this node: the one way for what a node publishes itself, for what it follows, and for
//! the rollbacks that another node offers.
//!
//! It is committed already, or a rollback, so it is live first and then on the disk.

use std::sync::Arc;

use super::{
    ControlError, Controller,
    clock::now_ms,
    offer_check::with_offered,
    resolve::{ResolvedNames, await_addresses, set_rosters},
    swap::AppliedSwap,
};
use crate::{
    api::OfferedRollback,
    history::{Entry, FullWeight, StoredRevision},
    model::{
        Author, Cause, Change, ChangeSet, Digest, Revision, RevisionRecord, SharedMark, TablePart,
        TableSpec, TableState,
    },
    shared_table::{ChangeKind, SharedRevision, changes_between},
    table::{Draft, Leave, RoutingTable, StackChange, Swapped, UndoEntry, compile},
};

/// Number of attempts while rollbacks are faster.
const MOST_ATTEMPTS: usize = 100;

/// The reason for which a table of the fleet becomes live here.
#[derive(Debug, Clone)]
pub(super) struct Occasion {
    pub(super) by: Author,
    pub(super) kind: ChangeKind,
    pub(super) leave: Leave,
    /// The change as it was asked for on this node, with its cause and the digest of its request.
    pub(super) asked: Option<(Change, Cause, Option<Digest>)>,
    /// Rollbacks of another node, which this one makes as well.
    pub(super) offered: Vec<OfferedRollback>,
}

/// A table to be swapped in, and where it goes on the undo stack.
struct Next<'a> {
    live: Arc<RoutingTable>,
    touched: ChangeSet,
    draft: Draft,
    names: ResolvedNames<'a>,
    level: Option<UndoEntry>,
}

impl Occasion {
    /// The occasion of a revision of the fleet.
    pub(super) fn of(revision: &SharedRevision) -> Self {
        let by_route = &revision.leave_by_route;
        Self {
            by: Author {
                idempotency_key: None,
                ..revision.author.clone()
            },
            kind: revision.kind,
            leave: Leave {
                cause: revision.leave,
                by_route: (!by_route.is_empty()).then(|| Arc::new(by_route.clone())),
                cut: revision.cut,
            },
            asked: None,
            offered: Vec::new(),
        }
    }
}

impl Controller {
    /// Makes live what the fleet has, beside what was rolled back here; `None` if it is live already. The caller holds the
    /// publish lock.
    ///
    /// # Errors
    /// When the table cannot be live here: it does not compile, or the history belongs to another process by now.
    pub(super) async fn bring_live(
        &self,
        occasion: &Occasion,
    ) -> Result<Option<AppliedSwap<'_>>, ControlError> {
        for _ in 0..MOST_ATTEMPTS {
            let Some(next) = self.next_of_fleet(occasion).await? else {
                return Ok(None);
            };
            if self.log.history.is_released() {
                return Err(ControlError::Busy);
            }
            if let Some(swap) = self.swap_shared(next, occasion) {
                return Ok(Some(swap));
            }
        }
        Err(ControlError::Busy)
    }

    /// Has a revision written that is live already.
    pub(super) fn write_behind(&self, kept: &StoredRevision) {
        self.log.history.append_async(Entry {
            record: (*kept.record).clone(),
            whole: kept.whole.clone(),
        });
    }

    async fn next_of_fleet(&self, occasion: &Occasion) -> Result<Option<Next<'_>>, ControlError> {
        let (live, wanted) = self.wanted(&occasion.offered)?;
        let before = live.state();
        let touched = ChangeSet::between(&before, &wanted);
        if touched.parts().next().is_none() && wanted.spec.digest() == live.digest() {
            return Ok(None);
        }
        let level = (occasion.kind == ChangeKind::Rollback)
            .then(|| self.level_with(&touched, &wanted))
            .flatten();
        let draft = compile(wanted, &touched, Some(live.compiled()), &self.fleet)
            .map_err(ControlError::Invalid)?
            .leaving(occasion.leave.clone());
        let names = await_addresses(&self.reconciler, &self.fleet, &draft, &touched).await;
        Ok(Some(Next {
            live,
            touched,
            draft,
            names,
            level,
        }))
    }

    /// The live table, and that which is to be live. A rollback is in both or in neither.
    fn wanted(
        &self,
        offered: &[OfferedRollback],
    ) -> Result<(Arc<RoutingTable>, TableState), ControlError> {
        if !offered.is_empty() {
            // The swap looks again, so nothing has to wait for this.
            let live = self.table.load();
            let wanted = with_offered(&live.state(), offered)?;
            return Ok((live, wanted));
        }
        let _index = self.log.index();
        let live = self.table.load();
        let wanted = self.shared.state().wanted(&live.state())?;
        Ok((live, wanted))
    }

    /// Swaps, and notes the rollbacks that another node has offered, in one step.
    fn swap_noting(
        &self,
        (draft, revision, parent): (Draft, Revision, Revision),
        undo: StackChange,
        offered: &[OfferedRollback],
        set: impl Fn(&Draft),
    ) -> Option<Swapped> {
        let mut state = self.shared.state();
        if !state.takes(offered) {
            return None;
        }
        let swapped = self
            .table
            .publish_after(draft, revision, parent, undo, now_ms(), set)
            .ok()?;
        for one in offered {
            state.rollbacks.take(one.rollback.clone());
        }
        Some(swapped)
    }

    /// The nearest level of the undo stack at which the parts that go back are as they will be.
    fn level_with(&self, touched: &ChangeSet, wanted: &TableState) -> Option<UndoEntry> {
        let is_same = |level: &UndoEntry, part: &TablePart| {
            let hash = |spec: &TableSpec| match part {
                TablePart::Flag(name) => spec.flag(name).map(|flag| flag.hash()),
                TablePart::Release(name) => spec.release(name).map(|release| release.hash()),
                TablePart::Route(name) => spec.route(name).map(|route| route.hash()),
            };
            hash(&wanted.spec) == hash(&level.spec)
        };
        let parts: Vec<_> = touched.parts().collect();
        let levels = self.table.levels().into_iter().rev();
        let mut fitting = levels.filter(|level| parts.iter().all(|part| is_same(level, part)));
        fitting.next()
    }

    /// Swaps, and enters the revision in the index in one step, which the history then follows; `None` if a rollback was
    /// faster.
    fn swap_shared(&self, next: Next<'_>, occasion: &Occasion) -> Option<AppliedSwap<'_>> {
        let Next {
            live,
            touched,
            draft,
            names,
            level,
        } = next;
        let (before, after) = (live.state(), draft.state().clone());
        let is_fact = after.spec.digest() == before.spec.digest();
        let undo = match &level {
            Some(level) => StackChange::Above(level.revision),
            None if is_fact => StackChange::Keep,
            None => StackChange::Push(occasion.by.group.as_deref().map(Arc::from)),
        };
        let set = |draft: &Draft| set_rosters(draft, &touched, &names.addresses);
        let mut index = self.log.index();
        if self.log.history.is_released() {
            return None;
        }
        let (revision, parent) = (self.log.history.reserve(), live.revision());
        let place = (draft, revision, parent);
        let swapped = self.swap_noting(place, undo, &occasion.offered, set)?;
        let (change, cause, request) = record_parts(occasion, level.as_ref(), (&before, &after));
        let record = RevisionRecord {
            revision,
            parent,
            undo_to: swapped.undo_to,
            published_at_ms: now_ms(),
            author: Author {
                group: self.table.live_group().map(|group| group.to_string()),
                ..occasion.by.clone()
            },
            cause,
            digest: after.spec.digest(),
            change: Some(change),
            request,
            cut: occasion.leave.cut,
            shared: self.mark_of(occasion),
        };
        let kept = StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            state: Some(after),
            touched,
        };
        index.insert(kept.clone());
        self.write_behind(&kept);
        drop(index);
        let left = Arc::clone(swapped.table.departures().latest());
        let how = (swapped.took, left);
        Some(AppliedSwap::new(
            &self.effects,
            &live,
            &kept,
            Vec::new(),
            how,
        ))
    }

    fn mark_of(&self, occasion: &Occasion) -> Option<SharedMark> {
        let followed = occasion.asked.is_none();
        let mark = self.shared.mark()?;
        Some(SharedMark { followed, ..mark })
    }
}

/// The change, the cause and the digest of the request of a record.
fn record_parts(
    occasion: &Occasion,
    level: Option<&UndoEntry>,
    (before, after): (&TableState, &TableState),
) -> (Change, Cause, Option<Digest>) {
    if let Some((change, cause, request)) = &occasion.asked {
        let leads_there = |change: &Change| {
            let applied = change.apply_to(before);
            applied.is_ok_and(|applied| applied.is_same(after))
        };
        if leads_there(change) {
            return (change.clone(), cause.clone(), *request);
        }
    }
    let change = Change::joined(changes_between(before, after));
    let cause = match level {
        Some(level) => back_to(level.revision, &change),
        None if before.spec.digest() == after.spec.digest() => Cause::Roster,
        None => Cause::Publish,
    };
    (change, cause, None)
}

fn back_to(to: Revision, change: &Change) -> Cause {
    match (change.route(), change.flag()) {
        (_, Some(flag)) => Cause::RollbackFlag {
            flag: flag.clone(),
            to,
        },
        (route, None) => Cause::RollbackRoute {
            route: route.cloned(),
            to,
        },
    }
}
