//! Metrics of the data plane, read at the time of a scrape: nothing is kept, so the series of a removed release end.

use std::collections::HashSet;

use super::{
    flag_traffic, mirrors, names,
    sample::{Buckets, Sink},
    service_watches,
};
use crate::{
    fleet::{CellKey, EjectionReason, Endpoint, Fleet, Health, RosterRole, WatchedRelease},
    model::{
        AttemptFailure, CutCause, DecisionReason, LeaveCause, OpinionSign, OutcomeClass,
        ReleaseName, WorkClass,
    },
    stats::CellSnapshot,
    table::{LiveTable, RoutingTable},
};

/// Writes all metrics of the table, the fleet and the statistics.
pub(super) fn write(sink: &mut dyn Sink, table: &LiveTable, fleet: &Fleet) {
    write_cells(sink, fleet);
    flag_traffic::write(sink, fleet);
    mirrors::write(sink, fleet);
    write_paused(sink, fleet);
    write_table(sink, table);
    // A candidate is a copy of a release for checks, and serves nothing.
    let watched = fleet.watched();
    let in_use = watched
        .iter()
        .filter(|one| one.role != RosterRole::Candidate);
    write_fleet(sink, &in_use.collect::<Vec<_>>(), &table.load());
    service_watches::write(sink, fleet);
}

fn write_paused(sink: &mut dyn Sink, fleet: &Fleet) {
    sink.head(names::PAUSED_REQUESTS);
    for (route, waiting) in fleet.paused_routes() {
        let labels = [("route", route.as_str())];
        sink.sample(names::PAUSED_REQUESTS, &labels, u64::from(waiting));
    }
}

fn write_cells(sink: &mut dyn Sink, fleet: &Fleet) {
    let mut all: Vec<(CellKey, CellSnapshot)> = Vec::new();
    fleet.each_cells(|key, cells| {
        let snapshot = cells.snapshot();
        if !snapshot.is_empty() {
            all.push((key.clone(), snapshot));
        }
    });
    all.sort_by(|a, b| a.0.cmp(&b.0));
    sink.head(names::REQUESTS);
    for (key, snapshot) in &all {
        for ((class, code), count) in &snapshot.counts {
            let code = code.to_string();
            let [route, release, version] = labels(key);
            sink.sample(
                names::REQUESTS,
                &[
                    route,
                    release,
                    version,
                    ("outcome", class.as_str()),
                    ("code", &code),
                ],
                *count,
            );
        }
    }
    write_decisions(sink, &all);
    write_feedback(sink, &all);
    write_failed_attempts(sink, &all);
    write_leaving(sink, &all);
    for (metric, histogram) in [
        (
            names::REQUEST_SECONDS,
            (|s| &s.duration) as fn(&CellSnapshot) -> &_,
        ),
        (names::FIRST_BYTE_SECONDS, |s| &s.first_byte),
    ] {
        sink.head(metric);
        for (key, snapshot) in &all {
            sink.histogram(metric, &labels(key), &Buckets::of(histogram(snapshot)));
        }
    }
    for (metric, count) in [
        (
            names::REQUEST_BYTES,
            (|s| s.bytes_in) as fn(&CellSnapshot) -> u64,
        ),
        (names::RESPONSE_BYTES, |s| s.bytes_out),
        (names::RETRIES, |s| s.retries),
        (names::RETRIES_DENIED, |s| s.denied_retries),
    ] {
        sink.head(metric);
        for (key, snapshot) in &all {
            sink.sample(metric, &labels(key), count(snapshot));
        }
    }
}

fn write_decisions(sink: &mut dyn Sink, all: &[(CellKey, CellSnapshot)]) {
    sink.head(names::DECISIONS);
    for (key, snapshot) in all {
        for reason in DecisionReason::ALL {
            let count = snapshot.decisions.of_reason(reason, snapshot.requests());
            if count > 0 {
                let [route, release, version] = labels(key);
                let labels = [route, release, version, ("reason", reason.as_str())];
                sink.sample(names::DECISIONS, &labels, count);
            }
        }
    }
    sink.head(names::OVERRIDE_REQUESTS);
    for (key, snapshot) in all {
        let counts = OutcomeClass::ALL.iter().zip(snapshot.decisions.overridden);
        for (class, count) in counts.filter(|(_, count)| *count > 0) {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("outcome", class.as_str())];
            sink.sample(names::OVERRIDE_REQUESTS, &labels, count);
        }
    }
    for (metric, count) in [
        (
            names::PINS_LOST,
            (|s| s.decisions.lost_pins) as fn(&CellSnapshot) -> u64,
        ),
        (names::FALLBACKS, |s| s.fallbacks),
    ] {
        sink.head(metric);
        for (key, snapshot) in all.iter().filter(|(_, snapshot)| count(snapshot) > 0) {
            sink.sample(metric, &labels(key), count(snapshot));
        }
    }
}

