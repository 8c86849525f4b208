//! A rollback: live at once, written behind. It waits for no disk, no queue and no other change.

use std::sync::Arc;

use super::{
    ControlError, Controller, Expected,
    controller::{now, now_ms},
    precondition::Scope,
    receipt::AppliedSwap,
    revision_index::RevisionIndex,
};
use crate::{
    api::Receipt,
    history::{Entry, FullWeight, StoredRevision},
    model::{Author, Cause, Change, ChangeSet, Diff, Revision, RevisionRecord, RouteName},
    table::{Draft, RollbackError, RollbackTarget, RoutingTable, StackChange, Swapped, UndoEntry},
};

/// How often a rollback looks again when something else was faster. Each time another change succeeded.
const MOST_TRIES: usize = 100;

/// Where to roll back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTo {
    /// To what was before the live revision, with the whole group that it belongs to.
    Previous,
    /// To a revision: on the undo chain if it is on it, else its content goes on top of what is live.
    Revision(Revision),
    /// One route alone, to its previous split.
    Route(RouteName),
    /// One record back, within a group too.
    Step,
}

/// What came of a try.
pub(super) enum RollbackAttempt {
    Done(AppliedSwap),
    Made(StoredRevision),
    Same,
    // Something else was faster.
    Again,
}

/// A table that goes live without having been on the undo stack, and is written behind like any rollback.
pub(super) struct LiveFirst {
    pub(super) draft: Draft,
    pub(super) undo: StackChange,
    pub(super) cause: Cause,
    pub(super) change: Option<Change>,
    pub(super) whole: FullWeight,
    pub(super) undid: Vec<Revision>,
}

impl Controller {
    /// Makes an earlier revision live again: live first, then durable.
    ///
    /// Not to be cancelled: whoever calls it lets it run to its end, which is bounded in time.
    ///
    /// # Errors
    /// As [`Controller::rollback_promptly`].
    pub async fn rollback(
        &self,
        to: RollbackTo,
        by: Author,
        expected: Expected,
        force: bool,
    ) -> Result<Receipt, ControlError> {
        let receipt = self.rollback_promptly(to, by, expected, force).await;
        self.run_after_swap();
        receipt
    }

    /// Like [`Controller::rollback`], but leaves what no answer has to wait for to [`Controller::run_after_swap`], which is to
    /// be called next.
    ///
    /// # Errors
    /// When there is nothing to go back to, when a release that would get more by it has no healthy endpoint and it is not
    /// forced, or when it is based on what is not live any more.
    pub async fn rollback_promptly(
        &self,
        to: RollbackTo,
        by: Author,
        expected: Expected,
        force: bool,
    ) -> Result<Receipt, ControlError> {
        for _ in 0..MOST_TRIES {
            let tried = match &to {
                RollbackTo::Previous => {
                    self.try_back(RollbackTarget::Previous, &by, expected, force)?
                }
                RollbackTo::Step => self.try_back(RollbackTarget::Step, &by, expected, force)?,
                RollbackTo::Revision(revision) => {
                    self.try_back(RollbackTarget::Revision(*revision), &by, expected, force)?
                }
                RollbackTo::Route(route) => self.try_route_back(route, &by, expected, force)?,
            };
            match tried {
                RollbackAttempt::Done(done) => return Ok(self.receipt(done).await),
                RollbackAttempt::Made(kept) => return Ok(self.receipt_again(&kept)),
                RollbackAttempt::Same => return Ok(self.receipt_of_nothing(&self.cell.load(), &by)),
                RollbackAttempt::Again => {}
            }
        }
        Err(ControlError::Busy)
    }

    fn rolled_back_before(
        &self,
        target: RollbackTarget,
        by: &Author,
    ) -> Result<Option<StoredRevision>, ControlError> {
        let same = |kept: &StoredRevision| match (&kept.record.cause, target) {
            (Cause::Rollback { to }, RollbackTarget::Revision(revision)) => *to == revision,
            (Cause::Rollback { .. }, RollbackTarget::Previous | RollbackTarget::Step) => true,
            (
                Cause::Import
                | Cause::Publish
                | Cause::RollbackRoute { .. }
                | Cause::Roster
                | Cause::Void,
                _,
            ) => false,
        };
        Self::idempotent_replay(&self.revision_index(), by.idempotency_key.as_ref(), same)
    }

    fn try_back(
        &self,
        target: RollbackTarget,
        by: &Author,
        expected: Expected,
        force: bool,
    ) -> Result<RollbackAttempt, ControlError> {
        if let Some(kept) = self.rolled_back_before(target, by)? {
            return Ok(RollbackAttempt::Made(kept));
        }
        let live = self.cell.load();
        self.check(
            &self.revision_index(),
            live.revision(),
            Scope::Whole,
            expected,
        )?;
        let level = match target {
            RollbackTarget::Revision(revision) => self.level_of(revision),
            RollbackTarget::Previous | RollbackTarget::Step => self.cell.level(target),
        };
        let Some(level) = level else {
            return self.not_in_undo_chain(&live, target, by, force);
        };
        if level.spec.digest() == live.digest() && matches!(target, RollbackTarget::Revision(_)) {
            return Ok(RollbackAttempt::Same);
        }
        if !force {
            self.check_return(&live, &level.spec, level.compiled.as_deref())?;
        }
        self.ensure_compiled(&live, &level)?;
        let target = match target {
            RollbackTarget::Revision(_) => RollbackTarget::Revision(level.revision),
            other => other,
        };
        Ok(self.swap_back(&live, target, by))
    }

