//! Options of requests about rollouts, in the query.

use serde::Deserialize;
use utoipa::IntoParams;

use super::switch::{switch, switch_schema};

/// Options of a start of a rollout, in the query.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StartOptions {
    /// Return the effect without starting anything. `?dry_run` alone means `?dry_run=true`.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    pub(super) dry_run: bool,
}

/// Options of a command to a rollout, in the query.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CommandOptions {
    /// Take the release back although it does not allow that for its data. For `abort` and `rollback`.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    pub(super) force: bool,
}
