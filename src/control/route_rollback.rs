//! A rollback of one route: its previous split comes back, everything else stays.
//!
//! Like any rollback it is live before it is durable, and it never leads forth again: what it took back leaves the undo
//! stack. Where the route was before is told by the records and not by the stack, from which a rollback of another route
//! may have taken steps of this one.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ControlError, Controller, Expected,
    precondition::Scope,
    revision_index::RevisionIndex,
    rollback::{LiveFirst, RollbackAttempt},
};
use crate::{
    history::{FullWeight, StoredRevision, with_whole},
    model::{
        Author, Cause, Change, ChangeError, ChangeSet, Revision, RouteName, RouteSpec, TableState,
    },
    table::{Draft, RoutingTable, StackChange, compile},
};

/// A change to one route, worked out.
pub(super) struct RouteRollback {
    /// The revision whose split comes back.
    pub(super) to: Revision,
    /// The revision that had changed it.
    pub(super) undid: Revision,
    pub(super) state: TableState,
    change: Change,
    whole: FullWeight,
}

/// A step of one route: the revision that made it, and the one before.
struct Step {
    made_by: Revision,
    from: Revision,
}

impl Controller {
    pub(super) fn try_route_back(
        &self,
        route: &RouteName,
        by: &Author,
        expected: Expected,
        force: bool,
    ) -> Result<RollbackAttempt, ControlError> {
        let same = |kept: &StoredRevision| matches!(&kept.record.cause, Cause::RollbackRoute { route: Some(other), .. } if other == route);
        if let Some(kept) =
            Self::idempotent_replay(&self.revision_index(), by.idempotency_key.as_ref(), same)?
        {
            return Ok(RollbackAttempt::Made(kept));
        }
        let live = self.cell.load();
        self.check(
            &self.revision_index(),
            live.revision(),
            Scope::Route(route),
            expected,
        )?;
        let back = self.route_rollback(&live, route)?;
        if !force {
            self.check_return(&live, &back.state.spec, None)?;
        }
        let draft = self.compile_route(&live, route, back.state)?;
        let swap = LiveFirst {
            draft,
            undo: StackChange::Above(back.to),
            cause: Cause::RollbackRoute {
                route: Some(route.clone()),
                to: back.to,
            },
            change: Some(back.change),
            whole: back.whole,
            undid: vec![back.undid],
        };
        Ok(self.swap_live_first(&live, swap, by))
    }

    /// Compiles a table of which one route is another one.
    pub(super) fn compile_route(
        &self,
        live: &RoutingTable,
        route: &RouteName,
        state: TableState,
    ) -> Result<Draft, ControlError> {
        let touched = ChangeSet {
            routes: [route.clone()].into(),
            ..ChangeSet::default()
        };
        compile(state, &touched, Some(live.compiled()), &self.fleet).map_err(ControlError::Invalid)
    }

    /// The table with the previous split of a route, and all else as it is live.
    pub(super) fn route_rollback(
        &self,
        live: &RoutingTable,
        route: &RouteName,
    ) -> Result<RouteRollback, ControlError> {
        let before = live.state();
        let now = before
            .spec
            .route(route)
            .ok_or_else(|| unknown(&before, route))?;
        let (step, then) = self.last_step(route).ok_or(ControlError::NothingToUndo)?;
        let mut spec = (***now).clone();
        spec.split.clone_from(&then.split);
        spec.stable.clone_from(&then.stable);
        let whole: FullWeight = BTreeMap::from([(route.clone(), then.last_whole.clone())]);
        let change = Change::PutRoute {
            route: Box::new(spec),
        };
        Ok(RouteRollback {
            to: step.from,
            undid: step.made_by,
            state: with_whole(change.apply_to(&before)?.state, &whole),
            change,
            whole,
        })
    }

    /// The last step of a route that was not taken back, and what the route was before.
    fn last_step(&self, route: &RouteName) -> Option<(Step, Arc<crate::model::Hashed<RouteSpec>>)> {
        let decision = self.cell.decision();
        let index = self.revision_index();
        let step = last_step(&index, decision, route)?;
        let state = index.get(step.from)?.state.as_ref()?;
        let then = state.spec.route(route).cloned()?;
        Some((step, then))
    }

    /// What is not about the route among that which leaves the undo stack with a rollback of it: the next rollback of
    /// everything goes back to before it.
    pub(super) fn takes_along(&self, back: &RouteRollback, route: &RouteName) -> Vec<Revision> {
        let index = self.revision_index();
        let others = |revision: &Revision| {
            index.get(*revision).is_some_and(|kept| {
                let touched = &kept.touched;
                touched.structure
                    || !touched.releases.is_empty()
                    || touched.routes.iter().any(|other| other != route)
            })
        };
        let chain = self.cell.chain().into_iter();
        chain
            .take_while(|revision| *revision > back.to)
            .filter(others)
            .collect()
    }
}

/// Walks back from a decision to the step that gave a route the split that it has there.
fn last_step(index: &RevisionIndex, decision: Revision, route: &RouteName) -> Option<Step> {
    let spec = |revision| index.get(revision)?.state.as_ref()?.spec.route(route);
    let now = spec(decision)?;
    let same = |then: &RouteSpec| (&then.split, &then.stable) == (&now.split, &now.stable);
    // `at` is where the walk is, `seen` the decision by which that is live: a rollback shows an earlier one.
    let (mut at, mut seen) = (decision, decision);
    loop {
        let record = &index.get(at)?.record;
        let parent = index.decision(record.parent);
        let shown = match &record.cause {
            Cause::RollbackRoute {
                route: Some(other),
                to,
            } if other == route => Some(*to),
            Cause::Rollback { to } if record.undo_to != Some(parent) => Some(*to),
            _ => None,
        };
        if let Some(shown) = shown.filter(|shown| index.get(*shown).is_some()) {
            at = shown;
            continue;
        }
        // A rollback of another route left this one as it was; where that is not kept any more, the stack goes on.
        let aside = matches!(
            &record.cause,
            Cause::RollbackRoute { route: Some(other), .. } if other != route
        );
        let before = match index.get(parent) {
            Some(_) if aside => parent,
            _ => record.undo_to?,
        };
        if !same(spec(before)?) {
            return Some(Step {
                made_by: seen,
                from: before,
            });
        }
        (at, seen) = (before, before);
    }
}

fn unknown(state: &TableState, route: &RouteName) -> ChangeError {
    let routes = state.spec.routes().iter();
    ChangeError::UnknownRoute {
        name: route.to_string(),
        known: routes.map(|route| route.name.clone()).collect(),
    }
}
