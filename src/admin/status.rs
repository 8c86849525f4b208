//! Everything that a dashboard needs.

use axum::{extract::State, response::Response};

use super::{change::tagged, router::AdminState};
use crate::api::Status;

/// The state of things: what is decided, what is, and what a rollback would do.
#[utoipa::path(get, path = "/v1/status", tag = "status",
    responses((status = 200, description = "the state of things", body = Status,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn status(State(admin): State<AdminState>) -> Response {
    let status = admin.controller.status();
    tagged(status.revision, &status)
}
