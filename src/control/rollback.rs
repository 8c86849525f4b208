//! A rollback: swap → append behind → converge → receipt. Live at once, then durable: it waits for no disk, no queue and
//! no other change.

use std::sync::Arc;

use super::{
    Consent, ControlError, Controller, EarlyReceipt, Expected,
    capacity::crowded_by,
    clock::now_ms,
    data_answers::DataAnswers,
    precondition::{Scope, check_base, idempotent_replay},
    recompile::{compile_again, ensure_compiled},
    revision_index::RevisionIndex,
    rollback_to::{RollbackTo, is_rollback_to, level_of},
    route_rollback::{compile_route, plan_route_rollback},
    swap::AppliedSwap,
};
use crate::{
    api::{DataGuard, Receipt},
    history::{FullWeight, StoredRevision},
    model::{Author, Cause, Change, ChangeSet, Revision, RevisionRecord, RouteName, TableSpec},
    table::{
        Compiled, Draft, Leave, RollbackError, RollbackTarget, RoutingTable, StackChange, Swapped,
    },
};

/// Number of attempts while other changes are faster. Each time another change succeeded.
const MOST_ATTEMPTS: usize = 100;

/// The result of one attempt.
pub(super) enum RollbackAttempt<'a> {
    Live(AppliedSwap<'a>),
    /// The same request was made before.
    Replayed(StoredRevision),
    /// The destination is live already.
    Unchanged,
    /// The checks of these are asked first.
    CheckFirst(Vec<DataGuard>),
    /// Another change was faster.
    Again,
}

/// A table that goes live without having been on the undo stack, and is written behind like any rollback.
pub(super) struct LiveFirst {
    pub(super) draft: Draft,
    pub(super) undo: StackChange,
    pub(super) cause: Cause,
    pub(super) change: Option<Change>,
    pub(super) whole: FullWeight,
    pub(super) undone: Vec<Revision>,
}

/// A request for a rollback, apart from its destination.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) by: &'a Author,
    pub(super) expected: Expected,
    pub(super) consent: Consent,
    pub(super) answers: &'a DataAnswers,
}

impl Request<'_> {
    pub(super) fn leave(&self) -> Leave {
        Leave {
            cut: self.consent.cut,
            ..Leave::ROLLBACK
        }
    }
}

