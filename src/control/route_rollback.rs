//! The plan of a route's rollback: its previous split comes back, or the switch of its maintenance; everything else stays.
//!
//! Like any rollback it is live before it is durable, and it never leads forth again: what it took back leaves the undo
//! stack. The records say what the route was before, not the stack: a rollback of another route may have taken steps of
//! this one from it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ControlError,
    revision_log::RevisionLog,
    step::{Part, Step, last_step},
};
use crate::{
    fleet::Fleet,
    history::{FullWeight, with_whole},
    model::{Change, ChangeError, ChangeSet, Hashed, Revision, RouteName, RouteSpec, TableState},
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
    if spec.is_in_maintenance() != then.is_in_maintenance() {
        spec.maintenance.clone_from(&then.maintenance);
    }
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
    let step = last_step(&index, decision, Part::Route(route))?;
    let state = index.get(step.from)?.state.as_ref()?;
    let then = state.spec.route(route).cloned()?;
    Some((step, then))
}

fn unknown(state: &TableState, route: &RouteName) -> ChangeError {
    let routes = state.spec.routes().iter();
    ChangeError::UnknownRoute {
        name: route.to_string(),
        known: routes.map(|route| route.name.clone()).collect(),
    }
}
