//! Lifecycle of the process: start, serve, reload, drain, end.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::watch};

use super::{
    Options, ServerError, config_reload,
    control::{ControlPlane, open_controller},
    listeners::{self, OpenListener},
    logs::{LogFile, open_access_log},
    seal_keys,
    signals::{EndSignal, SignalEvent, Signals},
    synthetic::SyntheticEntrance,
    worker::{self, ConnectionBalancer, Phase, WorkerListener, WorkerSetup},
};
use crate::{
    admin::ReloadError,
    api::ReloadReport,
    config::{Config, Network},
    control::Controller,
    fleet::Fleet,
    net::ServerTls,
    proxy::{ProxySettings, Shared},
    table::LiveTable,
};

/// Threads of the control plane.
const CONTROL_THREADS: usize = 2;
/// Timeout for the history to write what is pending, at the end.
const CLOSE: Duration = Duration::from_secs(2);
/// Timeout for worker threads to end.
const JOIN: Duration = Duration::from_secs(1);

/// A running switchback in this process.
pub struct Running {
    config: Config,
    options: Options,
    runtime: Runtime,
    control: ControlPlane,
    shared: Arc<Shared>,
    tls: Vec<Arc<ServerTls>>,
    access_log: Option<LogFile>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    listeners: Vec<SocketAddr>,
}

/// Runs until a signal ends it.
///
/// # Errors
/// When it cannot start.
pub fn run(config: Config, options: Options) -> Result<(), ServerError> {
    start(config, options)?.until_signalled()
}

/// Starts everything; returns once every listener accepts connections.
///
/// # Errors
/// The first error of the start.
pub fn start(config: Config, options: Options) -> Result<Running, ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(ServerError::Thread)?;
    let workers = config.effective_workers();
    let (cell, fleet) = (
        Arc::new(LiveTable::new(workers)),
        Arc::new(Fleet::new(workers).with_halves_on(&config.calibrate.routes)),
    );
    let entered = runtime.enter();
    let controller = open_controller(&config, &options, &cell, &fleet)?;
    drop(entered);
    let controller = Arc::new(controller);
    let history = Arc::clone(&controller);
    let started = start_around(config, options, runtime, controller, (&cell, &fleet));
    started.inspect_err(|_| history.close(CLOSE))
}

/// Starts everything around an open history. On failure the history has to be closed: otherwise its reserved revision
/// numbers are lost, and the next start leaves a gap.
fn start_around(
    config: Config,
    options: Options,
    runtime: Runtime,
    controller: Arc<Controller>,
    (cell, fleet): (&Arc<LiveTable>, &Arc<Fleet>),
) -> Result<Running, ServerError> {
    let entered = runtime.enter();
    let workers = config.effective_workers();
    let limits = listeners::fit_descriptors(&config);
    let bound = listeners::bind_all(&config, limits.connections, workers)?;
    let opened = open_access_log(&config.access_log)?;
    let seal = seal_keys::load(&config.sessions, &config.history.path)?;
    let (spans, feed) = super::exporters::span_queue(&config).unzip();
    let settings = ProxySettings {
        spans,
        limits,
        seal: Some(Arc::clone(&seal)),
        ..ProxySettings::new(&config)
    };
    let shared = Shared::new(settings, Arc::clone(cell), workers, opened.log);
    let listeners = bound
        .iter()
        .map(|bound| (bound.address, Arc::clone(&bound.limits)))
        .collect();
    let control = ControlPlane::start(
        &config,
        controller,
        cell,
        fleet,
        listeners,
        (opened.guard, seal, feed),
    )?;
    runtime.block_on(config_reload::import_first(
        &control.controller,
        &config,
        &options,
    ))?;
    control.open();
    drop(entered);
    let (phase, _) = watch::channel(Phase::Serving);
    let listeners = bound.iter().map(|bound| bound.address).collect();
    let tls = bound.iter().filter_map(|bound| bound.tls.clone());
    let tls = tls.chain(control.tls.clone()).collect();
    let (threads, balance) =
        start_workers(bound, &config.trusted_proxies, workers, &shared, &phase)?;
    let entrance = Arc::new(SyntheticEntrance::new(balance));
    control.controller.set_synthetic_traffic(entrance);
    control.readiness.set_ready();
    Ok(Running {
        config,
        options,
        runtime,
        control,
        shared,
        tls,
        access_log: opened.file,
        phase,
        threads,
        listeners,
    })
}

