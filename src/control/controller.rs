//! The controller: its parts, its start, its upkeep and its end.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use super::{
    ControlError,
    backup_registry::BackupRegistry,
    calibration_registry::Calibration,
    certificate_desk::CertificateDesk,
    convergence::{Convergence, converge},
    cuts,
    drift::DriftCache,
    drill_registry::DrillRegistry,
    event_hub::EventHub,
    feedback_desk::FeedbackDesk,
    figure_board::FigureBoard,
    health_gate::HealthGate,
    hook_queue::HookQueue,
    idempotency::{IdempotencyStore, KeyGuard},
    kpi_board::KpiBoard,
    metrics,
    offer_board::Offers,
    quarantine::Quarantine,
    readiness::ReadinessCheck,
    receipt::Receipts,
    reconcile::Reconciler,
    restore::restore,
    revision_log::RevisionLog,
    rollout_cells::Cells,
    rollout_registry::RolloutRegistry,
    route_index::RouteIndexCache,
    settings::Settings,
    shared::SharedTable,
    spread_registry::SpreadRegistry,
    swap::{AppliedSwap, SwapEffects},
    verification_registry::VerificationRegistry,
};
use crate::{
    api::Drift,
    fleet::Fleet,
    history::{History, HistoryError, Loaded, StoredResponse},
    hooks::Prometheus,
    model::{Digest, RevisionRecord},
    table::{LiveTable, RoutingTable},
};

/// Interval of the upkeep: drained and cooled releases, late effects, gauges.
const UPKEEP: Duration = Duration::from_secs(1);

/// The one writer of the live table.
#[derive(Debug)]
pub struct Controller {
    pub(super) settings: Settings,
    pub(super) table: Arc<LiveTable>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) log: Arc<RevisionLog>,
    pub(super) reconciler: Arc<Reconciler>,
    pub(super) effects: SwapEffects,
    pub(super) idempotency: Arc<IdempotencyStore>,
    // Publishes queue here while one is being written. A rollback never does.
    pub(super) publishing: tokio::sync::Mutex<()>,
    pub(super) drift: DriftCache,
    pub(super) route_index: RouteIndexCache,
    pub(super) rollouts: RolloutRegistry,
    pub(super) spreads: SpreadRegistry,
    pub(super) quarantine: Quarantine,
    pub(super) hooks: HookQueue,
    pub(super) prometheus: OnceLock<Arc<Prometheus>>,
    pub(super) drills: DrillRegistry,
    pub(super) verifications: Arc<VerificationRegistry>,
    pub(super) feedback: FeedbackDesk,
    pub(super) kpis: KpiBoard,
    pub(super) backups: BackupRegistry,
    pub(super) events: Arc<EventHub>,
    pub(super) calibration: Calibration,
    pub(super) certificates: CertificateDesk,
    pub(super) shared: SharedTable,
    pub(super) offers: Offers,
    pub(super) figures: Arc<FigureBoard>,
}

impl Controller {
    /// Takes over an open history: its last revision is live when this returns. Before any worker runs.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] when the last revision does not compile any more, which only a later version's table
    /// can do.
    pub fn open(
        settings: Settings,
        history: History,
        mut loaded: Loaded,
        table: Arc<LiveTable>,
        fleet: Arc<Fleet>,
    ) -> Result<Self, ControlError> {
        let answers = std::mem::take(&mut loaded.answers);
        let log = Arc::new(RevisionLog::new(history, loaded));
        if let Err(error) = restore(&log, &table, &fleet) {
            // The revision numbers that were reserved for this run are given back.
            log.history.close(Duration::from_secs(2));
            return Err(error);
        }
        let controller = Self::assemble(settings, log, table, fleet, answers);
        controller.reconciler.reconcile();
        controller.effects.set_gauges();
        Ok(controller)
    }

    fn assemble(
        settings: Settings,
        log: Arc<RevisionLog>,
        table: Arc<LiveTable>,
        fleet: Arc<Fleet>,
        answers: Vec<(String, StoredResponse)>,
    ) -> Self {
        let reconciler = Reconciler::new(&settings, Arc::clone(&table), Arc::clone(&fleet));
        let reconciler = Arc::new(reconciler);
        let beside = log.history.beside();
        let rollouts = RolloutRegistry::open(&beside, |record, track| {
            let releases = (&track.to, &track.from);
            let cells = Cells::of(&fleet, &track.route, releases);
            cells.judge(record.machine.plan(), false, record.tracks.len())
        });
        let events = Arc::<EventHub>::default();
        let quarantine = Quarantine::open(&beside, &events);
        let drills = DrillRegistry::open(&beside);
        let verifications = VerificationRegistry::open(&beside, settings.verification);
        verifications.note_interrupted(live_record(&log, &table).as_deref());
        let verifications = Arc::new(verifications);
        let calibration = Calibration::open(&beside, !settings.calibrate.routes.is_empty());
        let durable_within = settings.durable_within;
        let backups = BackupRegistry::new(settings.backups.clone(), beside.apart());
        let idempotency = IdempotencyStore::new(answers, Arc::clone(&log), durable_within);
        Self {
            effects: SwapEffects {
                table: Arc::clone(&table),
                fleet: Arc::clone(&fleet),
                log: Arc::clone(&log),
                reconciler: Arc::clone(&reconciler),
                verifications: Arc::clone(&verifications),
                events: Arc::clone(&events),
                keep: settings.keep,
                pending: Mutex::default(),
            },
            settings,
            table,
            fleet,
            log,
            reconciler,
            idempotency: Arc::new(idempotency),
            publishing: tokio::sync::Mutex::new(()),
            drift: DriftCache::default(),
            route_index: RouteIndexCache::default(),
            rollouts,
            spreads: SpreadRegistry::default(),
            quarantine,
            hooks: HookQueue::default(),
            prometheus: OnceLock::new(),
            drills,
            verifications,
            feedback: FeedbackDesk::default(),
            kpis: KpiBoard::default(),
            backups,
            events,
            calibration,
            certificates: CertificateDesk::default(),
            shared: SharedTable::default(),
            offers: Offers::default(),
            figures: Arc::default(),
        }
    }

