//! Counts of routes before revisions and after them.
//!
//! Read from the rings of seconds while these have both times, and kept: the coarser rings mix what was before a revision
//! with what was after it.

use std::{collections::VecDeque, ops::Range};

use super::kpi_readings::KpiReadings;
use crate::{
    fleet::CellKey,
    history::StoredRevision,
    model::{Revision, RouteName},
    stats::{OutcomeTotals, Resolution},
};

/// Longest time before and after a revision, in seconds.
const LONGEST: u64 = 300;
/// Most revisions whose effect is kept.
const MOST: usize = 100;
/// Most routes of one.
const MOST_ROUTES: usize = 16;
/// Most releases of a route.
const MOST_RELEASES: usize = 16;

/// The effects of the last revisions, the earliest first.
#[derive(Debug, Default)]
pub(super) struct EffectLog(VecDeque<Effect>);

/// A revision that has become live since the last reading.
#[derive(Debug)]
pub(super) struct SeenRevision {
    pub(super) revision: Revision,
    pub(super) routes: Vec<RouteName>,
}

/// Effect of a revision.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) revision: Revision,
    pub(super) routes: Vec<EffectOnRoute>,
    pub(super) more_routes: usize,
    /// The second in which it became live.
    second: u64,
}

/// Effect on a route.
#[derive(Debug, Clone)]
pub(super) struct EffectOnRoute {
    pub(super) route: RouteName,
    pub(super) before: Period,
    /// The time after, once it is over.
    pub(super) after: Option<Period>,
}

/// Counts of a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Period {
    pub(super) seconds: u64,
    /// The other revision that it ends at.
    pub(super) bounded_by: Option<Revision>,
    pub(super) releases: Vec<(CellKey, OutcomeTotals)>,
}

impl EffectLog {
    /// Takes over the revisions that became live before a reading, and ends what is over.
    pub(super) fn update(&mut self, readings: &KpiReadings, seen: Vec<SeenRevision>) {
        for one in seen {
            self.note(readings, one);
        }
        for effect in &mut self.0 {
            let end = effect.second + 1 + LONGEST;
            if readings.end() >= end {
                for route in effect.routes.iter_mut().filter(|one| one.after.is_none()) {
                    let after = effect.second + 1..end;
                    route.after = Some(Period::read(readings, &route.route, after, None));
                }
            }
        }
    }

    fn note(&mut self, readings: &KpiReadings, seen: SeenRevision) {
        let second = readings.end() - 1;
        let mut names = seen.routes;
        let more_routes = names.len().saturating_sub(MOST_ROUTES);
        names.truncate(MOST_ROUTES);
        let mut routes = Vec::with_capacity(names.len());
        for route in names {
            let earlier = self.end_earlier(readings, &route, (second, seen.revision));
            let from = second.saturating_sub(LONGEST);
            let (from, bounded_by) = match earlier {
                Some((at, revision)) if at + 1 > from => (at + 1, Some(revision)),
                _ => (from, None),
            };
            let before = Period::read(readings, &route, from..second, bounded_by);
            routes.push(EffectOnRoute {
                route,
                before,
                after: None,
            });
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Effect {
            revision: seen.revision,
            routes,
            more_routes,
            second,
        });
    }

    /// Ends the effects on a route that are measured, since another revision comes. Returns the last one that touched it.
    fn end_earlier(
        &mut self,
        readings: &KpiReadings,
        route: &RouteName,
        (second, by): (u64, Revision),
    ) -> Option<(u64, Revision)> {
        let mut last = None;
        for effect in &mut self.0 {
            let own = effect.routes.iter_mut().find(|own| own.route == *route);
            if let Some(own) = own {
                last = Some((effect.second, effect.revision));
                if own.after.is_none() {
                    let after = effect.second + 1..second;
                    own.after = Some(Period::read(readings, route, after, Some(by)));
                }
            }
        }
        last
    }

    /// The effect of a revision; what is still measured, up to the latest reading.
    pub(super) fn get(&self, readings: &KpiReadings, revision: Revision) -> Option<(Effect, bool)> {
        let found = self.0.iter().find(|effect| effect.revision == revision)?;
        let mut effect = found.clone();
        let is_over = effect.routes.iter().all(|route| route.after.is_some());
        for route in effect.routes.iter_mut().filter(|one| one.after.is_none()) {
            let after = effect.second + 1..readings.end();
            route.after = Some(Period::read(readings, &route.route, after, None));
        }
        Some((effect, is_over))
    }
}

impl SeenRevision {
    /// A revision with the routes that it touches: those of its change, and those that give a weight to a release of it.
    pub(super) fn of(kept: &StoredRevision) -> Self {
        let touched = &kept.touched;
        let mut routes: Vec<RouteName> = touched.routes.iter().cloned().collect();
        let state = kept.state.as_ref().filter(|_| !touched.releases.is_empty());
        for route in state
            .into_iter()
            .flat_map(|state| state.spec.routes().iter())
        {
            let mut weighed = route.weighed();
            let uses = weighed.any(|name| touched.releases.contains(name));
            if uses && !touched.routes.contains(&route.name) {
                routes.push(route.name.clone());
            }
        }
        Self {
            revision: kept.record.revision,
            routes,
        }
    }
}

