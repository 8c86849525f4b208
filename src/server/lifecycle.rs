//! Lifecycle of the process once it has started: serve, reload, hand over, drain, end.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::watch};

use super::{
    Options, ServerError, config_reload,
    control::ControlPlane,
    inherited::Section,
    logs::LogFile,
    signals::{EndSignal, SignalEvent, Signals},
    supervisor::Supervisor,
    takeover::{Entrance, Estate, Held, Outcome, PredecessorEnd, Successor, hand_over},
    worker::{self, Phase},
};
use crate::{
    admin::ReloadError,
    api::ReloadReport,
    config::{Config, Shutdown},
    control::Controller,
    fleet::Fleet,
    net::ServerTls,
    proxy::Shared,
};

/// Timeout for the history to write what is pending, at the end.
const CLOSE: Duration = Duration::from_secs(2);
/// Timeout for worker threads to end.
const JOIN: Duration = Duration::from_secs(1);
/// Time for requests to the control plane that are being answered when a new process takes over.
const SERVICES: Duration = Duration::from_secs(5);

/// A running switchback in this process.
pub struct Running {
    pub(super) config: Config,
    pub(super) options: Options,
    pub(super) runtime: Runtime,
    pub(super) control: ControlPlane,
    pub(super) fleet: Arc<Fleet>,
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Vec<Arc<ServerTls>>,
    pub(super) access_log: Option<LogFile>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) listeners: Vec<SocketAddr>,
    /// Its sockets, until a new process can ask for them.
    pub(super) held: Vec<Held>,
    pub(super) entrance: Entrance,
    pub(super) supervisor: Supervisor,
    /// The process that it has taken over from, which finishes what it has in flight.
    pub(super) predecessor: Option<PredecessorEnd>,
    /// The signals, if they were registered before the start.
    pub(super) signals: Option<Signals>,
}

/// The end of serving.
enum End {
    /// A signal asks for it.
    Signalled(EndSignal),
    /// A new process serves.
    HandedOver(Successor),
}

impl Running {
    /// Addresses of the listeners, in the order of the configuration, with the actual ports.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// Address of the admin API.
    pub fn admin(&self) -> SocketAddr {
        self.control.admin
    }

    /// Address of the listener for feedback, if there is one.
    pub fn feedback(&self) -> Option<SocketAddr> {
        self.control.feedback
    }

    /// Address of the listener for flags, if there is one.
    pub fn ofrep(&self) -> Option<SocketAddr> {
        self.control.ofrep
    }

    /// The only writer.
    pub fn controller(&self) -> &Arc<Controller> {
        &self.control.controller
    }

    /// Takes changes: from the admin API, and from a process that takes over.
    pub(super) fn open_changes(&mut self) -> Result<(), ServerError> {
        let _entered = self.runtime.enter();
        self.control.open()?;
        let mut listeners = std::mem::take(&mut self.held);
        if self.options.service.is_none() {
            return Ok(());
        }
        let services = self
            .control
            .services
            .sockets()
            .map_err(ServerError::Thread)?;
        listeners.extend(services.into_iter().map(|sockets| {
            Held {
                tls: self
                    .control
                    .tls
                    .clone()
                    .filter(|_| sockets.section == Some(Section::Admin)),
                sockets,
            }
        }));
        let estate = Estate {
            listeners,
            controller: Arc::clone(&self.control.controller),
            folder: self.config.history.path.clone(),
        };
        match Entrance::open(estate) {
            Ok(entrance) => self.entrance = entrance,
            Err(error) => {
                tracing::warn!(%error, "no new process can take over: the socket for it cannot be opened");
            }
        }
        Ok(())
    }

    fn announce(&self) {
        for address in &self.listeners {
            tracing::info!(%address, kind = "proxy", "listening");
        }
        tracing::info!(address = %self.control.admin, kind = "admin", "listening");
        if let Some(address) = self.control.feedback {
            tracing::info!(%address, kind = "feedback", "listening");
        }
        if let Some(address) = self.control.ofrep {
            tracing::info!(%address, kind = "ofrep", "listening");
        }
        if let Some(address) = self.control.observe {
            tracing::info!(%address, kind = "observe", "listening");
        }
        let (revision, workers) = (
            self.control.controller.live().revision(),
            self.threads.len(),
        );
        tracing::info!(%revision, workers, version = env!("CARGO_PKG_VERSION"), "ready");
    }

