//! The control plane: history, controller, discovery, health, the admin API, upkeep.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{Options, ServerError, exporters, flag_tokens, hooks, listeners};
use crate::{
    admin::{
        self, Access, AdminState, FeedbackState, ProbeState, Readiness, ReloadRequest,
        RunningSettings,
    },
    config::{Admin, Config, Observe},
    control::{Controller, Settings},
    discovery::{self, Resolver},
    fleet::Fleet,
    health::{self, Checks},
    history::History,
    net::{ConnectionLimits, ServerTls},
    ofrep::{self, OfrepState},
    seal::KeyRing,
    table::LiveTable,
    telemetry::{AccessLogGuard, Metrics, SpanFeed, names},
};

/// Interval of draining metric buffers, and of counting what the access log dropped.
const UPKEEP: Duration = Duration::from_secs(5);
/// Timeout for the exporters to send what they have, at the end; a collector that hangs makes the end this much longer.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// All running parts of the control plane.
pub(super) struct ControlPlane {
    pub(super) controller: Arc<Controller>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) admin: SocketAddr,
    pub(super) observe: Option<SocketAddr>,
    pub(super) feedback: Option<SocketAddr>,
    pub(super) ofrep: Option<SocketAddr>,
    /// TLS of the admin API.
    pub(super) tls: Option<Arc<ServerTls>>,
    // True once the admin API answers.
    opened: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    exporters: JoinSet<()>,
    pub(super) checks: Checks,
    /// Reload requests from the admin API.
    pub(super) reloads: mpsc::Receiver<ReloadRequest>,
}

/// Opens the history and restores its live table.
pub(super) fn open_controller(
    config: &Config,
    options: &Options,
    cell: &Arc<LiveTable>,
    fleet: &Arc<Fleet>,
) -> Result<Controller, ServerError> {
    let hooks = hooks::load(config).map_err(ServerError::Hooks)?;
    let prometheus = hooks::load_prometheus(config);
    let prometheus = prometheus.map_err(|problem| ServerError::Hooks(vec![problem]))?;
    let path = &config.history.path;
    let (history, loaded) = match options.writer_program.as_deref() {
        Some(program) => History::open_apart(path, program)?,
        None => History::open(path)?,
    };
    Controller::open(
        Settings {
            has_file: options.file.is_some(),
            file: options.file.clone(),
            ..Settings::new(config)
        },
        history,
        loaded,
        Arc::clone(cell),
        Arc::clone(fleet),
    )
    .map_err(ServerError::Control)
    .inspect(|controller| {
        controller.set_plans(config.plans.clone());
        controller.set_hooks(hooks);
        if let Some(prometheus) = prometheus {
            controller.set_prometheus(prometheus);
        }
    })
}

impl ControlPlane {
    /// Starts everything except the data plane. Called within the control runtime.
    pub(super) fn start(
        config: &Config,
        controller: Arc<Controller>,
        cell: &Arc<LiveTable>,
        fleet: &Arc<Fleet>,
        listeners: Vec<(SocketAddr, Arc<ConnectionLimits>)>,
        (access_log, seal, feed): (Option<AccessLogGuard>, Arc<KeyRing>, Option<SpanFeed>),
    ) -> Result<Self, ServerError> {
        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let checks = health::start(Arc::clone(fleet), config.health_checks.clone())
            .map_err(ServerError::Thread)?;
        let own = listeners
            .iter()
            .map(|(address, _)| *address)
            .collect::<Vec<_>>();
        let first = first_listener(config, &own);
        let resolver = Resolver::of_system(config.discovery.timeout.0)?;
        tasks.spawn(discovery::run(
            Arc::clone(fleet),
            resolver,
            config.discovery.clone(),
            own,
        ));
        let refresh = move || count_connections(&listeners);
        let metrics = Metrics::new(Arc::clone(cell), Arc::clone(fleet), refresh);
        let readiness = Arc::new(Readiness::default());
        let mut exporters = JoinSet::new();
        exporters::spawn(
            &mut exporters,
            config,
            &metrics,
            &controller,
            (&readiness, feed),
            &stop,
        )?;
        let tending = Arc::clone(&controller);
        tasks.spawn(async move { Box::pin(tending.run()).await });
        tasks.spawn(upkeep(metrics.clone(), access_log));
        let observed = ProbeState::new(move || metrics.render(), Arc::clone(&readiness));
        let (settings, reloads) = RunningSettings::new(config.settings_digests());
        let settings = settings.with_listener(first);
        let mut plane = Self {
            controller,
            readiness,
            admin: config.admin.address,
            observe: None,
            feedback: None,
            ofrep: None,
            tls: None,
            opened: watch::Sender::new(false),
            stop,
            tasks,
            exporters,
            checks,
            reloads,
        };
        plane.serve(config, observed, Arc::new(settings), Arc::clone(&seal))?;
        plane.serve_flags(config, cell, seal)?;
        Ok(plane)
    }

