//! What the operating system asks for: SIGHUP reads files again, SIGTERM and SIGINT end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalEvent {
    /// End, once what is in work is done.
    End,
    /// Read certificates and the configuration file again.
    Reload,
}

/// The signals that are listened to.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to listen. Within a runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next signal. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            _ = self.terminate.recv() => SignalEvent::End,
            _ = self.interrupt.recv() => SignalEvent::End,
            _ = self.hangup.recv() => SignalEvent::Reload,
        }
    }
}
