//! A rollback: live at once, written behind. It waits for no disk, no queue and no other change.

use std::sync::Arc;

use super::{
    ControlError, Controller, Expected,
    book::Book,
    controller::{now, now_ms},
    guard::Scope,
    receipt::Done,
};
use crate::{
    api::Receipt,
    history::{Entry, Kept, Whole},
    model::{Author, Cause, Change, Diff, Revision, RevisionRecord, RouteName, Touched},
    table::{Draft, Level, RollbackError, RoutingTable, Swapped, Target, Undo},
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
pub(super) enum Tried {
    Done(Done),
    Made(Kept),
    Same,
    // Something else was faster.
    Again,
}

/// A table that goes live without having been on the undo stack, and is written behind like any rollback.
pub(super) struct LiveFirst {
    pub(super) draft: Draft,
    pub(super) undo: Undo,
    pub(super) cause: Cause,
    pub(super) change: Option<Change>,
    pub(super) whole: Whole,
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
        self.settle();
        receipt
    }

    /// Like [`Controller::rollback`], but leaves what no answer has to wait for to [`Controller::settle`], which is to
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
                RollbackTo::Previous => self.try_back(Target::Previous, &by, expected, force)?,
                RollbackTo::Step => self.try_back(Target::Step, &by, expected, force)?,
                RollbackTo::Revision(revision) => {
                    self.try_back(Target::Revision(*revision), &by, expected, force)?
                }
                RollbackTo::Route(route) => self.try_route_back(route, &by, expected, force)?,
            };
            match tried {
                Tried::Done(done) => return Ok(self.receipt(done).await),
                Tried::Made(kept) => return Ok(self.receipt_again(&kept)),
                Tried::Same => return Ok(self.receipt_of_nothing(&self.cell.load(), &by)),
                Tried::Again => {}
            }
        }
        Err(ControlError::Busy)
    }

    fn rolled_back_before(
        &self,
        target: Target,
        by: &Author,
    ) -> Result<Option<Kept>, ControlError> {
        let same = |kept: &Kept| match (&kept.record.cause, target) {
            (Cause::Rollback { to }, Target::Revision(revision)) => *to == revision,
            (Cause::Rollback { .. }, Target::Previous | Target::Step) => true,
            (
                Cause::Import
                | Cause::Publish
                | Cause::RollbackRoute { .. }
                | Cause::Roster
                | Cause::Void,
                _,
            ) => false,
        };
        Self::made_before(&self.book(), by.idempotency_key.as_ref(), same)
    }

    fn try_back(
        &self,
        target: Target,
        by: &Author,
        expected: Expected,
        force: bool,
    ) -> Result<Tried, ControlError> {
        if let Some(kept) = self.rolled_back_before(target, by)? {
            return Ok(Tried::Made(kept));
        }
        let live = self.cell.load();
        self.check(&self.book(), live.revision(), Scope::Whole, expected)?;
        let level = match target {
            Target::Revision(revision) => self.level_of(revision),
            Target::Previous | Target::Step => self.cell.level(target),
        };
        let Some(level) = level else {
            return self.off_chain(&live, target, by, force);
        };
        if level.spec.digest() == live.digest() && matches!(target, Target::Revision(_)) {
            return Ok(Tried::Same);
        }
        if !force {
            self.check_return(&live, &level.spec, level.compiled.as_deref())?;
        }
        self.ensure_compiled(&live, &level)?;
        let target = match target {
            Target::Revision(_) => Target::Revision(level.revision),
            other => other,
        };
        Ok(self.swap_back(&live, target, by))
    }

    /// The level that a revision means: its own, or the nearest with the same decisions. A fact beside a decision, or a
    /// rollback to it, has a number of its own and is the same place to go back to.
    pub(super) fn level_of(&self, revision: Revision) -> Option<Level> {
        let own = self.cell.level(Target::Revision(revision));
        own.or_else(|| {
            let state = self.book().state(revision)?;
            self.cell.level_of(state.spec.digest())
        })
    }

    /// Makes a revision live again to which no rollback leads any more: a new decision, on top of what is live.
    fn off_chain(
        &self,
        live: &Arc<RoutingTable>,
        target: Target,
        by: &Author,
        force: bool,
    ) -> Result<Tried, ControlError> {
        let Target::Revision(to) = target else {
            return Err(ControlError::NothingToUndo);
        };
        let spec = {
            let book = self.book();
            let kept = book.get(to).and_then(|kept| kept.state.as_ref());
            let unknown = || ControlError::UnknownRevision {
                revision: to,
                oldest: book.oldest(),
            };
            kept.ok_or_else(unknown)?.spec.clone()
        };
        if spec.digest() == live.digest() {
            return Ok(Tried::Same);
        }
        if !force {
            self.check_return(live, &spec, None)?;
        }
        let swap = LiveFirst {
            draft: self.compile_again(live, &spec)?,
            undo: Undo::Push(by.group.as_deref().map(Arc::from)),
            cause: Cause::Rollback { to },
            change: None,
            whole: Whole::new(),
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
    ) -> Tried {
        let mut book = self.book();
        if was_made(&book, by) {
            return Tried::Again;
        }
        let (revision, based_on) = (self.history.reserve(), live.revision());
        let LiveFirst { draft, undo, .. } = swap;
        let Ok(swapped) = self.cell.publish(draft, revision, based_on, undo, now_ms()) else {
            return Tried::Again;
        };
        let mut kept = self.record_back(&swapped, swap.cause, by);
        Arc::make_mut(&mut kept.record).change = swap.change;
        kept.whole = swap.whole;
        book.insert(kept.clone());
        self.history.keep(Entry {
            record: (*kept.record).clone(),
            whole: kept.whole.clone(),
        });
        drop(book);
        Tried::Done(self.done_back(live, &kept, swap.undid, swapped.took))
    }

    /// The swap and its entry in the books: one step, which the history then follows.
    pub(super) fn swap_back(&self, live: &Arc<RoutingTable>, target: Target, by: &Author) -> Tried {
        let mut book = self.book();
        if was_made(&book, by) {
            return Tried::Again;
        }
        let next = || self.history.reserve();
        let swapped = match self.cell.rollback(target, Some(live.revision()), next) {
            Ok(swapped) => swapped,
            Err(
                RollbackError::Cold(_) | RollbackError::NothingToUndo | RollbackError::Stale(_),
            ) => {
                return Tried::Again;
            }
        };
        let to = swapped.restored.unwrap_or_default();
        let kept = self.record_back(&swapped, Cause::Rollback { to }, by);
        book.insert(kept.clone());
        self.history.keep(Entry::new((*kept.record).clone()));
        drop(book);
        Tried::Done(self.done_back(&swapped.replaced, &kept, swapped.undid, swapped.took))
    }

    pub(super) fn record_back(&self, swapped: &Swapped, cause: Cause, by: &Author) -> Kept {
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
        Kept {
            record: Arc::new(record),
            whole: Whole::new(),
            touched: Touched::between(&before, &after),
            state: Some(after),
        }
    }

    pub(super) fn done_back(
        &self,
        replaced: &RoutingTable,
        kept: &Kept,
        undid: Vec<Revision>,
        took: std::time::Duration,
    ) -> Done {
        let applied_at = now();
        let state = kept.state.as_ref().expect("a rollback has a state");
        let done = Done {
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
fn was_made(book: &Book, by: &Author) -> bool {
    let key = by.idempotency_key.as_ref();
    key.is_some_and(|key| book.by_key(key).is_some())
}