    /// Serves until SIGTERM or SIGINT, or until a new process has taken over; then it lets work finish within the grace. A
    /// second signal ends it at once.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn until_signalled(mut self) -> Result<(), ServerError> {
        let runtime = self.runtime.handle().clone();
        let entered = runtime.enter();
        let early = self.signals.take().map_or_else(Signals::new, Ok);
        let mut signals = early.map_err(ServerError::Thread)?;
        // A signal may arrive as soon as readiness is announced.
        self.announce();
        self.supervisor.ready();
        runtime.spawn(self.supervisor.clone().keep_alive());
        let ended = runtime.block_on(self.serve(&mut signals));
        // A supervisor that ends the service sends its signal to the old process as well, which finishes all the same.
        let spared = usize::from(matches!(ended, End::HandedOver(_)));
        self.refuse_reloads();
        self.entrance.close();
        runtime.block_on(async {
            tokio::select! {
                is_finished = self.wind_down(ended) => if is_finished {
                    tracing::info!("all requests have finished");
                } else {
                    tracing::warn!(requests = self.shared.requests(), "the grace period is over: open requests are aborted");
                },
                () = end(&mut signals, spared) => tracing::warn!(requests = self.shared.requests(), "second signal: open requests are aborted"),
            }
        });
        drop(entered);
        self.stop();
        Ok(())
    }

    async fn serve(&mut self, signals: &mut Signals) -> End {
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    SignalEvent::End(signal) => return End::Signalled(signal),
                    SignalEvent::Reload => drop(self.reload("SIGHUP").await),
                    SignalEvent::Replace => if let Some(service) = &self.options.service {
                        self.entrance.launch(service);
                    } else {
                        tracing::warn!("SIGUSR2: only `serve` hands over");
                    },
                },
                Some(reply) = self.control.reloads.recv() => {
                    // A client that disconnected does not need the report; the log has it.
                    drop(reply.send(self.reload("reload").await));
                }
                prepared = self.entrance.next() => {
                    if let Outcome::HandedOver(successor) = hand_over(&mut self.control, prepared).await {
                        return End::HandedOver(successor);
                    }
                }
            }
        }
    }

    /// Ends the queue of reloads: whoever waits in it is refused, and so is every later one.
    fn refuse_reloads(&mut self) {
        self.control.reloads.close();
        while self.control.reloads.try_recv().is_ok() {}
    }

    /// Not ready, then drained; true if all work has finished within the grace.
    async fn wind_down(&mut self, ended: End) -> bool {
        let shutdown = self.config.shutdown.clone();
        let mut left = shutdown.effective_grace();
        match ended {
            End::HandedOver(successor) => self.leave(successor),
            End::Signalled(signal) => {
                self.supervisor.stopping();
                if signal == EndSignal::Terminate {
                    left = left.saturating_sub(self.be_unready(&shutdown).await);
                }
                self.drain();
            }
        }
        tokio::select! {
            () = self.finished() => true,
            () = self.control.controller.end_work(&shutdown, left) => false,
        }
    }

    /// Is not ready for a while, and serves everything as before. Returns the time.
    async fn be_unready(&self, shutdown: &Shutdown) -> Duration {
        let span = shutdown.effective_not_ready_for();
        self.control.readiness.set_draining();
        if !span.is_zero() {
            tracing::info!(?span, "not ready; everything is served as before");
            tokio::time::sleep(span).await;
        }
        span
    }

    /// Leaves the sockets to a new process, and finishes what is in flight. Called within the runtime.
    fn leave(&mut self, successor: Successor) {
        self.supervisor.main_process(successor.process());
        // A connection that waits in a queue is the new process's, which has the same sockets.
        self.phase.send_replace(Phase::Draining);
        self.shared.leave();
        successor.follow(&self.control.controller, &self.fleet);
        let services = std::mem::take(&mut self.control.services);
        tokio::spawn(services.end(SERVICES));
        self.control.leave_certificates();
        self.control.finish();
        tracing::info!(
            requests = self.shared.requests(),
            "a new process serves; what is in flight here goes on"
        );
    }

    /// Reloads the certificates and the configuration file.
    async fn reload(&self, by: &str) -> Result<ReloadReport, ReloadError> {
        self.supervisor.reloading();
        let certificates = self.reload_certificates();
        let access_log = self.reopen_access_log().await;
        let result = match &self.options.file {
            Some(path) => {
                let running = self.config.settings_digests();
                config_reload::reload(&self.control.controller, path, &running, by).await
            }
            None => Err(ReloadError::NoFile),
        };
        config_reload::log_reload(&result);
        self.supervisor.reloaded();
        result.map(|report| ReloadReport {
            certificates,
            access_log,
            ..report
        })
    }

    /// Reopens the access log, after log rotation; returns the error if that fails.
    async fn reopen_access_log(&self) -> Option<String> {
        match self.access_log.as_ref()?.reopen().await {
            Ok(()) => {
                tracing::info!("access log reopened");
                None
            }
            Err(error) => {
                tracing::error!(%error, "the access log could not be reopened; the previous file stays in use");
                Some(error.to_string())
            }
        }
    }

    /// Reloads all certificates; returns the errors.
    fn reload_certificates(&self) -> Vec<String> {
        self.shared.reload_upstream_tls();
        self.control.checks.reload_tls();
        self.control.certificates.try_again();
        let mut failed = Vec::new();
        for tls in &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!("certificates reloaded"),
                Err(error) => {
                    tracing::error!(%error, "certificates could not be reloaded; the previous ones stay in use");
                    failed.push(error.to_string());
                }
            }
        }
        failed
    }

    /// Stops accepting connections; open ones finish their work.
    pub fn drain(&self) {
        self.control.readiness.set_draining();
        self.phase.send_replace(Phase::Draining);
        self.shared.drain();
        tracing::info!(requests = self.shared.requests(), "draining");
    }

    /// Completes once every worker has ended, which they do when no connection is open, and so has the process before:
    /// the one after knows of it by this one alone.
    async fn finished(&self) {
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if let Some(mut predecessor) = self.predecessor.clone() {
            while predecessor.changed().await.is_ok() {}
        }
    }

    /// Ends now, without waiting for work in flight.
    pub fn stop(self) {
        let begin = Instant::now();
        self.phase.send_replace(Phase::Ending);
        if !worker::join(self.threads, JOIN) {
            tracing::warn!("a worker did not end in time");
        }
        self.runtime.block_on(self.control.stop(CLOSE));
        // A thread that hangs in a failing disk must not keep the process.
        self.runtime.shutdown_background();
        tracing::info!(took_ms = begin.elapsed().as_millis(), "ended");
    }
}

/// Waits for a signal that asks for the end, after so many.
async fn end(signals: &mut Signals, spared: usize) {
    let mut left = spared + 1;
    while left > 0 {
        left -= usize::from(matches!(signals.next().await, SignalEvent::End(_)));
    }
}
