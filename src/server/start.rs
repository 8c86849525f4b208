//! The start of the process: alone, on sockets of a supervisor, or by taking over from a running process.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::watch};

use super::{
    Options, ServerError, activation,
    certificates::Certificates,
    config_reload,
    control::{ControlPlane, open_controller},
    crew::{Crew, start_workers},
    fleet_keys::FleetKeys,
    fleet_tasks::FleetTasks,
    inherited::Inherited,
    lifecycle::Running,
    listeners::{self, OpenListener},
    logs::{LogFile, OpenedAccessLog, open_access_log},
    seal_keys,
    signals::Signals,
    supervisor::Supervisor,
    synthetic::SyntheticEntrance,
    takeover::{self, Asked, Entrance, Held, Predecessor, TakeoverError},
    worker::Phase,
};
use crate::{
    config::{Config, ResourceLimits},
    control::{Controller, Rehearsal},
    fleet::Fleet,
    model::{Problem, TableDocument},
    proxy::{ProxySettings, Shared},
    seal::KeyRing,
    table::LiveTable,
    telemetry::ErrorChain,
};

/// Threads of the control plane.
const CONTROL_THREADS: usize = 2;
/// Timeout for the history to write what is pending, if a start fails.
const CLOSE: Duration = Duration::from_secs(2);
/// Time for names and first checks before a takeover; later ones are waited for no longer.
const FIRST_CHECKS: Duration = Duration::from_secs(30);
/// Interval of looking at them.
const LOOK: Duration = Duration::from_millis(5);

/// The parts of a start that come before its history.
struct Ground {
    config: Config,
    options: Options,
    runtime: Runtime,
    cell: Arc<LiveTable>,
    fleet: Arc<Fleet>,
}

/// The parts of a start that need no history.
struct Bound {
    limits: ResourceLimits,
    certificates: Arc<Certificates>,
    listeners: Vec<OpenListener>,
    access_log: OpenedAccessLog,
    tasks: FleetTasks,
    inherited: Inherited,
}

/// All but the workers.
struct Prepared {
    shared: Arc<Shared>,
    control: ControlPlane,
    listeners: Vec<OpenListener>,
    access_log: Option<LogFile>,
}

/// All of a process that carries traffic, and takes no changes yet.
struct Begun {
    control: ControlPlane,
    shared: Arc<Shared>,
    access_log: Option<LogFile>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    held: Vec<Held>,
}

/// Runs until a signal ends it, or until another process has taken over.
///
/// # Errors
/// When it cannot start.
pub fn run(
    config: Config,
    options: Options,
    inherited: Inherited,
    signals: Signals,
) -> Result<(), ServerError> {
    let mut running = if options.takeover {
        take_over(config, options)?
    } else {
        start_on(config, options, inherited)?
    };
    running.signals = Some(signals);
    running.until_signalled()
}

/// Starts everything; returns once every listener accepts connections.
///
/// # Errors
/// The first error of the start.
pub fn start(config: Config, options: Options) -> Result<Running, ServerError> {
    start_on(config, options, Inherited::default())
}

fn start_on(
    config: Config,
    options: Options,
    inherited: Inherited,
) -> Result<Running, ServerError> {
    let ground = Ground::lay(config, options)?;
    let entered = ground.runtime.enter();
    let controller = ground.open_controller()?;
    let history = Arc::clone(&controller);
    let begun = ground.begin_alone(controller, inherited);
    // Otherwise the reserved revision numbers are lost, and the next start leaves a gap.
    let begun = begun.inspect_err(|_| history.close(CLOSE))?;
    drop(entered);
    let mut running = begun.running(ground);
    running
        .open_changes()
        .inspect_err(|_| history.close(CLOSE))?;
    Ok(running)
}

