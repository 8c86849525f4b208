//! Key figures: the loop that reads them, and the query. Nothing is decided by them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;

use super::{
    Controller, StatusPart, kpi_comparison::comparison, kpi_figures, kpi_readings::KpiReadings,
    kpi_readings::KpiWindow, kpi_series::KpiSeries, metrics, watch_set::ReleaseKey,
};
use crate::{
    api::{
        KpiMark, KpiPoints, KpiReport, KpiRole, Kpis, ReleaseKpis, RolloutStatus, RouteKpis,
        Timestamp,
    },
    fleet::CellKey,
    history::StoredRevision,
    model::{ReleaseName, Revision, RouteName, RouteSpec, TableSpec},
    stats::OutcomeTotals,
};

/// Interval of the readings.
const READ: Duration = Duration::from_secs(1);
/// Most routes without a request in a report.
const MOST_IDLE: usize = 256;
/// Most marks of a route.
const MOST_MARKS: usize = 50;

/// A question about key figures.
#[derive(Debug, Clone)]
pub struct KpiQuery {
    /// The route; all of them if absent.
    pub route: Option<RouteName>,
    /// The release whose figures are listed; all of them if absent.
    pub release: Option<ReleaseName>,
    /// Length of the window in seconds.
    pub window_seconds: u64,
    /// Most points of each series; none if absent.
    pub points: Option<usize>,
}

/// Source of a report.
struct KpiReader<'a> {
    readings: &'a KpiReadings,
    window: KpiWindow,
    query: &'a KpiQuery,
}

impl Controller {
    /// Reads all counters once a second, for as long as it is polled.
    pub(super) async fn run_kpis(&self) {
        let mut ticks = tokio::time::interval(READ);
        // Ticks stay at the same part of a second.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.kpis.begin(self.table.load().revision());
        loop {
            ticks.tick().await;
            self.kpis.read(&self.fleet, &self.log);
            let (series, left_out) = {
                let readings = self.kpis.lock();
                (readings.len(), readings.left_out)
            };
            metrics::set_kpi_series(series, left_out);
        }
    }

    /// Key figures; `None` if there is no such route, or no such release on it. Sums up thousands of intervals: to be called
    /// off the threads that make changes.
    pub fn kpis(&self, query: &KpiQuery) -> Option<KpiReport> {
        let live = self.table.load();
        let state = live.state();
        let part = query.route.clone().map(StatusPart::Route);
        let part = part.unwrap_or(StatusPart::Whole);
        let (rollouts, verified) = (self.rollout_states(&part), self.verification_states(&part));
        let readings = self.kpis.lock();
        let reader = KpiReader {
            window: readings.window(query.window_seconds),
            readings: &readings,
            query,
        };
        let (names, more_routes) = reader.routes(&state.spec)?;
        let routes = names.into_iter().map(|name| {
            let is_on = |one: &&RolloutStatus| one.routes.iter().any(|own| own.route == name);
            let rollout = rollouts.iter().find(is_on);
            let spec = state.spec.route(&name).map(|spec| &***spec);
            let mut shown = reader.route(&state.spec, (&name, spec), rollout);
            let verification = verified.iter().find(|one| one.route == name);
            shown.verification = verification.cloned();
            shown
        });
        let mut routes: Vec<_> = routes.collect();
        if query.release.is_some() && routes.iter().all(|route| route.releases.is_empty()) {
            return None;
        }
        let since = readings.time_of(reader.window.seconds.start);
        let mut report = reader.report((live.revision(), more_routes));
        drop(readings);
        for route in &mut routes {
            let spec = state.spec.route(&route.route).map(|spec| &***spec);
            route.marks = self.marks(&route.route, spec, since);
        }
        report.routes = routes;
        Some(report)
    }

    /// Revisions since a time that touch a route, the latest first.
    fn marks(&self, name: &RouteName, route: Option<&RouteSpec>, since: Timestamp) -> Vec<KpiMark> {
        let index = self.log.index();
        let latest = index.kept().values().rev();
        let late = latest.take_while(|kept| kept.record.published_at_ms >= since.millis());
        let touches = |kept: &&StoredRevision| {
            let touched = &kept.touched;
            let has_release = |name: &ReleaseName| touched.releases.contains(name);
            let uses = route.is_some_and(|route| route.split.keys().any(has_release));
            kept.state.is_some() && (uses || touched.routes.contains(name))
        };
        late.filter(touches).take(MOST_MARKS).map(mark).collect()
    }
}

/// The mark of a revision.
fn mark(kept: &StoredRevision) -> KpiMark {
    let record = &kept.record;
    KpiMark {
        revision: record.revision,
        at: Timestamp::from_millis(record.published_at_ms),
        cause: record.cause.as_str().to_owned(),
        author: record.author.name.clone(),
        message: record.author.message.clone(),
    }
}

