//! Options of requests about rollouts, in the query.

use serde::Deserialize;
use utoipa::IntoParams;

use super::switch::{switch, switch_schema};
use crate::model::HumanDuration;

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
    /// Give the requests back little by little in this time, `1s` to `1h`, the first part at once. For `abort` and
    /// `rollback`. The same command without it gives back the rest at once.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^(([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h)$"
    )]
    pub(super) over: Option<HumanDuration>,
}