fn write_feedback(sink: &mut dyn Sink, all: &[(CellKey, CellSnapshot)]) {
    let said = || all.iter().filter(|(_, cells)| cells.feedback.count() > 0);
    sink.head(names::FEEDBACK);
    for (key, snapshot) in said() {
        for sign in OpinionSign::ALL {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("opinion", sign.as_str())];
            sink.sample(names::FEEDBACK, &labels, snapshot.feedback.of_sign(sign));
        }
    }
    sink.head(names::FEEDBACK_SCORE);
    for (key, snapshot) in said() {
        sink.sample(
            names::FEEDBACK_SCORE,
            &labels(key),
            snapshot.feedback.score(),
        );
    }
}

fn write_failed_attempts(sink: &mut dyn Sink, all: &[(CellKey, CellSnapshot)]) {
    sink.head(names::FAILED_ATTEMPTS);
    for (key, snapshot) in all {
        let failures = AttemptFailure::ALL.iter().zip(snapshot.failed_attempts);
        for (failure, count) in failures.filter(|(_, count)| *count > 0) {
            let [route, release, version] = labels(key);
            let reason = ("reason", failure.as_str());
            let labels = [route, release, version, reason];
            sink.sample(names::FAILED_ATTEMPTS, &labels, count);
        }
    }
}

/// Work that was cut, and sessions that were moved because their release left the route.
fn write_leaving(sink: &mut dyn Sink, all: &[(CellKey, CellSnapshot)]) {
    sink.head(names::CUTS);
    for (key, snapshot) in all {
        for (class, counts) in WorkClass::ALL.iter().zip(snapshot.cuts) {
            let counts = CutCause::ALL.iter().zip(counts);
            for (cause, count) in counts.filter(|(_, count)| *count > 0) {
                let [route, release, version] = labels(key);
                let (class, cause) = (("class", class.as_str()), ("cause", cause.as_str()));
                sink.sample(names::CUTS, &[route, release, version, class, cause], count);
            }
        }
    }
    sink.head(names::MOVES);
    for (key, snapshot) in all {
        let counts = LeaveCause::ALL.iter().zip(snapshot.moves);
        for (cause, count) in counts.filter(|(_, count)| *count > 0) {
            let [route, release, version] = labels(key);
            let cause = ("cause", cause.as_str());
            sink.sample(names::MOVES, &[route, release, version, cause], count);
        }
    }
}

fn labels((route, release, version): &CellKey) -> [(&str, &str); 3] {
    [
        ("route", route.as_str()),
        ("release", release.as_str()),
        ("version", version.as_str()),
    ]
}

fn write_table(sink: &mut dyn Sink, cell: &LiveTable) {
    let table = cell.load();
    sink.head(names::LIVE_REVISION);
    sink.sample(names::LIVE_REVISION, &[], table.revision());
    sink.head(names::SPLIT_WEIGHT);
    for route in table.compiled().routes().iter() {
        for entry in route.split().entries() {
            let labels = [
                ("route", route.spec().name.as_str()),
                ("release", entry.release().name().as_str()),
            ];
            sink.sample(names::SPLIT_WEIGHT, &labels, entry.weight());
        }
    }
    sink.head(names::REQUESTS_IN_FLIGHT_PREVIOUS);
    let previous: u64 = cell
        .in_flight_on_previous()
        .iter()
        .map(|(_, count)| count)
        .sum();
    sink.sample(names::REQUESTS_IN_FLIGHT_PREVIOUS, &[], previous);
}

/// Role label: `live`, `standby` if no split gives it a weight, `warm` or `draining`, as in the status.
fn role(watched: &WatchedRelease, weighted: &HashSet<&ReleaseName>) -> &'static str {
    match watched.role {
        RosterRole::Live if !weighted.contains(watched.roster.release()) => "standby",
        role => role.as_str(),
    }
}

fn write_fleet(sink: &mut dyn Sink, watched: &[&WatchedRelease], table: &RoutingTable) {
    let weighted = table.compiled().spec().weighted();
    sink.head(names::REQUESTS_IN_FLIGHT);
    for watched in watched {
        let labels = [
            ("release", watched.roster.release().as_str()),
            ("version", watched.roster.version().as_str()),
            ("role", role(watched, &weighted)),
        ];
        sink.sample(
            names::REQUESTS_IN_FLIGHT,
            &labels,
            watched.roster.in_flight(),
        );
    }
    write_endpoints(sink, watched);
}