    /// The level that a revision means: its own, or the nearest with the same decisions. A fact beside a decision, or a
    /// rollback to it, has a number of its own and is the same place to go back to.
    pub(super) fn level_of(&self, revision: Revision) -> Option<UndoEntry> {
        let own = self.cell.level(RollbackTarget::Revision(revision));
        own.or_else(|| {
            let state = self.revision_index().state(revision)?;
            self.cell.level_of(state.spec.digest())
        })
    }

    /// Makes a revision live again to which no rollback leads any more: a new decision, on top of what is live.
    fn not_in_undo_chain(
        &self,
        live: &Arc<RoutingTable>,
        target: RollbackTarget,
        by: &Author,
        force: bool,
    ) -> Result<RollbackAttempt, ControlError> {
        let RollbackTarget::Revision(to) = target else {
            return Err(ControlError::NothingToUndo);
        };
        let spec = {
            let index = self.revision_index();
            let kept = index.get(to).and_then(|kept| kept.state.as_ref());
            let unknown = || ControlError::UnknownRevision {
                revision: to,
                oldest: index.oldest(),
            };
            kept.ok_or_else(unknown)?.spec.clone()
        };
        if spec.digest() == live.digest() {
            return Ok(RollbackAttempt::Same);
        }
        if !force {
            self.check_return(live, &spec, None)?;
        }
        let swap = LiveFirst {
            draft: self.compile_again(live, &spec)?,
            undo: StackChange::Push(by.group.as_deref().map(Arc::from)),
            cause: Cause::Rollback { to },
            change: None,
            whole: FullWeight::new(),
            undid: Vec::new(),
        };
        Ok(self.swap_live_first(live, swap, by))
    }

    /// The swap to a draft and its entry in the books: one step, which the history then follows.
    pub(super) fn swap_live_first(
        &self,
        live: &Arc<RoutingTable>,
        swap: LiveFirst,
        by: &Author,
    ) -> RollbackAttempt {
        let mut index = self.revision_index();
        if was_made(&index, by) {
            return RollbackAttempt::Again;
        }
        let (revision, based_on) = (self.history.reserve(), live.revision());
        let LiveFirst { draft, undo, .. } = swap;
        let Ok(swapped) = self.cell.publish(draft, revision, based_on, undo, now_ms()) else {
            return RollbackAttempt::Again;
        };
        let mut kept = self.record_back(&swapped, swap.cause, by);
        Arc::make_mut(&mut kept.record).change = swap.change;
        kept.whole = swap.whole;
        index.insert(kept.clone());
        self.history.append_async(Entry {
            record: (*kept.record).clone(),
            whole: kept.whole.clone(),
        });
        drop(index);
        RollbackAttempt::Done(self.done_back(live, &kept, swap.undid, swapped.took))
    }

    /// The swap and its entry in the books: one step, which the history then follows.
    pub(super) fn swap_back(
        &self,
        live: &Arc<RoutingTable>,
        target: RollbackTarget,
        by: &Author,
    ) -> RollbackAttempt {
        let mut index = self.revision_index();
        if was_made(&index, by) {
            return RollbackAttempt::Again;
        }
        let next = || self.history.reserve();
        let swapped = match self.cell.rollback(target, Some(live.revision()), next) {
            Ok(swapped) => swapped,
            Err(
                RollbackError::Cold(_) | RollbackError::NothingToUndo | RollbackError::Stale(_),
            ) => {
                return RollbackAttempt::Again;
            }
        };
        let to = swapped.restored.unwrap_or_default();
        let kept = self.record_back(&swapped, Cause::Rollback { to }, by);
        index.insert(kept.clone());
        self.history
            .append_async(Entry::new((*kept.record).clone()));
        drop(index);
        RollbackAttempt::Done(self.done_back(&swapped.replaced, &kept, swapped.undid, swapped.took))
    }

    pub(super) fn record_back(
        &self,
        swapped: &Swapped,
        cause: Cause,
        by: &Author,
    ) -> StoredRevision {
        let (before, after) = (swapped.replaced.state(), swapped.table.state());
        let group = self.cell.live_group().map(|group| group.to_string());
        let record = RevisionRecord {
            revision: swapped.table.revision(),
            parent: swapped.replaced.revision(),
            undo_to: swapped.undo_to,
            published_at_ms: now_ms(),
            author: Author {
                group,
                ..by.clone()
            },
            cause,
            digest: swapped.table.digest(),
            change: None,
            request: self.answers.request_of(by),
        };
        StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            touched: ChangeSet::between(&before, &after),
            state: Some(after),
        }
    }

    pub(super) fn done_back(
        &self,
        replaced: &RoutingTable,
        kept: &StoredRevision,
        undid: Vec<Revision>,
        took: std::time::Duration,
    ) -> AppliedSwap {
        let applied_at = now();
        let state = kept.state.as_ref().expect("a rollback has a state");
        let done = AppliedSwap {
            diff: Diff::between(&replaced.state(), state),
            record: Arc::clone(&kept.record),
            undid,
            applied_at,
            took,
            rollback: true,
        };
        self.swapped(&done);
        done
    }
}

/// Whether another request with the same key was faster: two of them may have come this far.
fn was_made(index: &RevisionIndex, by: &Author) -> bool {
    let key = by.idempotency_key.as_ref();
    key.is_some_and(|key| index.by_key(key).is_some())
}