fn start_workers(
    bound: Vec<OpenListener>,
    trusted: &[Network],
    workers: usize,
    shared: &Arc<Shared>,
    phase: &watch::Sender<Phase>,
) -> Result<(Vec<JoinHandle<()>>, Arc<ConnectionBalancer>), ServerError> {
    let limits: Vec<_> = bound
        .iter()
        .map(|bound| Arc::clone(&bound.limits))
        .collect();
    let (balance, handed) = ConnectionBalancer::new(workers, &limits);
    let mut sockets: Vec<Vec<WorkerListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (
        place,
        OpenListener {
            sockets: each,
            tls,
            spec,
            address,
            ..
        },
    ) in bound.into_iter().enumerate()
    {
        for (slot, socket) in each.into_iter().enumerate() {
            let (tls, limits) = (tls.clone(), balance.limits(slot, place));
            sockets[slot].push(WorkerListener {
                socket,
                limits,
                tls,
                preview: spec.preview,
                proxy_senders: spec.proxy_senders(trusted).map(<[_]>::to_vec),
                name: address.to_string(),
            });
        }
    }
    let seats = sockets
        .into_iter()
        .zip(handed)
        .enumerate()
        .map(|(slot, (listeners, handed))| WorkerSetup {
            slot,
            shared: Arc::clone(shared),
            listeners,
            phase: phase.subscribe(),
            balance: Arc::clone(&balance),
            handed,
        });
    let threads = seats.map(|setup| worker::start(setup).map_err(ServerError::Thread));
    let threads = threads.collect::<Result<_, _>>()?;
    Ok((threads, balance))
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

    /// Serves until SIGTERM or SIGINT; then it is not ready for a while, and lets work finish within the grace. A second
    /// signal ends it at once.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn until_signalled(mut self) -> Result<(), ServerError> {
        let runtime = self.runtime.handle().clone();
        let entered = runtime.enter();
        let mut signals = Signals::new().map_err(ServerError::Thread)?;
        // A signal may arrive as soon as readiness is announced.
        self.announce();
        let signal = runtime.block_on(async {
            loop {
                tokio::select! {
                    asked = signals.next() => match asked {
                        SignalEvent::End(signal) => break signal,
                        SignalEvent::Reload => drop(self.reload("SIGHUP").await),
                    },
                    Some(reply) = self.control.reloads.recv() => {
                        // A client that disconnected does not need the report; the log has it.
                        drop(reply.send(self.reload("reload").await));
                    }
                }
            }
        });
        self.refuse_reloads();
        runtime.block_on(async {
            tokio::select! {
                is_finished = self.wind_down(signal) => if is_finished {
                    tracing::info!("all requests have finished");
                } else {
                    tracing::warn!(requests = self.shared.requests(), "the grace period is over: open requests are aborted");
                },
                () = end(&mut signals) => tracing::warn!(requests = self.shared.requests(), "second signal: open requests are aborted"),
            }
        });
        drop(entered);
        self.stop();
        Ok(())
    }

    /// Ends the queue of reloads: whoever waits in it is refused, and so is every later one.
    fn refuse_reloads(&mut self) {
        self.control.reloads.close();
        while self.control.reloads.try_recv().is_ok() {}
    }

    /// Not ready, then drained; true if all work has finished within the grace.
    async fn wind_down(&self, signal: EndSignal) -> bool {
        let shutdown = &self.config.shutdown;
        let mut left = shutdown.effective_grace();
        if signal == EndSignal::Terminate {
            let span = shutdown.effective_not_ready_for();
            self.control.readiness.set_draining();
            if !span.is_zero() {
                tracing::info!(?span, "not ready; everything is served as before");
                tokio::time::sleep(span).await;
            }
            left = left.saturating_sub(span);
        }
        self.drain();
        tokio::select! {
            () = self.finished() => true,
            () = self.control.controller.end_work(shutdown, left) => false,
        }
    }

    /// Reloads the certificates and the configuration file.
    async fn reload(&self, by: &str) -> Result<ReloadReport, ReloadError> {
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

    /// Completes once every worker has ended, which they do when no connection is open.
    async fn finished(&self) {
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
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

async fn end(signals: &mut Signals) {
    while !matches!(signals.next().await, SignalEvent::End(_)) {}
}
