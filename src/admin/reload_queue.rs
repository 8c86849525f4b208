//! Queue of reload requests, between the admin API and the task that reads the files.

use tokio::sync::{mpsc, oneshot};

use crate::{api::ReloadReport, config::SettingsDigests, control::ControlError};

/// Most reloads in the queue. Each reads whole files, so a queued one sees what a further one would see.
const WAITING: usize = 4;

/// A reload request: the sender for its report.
pub type ReloadRequest = oneshot::Sender<Result<ReloadReport, ReloadError>>;

/// Error of a reload that changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The table cannot be imported.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The file cannot be read or has problems: the text names each with its line.
    #[error("{0}")]
    File(String),
    /// The process was started without a configuration file, as a demo is.
    #[error("this process was started without a configuration file")]
    NoFile,
}

/// The static settings of this process, and the queue to the server, which can reload the files.
#[derive(Debug)]
pub struct RunningSettings {
    /// Digests of the static settings.
    pub(super) digests: SettingsDigests,
    /// URL of the first listener for clients.
    pub(super) listener: Option<String>,
    /// Queue of reload requests.
    pub(super) reloads: mpsc::Sender<ReloadRequest>,
}

impl RunningSettings {
    /// Creates the settings, and the receiver of reload requests for the server.
    pub fn new(digests: SettingsDigests) -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (reloads, requests) = mpsc::channel(WAITING);
        let settings = Self {
            digests,
            listener: None,
            reloads,
        };
        (settings, requests)
    }

    /// The same for a process whose first listener for clients has this URL.
    #[must_use]
    pub fn with_listener(self, url: Option<String>) -> Self {
        Self {
            listener: url,
            ..self
        }
    }
}
