//! The pause of a route, and its end.

use super::{
    Applied, ChangeError,
    routes::{find, put_route},
};
use crate::model::{PauseSpec, RouteName, RouteSpec, TableState};

/// Pauses a route, or resumes it.
pub(super) fn set_pause(
    state: &TableState,
    route: &RouteName,
    pause: Option<&PauseSpec>,
) -> Result<Applied, ChangeError> {
    let mut spec: RouteSpec = (***find(state, route)?).clone();
    spec.pause = pause.cloned();
    Ok(put_route(state, &spec))
}
