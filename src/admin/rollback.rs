//! Endpoints of rollbacks.

use axum::{extract::State, response::Response};

use super::{
    body::OptionalBody,
    error::ApiError,
    params::{ChangeConditions, ChangeOptions, ChangeParams, PathParams},
    respond::roll_back,
    return_options::{ReturnOptions, ReturnParams},
    state::AdminState,
};
use crate::{
    api::{ChangeAnswer, MessageRequest, RollbackRequest},
    control::RollbackTo,
    model::RouteName,
};

/// Restores what was live before.
///
/// Use it when a release fails after a promotion or switch; an abort only ends a trial.
///
/// Without a body, or with `{}`, it restores the previous revision, or the one before the whole group of the live one.
/// Rollback is a stack, not a toggle: two rollbacks go two revisions back. 409 if there is nothing to restore, or if a
/// restored release would have no healthy endpoint, unless `?force=true`; the response then names the nearest revision
/// that is ready.
///
/// With `?over=30s` the weights go back in up to ten parts, each a revision; the last part, with which whatever else
/// differs comes as well, is the rollback as it is without a time. `going_back` of the receipt and of the status shows the
/// latest part. The same without `over` gives back the rest at once, and so does a restart; a change of one of the routes
/// by others ends it there. 409 if one is under way, or if the revision in `to` is not on the undo stack. Not with `step`.
#[utoipa::path(post, path = "/v1/rollback", tag = "rollback", params(ReturnOptions, ChangeConditions),
    request_body(content = RollbackRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn rollback(
    State(admin): State<AdminState>,
    ReturnParams { params, over }: ReturnParams,
    OptionalBody(RollbackRequest { to, step, message }): OptionalBody<RollbackRequest>,
) -> Result<Response, ApiError> {
    if over.is_some() && step {
        let refusal = ApiError::invalid("one step is not spread over a time");
        return Err(refusal.hint("leave out `over` or `step`"));
    }
    let to = match (to, step) {
        (None, false) => over.map_or(RollbackTo::Previous, RollbackTo::PreviousOver),
        (None, true) => RollbackTo::Step,
        (Some(revision), false) => match over {
            Some(over) => RollbackTo::RevisionOver(revision, over),
            None => RollbackTo::Revision(revision),
        },
        (Some(_), true) => {
            return Err(
                ApiError::invalid("`to` and `step` are mutually exclusive").hint("keep one")
            );
        }
    };
    roll_back(&admin, params.because(message)?, to).await
}

/// Restores the previous split of one route, or the switch of its maintenance, and leaves everything else as it is.
#[utoipa::path(post, path = "/v1/routes/{route}/rollback", tag = "rollback",
    params(("route" = RouteName, Path, description = "the route"), ChangeOptions, ChangeConditions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn rollback_route(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    let route = admin.route(&name)?;
    roll_back(&admin, params.because(message)?, RollbackTo::Route(route)).await
}