impl Controller {
    /// Makes an earlier revision live again: live first, then durable. All of its effects have run when this returns.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// As [`Controller::rollback_early`].
    pub async fn rollback(
        &self,
        to: RollbackTo,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<Receipt, ControlError> {
        let receipt = self.rollback_early(to, by, expected, consent).await?;
        Ok(receipt.into_receipt())
    }

    /// Rolls back like [`Controller::rollback`], with a receipt that can be sent before the effects of the swap run.
    ///
    /// # Errors
    /// When there is nothing to go back to, when it is not forced and a release that would get more by it has no healthy
    /// endpoint or a release that it leaves does not allow it, or when it is based on what is not live any more.
    pub async fn rollback_early(
        &self,
        to: RollbackTo,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<EarlyReceipt<'_>, ControlError> {
        let consent = consent.into();
        let mut answers = DataAnswers::default();
        for _ in 0..MOST_ATTEMPTS {
            let request = Request {
                by: &by,
                expected,
                consent,
                answers: &answers,
            };
            match self.attempt_rollback(&to, request)? {
                RollbackAttempt::Live(swap) => {
                    let crowded = crowded_by(&self.fleet, &self.log, &swap.record);
                    let is_taken = self.quarantine_taken_back(&swap.record);
                    let convergence = self.converge(&swap).await;
                    tokio::join!(
                        self.log.wait_durable(swap.record.revision),
                        self.save_quarantine(is_taken)
                    );
                    let receipt = self.receipts().of_swap(swap, convergence).crowded(crowded);
                    return Ok(match &to {
                        RollbackTo::PreviousOver(_) | RollbackTo::RevisionOver(..) => {
                            self.receipt_in_parts(receipt)
                        }
                        _ => receipt,
                    });
                }
                RollbackAttempt::Replayed(kept) => {
                    return Ok(self.receipts().of_replay(&kept).into());
                }
                RollbackAttempt::Unchanged => {
                    let live = self.table.load();
                    return Ok(self.receipts().of_no_change(&live, &by).into());
                }
                RollbackAttempt::CheckFirst(guards) => {
                    self.ask_checks(guards, &mut answers).await;
                }
                RollbackAttempt::Again => {}
            }
        }
        Err(ControlError::Busy)
    }

    fn attempt_rollback(
        &self,
        to: &RollbackTo,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let target = match to {
            RollbackTo::Previous => RollbackTarget::Previous,
            RollbackTo::PreviousOver(over) => {
                return self.attempt_over(RollbackTarget::Previous, *over, request);
            }
            RollbackTo::RevisionOver(to, over) => {
                return self.attempt_over(RollbackTarget::Revision(*to), *over, request);
            }
            RollbackTo::Step => RollbackTarget::Step,
            RollbackTo::Revision(revision) => RollbackTarget::Revision(*revision),
            RollbackTo::Flag(flag) => return self.attempt_flag(flag, request),
            RollbackTo::Route(route) => return self.attempt_route(route, request),
        };
        self.attempt_level(target, request)
    }

    pub(super) fn attempt_level(
        &self,
        target: RollbackTarget,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let is_same = |kept: &StoredRevision| is_rollback_to(&kept.record.cause, target);
        if let Some(kept) = idempotent_replay(&self.log, request.by, is_same)? {
            return Ok(RollbackAttempt::Replayed(kept));
        }
        let live = self.table.load();
        check_base(&self.log, live.revision(), Scope::Whole, request.expected)?;
        let level = match target {
            RollbackTarget::Revision(revision) => level_of(&self.table, &self.log, revision),
            RollbackTarget::Previous | RollbackTarget::Step => self.table.level(target),
        };
        let Some(level) = level else {
            return self.not_in_undo_chain(&live, target, request);
        };
        if level.spec.digest() == live.digest() && matches!(target, RollbackTarget::Revision(_)) {
            return Ok(RollbackAttempt::Unchanged);
        }
        self.check_return(&live, &level.spec, level.compiled.as_deref(), request)?;
        let open = self.open_checks(&live, &level.spec, request)?;
        if !open.is_empty() {
            return Ok(RollbackAttempt::CheckFirst(open));
        }
        ensure_compiled(&self.table, &self.fleet, &live, &level)?;
        let target = match target {
            RollbackTarget::Revision(_) => RollbackTarget::Revision(level.revision),
            other => other,
        };
        Ok(self.swap_back(&live, target, request))
    }

    pub(super) fn check_return(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
        request: Request<'_>,
    ) -> Result<(), ControlError> {
        if request.consent.force {
            return Ok(());
        }
        self.readiness(live)
            .check_return(&self.table, spec, compiled)
    }

    /// Checks of data guards that are still to be asked.
    pub(super) fn open_checks(
        &self,
        live: &RoutingTable,
        after: &TableSpec,
        request: Request<'_>,
    ) -> Result<Vec<DataGuard>, ControlError> {
        self.check_data(live, after, request.consent, request.answers)
    }

    /// Makes a revision live again to which no rollback leads any more: a new decision, on top of what is live.
    fn not_in_undo_chain(
        &self,
        live: &Arc<RoutingTable>,
        target: RollbackTarget,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let RollbackTarget::Revision(to) = target else {
            return Err(ControlError::NothingToUndo);
        };
        let spec = {
            let index = self.log.index();
            let kept = index.get(to).and_then(|kept| kept.state.as_ref());
            kept.ok_or_else(|| index.unknown(to))?.spec.clone()
        };
        if spec.digest() == live.digest() {
            return Ok(RollbackAttempt::Unchanged);
        }
        self.check_return(live, &spec, None, request)?;
        let open = self.open_checks(live, &spec, request)?;
        if !open.is_empty() {
            return Ok(RollbackAttempt::CheckFirst(open));
        }
        let swap = LiveFirst {
            draft: compile_again(&self.fleet, live, &spec)?.leaving(request.leave()),
            undo: StackChange::Push(request.by.group.as_deref().map(Arc::from)),
            cause: Cause::Rollback { to },
            change: None,
            whole: FullWeight::new(),
            undone: Vec::new(),
        };
        Ok(self.swap_live_first(live, swap, request))
    }

    fn attempt_route(
        &self,
        route: &RouteName,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let is_same = |kept: &StoredRevision| matches!(&kept.record.cause, Cause::RollbackRoute { route: Some(other), .. } if other == route);
        if let Some(kept) = idempotent_replay(&self.log, request.by, is_same)? {
            return Ok(RollbackAttempt::Replayed(kept));
        }
        let live = self.table.load();
        let scope = Scope::Route(route);
        check_base(&self.log, live.revision(), scope, request.expected)?;
        let back = plan_route_rollback(&self.table, &self.log, &live, route)?;
        self.check_return(&live, &back.state.spec, None, request)?;
        let open = self.open_checks(&live, &back.state.spec, request)?;
        if !open.is_empty() {
            return Ok(RollbackAttempt::CheckFirst(open));
        }
        let swap = LiveFirst {
            draft: compile_route(&self.fleet, &live, route, back.state)?.leaving(request.leave()),
            undo: StackChange::Above(back.to),
            cause: Cause::RollbackRoute {
                route: Some(route.clone()),
                to: back.to,
            },
            change: Some(back.change),
            whole: back.whole,
            undone: vec![back.undone],
        };
        Ok(self.swap_live_first(&live, swap, request))
    }

    /// Swaps to a draft and enters it in the index in one step, which the history then follows.
    pub(super) fn swap_live_first(
        &self,
        live: &Arc<RoutingTable>,
        swap: LiveFirst,
        request: Request<'_>,
    ) -> RollbackAttempt<'_> {
        let mut index = self.log.index();
        if was_made(&index, request.by) || self.log.history.is_released() {
            return RollbackAttempt::Again;
        }
        let (revision, based_on) = (self.log.history.reserve(), live.revision());
        let LiveFirst { draft, undo, .. } = swap;
        let Ok(swapped) = self
            .table
            .publish(draft, revision, based_on, undo, now_ms())
        else {
            return RollbackAttempt::Again;
        };
        let mut kept = self.record_of(&swapped, swap.cause, request);
        Arc::make_mut(&mut kept.record).change = swap.change;
        kept.whole = swap.whole;
        index.insert(kept.clone());
        self.write_behind(&kept);
        drop(index);
        let left = Arc::clone(swapped.table.departures().latest());
        let (effects, how) = (&self.effects, (swapped.took, left));
        RollbackAttempt::Live(AppliedSwap::new(effects, live, &kept, swap.undone, how))
    }