/// Starts in the place of a running process, which serves until all is done that may fail.
fn take_over(config: Config, options: Options) -> Result<Running, ServerError> {
    let begin = Instant::now();
    let Asked {
        predecessor,
        inherited,
        table,
        version,
    } = takeover::ask(&config.history.path)?;
    tracing::info!(process = predecessor.process(), %version, "taking over from a running process");
    let preparing = predecessor.preparing();
    let ground = Ground::lay(config, options)?;
    let entered = ground.runtime.enter();
    let bound = ground.bind(inherited)?;
    // Kept until the table of the history has the same releases.
    let rehearsal = ground.rehearse(table)?;
    drop(preparing);
    let prepared_ms = begin.elapsed().as_millis();
    let waited = predecessor.wait_for_history()?;
    let freed = Instant::now();
    let controller = ground.open_controller()?;
    let history = Arc::clone(&controller);
    let begun = ground.begin_after(&predecessor, bound, controller);
    // The running process takes the history back.
    let begun = begun.inspect_err(|_| history.close(CLOSE))?;
    drop(rehearsal);
    let predecessor = predecessor.watch(&ground.cell, &ground.fleet);
    if let Err(error) = ground.import(&begun.control) {
        // Nobody else serves any more.
        tracing::error!(error = %ErrorChain(&error), "the configuration file is not imported; the last live table is served");
    }
    drop(entered);
    let mut running = begun.running(ground);
    running.predecessor = Some(predecessor);
    running.open_changes()?;
    let waited_ms = (waited + freed.elapsed()).as_millis();
    tracing::info!(
        prepared_ms,
        waited_ms,
        "taken over; changes have waited for so long"
    );
    Ok(running)
}

