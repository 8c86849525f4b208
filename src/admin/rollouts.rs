//! Endpoints of rollouts.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    body::{Body, OptionalBody},
    caller::Caller,
    error::ApiError,
    json_response::tagged,
    params::{PathParams, QueryParams},
    problems::refused,
    respond::run_detached,
    return_options::spread_time,
    rollout_options::{CommandOptions, StartOptions},
    state::AdminState,
    unknown_name::unknown,
};
use crate::{
    api::{MessageRequest, Rollout, RolloutDryRun, RolloutList, RolloutRequest, message_error},
    control::{ControlError, RolloutError, RolloutOptions},
    model::{HumanDuration, PlanName},
    rollout::Command,
};

/// All rollouts that run, and the last ones that have ended, the latest first.
#[utoipa::path(get, path = "/v1/rollouts", tag = "rollouts",
    responses((status = 200, description = "the rollouts", body = RolloutList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_rollouts(State(admin): State<AdminState>) -> Response {
    let rollouts = admin.controller.rollouts();
    tagged(
        admin.controller.live().revision(),
        &RolloutList { rollouts },
    )
}

/// Starts a rollout: the release gets the requests of a route step by step, judged by the traffic itself.
///
/// With `routes` it is a train: `{"routes": ["chat", {"route": "tools", "to": "tools-2"}], "to": "green"}`. Each step, and
/// the way back, is one revision for all of them. The response comes when the first step is live. With `?dry_run=true`
/// nothing is started: the response is 200, with what each step would move. 409 if another rollout runs on one of the
/// routes, or the release has requests of it already.
#[utoipa::path(post, path = "/v1/rollouts", tag = "rollouts", request_body = RolloutRequest, params(StartOptions),
    responses((status = 201, description = "the rollout", body = Rollout),
        (status = 200, description = "the effect of a start, with `?dry_run=true`", body = RolloutDryRun)))]
