//! Several changes in one revision.

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    body::Body,
    error::ApiError,
    params::{ChangeConditions, ChangeOptions, ChangeParams},
    problems::refused,
    respond::answer,
    state::AdminState,
};
use crate::{
    api::{ChangeAnswer, ChangesRequest},
    control::ControlError,
    model::Problem,
};

/// Makes several changes in one revision, such as `{"changes": [{"route": "chat", "split": {"green": 25}}, {"route":
/// "tools", "switch": "green"}]}`.
///
/// Either all of them are made or none, and one rollback undoes them. `If-Match` refuses the batch if one of its routes
/// or releases has changed since. A refusal lists the problems of all changes, each with its place, such as
/// `changes[1]`.
#[utoipa::path(post, path = "/v1/changes", tag = "table", params(ChangeOptions, ChangeConditions),
    request_body = ChangesRequest,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn make_changes(
    State(admin): State<AdminState>,
    params: ChangeParams,
    Body(request): Body<ChangesRequest>,
) -> Result<Response, ApiError> {
    let (message, drop) = (request.message.clone(), request.drop);
    let batch = request.into_batch().map_err(not_changes)?;
    answer(&admin, params.because(message)?.dropping(drop), batch).await
}

/// The error for items that are no changes, whatever the table is.
fn not_changes(problems: Vec<Problem>) -> ApiError {
    let mut refusal = refused(ControlError::Invalid(problems));
    refusal.document.status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
    refusal
}
