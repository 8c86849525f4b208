//! The pause of a route: its requests wait until it is resumed.

use axum::{extract::State, response::Response};

use super::{
    body::OptionalBody,
    error::ApiError,
    params::{ChangeConditions, ChangeOptions, ChangeParams, PathParams},
    respond::answer,
    state::AdminState,
};
use crate::{
    api::{ChangeAnswer, MessageRequest, PauseRequest},
    model::{Change, PauseSpec, RouteName},
};

/// Pauses a route: further requests wait, up to a number and for a time, and what is in flight goes on.
///
/// On a paused route it sets the limits of the wait.
#[utoipa::path(post, path = "/v1/routes/{route}/pause", tag = "routes",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body(content = PauseRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn pause(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(request): OptionalBody<PauseRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    let usual = PauseSpec::default();
    let pause = Some(PauseSpec {
        max_wait: request.max_wait.unwrap_or(usual.max_wait),
        max_waiting: request.max_waiting.unwrap_or(usual.max_waiting),
    });
    let params = params.because(request.message)?;
    answer(&admin, params, Change::SetPause { route, pause }).await
}

/// Resumes a route: the requests that wait are served, by what the table says now.
#[utoipa::path(post, path = "/v1/routes/{route}/resume", tag = "routes",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn resume(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    let params = params.because(message)?;
    answer(&admin, params, Change::SetPause { route, pause: None }).await
}
