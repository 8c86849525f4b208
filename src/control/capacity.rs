//! Capacity: the releases that have no room for the requests that a change would send to them.
//!
//! The load of a release is estimated from the requests that are in flight now: those of each route are split by the
//! shares of afterwards. The room is what the limits of the release allow on its healthy endpoints. A release without
//! limits may take anything, as far as is known here.

use std::collections::{BTreeMap, BTreeSet};

use super::revision_log::RevisionLog;
use crate::{
    api::Crowded,
    fleet::Fleet,
    model::{Growth, LimitsSpec, ReleaseName, RevisionRecord, RouteName, RouteSpec, TableSpec},
};

/// Largest number of routes of a release whose requests are compared; of more each counts the same.
const MOST_COMPARED: usize = 16;

/// The releases that get more from one table to another, and have no room for it.
pub(super) fn crowded(fleet: &Fleet, before: &TableSpec, after: &TableSpec) -> Vec<Crowded> {
    let mut routes: BTreeMap<ReleaseName, BTreeSet<RouteName>> = BTreeMap::new();
    for growth in Growth::between(before, after) {
        for release in growth.releases {
            routes
                .entry(release)
                .or_default()
                .insert(growth.route.clone());
        }
    }
    let load = Load { fleet, before };
    let crowded = routes.into_iter().filter_map(|(release, routes)| {
        let spec = after.release(&release)?;
        let healthy = fleet.roster(&release, &spec.version).healthy();
        let room = room(&spec.limits, healthy)?;
        let load = load.expected(after, &release, &routes);
        (load > room).then_some(Crowded {
            release,
            room,
            load,
        })
    });
    crowded.collect()
}

/// The releases that have no room for what a change gave them.
pub(super) fn crowded_by(
    fleet: &Fleet,
    log: &RevisionLog,
    record: &RevisionRecord,
) -> Vec<Crowded> {
    let states = {
        let index = log.index();
        let (before, after) = (index.state(record.parent), index.state(record.revision));
        before.zip(after)
    };
    // Whole tables are compared: not under the lock of the index.
    states.map_or_else(Vec::new, |(before, after)| {
        crowded(fleet, &before.spec, &after.spec)
    })
}

/// Requests in flight that a release with so many healthy endpoints has room for; `None` without a limit. One without a
/// healthy endpoint is not ready, which is another matter.
fn room(limits: &LimitsSpec, healthy: usize) -> Option<u64> {
    if healthy == 0 {
        return None;
    }
    let healthy = u64::try_from(healthy).unwrap_or(u64::MAX);
    let on_endpoints = limits.in_flight_per_endpoint.map(u64::from);
    let on_endpoints = on_endpoints.map(|each| each.saturating_mul(healthy));
    let whole = limits.concurrency.map(u64::from);
    on_endpoints.into_iter().chain(whole).min()
}

/// Requests in flight now, by release and route.
struct Load<'a> {
    fleet: &'a Fleet,
    before: &'a TableSpec,
}

impl Load<'_> {
    /// Requests in flight that a release would have, if it gets more of these routes.
    fn expected(
        &self,
        after: &TableSpec,
        release: &ReleaseName,
        routes: &BTreeSet<RouteName>,
    ) -> u64 {
        let own = self.of_release(release);
        let mut expected = own;
        for name in routes {
            let then = after.route(name).map_or(0.0, |route| share(route, release));
            let of_route = self.of_route(name);
            expected += of_route * then - own * self.part(release, name);
        }
        whole(expected)
    }

    /// Requests in flight on a route.
    fn of_route(&self, name: &RouteName) -> f64 {
        let Some(route) = self.before.route(name) else {
            return 0.0;
        };
        let releases = route.weighed();
        releases
            .map(|release| self.of_release(release) * self.part(release, name))
            .sum()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "requests in flight are counted in thousands"
    )]
    fn of_release(&self, release: &ReleaseName) -> f64 {
        let spec = self.before.release(release);
        spec.map_or(0.0, |spec| {
            self.fleet.roster(release, &spec.version).in_flight() as f64
        })
    }

    /// Part of a release's requests that came by a route: all if it has a weight on no other one.
    fn part(&self, release: &ReleaseName, name: &RouteName) -> f64 {
        let routes = self.before.routes().iter();
        let routes = routes.filter(|route| route.weighed().any(|other| other == release));
        let names: Vec<_> = routes.map(|route| &route.name).collect();
        if !names.contains(&name) {
            return 0.0;
        }
        let even = 1.0 / u32::try_from(names.len()).map_or(f64::MAX, f64::from);
        if names.len() == 1 || names.len() > MOST_COMPARED {
            return even;
        }
        let count = |name: &RouteName| self.requests(release, name);
        let all: f64 = names.iter().map(|name| count(name)).sum();
        if all > 0.0 { count(name) / all } else { even }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "only the proportion of the counts matters"
    )]
    fn requests(&self, release: &ReleaseName, route: &RouteName) -> f64 {
        let spec = self.before.release(release);
        spec.map_or(0.0, |spec| {
            let cells = self.fleet.cells(route, release, &spec.version);
            cells.snapshot().requests() as f64
        })
    }
}

