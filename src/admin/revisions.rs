//! Revisions: list, detail and difference.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    error::ApiError,
    json_response::json,
    params::{Page, PathParams, QueryParams},
    problems::refused,
    state::AdminState,
};
use crate::{
    api::{RevisionDetail, RevisionDiff, RevisionPage},
    model::Revision,
};

/// Default page size.
const PAGE: usize = 50;

/// Largest revision number; the controller allocates none above it.
const LARGEST: u64 = 1_000_000_000_000_000_000;

/// Revisions that are kept, latest first.
#[utoipa::path(get, path = "/v1/revisions", tag = "history", params(Page),
    responses((status = 200, description = "a page of revisions", body = RevisionPage)))]
pub(super) async fn list_revisions(
    State(admin): State<AdminState>,
    QueryParams(Page { before, limit }): QueryParams<Page>,
) -> Result<Response, ApiError> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=1000).contains(&limit) {
        return Err(ApiError::malformed("`limit` is 1 to 1000"));
    }
    if before.is_some_and(|before| before > LARGEST) {
        return Err(ApiError::malformed(format!(
            "`before` is at most {LARGEST}"
        )));
    }
    let controller = Arc::clone(&admin.controller);
    let look = move || controller.revisions(before.map(Revision), limit);
    Ok(json(&admin.pages.look(look).await?))
}

/// One revision, with its change and its whole table.
#[utoipa::path(get, path = "/v1/revisions/{n}", tag = "history",
    params(("n" = u64, Path, description = "its number", maximum = 1_000_000_000_000_000_000_u64)),
    responses((status = 200, description = "the revision", body = RevisionDetail)))]
pub(super) async fn read_revision(
    State(admin): State<AdminState>,
    PathParams(n): PathParams<String>,
) -> Result<Response, ApiError> {
    let (number, controller) = (number(&n)?, Arc::clone(&admin.controller));
    let look = move || Ok(json(&controller.revision(number)?));
    admin.pages.look(look).await?.map_err(refused)
}

/// Differences between two revisions.
#[utoipa::path(get, path = "/v1/revisions/{a}/diff/{b}", tag = "history",
    params(
        ("a" = u64, Path, description = "the earlier side", maximum = 1_000_000_000_000_000_000_u64),
        ("b" = u64, Path, description = "the later side", maximum = 1_000_000_000_000_000_000_u64)),
    responses((status = 200, description = "the differences", body = RevisionDiff)))]
pub(super) async fn diff_revisions(
    State(admin): State<AdminState>,
    PathParams((a, b)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let (from, to) = (number(&a)?, number(&b)?);
    let controller = Arc::clone(&admin.controller);
    let look = move || {
        let diff = controller.diff(from, to)?;
        Ok(json(&RevisionDiff { from, to, diff }))
    };
    admin.pages.look(look).await?.map_err(refused)
}

pub(super) fn number(text: &str) -> Result<Revision, ApiError> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    number.map(Revision).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown-revision",
            "unknown revision",
        )
        .detail(format!("`{shown}` is not a revision number"))
    })
}
