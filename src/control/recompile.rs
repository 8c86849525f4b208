//! Compiled forms of tables that were live before, beside the endpoints of now.

use std::net::SocketAddr;

use super::ControlError;
use crate::{
    fleet::{Fleet, Roster},
    model::{ChangeSet, EndpointSpec, TableSpec, TableState},
    table::{Draft, LiveTable, RoutingTable, UndoEntry, compile},
};

/// Compiles a level of the undo stack that is not warm any more.
pub(super) fn ensure_compiled(
    table: &LiveTable,
    fleet: &Fleet,
    live: &RoutingTable,
    level: &UndoEntry,
) -> Result<(), ControlError> {
    if level.compiled.is_some() {
        return Ok(());
    }
    let draft = compile_again(fleet, live, &level.spec)?;
    table.mark_warm(level.revision, draft.compiled());
    Ok(())
}

/// Compiles decisions that were live once, beside the facts of now.
pub(super) fn compile_again(
    fleet: &Fleet,
    live: &RoutingTable,
    spec: &TableSpec,
) -> Result<Draft, ControlError> {
    let state = with_rosters(spec, live);
    let touched = ChangeSet::between(&live.state(), &state);
    let draft = compile(state, &touched, Some(live.compiled()), fleet);
    let draft = draft.map_err(ControlError::Invalid)?;
    set_all_static(&draft);
    Ok(draft)
}

/// The state of a level as a rollback would make it live: its decisions, and the facts of now.
pub(super) fn with_rosters(spec: &TableSpec, live: &RoutingTable) -> TableState {
    TableState {
        spec: spec.clone(),
        rosters: live.state().rosters,
    }
}

/// Sets the endpoints of a roster if all of them are addresses, which need no look-up; `false` if not.
pub(super) fn set_static_endpoints(roster: &Roster, urls: &[EndpointSpec]) -> bool {
    let member = |endpoint: &EndpointSpec| {
        let url = endpoint.url();
        Some((endpoint.clone(), SocketAddr::new(url.ip()?, url.port())))
    };
    let members: Option<Vec<_>> = urls.iter().map(member).collect();
    let Some(members) = members else {
        return false;
    };
    roster.set(&members);
    true
}

fn set_all_static(draft: &Draft) {
    let state = draft.state();
    for (name, release) in draft.compiled().releases() {
        if !release.roster().resolved() {
            set_static_endpoints(release.roster(), state.endpoints(name));
        }
    }
}
