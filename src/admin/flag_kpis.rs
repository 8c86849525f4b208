//! Key figures by variant of a flag.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{
    error::ApiError,
    json_response::tagged,
    kpis::window,
    params::{PathParams, QueryParams},
    state::AdminState,
};
use crate::{
    api::{FlagKpiReport, MOST_POINTS},
    control::FlagKpiQuery,
    model::{FlagName, HumanDuration},
};

/// Selects key figures of a flag.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FlagKpiParams {
    /// Time that is summed up, such as `5m`: `1s` to `48h`, `1m` by default.
    #[param(
        required = false,
        nullable = false,
        value_type = String,
        pattern = "^([1-9][0-9]{0,4}s|[1-9][0-9]{0,2}m|([1-9]|[1-3][0-9]|4[0-8])h|[12]d)$"
    )]
    window: Option<HumanDuration>,
    /// Most points of each series, 1 to 300; no series by default.
    #[param(required = false, nullable = false, minimum = 1, maximum = 300)]
    points: Option<usize>,
}

/// Key figures of a flag by variant, each beside the default.
///
/// They are kept for flags with `kpis`, of the requests of routes that hand the flag to their endpoints.
#[utoipa::path(get, path = "/v1/flags/{flag}/kpis", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"), FlagKpiParams),
    responses((status = 200, description = "the key figures", body = FlagKpiReport,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_flag_kpis(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    QueryParams(params): QueryParams<FlagKpiParams>,
) -> Result<Response, ApiError> {
    let query = FlagKpiQuery {
        flag: admin.flag(&name)?,
        window_seconds: window(params.window)?,
        points: points(params.points)?,
    };
    let controller = Arc::clone(&admin.controller);
    let look = move || controller.flag_kpis(&query);
    match admin.pages.look(look).await? {
        Some(report) => Ok(tagged(report.revision, &report)),
        // It was removed meanwhile.
        None => Err(admin.flag(&name).err().unwrap_or_else(ApiError::internal)),
    }
}

fn points(points: Option<usize>) -> Result<Option<usize>, ApiError> {
    match points {
        Some(points) if !(1..=MOST_POINTS).contains(&points) => {
            let error = ApiError::malformed(format!("`points` is {points}"));
            Err(error.hint(format!("1 to {MOST_POINTS}")))
        }
        points => Ok(points),
    }
}
