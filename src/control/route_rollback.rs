//! The plan of a route's rollback: its previous split comes back, everything else stays.
//!
//! Like any rollback it is live before it is durable, and it never leads forth again: what it took back leaves the undo
//! stack. The records say what the route was before, not the stack: a rollback of another route may have taken steps of
//! this one from it.

use std::{collections::BTreeMap, sync::Arc};

use super::{ControlError, revision_index::RevisionIndex, revision_log::RevisionLog};
use crate::{
    fleet::Fleet,
    history::{FullWeight, with_whole},
    model::{
        Cause, Change, ChangeError, ChangeSet, Hashed, Revision, RouteName, RouteSpec, TableState,
    },
    table::{Draft, LiveTable, RoutingTable, compile},
};

/// A change to one route that takes its last step back.
pub(super) struct RouteRollback {
    /// The revision whose split comes back.
    pub(super) to: Revision,
    /// The revision that had changed it.
    pub(super) undone: Revision,
    pub(super) state: TableState,
    pub(super) change: Change,
    pub(super) whole: FullWeight,
}

/// A step of one route: the revision that made it, and the one before.
struct Step {
    made_by: Revision,
    from: Revision,
}

/// Plans the rollback of a route: the table with its previous split, and all else as it is live.
pub(super) fn plan_route_rollback(
    table: &LiveTable,
    log: &RevisionLog,
    live: &RoutingTable,
    route: &RouteName,
) -> Result<RouteRollback, ControlError> {
    let before = live.state();
    let now = before
        .spec
        .route(route)
        .ok_or_else(|| unknown(&before, route))?;
    let (step, then) = previous(table, log, route).ok_or(ControlError::NothingToUndo)?;
    let mut spec = (***now).clone();
    spec.split.clone_from(&then.split);
    spec.stable.clone_from(&then.stable);
    let whole: FullWeight = BTreeMap::from([(route.clone(), then.last_whole.clone())]);
    let change = Change::PutRoute {
        route: Box::new(spec),
    };
    Ok(RouteRollback {
        to: step.from,
        undone: step.made_by,
        state: with_whole(change.apply_to(&before)?.state, &whole),
        change,
        whole,
    })
}

/// Compiles a table of which one route has changed.
pub(super) fn compile_route(
    fleet: &Fleet,
    live: &RoutingTable,
    route: &RouteName,
    state: TableState,
) -> Result<Draft, ControlError> {
    let touched = ChangeSet {
        routes: [route.clone()].into(),
        ..ChangeSet::default()
    };
    compile(state, &touched, Some(live.compiled()), fleet).map_err(ControlError::Invalid)
}

/// The last step of a route that was not taken back, and the route before it.
fn previous(
    table: &LiveTable,
    log: &RevisionLog,
    route: &RouteName,
) -> Option<(Step, Arc<Hashed<RouteSpec>>)> {
    let decision = table.decision();
    let index = log.index();
    let step = last_step(&index, decision, route)?;
    let state = index.get(step.from)?.state.as_ref()?;
    let then = state.spec.route(route).cloned()?;
    Some((step, then))
}

/// The revisions about more than the route that leave the undo stack with its rollback: the next rollback of everything
/// goes back to before them.
pub(super) fn taken_along(
    table: &LiveTable,
    log: &RevisionLog,
    back: &RouteRollback,
    route: &RouteName,
) -> Vec<Revision> {
    let index = log.index();
    let is_about_more = |revision: &Revision| {
        index.get(*revision).is_some_and(|kept| {
            let touched = &kept.touched;
            touched.structure
                || !touched.releases.is_empty()
                || touched.routes.iter().any(|other| other != route)
        })
    };
    let chain = table.chain().into_iter();
    chain
        .take_while(|revision| *revision > back.to)
        .filter(is_about_more)
        .collect()
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
