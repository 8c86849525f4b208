//! Endpoints of backups.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    body::Body, caller::Caller, error::ApiError, json_response::json, respond::run_detached,
    state::AdminState,
};
use crate::{
    api::{BackupRequest, BackupRun, BackupStatus},
    config::TokenRole,
    control::TakeBackupError,
    telemetry::ErrorChain,
};

/// Media type of a backup.
const OCTETS: &str = "application/octet-stream";

/// A backup of this moment: history, revision numbers, what is kept beside the history, and the configuration file.
///
/// One file with digests of all its content, without keys. It is for operators only, since the table of every revision
/// is in it.
#[utoipa::path(get, path = "/v1/backup", tag = "backups",
    responses((status = 200, description = "the file", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn take_backup(
    State(admin): State<AdminState>,
    caller: axum::Extension<Caller>,
) -> Result<Response, ApiError> {
    if caller.role != TokenRole::Operator {
        let refusal = ApiError::new(StatusCode::FORBIDDEN, "forbidden", "read-only token");
        let text = format!("the token `{}` may not take a backup", caller.name);
        return Err(refusal.detail(text));
    }
    taken(&admin, None).await
}

/// A backup of this moment with the key for session ids, which is encrypted with a passphrase.
#[utoipa::path(post, path = "/v1/backup", tag = "backups", request_body = BackupRequest,
    responses((status = 200, description = "the file", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn take_backup_with_keys(
    State(admin): State<AdminState>,
    Body(request): Body<BackupRequest>,
) -> Result<Response, ApiError> {
    taken(&admin, Some(request.passphrase)).await
}

/// Backups that the proxy makes in its folder.
#[utoipa::path(get, path = "/v1/backups", tag = "backups",
    responses((status = 200, description = "the settings and the last outcomes", body = BackupStatus)))]
pub(super) async fn read_backups(State(admin): State<AdminState>) -> Response {
    json(&admin.controller.backups())
}

/// Makes a backup in the folder of the proxy now, as it does by itself.
///
/// It has its name once it was read again, restored into a scratch folder, and every revision compared.
#[utoipa::path(post, path = "/v1/backups", tag = "backups",
    responses((status = 200, description = "the outcome", body = BackupRun)))]
pub(super) async fn make_backup(State(admin): State<AdminState>) -> Result<Response, ApiError> {
    let controller = Arc::clone(&admin.controller);
    let work = async move { controller.make_backup().await };
    let run = run_detached(work).await?.map_err(|error| untaken(&error))?;
    Ok(json(&run))
}

fn no_folder() -> ApiError {
    let title = "there is no folder for backups";
    let refusal = ApiError::new(StatusCode::CONFLICT, "no-backup-folder", title);
    refusal.hint("set `[backup] path` in the configuration file, and restart")
}

async fn taken(admin: &AdminState, passphrase: Option<String>) -> Result<Response, ApiError> {
    let controller = Arc::clone(&admin.controller);
    let work = async move { controller.back_up(passphrase).await };
    let bytes = run_detached(work).await?.map_err(|error| untaken(&error))?;
    let fields = [
        (header::CONTENT_TYPE, OCTETS),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"switchback.backup\"",
        ),
    ];
    Ok((StatusCode::OK, fields, bytes).into_response())
}

fn untaken(error: &TakeBackupError) -> ApiError {
    let text = ErrorChain(error).to_string();
    match error {
        TakeBackupError::NoFolder => no_folder(),
        TakeBackupError::Busy => {
            ApiError::overloaded(&text).hint("try again once that one is done; it takes seconds")
        }
        TakeBackupError::Keys(_) => ApiError::invalid(text),
        TakeBackupError::Unreadable { .. } => {
            tracing::error!(error = text, "no backup could be taken");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let refusal = ApiError::new(status, "history", "no backup can be taken");
            refusal.detail(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_backup_is_told_when_to_come_back() {
        let refusal = untaken(&TakeBackupError::Busy);
        let hint = refusal.document.hint.unwrap();
        assert!(hint.contains("try again"), "{hint}");
    }
}