impl Period {
    fn read(
        readings: &KpiReadings,
        route: &RouteName,
        seconds: Range<u64>,
        bounded_by: Option<Revision>,
    ) -> Self {
        let mut releases = Vec::new();
        for (key, series) in readings.of_route(route) {
            let sum = series.windows.sum(Resolution::Second, seconds.clone());
            if !sum.is_empty() && releases.len() < MOST_RELEASES {
                releases.push((key.clone(), sum));
            }
        }
        Self {
            seconds: seconds.end.saturating_sub(seconds.start),
            bounded_by,
            releases,
        }
    }

    /// All releases together.
    pub(super) fn total(&self) -> OutcomeTotals {
        let mut total = OutcomeTotals::default();
        self.releases
            .iter()
            .for_each(|(_, totals)| total.add(totals));
        total
    }

    /// The counts of a release.
    pub(super) fn of(&self, key: &CellKey) -> OutcomeTotals {
        let found = self.releases.iter().find(|(own, _)| own == key);
        found.map(|(_, totals)| totals.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{
        api::Timestamp,
        control::kpi_readings::FleetReading,
        model::{Outcome, Version},
        stats::OutcomeTable,
    };

    /// A route with one release, a request a second, and its own clock.
    struct Steady {
        start: Instant,
        second: u64,
        cells: HashMap<CellKey, Arc<OutcomeTable>>,
        readings: KpiReadings,
        log: EffectLog,
    }

    impl Steady {
        fn new() -> Self {
            let key = (
                "chat".parse().unwrap(),
                "blue".parse().unwrap(),
                Version::default(),
            );
            let start = Instant::now();
            Self {
                start,
                second: 0,
                cells: HashMap::from([(key, Arc::new(OutcomeTable::new(1)))]),
                readings: KpiReadings::new(start, Timestamp(0)),
                log: EffectLog::default(),
            }
        }

        /// Seconds with one request each; the revision becomes live in the last one.
        fn run(&mut self, seconds: u64, revision: Option<u64>) {
            for second in 1..=seconds {
                self.second += 1;
                for cells in self.cells.values() {
                    cells.record(0, Outcome::Answered(200), Duration::ZERO, None);
                }
                let reading = FleetReading {
                    cells: self.cells.clone(),
                    in_flight: HashMap::new(),
                    flags: Vec::new(),
                };
                let now = self.start + Duration::from_secs(self.second);
                self.readings.take(reading, (now, Timestamp(0)));
                let seen = revision
                    .filter(|_| second == seconds)
                    .map(|one| SeenRevision {
                        revision: Revision(one),
                        routes: vec!["chat".parse().unwrap()],
                    });
                self.log.update(&self.readings, seen.into_iter().collect());
            }
        }

        /// Requests before and after a revision, their seconds, and true once it is over.
        fn effect(&self, revision: u64) -> ([u64; 2], [u64; 2], bool) {
            let (effect, is_over) = self.log.get(&self.readings, Revision(revision)).unwrap();
            let route = &effect.routes[0];
            let after = route.after.as_ref().unwrap();
            let requests = [route.before.total().requests, after.total().requests];
            (requests, [route.before.seconds, after.seconds], is_over)
        }
    }

    #[test]
    fn five_minutes_before_and_after_are_kept_without_the_second_of_the_revision() {
        let mut steady = Steady::new();
        steady.run(400, Some(7));
        assert_eq!(steady.effect(7), ([300, 0], [300, 0], false));
        steady.run(100, None);
        assert_eq!(steady.effect(7), ([300, 100], [300, 100], false));
        steady.run(5_000, None);
        assert_eq!(steady.effect(7), ([300, 300], [300, 300], true));
        assert!(steady.log.get(&steady.readings, Revision(8)).is_none());
    }

    #[test]
    fn another_revision_of_the_route_bounds_both_times() {
        let mut steady = Steady::new();
        steady.run(10, Some(7));
        steady.run(60, Some(8));
        assert_eq!(steady.effect(7), ([9, 59], [9, 59], true));
        assert_eq!(steady.effect(8), ([59, 0], [59, 0], false));
        let (effect, _) = steady.log.get(&steady.readings, Revision(8)).unwrap();
        assert_eq!(effect.routes[0].before.bounded_by, Some(Revision(7)));
        let (effect, _) = steady.log.get(&steady.readings, Revision(7)).unwrap();
        let after = effect.routes[0].after.as_ref().unwrap();
        assert_eq!(after.bounded_by, Some(Revision(8)));
    }

    #[test]
    fn the_earliest_effects_are_forgotten() {
        let mut steady = Steady::new();
        (0..=MOST as u64).for_each(|revision| steady.run(2, Some(revision)));
        assert!(steady.log.get(&steady.readings, Revision(0)).is_none());
        assert_eq!(steady.log.0.len(), MOST);
    }
}
