//! Signals: SIGHUP reloads files, SIGUSR2 starts a process that takes over, SIGTERM and SIGINT end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalEvent {
    /// End, once the work in flight is done.
    End(EndSignal),
    /// Reload the certificates and the configuration file.
    Reload,
    /// Start a process that takes over.
    Replace,
}

/// The signal that asks for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndSignal {
    /// SIGINT: from a terminal, where nothing watches the readiness.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// The registered signals.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    user2: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Registers the signals. Called within a runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Registers the signals before there is a runtime. One that comes before `next` is waited for is not lost: it is noted
    /// in a pipe of the process, which the first runtime reads.
    ///
    /// # Errors
    /// When they cannot be registered.
    pub fn early() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let _entered = runtime.enter();
        Self::new()
    }

    /// The next signal. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            _ = self.terminate.recv() => SignalEvent::End(EndSignal::Terminate),
            _ = self.interrupt.recv() => SignalEvent::End(EndSignal::Interrupt),
            _ = self.hangup.recv() => SignalEvent::Reload,
            _ = self.user2.recv() => SignalEvent::Replace,
        }
    }
}
