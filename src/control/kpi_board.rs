//! The board of key figures: readings of all counters, once a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    clock::now,
    kpi_readings::{FleetReading, KpiReadings},
};
use crate::fleet::{Fleet, RosterRole};

/// The readings, shared by the loop that takes them and those who look.
#[derive(Debug)]
pub(super) struct KpiBoard(Mutex<KpiReadings>);

impl Default for KpiBoard {
    fn default() -> Self {
        Self(Mutex::new(KpiReadings::new(Instant::now(), now())))
    }
}

impl KpiBoard {
    // Safe to ignore poisoning: what panics under this lock leaves the series whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, KpiReadings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all counters.
    pub(super) fn read(&self, fleet: &Fleet) {
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
        };
        self.lock().take(reading, (Instant::now(), now()));
    }
}