/// Removed endpoints that still serve are included, except in the health metric: they are not checked any more.
fn write_endpoints(sink: &mut dyn Sink, watched: &[&WatchedRelease]) {
    let endpoints: Vec<_> = watched
        .iter()
        .flat_map(|watched| {
            let members = watched.roster.endpoints().to_vec();
            let members = members.into_iter().map(|endpoint| (endpoint, false));
            let draining = watched.roster.draining();
            let draining = draining.into_iter().map(|endpoint| (endpoint, true));
            members
                .chain(draining)
                .map(move |(endpoint, is_draining)| (watched, endpoint, is_draining))
        })
        .collect();
    for metric in [
        names::ENDPOINT_HEALTHY,
        names::ENDPOINT_EJECTED,
        names::ENDPOINT_EJECTIONS,
        names::ENDPOINT_RETRY_AFTER,
        names::ENDPOINT_IN_FLIGHT,
        names::ENDPOINT_CONNECTIONS,
    ] {
        sink.head(metric);
        for (watched, endpoint, is_draining) in &endpoints {
            // The address distinguishes endpoints of one name.
            let (url, address) = (endpoint.url().to_string(), endpoint.address().to_string());
            let [release, version, url, address] = [
                ("release", watched.roster.release().as_str()),
                ("version", watched.roster.version().as_str()),
                ("endpoint", url.as_str()),
                ("address", address.as_str()),
            ];
            let labels = [release, version, url, address];
            let value = match metric {
                names::ENDPOINT_HEALTHY if *is_draining => continue,
                names::ENDPOINT_HEALTHY => u64::from(endpoint.health() != Health::Unhealthy),
                names::ENDPOINT_EJECTED => u64::from(endpoint.ejected().is_some()),
                names::ENDPOINT_EJECTIONS => {
                    write_ejections(sink, endpoint, labels);
                    continue;
                }
                // Most endpoints never ask for a pause.
                names::ENDPOINT_RETRY_AFTER if endpoint.retry_afters() == 0 => continue,
                names::ENDPOINT_RETRY_AFTER => endpoint.retry_afters(),
                names::ENDPOINT_IN_FLIGHT => u64::from(endpoint.in_flight()),
                _ => u64::from(endpoint.connections()),
            };
            sink.sample(metric, &labels, value);
        }
    }
}

/// The reasons for which the endpoint was ejected at least once.
fn write_ejections(sink: &mut dyn Sink, endpoint: &Endpoint, labels: [(&str, &str); 4]) {
    let [release, version, url, address] = labels;
    for reason in EjectionReason::ALL {
        let count = endpoint.ejections(reason);
        if count > 0 {
            let labels = [release, version, url, address, ("reason", reason.as_str())];
            sink.sample(names::ENDPOINT_EJECTIONS, &labels, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::model::{Hashed, Outcome, ReleaseSpec, RouteName, Version};
    use crate::telemetry::text::Text;

    #[test]
    fn a_removed_endpoint_is_in_the_metrics_until_its_last_request_ends() {
        let fleet = Fleet::new(1);
        let roster = fleet.roster(&ReleaseName::new("blue").unwrap(), &Version::default());
        let address = "127.0.0.1:9".parse().unwrap();
        roster.set(&[("http://127.0.0.1:9".parse().unwrap(), address)]);
        let watched = [WatchedRelease {
            roster: Arc::clone(&roster),
            spec: Arc::new(Hashed::new(ReleaseSpec::default())),
            urls: Arc::new([]),
            role: RosterRole::Live,
        }];
        let samples = || {
            let mut text = Text::default();
            write_endpoints(&mut text, &watched.each_ref());
            let text = text.finish();
            let of = |line: &&str| !line.starts_with('#');
            text.lines().filter(of).count()
        };
        let in_flight = roster.pick(&crate::fleet::Pick::random(0, 0, 0)).unwrap();
        assert_eq!(samples(), 4);
        roster.set(&[]);
        assert_eq!(samples(), 3, "all but its health");
        drop(in_flight);
        assert_eq!(samples(), 0);
    }

    #[test]
    fn a_fallback_counts_for_the_release_that_could_not_answer() {
        let fleet = Fleet::new(1);
        let route = RouteName::new("all").unwrap();
        let [green, blue] = ["green", "blue"].map(|release| {
            let release = ReleaseName::new(release).unwrap();
            fleet.cells(&route, &release, &Version::default())
        });
        green.record(0, Outcome::Failed(502), Duration::ZERO, None);
        green.record_fallback(0);
        blue.record(0, Outcome::Answered(200), Duration::ZERO, None);
        let mut text = Text::default();
        write_cells(&mut text, &fleet);
        let text = text.finish();
        let of = |line: &&str| line.starts_with("switchback_fallbacks_total{");
        let lines: Vec<_> = text.lines().filter(of).collect();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("release=\"green\"") && lines[0].ends_with(" 1"));
    }

    #[test]
    fn a_candidate_is_in_no_metric() {
        let fleet = Fleet::new(1);
        let (name, version) = (ReleaseName::new("blue").unwrap(), Version::default());
        let watched = |roster: Arc<crate::fleet::Roster>, role| {
            let address = "127.0.0.1:9".parse().unwrap();
            roster.set(&[("http://127.0.0.1:9".parse().unwrap(), address)]);
            WatchedRelease {
                roster,
                spec: Arc::new(Hashed::new(ReleaseSpec::default())),
                urls: Arc::new([]),
                role,
            }
        };
        let live = watched(fleet.roster(&name, &version), RosterRole::Live);
        let samples = |all: Vec<WatchedRelease>| {
            fleet.watch(all);
            let mut text = Text::default();
            write(&mut text, &LiveTable::new(1), &fleet);
            text.finish()
        };
        let alone = samples(vec![live.clone()]);
        let candidate = watched(fleet.candidate(&name, &version), RosterRole::Candidate);
        assert_eq!(samples(vec![live, candidate]), alone);
    }
}
