//! A rollback that is spread over a time: its parts, each live before it is durable, and its end, which is the rollback as
//! it always is.
//!
//! Only weights go back in parts. Whatever else differs comes with the last one: no part is a mixture of settings that
//! was never live. The first part takes from the undo stack what is undone, so that a bare rollback amid the parts leads
//! to where they lead.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    clock::now,
    data_answers::NOT_ASKED,
    precondition::{Scope, check_base, idempotent_replay},
    rollback::{LiveFirst, Request, RollbackAttempt},
    rollback_to::level_of,
    spread::SpreadReturn,
    spread_registry::{SpreadEnd, SpreadRoute, SpreadRun},
};
use crate::{
    history::{FullWeight, StoredRevision},
    model::{Cause, Change, Revision, TableSpec},
    table::{RollbackTarget, RoutingTable, StackChange, UndoEntry, compile},
};

/// A part that is to be made live, on top of what is live.
struct Part {
    change: Change,
    cause: Cause,
    undo: StackChange,
    undone: Vec<Revision>,
}

impl Controller {
    /// Begins a rollback that is spread over a time, to what is on the undo stack. Where no weights can go in parts, it is
    /// gone at once.
    pub(super) fn attempt_over(
        &self,
        target: RollbackTarget,
        over: Duration,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let is_same = |kept: &StoredRevision| kept.record.cause.is_rollback();
        if let Some(kept) = idempotent_replay(&self.log, request.by, is_same)? {
            return Ok(RollbackAttempt::Replayed(kept));
        }
        let live = self.table.load();
        check_base(&self.log, live.revision(), Scope::Whole, request.expected)?;
        self.check_goes_not_back(|run| matches!(run.end, SpreadEnd::Revision(_)))?;
        let level = match target {
            RollbackTarget::Revision(to) => self.check_on_stack(to)?,
            other => self.table.level(other).ok_or(ControlError::NothingToUndo)?,
        };
        self.check_return(&live, &level.spec, level.compiled.as_deref(), request)?;
        let open = self.open_checks(&live, &level.spec, request)?;
        if !open.is_empty() {
            return Ok(RollbackAttempt::CheckFirst(open));
        }
        let run = spread_rollback(&live, (level.revision, &level.spec), over, request);
        let Some((mut run, change)) = run else {
            return self.attempt_level(target, request);
        };
        let chain = self.table.chain().into_iter();
        let part = Part {
            change,
            cause: run.cause(1),
            undo: StackChange::Above(level.revision),
            undone: chain.take_while(|one| *one != level.revision).collect(),
        };
        let made = self.attempt_part(&live, part, request)?;
        if matches!(made, RollbackAttempt::Live(_)) {
            run.spread.give(1);
            self.spreads.add(run);
        }
        Ok(made)
    }

    /// The place on the undo stack that a revision means.
    pub(super) fn check_on_stack(&self, to: Revision) -> Result<UndoEntry, ControlError> {
        let level = level_of(&self.table, &self.log, to);
        level.ok_or_else(|| {
            let index = self.log.index();
            let is_kept = index.get(to).is_some_and(|kept| kept.state.is_some());
            if is_kept {
                ControlError::NotOnStack(to)
            } else {
                index.unknown(to)
            }
        })
    }

    fn attempt_part(
        &self,
        live: &Arc<RoutingTable>,
        part: Part,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let before = live.state();
        let applied = part.change.apply_to(&before)?;
        if applied.is_same(&before) {
            return Ok(RollbackAttempt::Unchanged);
        }
        self.check_return(live, &applied.state.spec, None, request)?;
        let draft = compile(
            applied.state,
            &applied.touched,
            Some(live.compiled()),
            &self.fleet,
        );
        let swap = LiveFirst {
            draft: draft
                .map_err(ControlError::Invalid)?
                .leaving(request.leave()),
            undo: part.undo,
            cause: part.cause,
            change: Some(part.change),
            whole: FullWeight::new(),
            undone: part.undone,
        };
        Ok(self.swap_live_first(live, swap, request))
    }

