//! The verifications that run, the last ones that have ended, and the readings of routes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

use super::{
    clock::now,
    metrics,
    route_counts::RouteCounts,
    route_shares::{self, MovedRoute},
    route_trails::RouteTrails,
    saved_file::SavedFile,
    seen_lately::SeenLately,
    settings::VerificationSettings,
    verification_record::{Bounds, VerificationRecord},
    watch_set::ReleaseKey,
};
use crate::{
    api::{Timestamp, VerificationState},
    fleet::Fleet,
    history::BesideFiles,
    history::StoredRevision,
    model::{Actor, Change, Revision, RevisionRecord, RouteName, TableState},
    table::RoutingTable,
};

/// Name of the file in the folder of the history.
const FILE: &str = "verifications.json";
/// Largest number of verifications that run at the same time.
const MOST_RUNNING: usize = 100;
/// Number of verifications that have ended and are shown.
const KEPT: usize = 100;
/// Most routes that one verification looks at.
const MOST_ROUTES: usize = 20;

/// All verifications.
#[derive(Debug)]
pub(super) struct VerificationRegistry {
    settings: VerificationSettings,
    entries: Mutex<Vec<VerificationEntry>>,
    trails: Mutex<RouteTrails>,
    file: SavedFile,
    /// Wakes the loop when one begins.
    pub(super) begun: Notify,
    /// Counts looks at which something has ended.
    ended: watch::Sender<u64>,
    /// Time when this process was started.
    pub(super) opened_at: Timestamp,
}

/// One verification, with the counters of its routes as they were last read.
#[derive(Debug, Clone)]
pub(super) struct VerificationEntry {
    pub(super) record: VerificationRecord,
    pub(super) counts: Vec<RouteCounts>,
    pub(super) looked_at: Instant,
}

impl VerificationRegistry {
    /// The verifications that were saved in the folder of the history: those that ran go on.
    pub(super) fn open(files: &Arc<BesideFiles>, settings: VerificationSettings) -> Self {
        let file = SavedFile::new(files, FILE);
        let entry = |record: VerificationRecord| VerificationEntry {
            counts: vec![RouteCounts::new(); record.routes.len()],
            record,
            looked_at: Instant::now(),
        };
        let saved: Vec<VerificationRecord> = file.read();
        let entries: Vec<_> = saved.into_iter().map(entry).collect();
        Self {
            settings,
            entries: Mutex::new(entries),
            trails: Mutex::default(),
            file,
            begun: Notify::new(),
            ended: watch::Sender::new(0),
            opened_at: now(),
        }
    }