pub(super) async fn start_rollout(
    State(admin): State<AdminState>,
    caller: axum::Extension<Caller>,
    QueryParams(options): QueryParams<StartOptions>,
    Body(request): Body<RolloutRequest>,
) -> Result<Response, ApiError> {
    checked(request.message.as_deref())?;
    let controller = Arc::clone(&admin.controller);
    let author = caller.name.to_string();
    if options.dry_run {
        let looked = move || controller.dry_run_rollout(&request, &author);
        let dry_run = admin.pages.look(looked).await?;
        let dry_run = dry_run.map_err(|error| unmade(error, &admin))?;
        return Ok(tagged(admin.controller.live().revision(), &dry_run));
    }
    let work = async move { controller.start_rollout(request, author).await };
    let rollout = run_detached(work)
        .await?
        .map_err(|error| unmade(error, &admin))?;
    let place = HeaderValue::from_str(&["/v1/rollouts", &rollout.id].join("/"));
    let mut response = tagged(admin.controller.live().revision(), &rollout);
    *response.status_mut() = StatusCode::CREATED;
    let place = place.map_err(|_| ApiError::internal())?;
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

/// A rollout by its id, or the latest one of a route.
#[utoipa::path(get, path = "/v1/rollouts/{rollout}", tag = "rollouts",
    params(("rollout" = String, Path, description = "its id, or the name of its route")),
    responses((status = 200, description = "the rollout", body = Rollout,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_rollout(
    State(admin): State<AdminState>,
    PathParams(text): PathParams<String>,
) -> Result<Response, ApiError> {
    let rollout = admin
        .controller
        .rollout(&text)
        .map_err(|error| unmade(error, &admin))?;
    Ok(tagged(admin.controller.live().revision(), &rollout))
}

/// Commands a rollout.
///
/// 409 if the command does not fit its state. With `?over=30s` an abort or a rollback gives the requests back in up to ten
/// parts, each a revision of the rollout's group; `going_back` shows the latest. A way back that cannot be gone now, since the earlier release has no healthy
/// endpoint, is tried again every second.
#[utoipa::path(post, path = "/v1/rollouts/{rollout}/{command}", tag = "rollouts",
    params(("rollout" = String, Path, description = "its id, or the name of its route"),
        ("command" = inline(Command), Path, description = "the command"), CommandOptions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the rollout", body = Rollout)))]
pub(super) async fn command_rollout(
    State(admin): State<AdminState>,
    PathParams((text, command)): PathParams<(String, Command)>,
    caller: axum::Extension<Caller>,
    QueryParams(options): QueryParams<CommandOptions>,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    checked(message.as_deref())?;
    if options.force && !command.is_return() {
        let refusal = ApiError::invalid("`force` has an effect on `abort` and `rollback` alone");
        return Err(refusal.hint("leave it out"));
    }
    let over = options.over.map(|over| spread(over, command)).transpose()?;
    let controller = Arc::clone(&admin.controller);
    let by = caller.name.to_string();
    let work = async move {
        let options = RolloutOptions {
            message: message.as_deref(),
            force: options.force,
            over,
        };
        controller
            .command_rollout(&text, command, &by, options)
            .await
    };
    let rollout = run_detached(work)
        .await?
        .map_err(|error| unmade(error, &admin))?;
    Ok(tagged(admin.controller.live().revision(), &rollout))
}

/// The time over which a way back is spread.
fn spread(over: HumanDuration, command: Command) -> Result<Duration, ApiError> {
    if !command.is_return() {
        let refusal = ApiError::invalid("`over` has an effect on `abort` and `rollback` alone");
        return Err(refusal.hint("leave it out"));
    }
    spread_time(over)
}

fn checked(message: Option<&str>) -> Result<(), ApiError> {
    match message.and_then(message_error) {
        Some(mistake) => Err(ApiError::invalid(mistake)),
        None => Ok(()),
    }
}

/// The API error for an error of a rollout.
fn unmade(error: RolloutError, admin: &AdminState) -> ApiError {
    let text = error.to_string();
    let conflict = |hint: String| {
        let title = "the rollout, or the route, does not allow it";
        let refusal = ApiError::new(StatusCode::CONFLICT, "rollout-conflict", title);
        refusal.detail(text.clone()).hint(hint)
    };
    match error {
        RolloutError::Control(error) => refused(error),
        RolloutError::Invalid(problems) => {
            let mut refusal = refused(ControlError::Invalid(problems));
            refusal.document.status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
            refusal
        }
        RolloutError::OnRoute { error, .. } => {
            let mut refusal = unmade(*error, admin);
            refusal.document.detail = Some(text);
            refusal
        }
        RolloutError::Drill { id, .. } => conflict(format!(
            "`switchback drill show {id}` shows it; `switchback rollback` ends it"
        )),
        RolloutError::DrillTooOld { route, .. } => {
            conflict(format!("rehearse the way back first: `switchback drill {route}`"))
        }
        RolloutError::Active { id, .. } => conflict(format!(
            "`switchback rollout show {id}` shows it, `switchback rollout abort {id}` ends it"
        )),
        RolloutError::HasWeight { route, .. } => conflict(format!(
            "a rollout begins at 0: `switchback abort {route}` gives everything to the stable release"
        )),
        RolloutError::NoStable(_) => conflict("name another release".to_owned()),
        RolloutError::Refused(refused) => conflict(refused.hint().to_owned()),
        RolloutError::Changed(_) => conflict(
            "it is left as it is; `switchback abort ROUTE` gives a route to its stable release, and a new rollout can be started".to_owned(),
        ),
        RolloutError::NotSaved => {
            let title = "the state of the rollout could not be written";
            let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-durable", title);
            refusal
                .detail(text)
                .hint("look at the disk of the history; the state is written again every second")
        }
        RolloutError::TooMany => conflict("wait until some have ended, or abort them".to_owned()),
        RolloutError::Unknown(name) => {
            let known = admin.controller.rollouts();
            unknown("rollout", &name, known.iter().map(|rollout| rollout.id.as_str()))
        }
        RolloutError::UnknownPlan { name, known } => {
            let refusal = unknown("plan", name.as_str(), known.iter().map(PlanName::as_str));
            if known.is_empty() {
                return refusal.hint("`[plans.NAME]` of the configuration adds one; without `plan` the default plan applies");
            }
            refusal
        }
    }
}