    /// Gives a part of a rollback that is under way. `false` if another change was faster.
    pub(super) fn give_rollback_part(
        &self,
        run: &SpreadRun,
        live: &Arc<RoutingTable>,
        number: u32,
    ) -> Result<bool, ControlError> {
        let SpreadEnd::Revision(to) = run.end else {
            return Ok(true);
        };
        let Some(change) = run.change(number) else {
            return Ok(true);
        };
        let part = Part {
            change,
            cause: run.cause(number),
            undo: StackChange::Above(to),
            undone: vec![self.table.decision()],
        };
        let made = self.attempt_part(live, part, request_of(run))?;
        Ok(!matches!(made, RollbackAttempt::Again))
    }

    /// Gives all that is left of a rollback. Where others have changed something else since, only its routes go back: a
    /// rollback of everything would undo that as well. `false` if another change was faster.
    pub(super) async fn end_rollback(
        &self,
        run: &SpreadRun,
        live: &Arc<RoutingTable>,
    ) -> Result<bool, ControlError> {
        if !self.is_part_on_top(run) {
            return self.end_on_routes(run, live).await;
        }
        let (by, expected) = (run.by.clone(), Expected::Unchanged(live.revision()));
        let back = self.rollback(RollbackTo::Previous, by, expected, run.consent);
        match back.await {
            Ok(_) => Ok(true),
            Err(ControlError::Stale { .. } | ControlError::Busy) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn end_on_routes(
        &self,
        run: &SpreadRun,
        live: &Arc<RoutingTable>,
    ) -> Result<bool, ControlError> {
        let part = Part {
            change: run.change_of_routes(&live.state().spec),
            cause: run.cause(run.spread.parts()),
            undo: StackChange::Push(None),
            undone: Vec::new(),
        };
        match self.attempt_part(live, part, request_of(run))? {
            RollbackAttempt::Live(swap) => {
                let is_taken = self.quarantine_taken_back(&swap.record);
                drop(swap);
                self.save_quarantine(is_taken).await;
                Ok(true)
            }
            made => Ok(!matches!(made, RollbackAttempt::Again)),
        }
    }

    /// True if a part of a rollback is the live decision, below which is what it leads to.
    pub(super) fn is_part_on_top(&self, run: &SpreadRun) -> bool {
        let level = self.table.level(RollbackTarget::Previous);
        let decision = self.table.decision();
        let index = self.log.index();
        let record = index.get(decision).map(|kept| &kept.record);
        record.is_some_and(|record| run.is_part(record))
            && level.is_some_and(|level| run.end == SpreadEnd::Revision(level.revision))
    }
}

/// The rollback in parts, and the change that is its first one; `None` if that would change nothing.
fn spread_rollback(
    live: &RoutingTable,
    (to, spec): (Revision, &TableSpec),
    over: Duration,
    request: Request<'_>,
) -> Option<(SpreadRun, Change)> {
    let before = live.state();
    let (routes, from): (Vec<_>, Vec<_>) =
        SpreadRoute::between(&before.spec, spec).into_iter().unzip();
    let run = SpreadRun {
        id: 0,
        end: SpreadEnd::Revision(to),
        routes,
        spread: SpreadReturn::new(over, from, (Instant::now(), now())),
        by: request.by.clone(),
        consent: Consent {
            data: true,
            ..request.consent
        },
        base: live.revision(),
        since: now(),
        waiting_for: None,
    };
    let change = run.change(1).filter(|_| !run.routes.is_empty())?;
    let applied = change.apply_to(&before).ok()?;
    (!applied.is_same(&before)).then_some((run, change))
}

/// The request of a part that is not the first.
fn request_of(run: &SpreadRun) -> Request<'_> {
    Request {
        by: &run.by,
        expected: Expected::Any,
        consent: run.consent,
        answers: &NOT_ASKED,
    }
}