    /// Swaps to a level of the undo stack and enters it in the index in one step, which the history then follows.
    fn swap_back(
        &self,
        live: &Arc<RoutingTable>,
        target: RollbackTarget,
        request: Request<'_>,
    ) -> RollbackAttempt<'_> {
        let mut index = self.log.index();
        if was_made(&index, request.by) || self.log.history.is_released() {
            return RollbackAttempt::Again;
        }
        let next = || self.log.history.reserve();
        let (expected, leave) = (Some(live.revision()), request.leave());
        let swapped = match self.table.rollback_leaving(target, expected, leave, next) {
            Ok(swapped) => swapped,
            Err(
                RollbackError::Cold(_) | RollbackError::NothingToUndo | RollbackError::Stale(_),
            ) => {
                return RollbackAttempt::Again;
            }
        };
        let to = swapped.restored.unwrap_or_default();
        let kept = self.record_of(&swapped, Cause::Rollback { to }, request);
        index.insert(kept.clone());
        self.write_behind(&kept);
        drop(index);
        let left = Arc::clone(swapped.table.departures().latest());
        let Swapped {
            replaced,
            undid,
            took,
            ..
        } = swapped;
        RollbackAttempt::Live(AppliedSwap::new(
            &self.effects,
            &replaced,
            &kept,
            undid,
            (took, left),
        ))
    }

    fn record_of(
        &self,
        swapped: &Swapped,
        cause: Cause,
        Request { by, consent, .. }: Request<'_>,
    ) -> StoredRevision {
        let (before, after) = (swapped.replaced.state(), swapped.table.state());
        let group = self.table.live_group().map(|group| group.to_string());
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
            request: self.idempotency.request_of(by),
            cut: consent.cut,
            shared: self.shared.roll_back(swapped, by),
        };
        StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            touched: ChangeSet::between(&before, &after),
            state: Some(after),
        }
    }
}

/// True if another request with the same key was faster: two of them may have come this far.
fn was_made(index: &RevisionIndex, by: &Author) -> bool {
    let key = by.idempotency_key.as_ref();
    key.is_some_and(|key| index.by_key(key).is_some())
}
