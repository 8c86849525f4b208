//! The drills that run, the last ones that have ended, and the last one of each route.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{drill_record::DrillRecord, saved_file::SavedFile, synthetic::SyntheticTraffic};
use crate::{
    api::{DrillSummary, Timestamp},
    history::BesideFiles,
    model::RouteName,
};

/// Name of the file in the folder of the history.
const FILE: &str = "drills.json";
/// Largest number of drills that run at the same time.
pub(super) const MOST_RUNNING: usize = 16;
/// Number of drills that have ended and are shown.
const KEPT: usize = 100;

/// All drills.
#[derive(Debug)]
pub(super) struct DrillRegistry {
    drills: Mutex<Drills>,
    file: SavedFile,
    traffic: OnceLock<Arc<dyn SyntheticTraffic>>,
    /// Wakes the loop when there is one to be conducted.
    pub(super) begun: Notify,
}

/// The content of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Drills {
    /// The earliest first.
    all: Vec<Arc<DrillRecord>>,
    last: BTreeMap<RouteName, DrillSummary>,
    /// Those that the loop has not taken over yet.
    #[serde(skip)]
    begun: Vec<Arc<DrillRecord>>,
}

impl DrillRegistry {
    /// The drills that were saved in the folder of the history.
    pub(super) fn open(files: &Arc<BesideFiles>) -> Self {
        let file = SavedFile::new(files, FILE);
        Self {
            drills: Mutex::new(file.read()),
            file,
            traffic: OnceLock::new(),
            begun: Notify::new(),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves the lists whole.
    fn lock(&self) -> MutexGuard<'_, Drills> {
        self.drills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All drills, the earliest first.
    pub(super) fn all(&self) -> Vec<Arc<DrillRecord>> {
        self.lock().all.clone()
    }

    /// Those that have not ended.
    pub(super) fn running(&self) -> Vec<Arc<DrillRecord>> {
        let mut all = self.all();
        all.retain(|record| !record.has_ended());
        all
    }

    /// The one that runs on a route.
    pub(super) fn running_on(&self, route: &RouteName) -> Option<Arc<DrillRecord>> {
        let mut running = self.running().into_iter();
        running.find(|record| record.drill.route == *route)
    }

    /// The one that has changed a split.
    pub(super) fn changing_split(&self) -> Option<Arc<DrillRecord>> {
        let mut running = self.running().into_iter();
        running.find(|record| record.drill.level.changes_split())
    }

    /// A drill by its id, or the latest one of a route.
    pub(super) fn find(&self, text: &str) -> Option<Arc<DrillRecord>> {
        let all = self.all();
        let mut latest = all.iter().rev();
        let by_id = all.iter().find(|record| record.drill.id == text);
        let found = by_id.or_else(|| latest.find(|record| record.drill.route.as_str() == text));
        found.cloned()
    }

    /// The last drill of a route that has ended.
    pub(super) fn last(&self, route: &RouteName) -> Option<DrillSummary> {
        self.lock().last.get(route).cloned()
    }

    /// The end of the last drill of each route.
    pub(super) fn ends(&self) -> BTreeMap<RouteName, Timestamp> {
        let drills = self.lock();
        let ends = drills.last.iter();
        ends.map(|(route, last)| (route.clone(), last.ended_at))
            .collect()
    }

    /// Shows a drill as it is now. Of those that have ended the earliest are forgotten.
    pub(super) fn show(&self, record: &DrillRecord) {
        let mut drills = self.lock();
        let all = &mut drills.all;
        let record = Arc::new(record.clone());
        match all
            .iter_mut()
            .find(|other| other.drill.id == record.drill.id)
        {
            Some(place) => *place = record,
            None => all.push(record),
        }
        let ended = all.iter().filter(|record| record.has_ended()).count();
        let mut surplus = ended.saturating_sub(KEPT);
        all.retain(|record| {
            let is_surplus = surplus > 0 && record.has_ended();
            surplus -= usize::from(is_surplus);
            !is_surplus
        });
    }

    /// Keeps the outcome of a drill as the last one of its routes, and forgets routes that are gone.
    pub(super) fn keep_last(
        &self,
        routes: &[RouteName],
        record: &DrillRecord,
        is_route: impl Fn(&RouteName) -> bool,
    ) {
        let drill = &record.drill;
        let Some(ended_at) = drill.ended_at else {
            return;
        };
        let mut drills = self.lock();
        for route in routes {
            let before = drills.last.get(route).and_then(|last| last.last_passed_at);
            let summary = DrillSummary {
                id: drill.id.clone(),
                level: drill.level,
                state: drill.state,
                passed: drill.passed,
                ended_at,
                last_passed_at: drill.passed.then_some(ended_at).or(before),
            };
            drills.last.insert(route.clone(), summary);
        }
        drills.last.retain(|route, _| is_route(route));
    }

    /// Removes a drill that has not begun.
    pub(super) fn remove(&self, id: &str) {
        self.lock().all.retain(|record| record.drill.id != id);
    }

    /// Leaves the rest of a drill to the loop.
    pub(super) fn hand_over(&self, record: &DrillRecord) {
        self.lock().begun.push(Arc::new(record.clone()));
        self.begun.notify_one();
    }

    /// Those that were left to the loop since the last call.
    pub(super) fn take_begun(&self) -> Vec<Arc<DrillRecord>> {
        std::mem::take(&mut self.lock().begun)
    }

    pub(super) fn set_traffic(&self, traffic: Arc<dyn SyntheticTraffic>) {
        // The first one stays: there is one proxy in a process.
        let _is_first = self.traffic.set(traffic);
    }

    pub(super) fn traffic(&self) -> Option<Arc<dyn SyntheticTraffic>> {
        self.traffic.get().cloned()
    }

    /// Writes all drills, and waits for it at most so long. `false` if they are not known to be written.
    pub(super) async fn save(&self, within: Duration) -> bool {
        self.file.write(|| self.lock().clone(), within).await
    }
}
