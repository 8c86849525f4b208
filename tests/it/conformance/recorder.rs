//! The bytes read from a socket, and its end: recorded as they come; waits are for conditions, never for time.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    time::timeout,
};

/// Timeout for anything that must happen; a machine under load is slow, not wrong.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By a FIN.
    Orderly,
    /// By a RST.
    Reset,
}

/// A recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: Option<End>,
}

/// A recording under way.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<watch::Sender<Recorded>>);

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Recorded::default())))
    }

    /// Records until the connection ends. Calls `each` after every read.
    pub(crate) async fn record(&self, mut socket: impl AsyncRead + Unpin) {
        while self.record_some(&mut socket).await {}
    }

    /// Records one read; true if there may be more.
    pub(crate) async fn record_some(&self, socket: &mut (impl AsyncRead + Unpin)) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match socket.read(&mut buffer).await {
            Ok(0) => self
                .0
                .send_modify(|recorded| recorded.end = Some(End::Orderly)),
            Err(_) => self
                .0
                .send_modify(|recorded| recorded.end = Some(End::Reset)),
            Ok(length) => {
                let bytes = &buffer[..length];
                self.0
                    .send_modify(|recorded| recorded.bytes.extend_from_slice(bytes));
            }
        }
        self.0.borrow().end.is_none()
    }

    /// Records the end of the connection.
    pub(crate) fn ended(&self, end: End) {
        self.0.send_modify(|recorded| recorded.end = Some(end));
    }

    /// The recording so far.
    pub(crate) fn now(&self) -> Recorded {
        self.0.borrow().clone()
    }

    /// Waits until the recording satisfies `done`.
    pub(crate) async fn until(
        &self,
        what: &str,
        done: impl FnMut(&Recorded) -> bool,
    ) -> Result<Recorded, String> {
        let mut receiver = self.0.subscribe();
        let waited = timeout(TIMEOUT, receiver.wait_for(done)).await;
        match waited {
            Ok(Ok(recorded)) => Ok(recorded.clone()),
            Ok(Err(_)) => Err(format!("{what}: the recording ended")),
            Err(_) => Err(format!("{what}: did not happen in {TIMEOUT:?}")),
        }
    }
}