impl Ground {
    fn lay(config: Config, options: Options) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(CONTROL_THREADS)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(ServerError::Thread)?;
        let workers = config.effective_workers();
        let fleet = Fleet::new(workers).with_halves_on(&config.calibrate.routes);
        Ok(Self {
            cell: Arc::new(LiveTable::new(workers)),
            fleet: Arc::new(fleet),
            config,
            options,
            runtime,
        })
    }

    fn open_controller(&self) -> Result<Arc<Controller>, ServerError> {
        let opened = open_controller(&self.config, &self.options, &self.cell, &self.fleet);
        opened.map(Arc::new)
    }

    /// Binds the listeners of traffic, and begins to look at the fleet.
    fn bind(&self, mut inherited: Inherited) -> Result<Bound, ServerError> {
        let config = &self.config;
        let limits = listeners::fit_descriptors(config);
        let workers = config.effective_workers();
        let certificates = Arc::new(Certificates::open(config)?);
        let listeners = listeners::bind_all(
            config,
            (limits.connections, workers),
            &certificates,
            &mut inherited,
        )?;
        let own = listeners.iter().map(|bound| bound.address).collect();
        Ok(Bound {
            limits,
            certificates,
            listeners,
            access_log: open_access_log(&config.access_log)?,
            tasks: FleetTasks::start(config, &self.fleet, own)?,
            inherited,
        })
    }

    /// Compiles the live table of a running process, and waits for its names and first checks.
    fn rehearse(&self, table: TableDocument) -> Result<Rehearsal, ServerError> {
        let unusable = |problems: Vec<Problem>| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            TakeoverError::Table(lines.join("; "))
        };
        let rehearsal = Rehearsal::begin(table, &self.fleet).map_err(unusable)?;
        let answered = async {
            while !rehearsal.is_answered() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let waiting = async { tokio::time::timeout(FIRST_CHECKS, answered).await };
        if self.runtime.block_on(waiting).is_err() {
            tracing::warn!(after = ?FIRST_CHECKS, "not all names are resolved and first checks answered; taking over all the same");
        }
        Ok(rehearsal)
    }

    fn begin_alone(
        &self,
        controller: Arc<Controller>,
        inherited: Inherited,
    ) -> Result<Begun, ServerError> {
        let prepared = self.prepare(self.bind(inherited)?, controller)?;
        activation::all_taken(prepared.control.unused())?;
        self.import(&prepared.control)?;
        self.begin(prepared)
    }

    /// Begins once the running process has agreed. Nothing that may fail comes after that.
    fn begin_after(
        &self,
        predecessor: &Predecessor,
        bound: Bound,
        controller: Arc<Controller>,
    ) -> Result<Begun, ServerError> {
        let prepared = self.prepare(bound, controller)?;
        for address in prepared.control.unused().left() {
            tracing::warn!(%address, "no listener of the configuration has this address of the running process: it is closed");
        }
        config_reload::check_first(&prepared.control.controller, &self.config, &self.options)?;
        predecessor.wait_for_commit()?;
        let mut begun = self.begin(prepared)?;
        predecessor.serve()?;
        begun.control.close_unused();
        Ok(begun)
    }

    fn prepare(&self, bound: Bound, controller: Arc<Controller>) -> Result<Prepared, ServerError> {
        let config = &self.config;
        let seal = seal_keys::load(&config.sessions, &config.history.path)?;
        let keys = self.shared_keys(&controller, &seal)?;
        let (spans, feed) = super::exporters::span_queue(config).unzip();
        let settings = ProxySettings {
            spans,
            limits: bound.limits,
            seal: Some(Arc::clone(&seal)),
            acme: bound.certificates.http(),
            ..ProxySettings::new(config)
        };
        let workers = config.effective_workers();
        let cell = Arc::clone(&self.cell);
        let shared = Shared::new(settings, cell, workers, bound.access_log.log.clone());
        let limits = bound
            .listeners
            .iter()
            .map(|bound| (bound.address, Arc::clone(&bound.limits)));
        let mut control = ControlPlane::start(
            config,
            controller,
            (&self.cell, &self.fleet),
            bound.tasks,
            limits.collect(),
            (bound.access_log.guard, seal, feed),
            bound.inherited,
        )?;
        control.keep_certificates(bound.certificates);
        control.follow_keys(keys);
        Ok(Prepared {
            shared,
            control,
            listeners: bound.listeners,
            access_log: bound.access_log.file,
        })
    }

    /// The keys of a fleet for a ring, if the configuration has none: taken before anything is sealed.
    fn shared_keys(
        &self,
        controller: &Controller,
        ring: &Arc<KeyRing>,
    ) -> Result<Option<FleetKeys>, ServerError> {
        let sessions = &self.config.sessions;
        let store = controller.shared_documents();
        let Some((_, store)) = store.filter(|_| sessions.keys.is_empty()) else {
            return Ok(None);
        };
        let folder = &self.config.history.path;
        let keys = FleetKeys::open(store, Arc::clone(ring), folder, sessions.max_age.0)?;
        if let Err(error) = self.runtime.block_on(keys.look()) {
            tracing::warn!(%error, "the keys for session ids of the fleet are not known yet; those that are here are used");
        }
        Ok(Some(keys))
    }

    fn import(&self, control: &ControlPlane) -> Result<(), ServerError> {
        let controller = &control.controller;
        let first = async {
            controller.follow_fleet_first().await;
            config_reload::import_first(controller, &self.config, &self.options).await
        };
        self.runtime.block_on(first)
    }

    /// Starts the workers, and all listeners but that of the admin API.
    fn begin(&self, prepared: Prepared) -> Result<Begun, ServerError> {
        let Prepared {
            shared,
            mut control,
            listeners,
            access_log,
        } = prepared;
        let (phase, _) = watch::channel(Phase::Serving);
        let workers = self.config.effective_workers();
        let trusted = &self.config.trusted_proxies;
        let Crew {
            threads,
            balance,
            held,
        } = start_workers(listeners, trusted, workers, &shared, &phase)?;
        let entrance = Arc::new(SyntheticEntrance::new(balance));
        control.controller.set_synthetic_traffic(entrance);
        control.readiness.set_ready();
        control.open_observers()?;
        control.order_certificates();
        Ok(Begun {
            control,
            shared,
            access_log,
            phase,
            threads,
            held,
        })
    }
}

impl Begun {
    fn running(self, ground: Ground) -> Running {
        let tls = self.held.iter().filter_map(|held| held.tls.clone());
        Running {
            tls: tls.chain(self.control.tls.clone()).collect(),
            listeners: self.held.iter().map(|held| held.sockets.address).collect(),
            supervisor: match ground.options.service {
                Some(_) => Supervisor::of_environment(),
                None => Supervisor::default(),
            },
            entrance: Entrance::default(),
            predecessor: None,
            signals: None,
            held: self.held,
            config: ground.config,
            options: ground.options,
            runtime: ground.runtime,
            fleet: ground.fleet,
            control: self.control,
            shared: self.shared,
            access_log: self.access_log,
            phase: self.phase,
            threads: self.threads,
        }
    }
}
