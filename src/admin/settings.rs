//! The static settings that run, and a reload of the files: the API's form of SIGHUP.
//!
//! The server reads the files; a request waits for its report, so that a mistake in the file reaches whoever asked and
//! not the log alone.

use axum::{extract::State, http::StatusCode, response::Response};
use tokio::sync::{mpsc, oneshot};

use super::{
    body::NoBody, error::ApiError, import::undecided, problems::refused, respond::json,
    router::AdminState,
};
use crate::{
    api::{ReloadReport, SettingsReport},
    config::SettingsDigests,
    control::ControlError,
};

/// Reloads that may wait. Each reads whole files, and one that waits sees what the next would see.
const WAITING: usize = 4;

/// A request to read the files again, and the place for its report.
pub type ReloadRequest = oneshot::Sender<Result<ReloadReport, ReloadError>>;

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The table cannot be taken over.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The file cannot be read or has problems: the text names each with its line.
    #[error("{0}")]
    File(String),
    /// The process was started without a configuration file, as a demo is.
    #[error("this process was started without a configuration file")]
    NoFile,
}

/// The static settings of this process, and the queue to the one who can read the files again.
#[derive(Debug)]
pub struct RunningSettings {
    digests: SettingsDigests,
    reloads: mpsc::Sender<ReloadRequest>,
}

impl RunningSettings {
    /// The settings that run, and the requests for a reload, for the one who answers them.
    pub fn new(digests: SettingsDigests) -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (reloads, requests) = mpsc::channel(WAITING);
        (Self { digests, reloads }, requests)
    }
}

/// Digests of the static settings that run.
#[utoipa::path(get, path = "/v1/settings", tag = "status",
    responses((status = 200, description = "a digest for each key", body = SettingsReport)))]
pub(super) async fn read_settings(State(admin): State<AdminState>) -> Response {
    json(&SettingsReport {
        settings: admin.settings.digests.clone(),
    })
}

/// Reads the configuration file and the certificates again, as SIGHUP does.
///
/// The file's table is taken over as by an import; static settings that differ are named and need a restart. A file with
/// problems changes nothing: 422. An entry that changed in the file and live is a conflict: 409, and nothing of the
/// table is applied.
#[utoipa::path(post, path = "/v1/reload", tag = "table",
    responses((status = 200, description = "what was taken over", body = ReloadReport)))]
pub(super) async fn reload(
    State(admin): State<AdminState>,
    _: NoBody,
) -> Result<Response, ApiError> {
    let (reply, report) = oneshot::channel();
    admin.settings.reloads.try_send(reply).map_err(|_| busy())?;
    let report = report.await.map_err(|_| busy())?.map_err(not_reloaded)?;
    if !report.import.conflicts.is_empty() {
        return Err(undecided(report.import)
            .hint("say which side wins with `switchback apply FILE --wins file` or `--wins live`, or edit the file"));
    }
    Ok(json(&report))
}

fn busy() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "other reloads wait, or the process ends",
    )
}

fn not_reloaded(error: ReloadError) -> ApiError {
    let text = error.to_string();
    match error {
        ReloadError::Control(error) => refused(error),
        ReloadError::File(_) => ApiError::invalid(text)
            .hint("nothing was changed; `switchback check FILE` shows the same"),
        ReloadError::NoFile => ApiError::new(
            StatusCode::CONFLICT,
            "no-file",
            "there is no file to read again",
        )
        .detail(text)
        .hint("change the live table with `PUT /v1/table` or one of the other paths"),
    }
}
