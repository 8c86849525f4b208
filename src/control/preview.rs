//! Previews: what a change or a rollback would do, without doing it.

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    candidates::Candidates,
    precondition::{Scope, check_base},
    readiness::{Growing, Readiness, ReadinessCheck, Resolved},
    recompile::with_rosters,
    rollback::level_of,
    route_rollback::{compile_route, plan_route_rollback, taken_along},
};
use crate::{
    api::Preview,
    fleet::Fleet,
    model::{Change, Diff, ReleaseName, Revision, RouteName, TableState},
    table::{Compiled, LiveTable, RollbackTarget, RoutingTable, UndoEntry, compile},
};

impl Controller {
    /// Reports what a change would do now.
    ///
    /// # Errors
    /// Those of [`Controller::apply`], except that nothing is written.
    pub fn preview(
        &self,
        change: &Change,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<Preview, ControlError> {
        let consent = consent.into();
        let live = self.table.load();
        let Some(proposal) = self.check(&live, change, expected, consent)? else {
            return Ok(preview_of(&live, &live.state()));
        };
        compile(
            proposal.state.clone(),
            &proposal.touched,
            Some(live.compiled()),
            &self.fleet,
        )
        .map_err(ControlError::Invalid)?;
        let nothing = Candidates::default();
        let check = self.readiness(&live);
        let growing = check.growing(&proposal.state, &nothing, Resolved::NotYet);
        let preview = Preview {
            not_ready: names(&growing, Readiness::NotReady),
            unknown: if proposal.is_way_back() {
                Vec::new()
            } else {
                names(&growing, Readiness::Unknown)
            },
            ..preview_of(&live, &proposal.state)
        };
        unless_unready(preview, consent.force, || None)
    }

    /// Reports what a rollback would do now.
    ///
    /// # Errors
    /// Those of [`Controller::rollback`], except that nothing is swapped or written.
    pub fn preview_rollback(
        &self,
        to: &RollbackTo,
        expected: Expected,
        force: bool,
    ) -> Result<Preview, ControlError> {
        let live = self.table.load();
        let scope = match to {
            RollbackTo::Route(route) => Scope::Route(route),
            RollbackTo::Previous | RollbackTo::Revision(_) | RollbackTo::Step => Scope::Whole,
        };
        check_base(&self.log, live.revision(), scope, expected)?;
        let preview = match to {
            RollbackTo::Previous => self.preview_target(&live, RollbackTarget::Previous)?,
            RollbackTo::Step => self.preview_target(&live, RollbackTarget::Step)?,
            RollbackTo::Revision(revision) => self.preview_revision(&live, *revision)?,
            RollbackTo::Route(route) => self.preview_route(&live, route)?,
        };
        unless_unready(preview, force, || {
            self.readiness(&live).nearest_ready(&self.table)
        })
    }

    fn preview_target(
        &self,
        live: &RoutingTable,
        target: RollbackTarget,
    ) -> Result<Preview, ControlError> {
        let level = self
            .table
            .level(target)
            .ok_or(ControlError::NothingToUndo)?;
        Ok(preview_level(&self.table, &self.fleet, live, &level))
    }

    fn preview_revision(
        &self,
        live: &RoutingTable,
        revision: Revision,
    ) -> Result<Preview, ControlError> {
        if let Some(level) = level_of(&self.table, &self.log, revision) {
            return Ok(preview_level(&self.table, &self.fleet, live, &level));
        }
        let state = {
            let index = self.log.index();
            let state = index.get(revision).and_then(|kept| kept.state.clone());
            state.ok_or_else(|| index.unknown(revision))?
        };
        let state = with_rosters(&state.spec, live);
        Ok(Preview {
            to: Some(revision),
            ..preview_of_return(&self.fleet, live, &state, None)
        })
    }

    fn preview_route(
        &self,
        live: &RoutingTable,
        route: &RouteName,
    ) -> Result<Preview, ControlError> {
        let back = plan_route_rollback(&self.table, &self.log, live, route)?;
        // Its releases may be gone by now.
        compile_route(&self.fleet, live, route, back.state.clone())?;
        Ok(Preview {
            to: Some(back.to),
            route: Some(route.clone()),
            takes_along: taken_along(&self.table, &self.log, &back, route),
            undoes: vec![back.undone],
            ..preview_of_return(&self.fleet, live, &back.state, None)
        })
    }
}

/// The preview of a rollback to a level of the undo stack.
pub(super) fn preview_level(
    table: &LiveTable,
    fleet: &Fleet,
    live: &RoutingTable,
    level: &UndoEntry,
) -> Preview {
    let state = with_rosters(&level.spec, live);
    Preview {
        to: Some(level.revision),
        undoes: newer_than(table, level.revision),
        ..preview_of_return(fleet, live, &state, level.compiled.as_deref())
    }
}

fn preview_of_return(
    fleet: &Fleet,
    live: &RoutingTable,
    state: &TableState,
    compiled: Option<&Compiled>,
) -> Preview {
    let not_ready = ReadinessCheck { fleet, live }.unready_return(&state.spec, compiled);
    Preview {
        not_ready: not_ready.into_iter().collect(),
        ..preview_of(live, state)
    }
}

fn preview_of(live: &RoutingTable, state: &TableState) -> Preview {
    let diff = Diff::between(&live.state(), state);
    Preview {
        revision: live.revision(),
        digest: state.spec.digest(),
        changed: !diff.is_empty(),
        diff,
        to: None,
        route: None,
        undoes: Vec::new(),
        takes_along: Vec::new(),
        not_ready: Vec::new(),
        unknown: Vec::new(),
    }
}

/// The decisions above one.
fn newer_than(table: &LiveTable, revision: Revision) -> Vec<Revision> {
    let chain = table.chain().into_iter();
    chain.take_while(|above| *above != revision).collect()
}

fn names(growing: &Growing, wanted: Readiness) -> Vec<ReleaseName> {
    let names = growing.iter().filter(|(_, one)| **one == wanted);
    names.map(|(name, _)| name.clone()).collect()
}

/// A preview, or the error that the change itself would meet.
fn unless_unready(
    preview: Preview,
    force: bool,
    nearest: impl FnOnce() -> Option<Revision>,
) -> Result<Preview, ControlError> {
    if force || preview.not_ready.is_empty() {
        return Ok(preview);
    }
    Err(ControlError::NotReady {
        releases: preview.not_ready,
        unknown: Vec::new(),
        nearest: nearest(),
    })
}
