//! Readings of all routes: what a rollback is compared with.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    route_counts::{self, RouteCounts},
    route_shares::{self, MovedRoute, Shares},
    route_trail::{Mark, RouteTrail},
    seen_lately::SeenLately,
    throughput::{Reading, Throughput},
    verification_record::RouteCase,
    watch_set::ReleaseKey,
};
use crate::{
    fleet::Fleet,
    model::{ChangeSet, Revision, RouteName, TableState},
};

/// Most routes whose counts are remembered.
const MOST_TRAILS: usize = 1_000;
/// Interval of the readings of counters.
const SAMPLE: Duration = Duration::from_secs(60);
/// Longest time until what began before a rollback has ended, on a route without a timeout or thresholds.
const SETTLED: Duration = Duration::from_secs(30);

/// The readings, by route.
#[derive(Debug, Default)]
pub(super) struct RouteTrails {
    routes: HashMap<RouteName, RouteTrail>,
    pub(super) throughput: Throughput,
    sampled_at: Option<Instant>,
}

impl RouteTrails {
    /// The routes that are read.
    pub(super) fn routes(&self) -> impl Iterator<Item = &RouteName> {
        self.routes.keys()
    }

    /// A route of which requests are taken back now: its case, its counters as they are, and the revisions that gave the
    /// requests.
    pub(super) fn case(
        &self,
        fleet: &Fleet,
        moved: &MovedRoute,
        after: &TableState,
        (now, within): (Instant, Duration),
    ) -> (RouteCase, RouteCounts, Vec<Revision>) {
        let trail = self.routes.get(&moved.route);
        let counts = self.read(fleet, &moved.route, [&moved.before, &moved.after]);
        let (taken_back, restored) = (moved.taken_back(), moved.restored());
        let past = trail.map(|trail| trail.past((now, &counts), &taken_back, &moved.after));
        let past = past.unwrap_or_default();
        let slowest = past.recovery.thresholds.as_ref();
        let slowest = slowest.and_then(|slow| slow.seconds().last().copied());
        let spec = after.spec.route(&moved.route);
        let timeout = spec
            .and_then(|spec| spec.timeouts.request)
            .map(|timeout| timeout.0);
        let settled = slowest.map(Duration::from_secs_f64).or(timeout);
        let settled = settled.unwrap_or(SETTLED).min(within / 2);
        let shares = moved.after.iter().map(|(key, share)| (key.clone(), *share));
        let case = RouteCase::new(
            moved.route.clone(),
            (taken_back, &restored),
            shares.collect(),
            (past.recovery, settled),
        );
        (case, counts, past.own_revisions)
    }

    /// Requests that each release of a route got lately.
    pub(super) fn seen_lately(
        &self,
        fleet: &Fleet,
        route: &RouteName,
        now: Instant,
    ) -> Option<SeenLately> {
        let trail = self.routes.get(route)?;
        let counts = route_counts::read(fleet, route, trail.releases());
        trail.seen_lately((now, &counts))
    }

    /// Reads the counters of a route, for the releases that were read before and those of these shares.
    fn read(&self, fleet: &Fleet, route: &RouteName, shares: [&Shares; 2]) -> RouteCounts {
        let known = self.routes.get(route);
        let known = known.into_iter().flat_map(RouteTrail::releases);
        let releases = known.chain(shares.into_iter().flat_map(Shares::keys));
        route_counts::read(fleet, route, releases)
    }

    /// Adds a reading at a change; routes that are new begin with one.
    pub(super) fn mark_change(
        &mut self,
        fleet: &Fleet,
        (before, after): (&TableState, &TableState),
        (touched, moved): (&ChangeSet, &[MovedRoute]),
        (revision, at): (Revision, Instant),
    ) {
        for moved in moved {
            if !self.has_room(&moved.route) {
                continue;
            }
            let counts = self.read(fleet, &moved.route, [&moved.before, &moved.after]);
            let trail = self.routes.entry(moved.route.clone()).or_default();
            trail.add(Mark {
                at,
                revision: Some(revision),
                shares: Arc::new(moved.after.clone()),
                counts,
            });
        }
        let is_new = |route: &&RouteName| before.spec.place(route).is_none();
        for route in touched.routes.iter().filter(is_new) {
            self.sample_route(fleet, after, route, at, &mut HashMap::new());
        }
    }