/// Share of a route that a release has by its weight.
fn share(route: &RouteSpec, release: &ReleaseName) -> f64 {
    let total: u64 = route.split.values().map(|weight| u64::from(*weight)).sum();
    let weight = route.split.get(release).copied().unwrap_or(0);
    #[expect(
        clippy::cast_precision_loss,
        reason = "weights go up to a million, and a split is small"
    )]
    let total = total.max(1) as f64;
    f64::from(weight) / total
}

/// A number of requests, rounded: an estimate is not more exact.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and far below the limit"
)]
fn whole(requests: f64) -> u64 {
    requests.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        control::recompile::set_static_endpoints,
        fleet::{InFlight, Pick, Roster},
        model::{TableDocument, TableState},
    };

    fn table(routes: &str) -> TableState {
        let text = format!(
            r#"{{"releases":{{
                "blue":{{"version":"1","endpoints":["http://127.0.0.1:1"],"limits":{{"in_flight_per_endpoint":10}}}},
                "green":{{"version":"2","endpoints":["http://127.0.0.1:2"],"limits":{{"concurrency":5}}}},
                "free":{{"version":"3","endpoints":["http://127.0.0.1:3"]}}}},"routes":[{routes}]}}"#
        );
        let document: TableDocument = serde_json::from_str(&text).unwrap();
        document.into_state(&TableState::default())
    }

    fn chat(split: &str) -> TableState {
        table(&format!(r#"{{"name":"chat","split":{{{split}}}}}"#))
    }

    #[test]
    fn the_room_is_that_of_the_healthy_endpoints_and_of_the_whole() {
        let limits = |each, whole| LimitsSpec {
            in_flight_per_endpoint: each,
            concurrency: whole,
            ..LimitsSpec::default()
        };
        assert_eq!(room(&limits(Some(10), None), 3), Some(30));
        assert_eq!(room(&limits(Some(10), Some(12)), 3), Some(12));
        assert_eq!(room(&limits(None, Some(12)), 3), Some(12));
        assert_eq!(room(&limits(None, None), 3), None);
        assert_eq!(room(&limits(Some(10), None), 0), None);
    }

    /// A fleet in which requests are in flight on green, and what keeps them there.
    struct Busy {
        fleet: Fleet,
        _rosters: Vec<Arc<Roster>>,
        _in_flight: Vec<InFlight>,
    }

    fn busy(state: &TableState, count: usize) -> Busy {
        let fleet = Fleet::new(1);
        let of = |name: &str| {
            let name: ReleaseName = name.parse().unwrap();
            let version = &state.spec.release(&name).unwrap().version;
            let roster = fleet.roster(&name, version);
            set_static_endpoints(&roster, state.endpoints(&name));
            roster
        };
        let rosters = ["blue", "green", "free"].map(of).to_vec();
        let pick = |_| rosters[1].pick(&Pick::random(0, 0, 0)).unwrap();
        Busy {
            _in_flight: (0..count).map(pick).collect(),
            _rosters: rosters,
            fleet,
        }
    }

    fn found(busy: &Busy, before: &TableState, after: &TableState) -> Vec<String> {
        let crowded = crowded(&busy.fleet, &before.spec, &after.spec);
        crowded.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_release_that_would_get_more_than_it_has_room_for_is_named_with_both_numbers() {
        let (before, after) = (chat(r#""blue":0,"green":1"#), chat(r#""blue":1,"green":0"#));
        let text =
            "`blue` has room for 10 requests in flight, 40 percent of the 25 that it would get";
        assert_eq!(found(&busy(&before, 25), &before, &after), [text]);
        assert_eq!(found(&busy(&before, 10), &before, &after), [""; 0]);
        let half = chat(r#""blue":1,"green":1"#);
        assert_eq!(found(&busy(&before, 20), &before, &half), [""; 0]);
        assert_eq!(found(&busy(&before, 22), &before, &half).len(), 1);
        let free = chat(r#""free":1,"green":0"#);
        assert_eq!(
            found(&busy(&before, 99), &before, &free),
            [""; 0],
            "no limit"
        );
    }

    #[test]
    fn what_gets_less_is_never_crowded() {
        let (before, after) = (chat(r#""blue":0,"green":1"#), chat(r#""free":1,"green":9"#));
        assert_eq!(found(&busy(&before, 99), &before, &after), [""; 0]);
    }

    #[test]
    fn requests_of_another_route_are_not_counted_for_this_one() {
        let of = |chat: &str| {
            table(&format!(
                r#"{{"name":"chat","split":{{{chat}}}}},
                   {{"name":"tools","path_prefix":"/tools","split":{{"green":1}}}}"#
            ))
        };
        let (before, after) = (of(r#""blue":0,"green":1"#), of(r#""blue":1,"green":0"#));
        let busy = busy(&before, 18);
        // Without counts each route has half of them: nine.
        assert_eq!(found(&busy, &before, &after), [""; 0]);
    }
}