    fn serve(
        &mut self,
        config: &Config,
        observed: ProbeState,
        settings: Arc<RunningSettings>,
        seal: Arc<KeyRing>,
    ) -> Result<(), ServerError> {
        let tls = config.admin.tls.as_ref();
        let tls = tls.map(|tls| listeners::server_tls(config.admin.address, tls, false));
        self.tls = tls.transpose()?;
        let access = Access::load(&config.admin.tokens, config.admin.address)?;
        let (listener, address) = listen(config.admin.address, "admin.address")?;
        self.admin = address;
        let desk = FeedbackState::new(
            Arc::clone(&self.controller),
            Arc::clone(&seal),
            &config.feedback,
        );
        let state = AdminState::new(
            Arc::clone(&self.controller),
            observed,
            settings,
            desk.clone(),
            seal,
        );
        let router = admin::router(state.clone(), access, &config.admin, address);
        let served = admin::serve(
            listener,
            self.tls.clone(),
            router,
            stopped(self.stop.subscribe()),
        );
        let mut opened = self.opened.subscribe();
        self.tasks.spawn(async move {
            // Closed: the start has failed.
            if opened.wait_for(|is_open| *is_open).await.is_ok() {
                served.await;
            }
        });
        if let Some(address) = config.feedback.address {
            let (listener, address) = listen(address, "feedback.address")?;
            self.feedback = Some(address);
            let trusted = config.trusted_proxies.clone();
            let router = admin::feedback_router(desk, &config.feedback, trusted);
            self.tasks.spawn(admin::serve(
                listener,
                None,
                router,
                stopped(self.stop.subscribe()),
            ));
        }
        if let Some(observe) = &config.observe {
            self.serve_observers(observe, &config.admin, state)?;
        }
        Ok(())
    }

    fn serve_observers(
        &mut self,
        observe: &Observe,
        admin: &Admin,
        state: AdminState,
    ) -> Result<(), ServerError> {
        let (listener, address) = listen(observe.address, "observe.address")?;
        self.observe = Some(address);
        let router = if observe.dashboard {
            admin::observe_router_with_dashboard(state, admin, address)
        } else {
            admin::observe_router(state.probes())
        };
        self.tasks.spawn(admin::serve(
            listener,
            None,
            router,
            stopped(self.stop.subscribe()),
        ));
        Ok(())
    }

    /// Serves flags to applications, if there is an address for it.
    fn serve_flags(
        &mut self,
        config: &Config,
        table: &Arc<LiveTable>,
        seal: Arc<KeyRing>,
    ) -> Result<(), ServerError> {
        let Some(address) = config.ofrep.address else {
            return Ok(());
        };
        let access = flag_tokens::access(config).map_err(ServerError::FlagTokens)?;
        let (listener, address) = listen(address, "ofrep.address")?;
        self.ofrep = Some(address);
        let state = OfrepState::new(Arc::clone(table), access, seal, &config.ofrep);
        let router = ofrep::router(state, &config.ofrep, address);
        let stop = stopped(self.stop.subscribe());
        self.tasks.spawn(admin::serve(listener, None, router, stop));
        Ok(())
    }

    /// Lets the admin API answer: changes come after the import of the file, not amid it.
    pub(super) fn open(&self) {
        self.opened.send_replace(true);
    }

    /// Stops the admin API and everything else, and writes what the history still has to write, within a time limit.
    pub(super) async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        drop(self.checks);
        // Discovery and upkeep go on until they are dropped; the admin API has its own grace period of five seconds.
        tokio::join!(
            end(self.tasks, Duration::from_millis(200)),
            end(self.exporters, LAST_FLUSH),
        );
        let controller = self.controller;
        let closing = tokio::task::spawn_blocking(move || controller.close(patience));
        if tokio::time::timeout(patience + Duration::from_secs(1), closing)
            .await
            .is_err()
        {
            tracing::warn!(
                "timeout closing the history; the next start may restore an earlier revision"
            );
        }
    }
}

/// Updates the metrics of connections per listener, at the time of a scrape.
/// URL of the first listener, of those that a plain client can use if there are such.
fn first_listener(config: &Config, bound: &[SocketAddr]) -> Option<String> {
    let all = || config.listeners.iter().zip(bound);
    let plain = all().find(|(listener, _)| !listener.proxy_protocol);
    let (listener, bound) = plain.or_else(|| all().next())?;
    Some(listener.local_url(*bound))
}

fn count_connections(listeners: &[(SocketAddr, Arc<ConnectionLimits>)]) {
    for (address, limits) in listeners {
        #[expect(
            clippy::cast_precision_loss,
            reason = "connections are counted in thousands"
        )]
        let open = limits.open() as f64;
        metrics::gauge!(names::CONNECTIONS.0, "listener" => address.to_string()).set(open);
        let labels = [
            ("listener", address.to_string()),
            ("reason", "limit".into()),
        ];
        metrics::counter!(names::CONNECTIONS_REFUSED.0, &labels).absolute(limits.refused());
    }
}

fn listen(
    address: SocketAddr,
    key: &str,
) -> Result<(tokio::net::TcpListener, SocketAddr), ServerError> {
    let bound = listeners::bind_one(address, 1, key)?;
    let failed = |source| ServerError::Bind {
        address,
        key: key.to_owned(),
        source: crate::net::NetError::Bind { address, source },
    };
    let socket = bound
        .sockets
        .into_iter()
        .next()
        .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    Ok((
        tokio::net::TcpListener::from_std(socket).map_err(failed)?,
        bound.address,
    ))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender was dropped, which is a stop as well.
    let _stopped = stop.wait_for(|stop| *stop).await;
}

/// Waits for tasks until their time is over, and drops those that are left.
async fn end(mut tasks: JoinSet<()>, patience: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ended_or_not = tokio::time::timeout(patience, all).await;
    tasks.shutdown().await;
}

async fn upkeep(metrics: Metrics, access_log: Option<AccessLogGuard>) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.upkeep();
        if let Some(log) = &access_log {
            log.upkeep();
        }
    }
}