    fn has_room(&self, route: &RouteName) -> bool {
        self.routes.len() < MOST_TRAILS || self.routes.contains_key(route)
    }

    /// Reads the counters of the routes of the live table, if that was last done a minute ago.
    pub(super) fn sample_if_due(&mut self, fleet: &Fleet, live: &TableState, now: Instant) {
        let is_due = |at| now.duration_since(at) >= SAMPLE;
        if self.sampled_at.is_none_or(is_due) {
            self.sampled_at = Some(now);
            self.sample(fleet, live, now);
        }
    }

    fn sample(&mut self, fleet: &Fleet, live: &TableState, at: Instant) {
        self.routes
            .retain(|route, _| live.spec.place(route).is_some());
        let mut sums = HashMap::new();
        for route in live.spec.routes().iter() {
            self.sample_route(fleet, live, &route.name, at, &mut sums);
        }
        for (release, requests) in sums {
            let healthy = fleet.roster(&release.0, &release.1).healthy();
            let reading = Reading { requests, healthy };
            self.throughput.add(&release, reading, at);
        }
    }

    /// Reads the counters of a route, and adds its requests to the sums of its releases.
    fn sample_route(
        &mut self,
        fleet: &Fleet,
        live: &TableState,
        route: &RouteName,
        at: Instant,
        sums: &mut HashMap<ReleaseKey, u64>,
    ) {
        let shares = route_shares::shares(&live.spec, route).map(Arc::new);
        let Some(shares) = shares.filter(|_| self.has_room(route)) else {
            return;
        };
        let releases = route_shares::releases(&live.spec, route);
        let trail = self.routes.entry(route.clone()).or_default();
        let counts = route_counts::read(fleet, route, releases.iter().chain(trail.releases()));
        for (release, totals) in &counts {
            *sums.entry(release.clone()).or_default() += totals.units;
        }
        trail.add(Mark {
            at,
            revision: None,
            shares,
            counts,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{EndpointSpec, Outcome, TableDocument},
        stats::OutcomeTable,
    };

    #[test]
    fn the_throughput_of_a_release_is_that_of_all_its_routes() {
        let text = r#"{"releases":{"blue":{"version":"1","endpoints":["http://127.0.0.1:1","http://127.0.0.1:2"]}},
            "routes":[{"name":"chat","split":{"blue":1}},{"name":"tools","path_prefix":"/tools","split":{"blue":1}}]}"#;
        let document: TableDocument = serde_json::from_str(text).unwrap();
        let state = document.into_state(&TableState::default());
        let (name, version) = (
            "blue".parse().unwrap(),
            state
                .spec
                .release(&"blue".parse().unwrap())
                .unwrap()
                .version
                .clone(),
        );
        let fleet = Fleet::new(1);
        let urls: Vec<EndpointSpec> = state.endpoints(&name).to_vec();
        let roster = fleet.roster(&name, &version);
        crate::control::recompile::set_static_endpoints(&roster, &urls);
        let cells =
            ["chat", "tools"].map(|route| fleet.cells(&route.parse().unwrap(), &name, &version));
        let serve = |cells: &OutcomeTable, count: u32| {
            for _ in 0..count {
                cells.record(0, Outcome::Answered(200), Duration::from_millis(3), None);
            }
        };
        let mut trails = RouteTrails::default();
        let begin = Instant::now();
        trails.sample_if_due(&fleet, &state, begin);
        serve(&cells[0], 600);
        serve(&cells[1], 1_800);
        let now = begin + SAMPLE;
        trails.sample_if_due(&fleet, &state, now);
        let key = (name, version);
        assert!((trails.throughput.now(&key) - 40.0).abs() < 1e-9);
        assert_eq!(
            trails.throughput.most(&key, now),
            Some(20.0),
            "it has two endpoints"
        );
    }
}
