//! Options of a rollback and an abort, in the query: those of any change, and a time over which it is spread.

use std::{ops::RangeInclusive, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    error::ApiError,
    params::{ChangeOptions, ChangeParams, QueryParams},
    switch::{switch, switch_schema},
};
use crate::{api::ChangeWait, model::HumanDuration};

/// Times over which a way back may be spread.
const SPREADS: RangeInclusive<HumanDuration> =
    HumanDuration::seconds(1)..=HumanDuration::seconds(3_600);

/// Options of a rollback of everything and of an abort, in the query.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReturnOptions {
    /// Return the effect without changing anything. `?dry_run` alone means `?dry_run=true`.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    dry_run: bool,
    /// Proceed although a release that gets a larger share has no healthy endpoint, or although a release that is left for
    /// an earlier one does not allow that for its data.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    force: bool,
    /// End at once what is in flight on releases that leave their route by this change, whatever `in_flight` says.
    #[param(required = false, schema_with = switch_schema)]
    #[serde(deserialize_with = "switch")]
    cut: bool,
    /// Wait after the change, for `timeout`: until every worker has taken it up (`converged`), until nothing is in flight
    /// any more on the releases that left a route by it (`drained`), or until every worker of every node of the fleet of
    /// proxies has taken it up (`fleet`).
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^(converged|drained|fleet)$"
    )]
    wait: Option<ChangeWait>,
    /// Longest wait after the change, such as `30s`, at most `60s`.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([0-9]{1,4}ms|[1-5]?[0-9]s|60s|1m)$"
    )]
    timeout: Option<HumanDuration>,
    /// Reason. A message in the body takes precedence.
    #[param(required = false, nullable = false, max_length = 256)]
    message: Option<String>,
    /// Group of the change, such as `deploy-7`. Consecutive changes of the same group are undone by one bare rollback.
    /// On a rollback it has no effect.
    #[param(required = false, nullable = false, pattern = "^[!-~]{1,64}$")]
    group: Option<String>,
    /// Give the requests back little by little in this time, `1s` to `1h`, the first part at once. The same without it
    /// gives back the rest at once. A dry run shows the end.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^(([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h)$"
    )]
    over: Option<HumanDuration>,
}

/// Parameters of a rollback or an abort.
pub(super) struct ReturnParams {
    pub(super) params: ChangeParams,
    /// Time over which it is spread.
    pub(super) over: Option<Duration>,
}

impl<S: Send + Sync> FromRequestParts<S> for ReturnParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let QueryParams(options) =
            QueryParams::<ReturnOptions>::from_request_parts(parts, state).await?;
        let over = options.over.map(spread_time).transpose()?;
        let options = ChangeOptions {
            dry_run: options.dry_run,
            force: options.force,
            cut: options.cut,
            wait: options.wait,
            timeout: options.timeout,
            message: options.message,
            group: options.group,
        };
        let params = ChangeParams::of(parts, options)?;
        Ok(Self { params, over })
    }
}

/// The time over which a way back is spread.
pub(super) fn spread_time(over: HumanDuration) -> Result<Duration, ApiError> {
    if SPREADS.contains(&over) {
        return Ok(over.0);
    }
    let refusal = ApiError::invalid(format!("`over` is {over}"));
    Err(refusal.hint("a way back is spread over `1s` to `1h`; without `over` it is gone at once"))
}
