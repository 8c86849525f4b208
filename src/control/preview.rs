//! What a change would do, without doing it.

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    consent::Candidates,
    precondition::Scope,
    readiness::{Readiness, Resolved},
    receipt::with_rosters,
};
use crate::{
    api::Preview,
    model::{Change, Diff, Revision, RouteName, TableState},
    table::{Compiled, RollbackTarget, RoutingTable, UndoEntry, compile},
};

impl Controller {
    /// What a change would do now.
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
        let live = self.cell.load();
        let Some(proposal) = self.propose(&live, change.clone(), expected, consent)? else {
            return Ok(Self::preview_of(&live, &live.state()));
        };
        compile(
            proposal.state.clone(),
            &proposal.touched,
            Some(live.compiled()),
            &self.fleet,
        )
        .map_err(ControlError::Invalid)?;
        let nothing = Candidates::default();
        let growing = self.growing(&live, &proposal.state, &nothing, Resolved::NotYet);
        let are = |wanted: Readiness| {
            let some = growing.iter().filter(|(_, one)| **one == wanted);
            some.map(|(name, _)| name.clone()).collect()
        };
        let preview = Preview {
            not_ready: are(Readiness::NotReady),
            unknown: if proposal.is_way_back() {
                Vec::new()
            } else {
                are(Readiness::Unknown)
            },
            ..Self::preview_of(&live, &proposal.state)
        };
        unless_unready(preview, consent.force, || None)
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

    /// The same for going back to a state.
    fn preview_of_return(
        &self,
        live: &RoutingTable,
        state: &TableState,
        compiled: Option<&Compiled>,
    ) -> Preview {
        let not_ready = self.unready_return(live, &state.spec, compiled);
        Preview {
            not_ready: not_ready.into_iter().collect(),
            ..Self::preview_of(live, state)
        }
    }

    /// What a rollback would do now.
    ///
    /// # Errors
    /// Those of [`Controller::rollback`], except that nothing is swapped or written.
    pub fn preview_rollback(
        &self,
        to: &RollbackTo,
        expected: Expected,
        force: bool,
    ) -> Result<Preview, ControlError> {
        let live = self.cell.load();
        let scope = match to {
            RollbackTo::Route(route) => Scope::Route(route),
            RollbackTo::Previous | RollbackTo::Revision(_) | RollbackTo::Step => Scope::Whole,
        };
        self.check(&self.revision_index(), live.revision(), scope, expected)?;
        let preview = match to {
            RollbackTo::Previous => self.preview_level(&live, RollbackTarget::Previous)?,
            RollbackTo::Step => self.preview_level(&live, RollbackTarget::Step)?,
            RollbackTo::Revision(revision) => self.preview_revision(&live, *revision)?,
            RollbackTo::Route(route) => self.preview_route_back(&live, route)?,
        };
        unless_unready(preview, force, || self.nearest_ready(&live))
    }

    fn preview_route_back(
        &self,
        live: &RoutingTable,
        route: &RouteName,
    ) -> Result<Preview, ControlError> {
        let back = self.route_rollback(live, route)?;
        // Its releases may be gone by now.
        self.compile_route(live, route, back.state.clone())?;
        Ok(Preview {
            to: Some(back.to),
            route: Some(route.clone()),
            takes_along: self.takes_along(&back, route),
            undoes: vec![back.undid],
            ..self.preview_of_return(live, &back.state, None)
        })
    }

    fn preview_level(
        &self,
        live: &RoutingTable,
        target: RollbackTarget,
    ) -> Result<Preview, ControlError> {
        let level = self.cell.level(target).ok_or(ControlError::NothingToUndo)?;
        Ok(self.preview_back(live, &level))
    }

    /// What going back to a level would do.
    pub(super) fn preview_back(&self, live: &RoutingTable, level: &UndoEntry) -> Preview {
        let state = with_rosters(&level.spec, live);
        Preview {
            to: Some(level.revision),
            undoes: self.newer_than(level.revision),
            ..self.preview_of_return(live, &state, level.compiled.as_deref())
        }
    }

    fn preview_revision(
        &self,
        live: &RoutingTable,
        revision: Revision,
    ) -> Result<Preview, ControlError> {
        if let Some(level) = self.level_of(revision) {
            return Ok(self.preview_back(live, &level));
        }
        let index = self.revision_index();
        let state = index.get(revision).and_then(|kept| kept.state.clone());
        let Some(state) = state else {
            return Err(ControlError::UnknownRevision {
                revision,
                oldest: index.oldest(),
            });
        };
        drop(index);
        Ok(Preview {
            to: Some(revision),
            ..self.preview_of_return(live, &with_rosters(&state.spec, live), None)
        })
    }

    /// The decisions above one.
    fn newer_than(&self, revision: Revision) -> Vec<Revision> {
        let chain = self.cell.chain().into_iter();
        chain.take_while(|above| *above != revision).collect()
    }
}

/// A preview, or the refusal that the change itself would meet.
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
