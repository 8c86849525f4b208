//! Dry runs: what a change or a rollback would do, without doing it.

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    candidates::Candidates,
    capacity::crowded,
    data_answers::NOT_ASKED,
    flag_rollback::{compile_flag, plan_flag_rollback},
    outlook::{Level, Planned},
    precondition::{Scope, check_base},
    readiness::{Growing, Readiness, ReadinessCheck, Resolved},
    recompile::with_rosters,
    rollback_to::level_of,
    route_rollback::{compile_route, plan_route_rollback},
    step::{Part, taken_along},
};
use crate::{
    api::DryRun,
    fleet::Fleet,
    model::{
        Cause, Change, Diff, FlagName, ReleaseName, Revision, RouteName, TableSpec, TableState,
    },
    table::{Compiled, Leave, LiveTable, RollbackTarget, RoutingTable, UndoEntry, compile},
};

impl Controller {
    /// Reports what a change would do now.
    ///
    /// # Errors
    /// Those of [`Controller::apply`], except that nothing is written.
    pub fn dry_run(
        &self,
        change: &Change,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<DryRun, ControlError> {
        self.dry_run_in(change, expected, consent, None)
    }

    /// Reports what a change in a group would do now.
    ///
    /// # Errors
    /// As [`Controller::dry_run`].
    pub fn dry_run_in(
        &self,
        change: &Change,
        expected: Expected,
        consent: impl Into<Consent>,
        group: Option<&str>,
    ) -> Result<DryRun, ControlError> {
        let consent = consent.into();
        let live = self.table.load();
        let Some(proposal) = self.check(&live, change, expected, consent)? else {
            return Ok(dry_run_of(&self.fleet, &live, &live.state()));
        };
        if !consent.data {
            NOT_ASKED.apply(self.crossed(&live, &proposal.state.spec))?;
        }
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
        let dry_run = DryRun {
            not_ready: names(&growing, Readiness::NotReady),
            unknown: if proposal.is_way_back() {
                Vec::new()
            } else {
                names(&growing, Readiness::Unknown)
            },
            ..dry_run_of(&self.fleet, &live, &proposal.state)
        };
        let back = self.back_of_change(group);
        let back = back.filter(|_| proposal.cause != Cause::Roster);
        let planned = Planned {
            before: live.compiled().spec(),
            after: &proposal.state.spec,
            leave: &proposal.leave(),
            back: back.as_ref(),
        };
        let dry_run = self.look_ahead(dry_run, planned);
        unless_unready(dry_run, consent.force, || None)
    }

    /// Reports what a rollback would do now.
    ///
    /// # Errors
    /// Those of [`Controller::rollback`], except that nothing is swapped or written.
    pub fn dry_run_rollback(
        &self,
        to: &RollbackTo,
        expected: Expected,
        force: bool,
    ) -> Result<DryRun, ControlError> {
        let live = self.table.load();
        let scope = match to {
            RollbackTo::Flag(flag) => Scope::Flag(flag),
            RollbackTo::Route(route) => Scope::Route(route),
            RollbackTo::Previous
            | RollbackTo::PreviousOver(_)
            | RollbackTo::Revision(_)
            | RollbackTo::RevisionOver(..)
            | RollbackTo::Step => Scope::Whole,
        };
        check_base(&self.log, live.revision(), scope, expected)?;
        let dry_run = match to {
            RollbackTo::Previous | RollbackTo::PreviousOver(_) => {
                self.dry_run_target(&live, RollbackTarget::Previous)?
            }
            RollbackTo::Step => self.dry_run_target(&live, RollbackTarget::Step)?,
            RollbackTo::Revision(revision) => self.dry_run_revision(&live, *revision)?,
            RollbackTo::RevisionOver(revision, _) => {
                self.check_on_stack(*revision)?;
                self.dry_run_revision(&live, *revision)?
            }
            RollbackTo::Flag(flag) => self.dry_run_flag(&live, flag)?,
            RollbackTo::Route(route) => self.dry_run_route(&live, route)?,
        };
        if !force {
            NOT_ASKED.apply(dry_run.guards.clone())?;
        }
        unless_unready(dry_run, force, || {
            self.readiness(&live).nearest_ready(&self.table)
        })
    }

    fn dry_run_target(
        &self,
        live: &RoutingTable,
        target: RollbackTarget,
    ) -> Result<DryRun, ControlError> {
        let level = self
            .table
            .level(target)
            .ok_or(ControlError::NothingToUndo)?;
        Ok(self.dry_run_to(live, &level))
    }

    fn dry_run_to(&self, live: &RoutingTable, level: &UndoEntry) -> DryRun {
        let dry_run = dry_run_level(&self.table, &self.fleet, live, level);
        let back = self.back_of_rollback(level.revision);
        self.look_back(dry_run, live, &level.spec, back.as_ref())
    }

    /// Adds the outlook to the dry run of a rollback.
    fn look_back(
        &self,
        dry_run: DryRun,
        live: &RoutingTable,
        after: &TableSpec,
        back: Option<&Level>,
    ) -> DryRun {
        let planned = Planned {
            before: live.compiled().spec(),
            after,
            leave: &Leave::ROLLBACK,
            back,
        };
        self.look_ahead(dry_run, planned)
    }

    fn dry_run_revision(
        &self,
        live: &RoutingTable,
        revision: Revision,
    ) -> Result<DryRun, ControlError> {
        if let Some(level) = level_of(&self.table, &self.log, revision) {
            return Ok(self.dry_run_to(live, &level));
        }
        let state = {
            let index = self.log.index();
            let state = index.get(revision).and_then(|kept| kept.state.clone());
            state.ok_or_else(|| index.unknown(revision))?
        };
        let state = with_rosters(&state.spec, live);
        let dry_run = DryRun {
            to: Some(revision),
            ..dry_run_of_return(&self.fleet, live, &state, None)
        };
        let back = self.back_of_change(None);
        Ok(self.look_back(dry_run, live, &state.spec, back.as_ref()))
    }

    fn dry_run_route(
        &self,
        live: &RoutingTable,
        route: &RouteName,
    ) -> Result<DryRun, ControlError> {
        let back = plan_route_rollback(&self.table, &self.log, live, route)?;
        // Its releases may be gone by now.
        compile_route(&self.fleet, live, route, back.state.clone())?;
        let dry_run = DryRun {
            to: Some(back.to),
            route: Some(route.clone()),
            takes_along: taken_along(&self.table, &self.log, back.to, Part::Route(route)),
            undoes: vec![back.undone],
            ..dry_run_of_return(&self.fleet, live, &back.state, None)
        };
        let after = &back.state.spec;
        let next = self.back_of_route(back.to, after);
        Ok(self.look_back(dry_run, live, after, next.as_ref()))
    }
}

impl Controller {
    fn dry_run_flag(&self, live: &RoutingTable, flag: &FlagName) -> Result<DryRun, ControlError> {
        let back = plan_flag_rollback(&self.table, &self.log, live, flag)?;
        // What it refers to may be gone by now.
        compile_flag(&self.fleet, live, flag, back.state.clone())?;
        Ok(DryRun {
            to: Some(back.to),
            takes_along: back.takes_along,
            undoes: vec![back.undone],
            ..dry_run_of(&self.fleet, live, &back.state)
        })
    }
}

/// The dry run of a rollback to a level of the undo stack.
pub(super) fn dry_run_level(
    table: &LiveTable,
    fleet: &Fleet,
    live: &RoutingTable,
    level: &UndoEntry,
) -> DryRun {
    let state = with_rosters(&level.spec, live);
    DryRun {
        to: Some(level.revision),
        undoes: newer_than(table, level.revision),
        ..dry_run_of_return(fleet, live, &state, level.compiled.as_deref())
    }
}

fn dry_run_of_return(
    fleet: &Fleet,
    live: &RoutingTable,
    state: &TableState,
    compiled: Option<&Compiled>,
) -> DryRun {
    let not_ready = ReadinessCheck { fleet, live }.unready_return(&state.spec, compiled);
    DryRun {
        not_ready: not_ready.into_iter().collect(),
        ..dry_run_of(fleet, live, state)
    }
}

fn dry_run_of(fleet: &Fleet, live: &RoutingTable, state: &TableState) -> DryRun {
    let diff = Diff::between(&live.state(), state);
    DryRun {
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
        crowded: crowded(fleet, live.compiled().spec(), &state.spec),
        unproven: Vec::new(),
        guards: Vec::new(),
        moves: Vec::new(),
        quarantined: Vec::new(),
        drills: Vec::new(),
        way_back: None,
        words: Vec::new(),
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

/// A dry run, or the error that the change itself would meet.
fn unless_unready(
    dry_run: DryRun,
    force: bool,
    nearest: impl FnOnce() -> Option<Revision>,
) -> Result<DryRun, ControlError> {
    if force || dry_run.not_ready.is_empty() {
        return Ok(dry_run);
    }
    Err(ControlError::NotReady {
        releases: dry_run.not_ready,
        unknown: Vec::new(),
        nearest: nearest(),
    })
}