    // Safe to ignore poisoning: what panics under these locks leaves the lists whole.
    fn entries(&self) -> MutexGuard<'_, Vec<VerificationEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trails(&self) -> MutexGuard<'_, RouteTrails> {
        self.trails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a verification that was interrupted, if the live revision is a rollback of late of which nothing was saved.
    pub(super) fn note_interrupted(&self, live: Option<&RevisionRecord>) {
        let Some(record) = live.filter(|record| is_way_back(record)) else {
            return;
        };
        let age = now().millis().saturating_sub(record.published_at_ms);
        let is_late = u128::from(age) < self.settings.within.as_millis();
        if self.settings.enabled && is_late && self.record(record.revision).is_none() {
            let mut lost =
                VerificationRecord::new(record, (Vec::new(), 0), Vec::new(), self.bounds());
            lost.end(VerificationState::Interrupted);
            self.add(VerificationEntry {
                record: lost,
                counts: Vec::new(),
                looked_at: Instant::now(),
            });
        }
    }

    const fn bounds(&self) -> Bounds {
        Bounds {
            within: self.settings.within,
            requests: self.settings.requests,
        }
    }

    /// Called right after a swap: reads the counters of the routes whose requests it moves, and begins a verification if it
    /// is a way back. Returns its id.
    pub(super) fn after_swap(
        &self,
        fleet: &Fleet,
        replaced: &RoutingTable,
        kept: &StoredRevision,
        undone: &[Revision],
    ) -> Option<String> {
        let after = kept.state.as_ref().filter(|_| self.settings.enabled)?;
        let before = replaced.state();
        let now = Instant::now();
        let mut trails = self.trails();
        let known = trails.routes();
        let moved = route_shares::moved((&before, after), &kept.touched, known);
        let is_back = is_way_back(&kept.record);
        let mut routes = Vec::new();
        let mut own = undone.to_vec();
        let aborted = aborted_routes(&kept.record);
        for moved in moved.iter().filter(|moved| is_about(moved, &aborted)) {
            if !is_back || routes.len() == MOST_ROUTES {
                break;
            }
            let (case, counts, mine) =
                trails.case(fleet, moved, after, (now, self.settings.within));
            own.extend(mine);
            routes.push((case, counts));
        }
        let more = moved.len().saturating_sub(routes.len());
        let changed = (&kept.touched, &moved[..]);
        trails.mark_change(
            fleet,
            (&before, after),
            changed,
            (kept.record.revision, now),
        );
        drop(trails);
        self.supersede(&moved, kept.record.revision);
        let (cases, counts): (Vec<_>, Vec<_>) = routes.into_iter().unzip();
        is_back.then(|| {
            let record = VerificationRecord::new(&kept.record, (cases, more), own, self.bounds());
            let id = record.id();
            self.add(VerificationEntry {
                record,
                counts,
                looked_at: now,
            });
            self.begun.notify_one();
            id
        })
    }

    /// Ends the verification of the routes that a change moves.
    fn supersede(&self, moved: &[MovedRoute], by: Revision) {
        let mut entries = self.entries();
        let running = entries.iter_mut().filter(|entry| entry.record.is_running());
        let cases = running.flat_map(|entry| &mut entry.record.routes);
        for case in cases.filter(|case| !case.is_decided()) {
            if moved.iter().any(|moved| moved.route == case.route) {
                case.shown.superseded_by = Some(by);
            }
        }
    }

    /// Reads the counters of the routes of the live table, once a minute.
    pub(super) fn sample(&self, fleet: &Fleet, live: &TableState) {
        if self.settings.enabled {
            self.trails().sample_if_due(fleet, live, Instant::now());
        }
    }

    /// Requests that each release of a route got lately; `None` if none were seen, or if nothing is read.
    pub(super) fn seen_lately(&self, fleet: &Fleet, route: &RouteName) -> Option<SeenLately> {
        self.trails().seen_lately(fleet, route, Instant::now())
    }

    /// Requests a second of a release now, and the most of one of its endpoints in the last day.
    pub(super) fn throughput(&self, release: &ReleaseKey) -> Option<(f64, f64)> {
        let trails = self.trails();
        let most = trails.throughput.most(release, Instant::now())?;
        Some((trails.throughput.now(release), most))
    }

    /// All verifications, the earliest first.
    pub(super) fn records(&self) -> Vec<VerificationRecord> {
        self.entries()
            .iter()
            .map(|entry| entry.record.clone())
            .collect()
    }

    /// Those that run.
    pub(super) fn running(&self) -> Vec<VerificationEntry> {
        let entries = self.entries();
        let running = entries.iter().filter(|entry| entry.record.is_running());
        running.cloned().collect()
    }

    pub(super) fn is_running(&self) -> bool {
        self.entries().iter().any(|entry| entry.record.is_running())
    }

    /// The verification of a rollback.
    pub(super) fn record(&self, revision: Revision) -> Option<VerificationRecord> {
        self.find(|record| record.revision == revision)
    }

    /// The latest verification for which `is_meant` is true.
    pub(super) fn find(
        &self,
        is_meant: impl Fn(&VerificationRecord) -> bool,
    ) -> Option<VerificationRecord> {
        let entries = self.entries();
        let mut latest = entries.iter().rev().map(|entry| &entry.record);
        latest.find(|record| is_meant(record)).cloned()
    }

    fn add(&self, entry: VerificationEntry) {
        let mut entries = self.entries();
        let running = entries
            .iter()
            .filter(|entry| entry.record.is_running())
            .count();
        let first = entries.iter_mut().find(|entry| entry.record.is_running());
        if let Some(first) = first.filter(|_| running >= MOST_RUNNING) {
            first.record.end(VerificationState::Superseded);
        }
        entries.push(entry);
        let ended = entries
            .iter()
            .filter(|entry| !entry.record.is_running())
            .count();
        let mut surplus = ended.saturating_sub(KEPT);
        entries.retain(|entry| {
            let is_surplus = surplus > 0 && !entry.record.is_running();
            surplus -= usize::from(is_surplus);
            !is_surplus
        });
    }

    /// Takes over what a look has found.
    pub(super) fn put(&self, mut looked: VerificationEntry) {
        let has_ended = !looked.record.is_running();
        {
            let mut entries = self.entries();
            let revision = looked.record.revision;
            let mut all = entries.iter_mut();
            let place = all.find(|entry| entry.record.revision == revision);
            if let Some(place) = place.filter(|place| place.record.is_running()) {
                // A change may have come during the look.
                for (now, then) in looked.record.routes.iter_mut().zip(&place.record.routes) {
                    let by = then.shown.superseded_by;
                    now.shown.superseded_by = now.shown.superseded_by.or(by);
                }
                *place = looked;
            }
        }
        if has_ended {
            self.ended.send_modify(|count| *count += 1);
        }
    }

    /// A signal each time that a verification ends.
    pub(super) fn ends(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Writes all verifications, and waits for it at most so long.
    pub(super) async fn save(&self, within: Duration) -> bool {
        metrics::set_verifications(self.running().len());
        self.file.write(|| self.records(), within).await
    }
}

/// True for what undoes a decision: a rollback, and an abort. The way back of a drill undoes no release that harmed users,
/// and of one in parts the last is the one to look back from.
fn is_way_back(record: &RevisionRecord) -> bool {
    if is_of_drill(record) || record.cause.is_amid_return() {
        return false;
    }
    record.cause.is_rollback() || !aborted_routes(record).is_empty()
}

/// True for a revision that a drill makes.
pub(super) fn is_of_drill(record: &RevisionRecord) -> bool {
    let author = &record.author;
    author.actor == Actor::System && author.name.starts_with("drill ")
}

/// Routes on which a change ends a trial. A rollout sets a route as a whole only on its way back; what another node's rollout
/// did is taken up so in any case, and verified there.
fn aborted_routes(record: &RevisionRecord) -> Vec<&RouteName> {
    let author = &record.author;
    let is_followed = record.shared.as_ref().is_some_and(|mark| mark.followed);
    let is_of_rollout =
        !is_followed && author.actor == Actor::System && author.name.starts_with("rollout ");
    let parts = record.change.iter().flat_map(Change::parts);
    let aborted = parts.filter_map(|part| match part {
        Change::Abort { route } => Some(route),
        Change::PutRoute { route } if is_of_rollout => Some(&route.name),
        _ => None,
    });
    aborted.collect()
}

/// True if a way back is about a route: each that a rollback moves, and those of an abort.
fn is_about(moved: &MovedRoute, aborted: &[&RouteName]) -> bool {
    aborted.is_empty() || aborted.contains(&&moved.route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Author, Cause, Digest, SharedMark};

    fn put_route_by(name: &str) -> RevisionRecord {
        let route =
            serde_json::json!({ "name": "chat", "path_prefix": "/", "split": { "blue": 1 } });
        RevisionRecord {
            revision: Revision(2),
            parent: Revision(1),
            undo_to: None,
            published_at_ms: 0,
            author: Author {
                actor: Actor::System,
                name: name.to_owned(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause: Cause::Publish,
            digest: Digest::of(&1),
            change: Some(Change::PutRoute {
                route: serde_json::from_value(route).unwrap(),
            }),
            request: None,
            cut: false,
            shared: None,
        }
    }

    #[test]
    fn a_route_that_a_rollout_sets_as_a_whole_is_a_way_back() {
        assert!(is_way_back(&put_route_by("rollout 1a")));
        assert!(!is_way_back(&put_route_by("switchback")));
        // Another node's step is taken up as a whole route too.
        let followed = SharedMark {
            followed: true,
            ..SharedMark::default()
        };
        assert!(!is_way_back(&RevisionRecord {
            shared: Some(followed),
            ..put_route_by("rollout 1a")
        }));
    }
}
