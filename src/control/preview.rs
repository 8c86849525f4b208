//! What a change would do, without doing it.

use super::{ControlError, Controller, Expected, RollbackTo, guard::Scope, receipt::with_rosters};
use crate::{
    api::Preview,
    model::{Change, Diff, Revision, TableState},
    table::{Level, RoutingTable, Target, compile},
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
        force: bool,
    ) -> Result<Preview, ControlError> {
        let live = self.cell.load();
        let Some(proposal) = self.propose(&live, change.clone(), expected, force)? else {
            return Ok(self.preview_of(&live, &live.state()));
        };
        compile(
            proposal.state.clone(),
            &proposal.touched,
            Some(live.compiled()),
            &self.fleet,
        )
        .map_err(ControlError::Invalid)?;
        Ok(self.preview_of(&live, &proposal.state))
    }

    fn preview_of(&self, live: &RoutingTable, state: &TableState) -> Preview {
        let diff = Diff::between(&live.state(), state);
        Preview {
            revision: live.revision(),
            digest: state.spec.digest(),
            changed: !diff.is_empty(),
            diff,
            to: None,
            undoes: Vec::new(),
            not_ready: self.not_ready(live, &state.spec, None),
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
        self.check(&self.book(), live.revision(), scope, expected)?;
        let preview = match to {
            RollbackTo::Previous => self.preview_level(&live, Target::Previous)?,
            RollbackTo::Step => self.preview_level(&live, Target::Step)?,
            RollbackTo::Revision(revision) => self.preview_revision(&live, *revision)?,
            RollbackTo::Route(route) => {
                let back = self.route_back(&live, route)?;
                let preview = self.preview_of(&live, &back.state);
                Preview {
                    to: Some(back.level.revision),
                    undoes: back.undid,
                    ..preview
                }
            }
        };
        if force || preview.not_ready.is_empty() {
            return Ok(preview);
        }
        Err(ControlError::NotReady {
            releases: preview.not_ready,
            nearest: self.nearest_ready(&live),
        })
    }

    fn preview_level(&self, live: &RoutingTable, target: Target) -> Result<Preview, ControlError> {
        let level = self.cell.level(target).ok_or(ControlError::NothingToUndo)?;
        Ok(self.preview_back(live, &level))
    }

    /// What going back to a level would do.
    pub(super) fn preview_back(&self, live: &RoutingTable, level: &Level) -> Preview {
        let preview = self.preview_of(live, &with_rosters(&level.spec, live));
        Preview {
            to: Some(level.revision),
            undoes: self.above(live, level.revision),
            not_ready: self.not_ready(live, &level.spec, level.compiled.as_deref()),
            ..preview
        }
    }

    fn preview_revision(
        &self,
        live: &RoutingTable,
        revision: Revision,
    ) -> Result<Preview, ControlError> {
        if let Some(level) = self.cell.level(Target::Revision(revision)) {
            return Ok(self.preview_back(live, &level));
        }
        let book = self.book();
        let state = book.get(revision).and_then(|kept| kept.state.clone());
        let Some(state) = state else {
            return Err(ControlError::UnknownRevision {
                revision,
                oldest: book.oldest(),
            });
        };
        drop(book);
        let preview = self.preview_of(live, &with_rosters(&state.spec, live));
        Ok(Preview {
            to: Some(revision),
            ..preview
        })
    }

    /// The live revision and the levels above one.
    fn above(&self, live: &RoutingTable, revision: Revision) -> Vec<Revision> {
        let above = self
            .cell
            .chain()
            .into_iter()
            .take_while(|above| *above != revision);
        std::iter::once(live.revision()).chain(above).collect()
    }
}
