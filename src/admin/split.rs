//! Changes of a route's split: weights, switch, promote and abort.

use axum::{extract::State, response::Response};

use super::{
    body::{Body, OptionalBody},
    error::ApiError,
    params::{ChangeConditions, ChangeOptions, ChangeParams, PathParams},
    respond::{answer, answer_over},
    return_options::{ReturnOptions, ReturnParams},
    state::AdminState,
};
use crate::{
    api::{
        ChangeAnswer, MessageRequest, PromoteRequest, SplitPatchRequest, SplitRequest,
        SwitchRequest,
    },
    model::{Change, RouteName},
};

/// Replaces all weights of a route.
///
/// At least one of them is not 0; a release that is left out is no longer in the split. Leaving out one that has a
/// weight now needs `"drop": true`: 409 otherwise.
#[utoipa::path(put, path = "/v1/routes/{route}/split", tag = "splits",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body = SplitRequest,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn put_split(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(request): Body<SplitRequest>,
) -> Result<Response, ApiError> {
    let SplitRequest {
        weights,
        drop,
        message,
    } = request;
    let route = admin.route(&name)?;
    answer(
        &admin,
        params.because(message)?.dropping(drop),
        Change::SetSplit { route, weights },
    )
    .await
}

/// Gives some releases of a route their share, in percent or as weights.
///
/// With `percent`, such as `{"percent": {"green": 5}}`, the releases that are not named share the rest in their current
/// proportion; with `weights` they keep their weights. 409 if the percents are impossible, or no release would have a
/// weight left.
#[utoipa::path(patch, path = "/v1/routes/{route}/split", tag = "splits",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body = SplitPatchRequest,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn patch_split(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(request): Body<SplitPatchRequest>,
) -> Result<Response, ApiError> {
    let SplitPatchRequest {
        percent,
        weights,
        message,
    } = request;
    let route = admin.route(&name)?;
    let change = match (percent.is_empty(), weights.is_empty()) {
        (false, true) => Change::SetPercents {
            route,
            percents: percent,
        },
        (true, false) => Change::PatchSplit { route, weights },
        (true, true) => {
            let nothing = ApiError::invalid("neither `percent` nor `weights` names a release");
            return Err(nothing.hint("such as `{\"percent\": {\"green\": 5}}`"));
        }
        (false, false) => {
            let both = ApiError::invalid("`percent` and `weights` are mutually exclusive");
            return Err(both.hint("keep one"));
        }
    };
    answer(&admin, params.because(message)?, change).await
}

/// Gives all requests to one release; the others stay in the split at 0.
#[utoipa::path(post, path = "/v1/routes/{route}/switch", tag = "splits",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body = SwitchRequest,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn switch(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(SwitchRequest { to, message }): Body<SwitchRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    answer(
        &admin,
        params.because(message)?,
        Change::Switch { route, to },
    )
    .await
}

/// Gives all requests to the canary, which becomes stable.
///
/// 409 if the canary is ambiguous; then name it with `to`.
#[utoipa::path(post, path = "/v1/routes/{route}/promote", tag = "splits",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body(content = PromoteRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn promote(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(PromoteRequest { to, message }): OptionalBody<PromoteRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    answer(
        &admin,
        params.because(message)?,
        Change::Promote { route, to },
    )
    .await
}

/// Gives all requests to the stable release.
///
/// 409 if there is no known stable release. Where it has all requests already, nothing changes, and `hint` says how to
/// undo a promotion.
///
/// With `?over=30s` it goes in up to ten parts, each a revision, all of one group; `going_back` of the receipt and of the
/// status shows the latest. The same without `over` gives the rest at once, and so does a restart; a change of the route
/// by others ends it there. 409 if one is under way.
#[utoipa::path(post, path = "/v1/routes/{route}/abort", tag = "splits",
    params(("route" = RouteName, Path, description = "the route"), ReturnOptions, ChangeConditions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn abort(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    ReturnParams { params, over }: ReturnParams,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    let params = params.without_health_wait()?.because(message)?;
    answer_over(&admin, params, Change::Abort { route }, over).await
}
