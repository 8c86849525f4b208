//! Calibration of the judge: rehearsals on the operator's own traffic.

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{
    error::ApiError, json_response::tagged, params::QueryParams, state::AdminState,
    unknown_name::unknown,
};
use crate::{api::CalibrationReport, model::RouteName};

/// Selects rehearsals.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CalibrationParams {
    /// One route of `[calibrate]`; all of them by default.
    #[param(required = false, nullable = false)]
    route: Option<String>,
}

/// Rehearsals of the judge with two halves of one release: the largest evidence of the last days, and the false alarms.
///
/// The routes are those of `[calibrate]` in the configuration file, by default none.
#[utoipa::path(get, path = "/v1/calibration", tag = "observe", params(CalibrationParams),
    responses((status = 200, description = "the rehearsals", body = CalibrationReport,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_calibration(
    State(admin): State<AdminState>,
    QueryParams(params): QueryParams<CalibrationParams>,
) -> Result<Response, ApiError> {
    let text = params.route.as_deref();
    let route = text.map(|text| {
        text.parse::<RouteName>()
            .map_err(|_| not_calibrated(&admin, text))
    });
    let route = route.transpose()?;
    let report = admin.controller.calibration(route.as_ref());
    let report = report.ok_or_else(|| not_calibrated(&admin, text.unwrap_or_default()))?;
    Ok(tagged(admin.controller.live().revision(), &report))
}

fn not_calibrated(admin: &AdminState, text: &str) -> ApiError {
    let known = admin.controller.calibrated_routes();
    let error = unknown(
        "calibrated-route",
        text,
        known.iter().map(RouteName::as_str),
    );
    if known.is_empty() {
        return error
            .hint("name the route in `calibrate.routes` of the configuration, and restart");
    }
    error
}