    /// Keeps warm and draining releases, statistics and gauges up to date, and ends work that has to end, for as long as
    /// it is polled. Cancelling it loses nothing.
    pub async fn run(&self) {
        tokio::join!(
            self.upkeep(),
            cuts::run(&self.table, &self.fleet),
            Box::pin(self.run_rollouts()),
            Box::pin(self.run_spreads()),
            self.run_hooks(),
            Box::pin(self.run_drills()),
            self.run_verifications(),
            self.run_kpis(),
            Box::pin(self.run_calibration()),
            self.run_events(),
            Box::pin(self.run_backups()),
            Box::pin(self.run_fleet()),
            Box::pin(self.run_offers()),
            Box::pin(self.run_shared_work()),
            Box::pin(self.run_figures())
        );
    }

    async fn upkeep(&self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.effects.run();
            self.reconciler.reconcile();
            self.reconciler.drop_statistics();
            self.verifications
                .sample(&self.fleet, &self.table.load().state());
            self.effects.set_gauges();
            // It looks at every entry of the table, so no change waits for it.
            metrics::set_drift(self.current_drift().drifted);
            metrics::set_quarantined(self.quarantine.all().len());
            self.idempotency.retry().await;
        }
    }

    /// The live table.
    pub fn live(&self) -> Arc<RoutingTable> {
        self.table.load()
    }

    /// Waits until no other request is in progress under an idempotency key.
    ///
    /// # Errors
    /// When the one in progress is another request.
    pub async fn lock_key(&self, key: &str, request: Digest) -> Result<KeyGuard, ControlError> {
        IdempotencyStore::lock_key(&self.idempotency, key, request).await
    }

    /// Writes what is pending, within a limit, and releases the history. Blocks: to be called off the runtime, last.
    pub fn close(&self, timeout: Duration) {
        self.log.history.close(timeout);
    }

    /// Writes what is pending and releases the history for another process. Blocks, at most so long.
    ///
    /// # Errors
    /// The reason if it is not known to be released: [`Controller::retake_history`] takes it back.
    pub fn release_history(&self, within: Duration) -> Result<(), String> {
        {
            // A swap is made before that, with its record in the queue, or not at all.
            let _index = self.log.index();
            self.log.history.begin_release();
        }
        self.log.history.release(within)
    }

    /// Takes the history back, of which no other process has made anything. Blocks.
    ///
    /// # Errors
    /// If it cannot be had: the next write tries again.
    pub fn retake_history(&self) -> Result<(), HistoryError> {
        self.log.history.retake()
    }

    pub(super) fn readiness<'a>(&'a self, live: &'a RoutingTable) -> ReadinessCheck<'a> {
        ReadinessCheck {
            fleet: &self.fleet,
            live,
        }
    }

    pub(super) fn health_gate(&self) -> HealthGate<'_> {
        HealthGate {
            table: &self.table,
            fleet: &self.fleet,
            reconciler: &self.reconciler,
        }
    }

    /// Waits until every worker has a table that was made live. What goes back in parts is looked at again on it.
    pub(super) async fn converge(&self, swap: &AppliedSwap<'_>) -> Convergence {
        self.spreads.look_again();
        let within = self.settings.converge_within;
        converge(&self.table, &self.log, swap, within).await
    }

    pub(super) fn receipts(&self) -> Receipts<'_> {
        Receipts {
            table: &self.table,
            log: &self.log,
            verifications: &self.verifications,
            shared: &self.shared,
        }
    }

    /// The difference of the live table from the file; none if the table did not come from a file.
    pub(super) fn current_drift(&self) -> Drift {
        if !self.settings.has_file {
            return Drift::default();
        }
        self.drift.get(&self.table.load(), &self.log)
    }
}

/// The record of the live revision.
fn live_record(log: &RevisionLog, table: &LiveTable) -> Option<Arc<RevisionRecord>> {
    let index = log.index();
    let kept = index.get(table.load().revision())?;
    Some(Arc::clone(&kept.record))
}
