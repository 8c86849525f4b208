//! Endpoints of the whole table: read with its revision, and written only on that condition.

use axum::{extract::State, response::Response};

use super::{
    body::Body,
    condition::Condition,
    error::{ApiError, needs_revision},
    params::{ChangeOptions, ChangeParams, TableConditions},
    respond::answer,
    state::AdminState,
};
use crate::{
    api::ChangeAnswer,
    model::{Change, TableDocument},
};

/// Live table.
///
/// `ETag` is its revision.
#[utoipa::path(get, path = "/v1/table", tag = "table",
    responses((status = 200, description = "the table", body = TableDocument,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_table(State(admin): State<AdminState>) -> Result<Response, ApiError> {
    Ok(admin.pages.table.get().await?.response())
}

/// Replaces the whole table.
///
/// The write must name its base revision: a whole-table write would otherwise overwrite concurrent changes.
#[utoipa::path(put, path = "/v1/table", tag = "table", params(ChangeOptions, TableConditions),
    request_body = TableDocument,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn put_table(
    State(admin): State<AdminState>,
    params: ChangeParams,
    Body(table): Body<TableDocument>,
) -> Result<Response, ApiError> {
    if matches!(params.condition, Condition::Any | Condition::Existing) {
        return Err(needs_revision());
    }
    answer(&admin, params, Change::Replace { table }).await
}
