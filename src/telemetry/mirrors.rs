//! Metrics of mirrored requests, read at the time of a scrape.

use super::{
    names,
    sample::{Buckets, Sink},
};
use crate::{
    fleet::{CellKey, Fleet},
    model::{JsonSkip, MirrorFailure, MirrorSkip},
    stats::MirrorSnapshot,
};

/// Writes the figures of all mirrors that have chosen a request.
pub(super) fn write(sink: &mut dyn Sink, fleet: &Fleet) {
    let all = fleet.all_mirrors().into_iter();
    let all = all.map(|(key, counters)| (key, counters.snapshot()));
    let all: Vec<_> = all.filter(|(_, seen)| seen.chosen() > 0).collect();
    write_requests(sink, &all);
    write_answers(sink, &all);
    write_json(sink, &all);
    sink.head(names::MIRROR_SECONDS);
    for (key, seen) in &all {
        for (of, side) in [("copy", &seen.copy), ("original", &seen.original)] {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("of", of)];
            sink.histogram(names::MIRROR_SECONDS, &labels, &Buckets::of(&side.duration));
        }
    }
    sink.head(names::MIRROR_BYTES);
    for (key, seen) in &all {
        for (of, side) in [("copy", &seen.copy), ("original", &seen.original)] {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("of", of)];
            sink.sample(names::MIRROR_BYTES, &labels, side.bytes);
        }
    }
    sink.head(names::MIRROR_PENDING);
    for (key, seen) in &all {
        sink.sample(names::MIRROR_PENDING, &labels(key), seen.pending as u64);
    }
}

fn write_requests(sink: &mut dyn Sink, all: &[(CellKey, MirrorSnapshot)]) {
    sink.head(names::MIRROR_REQUESTS);
    for (key, seen) in all {
        let skipped = MirrorSkip::ALL.iter().zip(seen.skipped);
        let skipped = skipped.map(|(reason, count)| (reason.as_str(), count));
        for (result, count) in [("mirrored", seen.mirrored)].into_iter().chain(skipped) {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("result", result)];
            sink.sample(names::MIRROR_REQUESTS, &labels, count);
        }
    }
}

fn write_answers(sink: &mut dyn Sink, all: &[(CellKey, MirrorSnapshot)]) {
    sink.head(names::MIRROR_ANSWERS);
    for (key, seen) in all {
        let answers = [("agreed", seen.agreed()), ("disagreed", seen.disagreed())];
        let failed = MirrorFailure::ALL.iter().zip(seen.failed);
        let failed = failed.map(|(reason, count)| (reason.as_str(), count));
        for (result, count) in answers.into_iter().chain(failed) {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("result", result)];
            sink.sample(names::MIRROR_ANSWERS, &labels, count);
        }
    }
}

fn write_json(sink: &mut dyn Sink, all: &[(CellKey, MirrorSnapshot)]) {
    sink.head(names::MIRROR_JSON);
    for (key, seen) in all.iter().filter(|(_, seen)| seen.json.all() > 0) {
        let json = &seen.json;
        let skipped = JsonSkip::ALL.iter().zip(json.skipped);
        let skipped = skipped.map(|(reason, count)| (reason.as_str(), count));
        let compared = [("different", json.different), ("same", json.same)];
        for (result, count) in compared.into_iter().chain(skipped) {
            let [route, release, version] = labels(key);
            let labels = [route, release, version, ("result", result)];
            sink.sample(names::MIRROR_JSON, &labels, count);
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