impl KpiReader<'_> {
    /// The routes of the report, and the number of those that are left out.
    fn routes(&self, live: &TableSpec) -> Option<(Vec<RouteName>, usize)> {
        if let Some(route) = &self.query.route {
            let is_known =
                live.place(route).is_some() || self.readings.of_route(route).next().is_some();
            return is_known.then(|| (vec![route.clone()], 0));
        }
        let busy: BTreeSet<&RouteName> = self.readings.all().map(|(key, _)| &key.0).collect();
        let live = live.routes().iter().map(|route| &route.name);
        let (mut names, mut idle) = (Vec::new(), 0);
        for name in live.filter(|name| !busy.contains(name)) {
            idle += 1;
            if idle <= MOST_IDLE {
                names.push(name.clone());
            }
        }
        let busy = busy.into_iter().cloned();
        Some((busy.chain(names).collect(), idle.saturating_sub(MOST_IDLE)))
    }

    /// The report without its routes.
    fn report(&self, (revision, more_routes): (Revision, usize)) -> KpiReport {
        let all = || {
            let asked = self.query.route.as_ref();
            let all = self.readings.all();
            all.filter(move |(key, _)| asked.is_none_or(|asked| *asked == key.0))
        };
        let in_flight: BTreeMap<_, _> = all()
            .map(|((_, release, version), series)| ((release, version), series.in_flight))
            .collect();
        KpiReport {
            at: self.readings.at,
            age_seconds: self.readings.age(Instant::now()).as_secs_f64(),
            revision,
            window_seconds: self.window.seconds.end - self.window.seconds.start,
            resolution_seconds: self.window.resolution.seconds(),
            all: self.kpis(all().map(|(_, series)| series), in_flight.values().sum()),
            points: self.points(all().map(|(_, series)| series)),
            routes: Vec::new(),
            more_routes,
            series: self.readings.len(),
            left_out: self.readings.left_out,
        }
    }

    fn sum(&self, series: &KpiSeries) -> OutcomeTotals {
        let seconds = self.window.seconds.clone();
        series.windows.sum(self.window.resolution, seconds)
    }

    /// The figures of some series together, over the time since the first of them began.
    fn kpis<'s>(&self, series: impl Iterator<Item = &'s KpiSeries>, in_flight: u64) -> Kpis {
        let (mut sum, mut began) = (OutcomeTotals::default(), u64::MAX);
        for one in series {
            sum.add(&self.sum(one));
            began = began.min(one.began);
        }
        let seconds = &self.window.seconds;
        let seconds = seconds.end - seconds.start.max(began).min(seconds.end);
        kpi_figures::kpis(&sum, seconds, in_flight)
    }

    fn points<'s>(&self, series: impl Iterator<Item = &'s KpiSeries>) -> Option<KpiPoints> {
        let most = self.query.points?;
        Some(kpi_figures::points(
            self.readings,
            &self.window,
            most,
            series,
        ))
    }

    fn route(
        &self,
        live: &TableSpec,
        (name, spec): (&RouteName, Option<&RouteSpec>),
        rollout: Option<&RolloutStatus>,
    ) -> RouteKpis {
        let split = split(live, spec);
        let all = || self.readings.of_route(name).map(|(_, series)| series);
        let kpis = self.kpis(all(), all().map(|series| series.in_flight).sum());
        let stable = stable((name, spec), rollout);
        let stable = split.iter().find(|key| stable == Some(&key.0));
        let mut releases = split.clone();
        for ((_, release, version), series) in self.readings.of_route(name) {
            let key = (release.clone(), version.clone());
            if !split.contains(&key) && !self.sum(series).is_empty() {
                releases.push(key);
            }
        }
        let asked = self.query.release.as_ref();
        releases.retain(|key| asked.is_none_or(|asked| *asked == key.0));
        let release = |key: &ReleaseKey| {
            let role = role(key, (spec, &split), stable);
            let share = spec.filter(|_| role != KpiRole::Removed);
            let share = share.map_or(0.0, |spec| spec.share(&key.0));
            self.release((name, key), (role, share, kpis.requests), stable)
        };
        RouteKpis {
            releases: releases.iter().map(release).collect(),
            route: name.clone(),
            points: self.points(all()),
            kpis,
            marks: Vec::new(),
            rollout: rollout.cloned(),
            verification: None,
        }
    }

    fn release(
        &self,
        (route, key): (&RouteName, &ReleaseKey),
        (role, configured_share, of): (KpiRole, f64, u64),
        stable: Option<&ReleaseKey>,
    ) -> ReleaseKpis {
        let series = |key: &ReleaseKey| {
            let key: CellKey = (route.clone(), key.0.clone(), key.1.clone());
            self.readings.get(&key)
        };
        let own = series(key);
        let kpis = self.kpis(own.into_iter(), own.map_or(0, |own| own.in_flight));
        let others = stable.filter(|stable| *stable != key);
        ReleaseKpis {
            release: key.0.clone(),
            version: key.1.clone(),
            role,
            configured_share,
            live_share: (of > 0).then(|| kpi_figures::ratio(kpis.requests, of)),
            points: self.points(own.into_iter()),
            comparison: others
                .map(|stable| comparison(&self.window, (key, own), (stable, series(stable)))),
            kpis,
        }
    }
}

/// The releases of a live split.
fn split(live: &TableSpec, route: Option<&RouteSpec>) -> Vec<ReleaseKey> {
    let names = route.into_iter().flat_map(|route| route.split.keys());
    let key = |name: &ReleaseName| Some((name.clone(), live.release(name)?.version.clone()));
    names.filter_map(key).collect()
}

/// The stable release: that of a running rollout, or that of the route.
fn stable<'a>(
    (name, route): (&RouteName, Option<&'a RouteSpec>),
    rollout: Option<&'a RolloutStatus>,
) -> Option<&'a ReleaseName> {
    let tracks = rollout.into_iter().flat_map(|rollout| &rollout.routes);
    let mut own = tracks.filter(|track| track.route == *name);
    let of_rollout = own.next().map(|track| &track.from);
    of_rollout.or_else(|| route.and_then(RouteSpec::stable_release))
}

fn role(
    key: &ReleaseKey,
    (route, split): (Option<&RouteSpec>, &[ReleaseKey]),
    stable: Option<&ReleaseKey>,
) -> KpiRole {
    let has_weight = || route.is_some_and(|route| route.weighed().any(|name| *name == key.0));
    if !split.contains(key) {
        KpiRole::Removed
    } else if stable == Some(key) {
        KpiRole::Stable
    } else if !has_weight() {
        KpiRole::Standby
    } else if stable.is_some() {
        KpiRole::Canary
    } else {
        KpiRole::Live
    }
}
