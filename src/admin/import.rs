//! Import of an edited configuration file's table.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    body::Body,
    error::ApiError,
    idempotency::keep,
    json_response::tagged,
    params::{ChangeConditions, ImportOptions, ImportParams},
    problems::refused,
    respond::run_detached,
    state::AdminState,
};
use crate::{
    api::ImportReport,
    model::{Actor, Author, TableDocument},
};

/// Imports the table of an edited configuration file.
///
/// Three sides are compared, entry by entry: the file as last imported, the live table and the file as it is now. What
/// changed only in the file is applied, as one revision; what changed only live is kept; what changed on both sides is
/// a conflict: 409 with the list, unless `wins` selects a side.
#[utoipa::path(post, path = "/v1/import", tag = "table", params(ImportOptions, ChangeConditions),
    request_body = TableDocument,
    responses((status = 200, description = "the entries applied and kept", body = ImportReport)))]
pub(super) async fn import(
    State(admin): State<AdminState>,
    ImportParams { mut params, wins }: ImportParams,
    Body(table): Body<TableDocument>,
) -> Result<Response, ApiError> {
    let expected = params.condition.expected()?;
    let author = Author {
        actor: Actor::File,
        ..params.author()
    };
    let controller = Arc::clone(&admin.controller);
    let report = if params.dry_run {
        let looked = move || controller.dry_run_import(&table, wins, expected, params.force);
        admin.pages.look(looked).await?
    } else {
        let (consent, _changing) = (params.consent(), params.changing());
        let key_guard = params.take_key_guard();
        run_detached(async move {
            let report = controller
                .import(table, wins, author, expected, consent)
                .await?;
            if is_decided(&report) {
                let is_recorded = report.receipt.is_some();
                keep(key_guard.as_deref(), &report, report.revision, is_recorded).await?;
            }
            Ok(report)
        })
        .await?
    };
    let report = report.map_err(refused)?;
    if !is_decided(&report) {
        return Err(undecided(report));
    }
    Ok(tagged(report.revision, &report))
}

fn is_decided(report: &ImportReport) -> bool {
    report.wins.is_some() || report.conflicts.is_empty()
}

pub(super) fn undecided(report: ImportReport) -> ApiError {
    let entries = match report.conflicts.len() {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    };
    let mut refusal = ApiError::new(
        StatusCode::CONFLICT,
        "import-conflict",
        "the file and the live table both changed",
    )
    .detail(format!(
        "{entries} changed in the file and live; nothing was applied"
    ))
    .hint("choose a side with `?wins=file` or `?wins=live`, or edit the file");
    refusal.document.revision = Some(report.revision);
    refusal.document.conflicts = report.conflicts;
    refusal
}
