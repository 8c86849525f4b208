//! A rollback: live at once, written behind. It waits for no disk, no queue and no other change.

use std::sync::Arc;

use super::{
    ControlError, Controller, Expected,
    controller::{now, now_ms},
    guard::Scope,
    publish::Proposal,
    receipt::Done,
};
use crate::{
    api::Receipt,
    history::{Entry, Kept, Whole},
    model::{Author, Cause, Diff, Revision, RevisionRecord, RouteName, TableState, Touched},
    table::{RollbackError, RoutingTable, Swapped, Target},
};

/// How often a rollback looks again when something else was faster. Each time another change succeeded.
const MOST_TRIES: usize = 100;

/// Where to roll back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTo {
    /// To what was before the live revision, with the whole group that it belongs to.
    Previous,
    /// To a revision: on the undo chain if it is on it, else its content is published.
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
    NotOnChain(TableState, Revision),
    Same,
    // Something else was faster.
    Again,
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
    /// When there is nothing to go back to, when what it would go back to has no healthy endpoint and it is not forced,
    /// or when it is based on what is not live any more. A revision that is not on the undo chain is published, with
    /// the errors of a publish.
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
                Tried::NotOnChain(state, revision) => {
                    return self
                        .publish_again(state, revision, by, expected, force)
                        .await;
                }
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
                Cause::Import | Cause::Publish | Cause::RollbackRoute | Cause::Roster | Cause::Void,
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
        let Some(level) = self.cell.level(target) else {
            return self.off_chain(&live, target);
        };
        if level.spec.digest() == live.digest() && matches!(target, Target::Revision(_)) {
            return Ok(Tried::Same);
        }
        if !force {
            self.ready(&live, &level)?;
        }
        self.ensure_compiled(&live, &level)?;
        Ok(self.swap_back(&live, target, by))
    }

    fn off_chain(&self, live: &RoutingTable, target: Target) -> Result<Tried, ControlError> {
        let Target::Revision(revision) = target else {
            return Err(ControlError::NothingToUndo);
        };
        if revision == live.revision() {
            return Ok(Tried::Same);
        }
        let book = self.book();
        let kept = book.get(revision).and_then(|kept| kept.state.as_ref());
        let Some(state) = kept else {
            return Err(ControlError::UnknownRevision {
                revision,
                oldest: book.oldest(),
            });
        };
        if state.spec.digest() == live.digest() {
            return Ok(Tried::Same);
        }
        let state = TableState {
            spec: state.spec.clone(),
            rosters: live.state().rosters,
        };
        Ok(Tried::NotOnChain(state, revision))
    }

    /// The swap and its entry in the books: one step, which the history then follows.
    pub(super) fn swap_back(&self, live: &Arc<RoutingTable>, target: Target, by: &Author) -> Tried {
        let mut book = self.book();
        // Two requests with one key may have come this far.
        if by
            .idempotency_key
            .as_ref()
            .is_some_and(|key| book.by_key(key).is_some())
        {
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

    /// Publishes the content of a revision that is not on the chain: durable first, like any other change.
    async fn publish_again(
        &self,
        state: TableState,
        revision: Revision,
        by: Author,
        expected: Expected,
        force: bool,
    ) -> Result<Receipt, ControlError> {
        let done = {
            let _turn = self.turn().await?;
            let live = self.cell.load();
            self.check(&self.book(), live.revision(), Scope::Whole, expected)?;
            let state = TableState {
                rosters: live.state().rosters,
                ..state
            };
            if !force {
                self.ready_state(&live, &state.spec, None)?;
            }
            let proposal = Proposal {
                cause: Cause::Rollback { to: revision },
                change: None,
                touched: Touched::between(&live.state(), &state),
                state,
                imported: None,
                request: None,
            };
            self.publish(&live, proposal, by).await?
        };
        Ok(self.receipt(done).await)
    }
}
