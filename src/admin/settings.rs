//! The running static settings, and the API's equivalent of SIGHUP.
//!
//! The server reads the files. A request waits for the report, so that the caller sees a mistake in the file, and not
//! only the log.

use axum::{extract::State, http::StatusCode, response::Response};
use tokio::sync::oneshot;

use super::{
    body::NoBody, error::ApiError, import::undecided, json_response::json, problems::refused,
    reload_queue::ReloadError, state::AdminState,
};
use crate::api::{ReloadReport, SettingsReport};

/// Digests of the running static settings.
#[utoipa::path(get, path = "/v1/settings", tag = "status",
    responses((status = 200, description = "a digest for each key", body = SettingsReport)))]
pub(super) async fn read_settings(State(admin): State<AdminState>) -> Response {
    json(&SettingsReport {
        settings: admin.settings.digests.clone(),
    })
}

/// Reloads the configuration file and the certificates, as SIGHUP does.
///
/// The file's table is imported; static settings that differ are named and need a restart. A file with problems changes
/// nothing: 422. An entry that changed in the file and live is a conflict: 409, and nothing of the table is applied.
#[utoipa::path(post, path = "/v1/reload", tag = "table",
    responses((status = 200, description = "the report of the import", body = ReloadReport)))]
pub(super) async fn reload(
    State(admin): State<AdminState>,
    _: NoBody,
) -> Result<Response, ApiError> {
    let (reply, report) = oneshot::channel();
    admin.settings.reloads.try_send(reply).map_err(|_| busy())?;
    let report = report.await.map_err(|_| busy())?.map_err(not_reloaded)?;
    if !report.import.conflicts.is_empty() {
        return Err(undecided(report.import)
            .hint("choose a side with `switchback apply FILE --wins file` or `--wins live`, or edit the file"));
    }
    Ok(json(&report))
}

fn busy() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "too many pending reloads, or the process is shutting down",
    )
}

fn not_reloaded(error: ReloadError) -> ApiError {
    let text = error.to_string();
    match error {
        ReloadError::Control(error) => refused(error),
        ReloadError::File(_) => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-file",
            "the configuration file cannot be read or has problems",
        )
        .detail(text)
        .hint("nothing was changed; `switchback check FILE` shows the same"),
        ReloadError::NoFile => ApiError::new(
            StatusCode::CONFLICT,
            "no-file",
            "no configuration file to reload",
        )
        .detail(text)
        .hint("change the live table with `PUT /v1/table` or one of the other paths"),
    }
}
