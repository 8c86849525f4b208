//! The board of key figures: readings of all counters, once a second, and the effects of revisions.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{
    clock::now,
    kpi_effects::{EffectLog, SeenRevision},
    kpi_readings::{FleetReading, KpiReadings},
    revision_log::RevisionLog,
};
use crate::{
    fleet::{Fleet, RosterRole},
    model::Revision,
};

/// The readings and effects, shared by the loop that takes them and those who look. Locked in this order.
#[derive(Debug)]
pub(super) struct KpiBoard {
    readings: Mutex<KpiReadings>,
    effects: Mutex<EffectLog>,
    /// The last revision of which the effect is measured, or that was live at the first reading.
    seen: AtomicU64,
}

impl Default for KpiBoard {
    fn default() -> Self {
        Self {
            readings: Mutex::new(KpiReadings::new(Instant::now(), now())),
            effects: Mutex::default(),
            seen: AtomicU64::new(0),
        }
    }
}

impl KpiBoard {
    /// Begins with the effects of the revisions after this one.
    pub(super) fn begin(&self, live: Revision) {
        self.seen.store(live.0, Ordering::Relaxed);
    }

    // Safe to ignore poisoning: what panics under these locks leaves the series whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, KpiReadings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn effects(&self) -> MutexGuard<'_, EffectLog> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the effect of a revision is measured from the next reading on.
    pub(super) fn is_to_come(&self, revision: Revision) -> bool {
        revision.0 > self.seen.load(Ordering::Relaxed)
    }

    /// Reads all counters, and takes over the revisions since the last reading.
    pub(super) fn read(&self, fleet: &Fleet, log: &RevisionLog) {
        let mut cells = HashMap::new();
        fleet.each_cells(|key, table| {
            cells.insert(key.clone(), Arc::clone(table));
        });
        let watched = fleet.watched();
        let rosters = watched
            .iter()
            .filter(|one| one.role != RosterRole::Candidate)
            .map(|one| &one.roster);
        let in_flight = rosters.map(|roster| {
            let release = (roster.release().clone(), roster.version().clone());
            (release, roster.in_flight())
        });
        let reading = FleetReading {
            cells,
            in_flight: in_flight.collect(),
            flags: fleet.used_flag_cells(),
        };
        let revisions = self.revisions(log);
        let mut readings = self.lock();
        readings.take(reading, (Instant::now(), now()));
        let last = revisions.last().map(|one| one.revision);
        self.effects().update(&readings, revisions);
        if let Some(Revision(last)) = last {
            self.seen.store(last, Ordering::Relaxed);
        }
    }

    /// The revisions that have become live since the last reading, the earliest first.
    fn revisions(&self, log: &RevisionLog) -> Vec<SeenRevision> {
        let seen = Revision(self.seen.load(Ordering::Relaxed));
        let index = log.index();
        let new = index.since(seen, |kept| !kept.record.cause.is_drill());
        let mut new: Vec<_> = new.map(SeenRevision::of).collect();
        new.reverse();
        new
    }
}
