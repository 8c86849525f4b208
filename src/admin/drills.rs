//! Endpoints of drills.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    body::Body, caller::Caller, error::ApiError, json_response::tagged, params::PathParams,
    problems::refused, respond::run_detached, state::AdminState, unknown_name::unknown,
};
use crate::{
    api::{Drill, DrillList, DrillRequest, message_error},
    control::DrillError,
};

/// All drills that run, and the last ones that have ended, the latest first.
#[utoipa::path(get, path = "/v1/drills", tag = "drills",
    responses((status = 200, description = "the drills", body = DrillList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_drills(State(admin): State<AdminState>) -> Response {
    let drills = admin.controller.drills();
    tagged(admin.controller.live().revision(), &DrillList { drills })
}

/// Rehearses the way back of a route.
///
/// A `mechanism` and a `smoke` drill have ended with the response; of a `live` and a `full` one the predecessor has its
/// requests by then. 409 if the drill is not possible on the route as it is now: a rollout or another drill runs there, or
/// there is no predecessor.
#[utoipa::path(post, path = "/v1/drills", tag = "drills", request_body = DrillRequest,
    responses((status = 201, description = "the drill", body = Drill)))]
pub(super) async fn start_drill(
    State(admin): State<AdminState>,
    caller: axum::Extension<Caller>,
    Body(request): Body<DrillRequest>,
) -> Result<Response, ApiError> {
    if let Some(mistake) = request.message.as_deref().and_then(message_error) {
        return Err(ApiError::invalid(mistake));
    }
    let controller = Arc::clone(&admin.controller);
    let author = caller.name.to_string();
    let work = async move { controller.start_drill(request, author).await };
    let drill = run_detached(work)
        .await?
        .map_err(|error| unmade(error, &admin))?;
    let place = HeaderValue::from_str(&["/v1/drills", &drill.id].join("/"));
    let mut response = tagged(admin.controller.live().revision(), &drill);
    *response.status_mut() = StatusCode::CREATED;
    let place = place.map_err(|_| ApiError::internal())?;
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response.into_response())
}

/// A drill by its id, or the latest one of a route.
#[utoipa::path(get, path = "/v1/drills/{drill}", tag = "drills",
    params(("drill" = String, Path, description = "its id, or the name of its route")),
    responses((status = 200, description = "the drill", body = Drill,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_drill(
    State(admin): State<AdminState>,
    PathParams(text): PathParams<String>,
) -> Result<Response, ApiError> {
    let drill = admin
        .controller
        .drill(&text)
        .map_err(|error| unmade(error, &admin))?;
    Ok(tagged(admin.controller.live().revision(), &drill))
}

/// The API error for an error of a drill.
fn unmade(error: DrillError, admin: &AdminState) -> ApiError {
    let text = error.to_string();
    let conflict = |hint: String| {
        let title = "the route does not allow the drill";
        let refusal = ApiError::new(StatusCode::CONFLICT, "drill-conflict", title);
        refusal.detail(text.clone()).hint(hint)
    };
    match error {
        DrillError::Control(error) => refused(error),
        DrillError::Rollout { id, .. } => conflict(format!(
            "a rollout has a way back of its own: `switchback rollout show {id}`"
        )),
        DrillError::GoesBack(_) => {
            conflict("wait until it is back; `switchback status` says how far it is".to_owned())
        }
        DrillError::Active { id, .. } => conflict(format!("`switchback drill show {id}` shows it")),
        DrillError::TooMany => conflict("wait until some have ended".to_owned()),
        DrillError::NoPredecessor { route, .. } => conflict(format!(
            "the mechanism can be rehearsed all the same: `switchback drill {route}`"
        )),
        DrillError::HasWeight { release, route } => conflict(format!(
            "`switchback drill {route} --level smoke` sends synthetic requests to `{release}`"
        )),
        DrillError::NotInSplit { release, route } => conflict(format!(
            "give it a place first: `switchback split {route} {release}=0`"
        )),
        DrillError::NoRequests(route) => conflict(format!(
            "give the route some: `drill = [{{ path = \"/\" }}]` under the route `{route}` of the configuration file"
        )),
        DrillError::Visible(_) => conflict(
            "`\"visible\": true` (`--visible`) permits that; `live` gives the predecessor a small share".to_owned(),
        ),
        DrillError::NoProxy => conflict("only the mechanism can be rehearsed".to_owned()),
        DrillError::Option(_) => ApiError::invalid(text),
        DrillError::Unknown(name) => {
            let known = admin.controller.drills();
            unknown("drill", &name, known.iter().map(|drill| drill.id.as_str()))
        }
    }
}
