//! Effects of revisions: key figures before and after.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{
    error::ApiError, json_response::json, params::PathParams, problems::refused, revisions::number,
    state::AdminState,
};
use crate::api::RevisionEffect;

/// Effect of a revision: the key figures of the five minutes before it and after it, for each route and release.
///
/// Each time ends at another revision of the route, if there is one. The second of the revision itself is in neither.
#[utoipa::path(get, path = "/v1/revisions/{n}/effect", tag = "history",
    params(("n" = u64, Path, description = "its number", maximum = 1_000_000_000_000_000_000_u64)),
    responses((status = 200, description = "its effect", body = RevisionEffect)))]
pub(super) async fn read_effect(
    State(admin): State<AdminState>,
    PathParams(n): PathParams<String>,
) -> Result<Response, ApiError> {
    let (number, controller) = (number(&n)?, Arc::clone(&admin.controller));
    let look = move || Ok(json(&controller.effect(number)?));
    admin.pages.look(look).await?.map_err(refused)
}
