//! The rollback of one flag: what it was before comes back, everything else stays.

use super::{
    ControlError, Controller,
    precondition::{Scope, check_base, idempotent_replay},
    revision_log::RevisionLog,
    rollback::{LiveFirst, Request, RollbackAttempt},
    step::{Part, last_step, taken_along},
};
use crate::{
    fleet::Fleet,
    history::{FullWeight, StoredRevision},
    model::{Cause, Change, ChangeError, ChangeSet, FlagName, Revision, TableState},
    table::{Draft, LiveTable, RoutingTable, StackChange, compile},
};

/// A change to one flag that takes its last step back.
pub(super) struct FlagRollback {
    /// The revision whose flag comes back.
    pub(super) to: Revision,
    /// The revision that had changed it.
    pub(super) undone: Revision,
    /// Revisions about more than the flag that leave the undo stack with it.
    pub(super) takes_along: Vec<Revision>,
    pub(super) state: TableState,
    change: Change,
}

/// Plans the rollback of a flag.
pub(super) fn plan_flag_rollback(
    table: &LiveTable,
    log: &RevisionLog,
    live: &RoutingTable,
    flag: &FlagName,
) -> Result<FlagRollback, ControlError> {
    let before = live.state();
    if before.spec.flag(flag).is_none() {
        let known = before.spec.flags().iter();
        return Err(ControlError::Change(ChangeError::UnknownFlag {
            name: flag.to_string(),
            known: known.map(|(name, _)| name.clone()).collect(),
        }));
    }
    let part = Part::Flag(flag);
    let (step, then) = {
        let index = log.index();
        let found = last_step(&index, table.decision(), part).and_then(|step| {
            let state = index.get(step.from)?.state.as_ref()?;
            let then = state.spec.flag(flag).cloned()?;
            Some((step, then))
        });
        found.ok_or(ControlError::NothingToUndo)?
    };
    let change = Change::PutFlag {
        flag: flag.clone(),
        spec: Box::new((**then).clone()),
    };
    Ok(FlagRollback {
        to: step.from,
        undone: step.made_by,
        takes_along: taken_along(table, log, step.from, part),
        state: change.apply_to(&before)?.state,
        change,
    })
}

/// Compiles a table of which one flag has changed.
pub(super) fn compile_flag(
    fleet: &Fleet,
    live: &RoutingTable,
    flag: &FlagName,
    state: TableState,
) -> Result<Draft, ControlError> {
    let touched = ChangeSet {
        flags: [flag.clone()].into(),
        ..ChangeSet::default()
    };
    compile(state, &touched, Some(live.compiled()), fleet).map_err(ControlError::Invalid)
}

impl Controller {
    pub(super) fn attempt_flag(
        &self,
        flag: &FlagName,
        request: Request<'_>,
    ) -> Result<RollbackAttempt<'_>, ControlError> {
        let is_same = |kept: &StoredRevision| matches!(&kept.record.cause, Cause::RollbackFlag { flag: other, .. } if other == flag);
        if let Some(kept) = idempotent_replay(&self.log, request.by, is_same)? {
            return Ok(RollbackAttempt::Replayed(kept));
        }
        let live = self.table.load();
        let scope = Scope::Flag(flag);
        check_base(&self.log, live.revision(), scope, request.expected)?;
        let back = plan_flag_rollback(&self.table, &self.log, &live, flag)?;
        let swap = LiveFirst {
            draft: compile_flag(&self.fleet, &live, flag, back.state)?,
            undo: StackChange::Above(back.to),
            cause: Cause::RollbackFlag {
                flag: flag.clone(),
                to: back.to,
            },
            change: Some(back.change),
            whole: FullWeight::new(),
            undone: vec![back.undone],
        };
        Ok(self.swap_live_first(&live, swap, request))
    }
}
