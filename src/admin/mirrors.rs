//! The mirror of a route, and its figures.

use axum::{extract::State, response::Response};

use super::{error::ApiError, json_response::tagged, params::PathParams, state::AdminState};
use crate::{api::MirrorReport, model::RouteName};

/// The mirror of a route, and how the copies compare with their originals.
///
/// The figures are counts since the start of the process. They are in no statistics of the route or the release, and no
/// evidence of a rollout.
#[utoipa::path(get, path = "/v1/routes/{route}/mirror", tag = "routes",
    params(("route" = RouteName, Path, description = "the route")),
    responses((status = 200, description = "the mirror and its figures", body = MirrorReport,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_mirror(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    // The route may have gone since.
    let report = admin.controller.mirror(&route);
    let report = report.ok_or_else(ApiError::internal)?;
    Ok(tagged(report.revision, &report))
}
