//! The control plane: history, controller, discovery, health, the admin API, upkeep.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use super::{
    Options, ServerError,
    certificates::Certificates,
    exporters, flag_tokens, fleet_entry,
    fleet_keys::FleetKeys,
    fleet_tasks::FleetTasks,
    hooks,
    inherited::{Inherited, ListenerSockets, Section},
    listeners,
    services::Services,
};
use crate::{
    admin::{
        self, Access, AdminState, FeedbackState, ProbeState, Readiness, ReloadRequest,
        RunningSettings, Service,
    },
    config::{Admin, Config, Observe},
    control::{Controller, Settings},
    fleet::Fleet,
    health::Checks,
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
    /// The certificates that an authority issues for listeners.
    pub(super) certificates: Arc<Certificates>,
    /// Their orders.
    orders: JoinSet<()>,
    /// TLS of the admin API.
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) services: Services,
    // The controller's loops.
    tending: AbortHandle,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    exporters: JoinSet<()>,
    pub(super) checks: Checks,
    /// Sockets that were bound for this process.
    inherited: Inherited,
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
    .and_then(|controller| {
        fleet_entry::join(config, &controller)?;
        Ok(controller)
    })
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
        (cell, fleet): (&Arc<LiveTable>, &Arc<Fleet>),
        FleetTasks { checks, tasks }: FleetTasks,
        listeners: Vec<(SocketAddr, Arc<ConnectionLimits>)>,
        (access_log, seal, feed): (Option<AccessLogGuard>, Arc<KeyRing>, Option<SpanFeed>),
        inherited: Inherited,
    ) -> Result<Self, ServerError> {
        let (stop, _) = watch::channel(false);
        let mut tasks = tasks;
        let bound: Vec<_> = listeners.iter().map(|(address, _)| *address).collect();
        let first = first_listener(config, &bound);
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
        let tending = tasks.spawn(async move { Box::pin(tending.run()).await });
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
            certificates: Arc::default(),
            orders: JoinSet::new(),
            tls: None,
            services: Services::default(),
            tending,
            stop,
            tasks,
            exporters,
            checks,
            inherited,
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
        let access = Access::load(&config.admin.tokens, config.admin.address)?;
        let held = self.bind(Section::Admin, config.admin.address, "admin.address")?;
        let tls = config.admin.tls.as_ref();
        let tls = tls.map(|tls| listeners::server_tls(&held, tls, None, false));
        self.tls = tls.transpose()?;
        self.admin = held.address;
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
        let router = admin::router(state.clone(), access, &config.admin, held.address);
        let service = Service::new(socket_of(&held)?, self.tls.clone(), router);
        // It answers once the file is imported.
        self.services.add(service, held, Section::Admin);
        if let Some(address) = config.feedback.address {
            let held = self.bind(Section::Feedback, address, "feedback.address")?;
            self.feedback = Some(held.address);
            let trusted = config.trusted_proxies.clone();
            let router = admin::feedback_router(desk, &config.feedback, trusted);
            let service = Service::new(socket_of(&held)?, None, router);
            self.services.add(service, held, Section::Feedback);
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
        let held = self.bind(Section::Observe, observe.address, "observe.address")?;
        self.observe = Some(held.address);
        let router = if observe.dashboard {
            admin::observe_router_with_dashboard(state, admin, held.address)
        } else {
            admin::observe_router(state.probes())
        };
        let service = Service::new(socket_of(&held)?, None, router);
        self.services.add(service, held, Section::Observe);
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
        let held = self.bind(Section::Ofrep, address, "ofrep.address")?;
        self.ofrep = Some(held.address);
        let state = OfrepState::new(Arc::clone(table), access, seal, &config.ofrep);
        let router = ofrep::router(state, &config.ofrep, held.address);
        let service = Service::new(socket_of(&held)?, None, router);
        self.services.add(service, held, Section::Ofrep);
        Ok(())
    }

    fn bind(
        &mut self,
        section: Section,
        address: SocketAddr,
        key: &str,
    ) -> Result<ListenerSockets, ServerError> {
        listeners::open(section, address, 1, key, &mut self.inherited)
    }

    /// The sockets that were bound for this process and that no listener has.
    pub(super) fn unused(&self) -> &Inherited {
        &self.inherited
    }

    /// Closes those sockets: what waits in their queues is reset, and their addresses are free.
    pub(super) fn close_unused(&mut self) {
        self.inherited = Inherited::default();
    }

    /// Lets all answer but the admin API.
    pub(super) fn open_observers(&mut self) -> Result<(), ServerError> {
        for section in [Section::Observe, Section::Feedback, Section::Ofrep] {
            let opened = self.services.open(section);
            opened.map_err(ServerError::Thread)?;
        }
        Ok(())
    }

    /// Lets the admin API answer: changes come after the import of the file, not amid it.
    pub(super) fn open(&mut self) -> Result<(), ServerError> {
        let opened = self.services.open(Section::Admin);
        opened.map_err(|source| listeners::unbound(self.admin, "admin.address", source))
    }

    /// Shows these certificates in the status, and orders them once it is told to.
    pub(super) fn keep_certificates(&mut self, certificates: Arc<Certificates>) {
        self.controller
            .set_certificates(Arc::clone(&certificates) as _);
        self.certificates = certificates;
    }

    /// Orders certificates from now on. Called within the control runtime.
    pub(super) fn order_certificates(&mut self) {
        self.orders = self.certificates.run(&self.controller);
    }

    /// Follows the keys of a fleet from now on. Called within the control runtime.
    pub(super) fn follow_keys(&mut self, keys: Option<FleetKeys>) {
        if let Some(keys) = keys {
            self.tasks.spawn(keys.run());
        }
    }

    /// Orders none any more, and leaves their folders to another process.
    pub(super) fn leave_certificates(&mut self) {
        self.orders.abort_all();
    }

    /// Stops the controller's loops: from then on nothing but a request changes what is live.
    pub(super) fn hold_still(&self) {
        self.tending.abort();
    }

    /// Starts the controller's loops again.
    pub(super) fn go_on(&mut self) {
        let controller = Arc::clone(&self.controller);
        self.tending = self
            .tasks
            .spawn(async move { Box::pin(controller.run()).await });
    }

    /// Tends only to what is in flight, once another process has the history.
    pub(super) fn finish(&mut self) {
        let controller = Arc::clone(&self.controller);
        self.tending = self
            .tasks
            .spawn(async move { controller.run_to_the_end().await });
    }

    /// Stops the admin API and everything else, and writes what the history still has to write, within a time limit.
    pub(super) async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        drop(self.checks);
        // Discovery and upkeep go on until they are dropped; the admin API has its own grace period of five seconds.
        tokio::join!(
            self.services.end(Duration::from_millis(200)),
            end(self.tasks, Duration::from_millis(200)),
            end(self.exporters, LAST_FLUSH),
        );
        let controller = self.controller;
        controller.leave_fleet().await;
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

/// The socket of a listener that has one.
fn socket_of(held: &ListenerSockets) -> Result<std::net::TcpListener, ServerError> {
    let socket = held.sockets.first().map(std::net::TcpListener::try_clone);
    socket
        .unwrap_or_else(|| Err(std::io::ErrorKind::NotFound.into()))
        .map_err(|source| listeners::unbound(held.address, "address", source))
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
