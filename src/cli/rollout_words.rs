//! Rollouts in words.

use super::options::plain_name;
use crate::api::{Rollout, RolloutPause, RolloutState};

/// The id of a rollout, or the name of a route.
pub(super) fn rollout_name(text: &str) -> Result<String, String> {
    plain_name(
        text,
        "neither the id of a rollout nor the name of a route; `switchback rollout list` shows both",
    )
}

/// The state, with the reason of a pause.
pub(super) fn state(state: RolloutState, paused_for: Option<RolloutPause>) -> String {
    let state = state.as_str();
    match paused_for {
        Some(reason) => format!("{state} ({})", reason.as_str()),
        None => state.to_owned(),
    }
}

/// The routes with their releases.
pub(super) fn moves(rollout: &Rollout) -> String {
    let routes = rollout.routes.iter();
    let moves = routes.map(|one| format!("{}: {} → {}", one.route, one.from, one.to));
    moves.collect::<Vec<_>>().join(", ")
}
