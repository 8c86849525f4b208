//! Everything that a dashboard needs.

use axum::{extract::State, response::Response};

use super::{refusal::Refusal, router::AdminState};
use crate::api::Status;

/// The state of things: what is decided, what is, and what a rollback would do.
#[utoipa::path(get, path = "/v1/status", tag = "status",
    responses((status = 200, description = "the state of things", body = Status,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn status(State(admin): State<AdminState>) -> Result<Response, Refusal> {
    Ok(admin.pages.status.get().await?.response())
}
