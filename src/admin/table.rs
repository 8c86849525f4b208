//! The whole table: read with its revision, and written only on that condition.

use axum::{extract::State, response::Response};

use super::{
    ask::{Ask, ChangeOptions, Condition, TableConditions, needs_revision},
    body::Body,
    change::answer,
    refusal::Refusal,
    router::AdminState,
};
use crate::{
    api::ChangeAnswer,
    model::{Change, TableDocument},
};

/// The live table.
///
/// `ETag` is its revision.
#[utoipa::path(get, path = "/v1/table", tag = "table",
    responses((status = 200, description = "the table", body = TableDocument,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_table(State(admin): State<AdminState>) -> Result<Response, Refusal> {
    Ok(admin.pages.table.get().await?.response())
}

/// Replaces the whole table.
///
/// It must name the revision that it is based on: whoever writes everything overwrites what others did meanwhile.
#[utoipa::path(put, path = "/v1/table", tag = "table", params(ChangeOptions, TableConditions),
    request_body = TableDocument,
    responses((status = 200, description = "what was done, or would be", body = ChangeAnswer)))]
pub(super) async fn put_table(
    State(admin): State<AdminState>,
    ask: Ask,
    Body(table): Body<TableDocument>,
) -> Result<Response, Refusal> {
    if matches!(ask.condition, Condition::Any | Condition::Existing) {
        return Err(needs_revision());
    }
    answer(&admin, ask, Change::Replace { table }).await
}
