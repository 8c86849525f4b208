//! Counts of a route by release, read from the counters that every request is counted in anyway.

use std::{collections::BTreeMap, sync::Arc};

use super::watch_set::ReleaseKey;
use crate::{
    analysis::{Period, Thresholds},
    fleet::Fleet,
    model::RouteName,
    stats::{HistogramSnapshot, OutcomeTable},
};

/// Totals of some requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) units: u64,
    failures: u64,
    broken: u64,
    pub(super) duration: HistogramSnapshot,
}

/// Totals of a route by release, since the counters of each began.
pub(super) type RouteCounts = BTreeMap<ReleaseKey, Totals>;

/// Reads the counters of a route for these releases.
pub(super) fn read<'a>(
    fleet: &Fleet,
    route: &RouteName,
    releases: impl Iterator<Item = &'a ReleaseKey>,
) -> RouteCounts {
    let of = |key: &'a ReleaseKey| {
        let cells: Arc<OutcomeTable> = fleet.cells(route, &key.0, &key.1);
        (key.clone(), Totals::of(&cells))
    };
    releases.map(of).collect()
}

impl Totals {
    pub(super) fn of(cells: &OutcomeTable) -> Self {
        let snapshot = cells.snapshot();
        Self {
            units: snapshot.requests(),
            failures: snapshot.failures(),
            broken: snapshot.broken_streams(),
            duration: snapshot.duration,
        }
    }

    /// Difference from an earlier reading. Counters that began anew in between have none.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            units: self.units.saturating_sub(before.units),
            failures: self.failures.saturating_sub(before.failures),
            broken: self.broken.saturating_sub(before.broken),
            duration: self.duration.since(&before.duration),
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.units += more.units;
        self.failures += more.failures;
        self.broken += more.broken;
        self.duration.add(&more.duration);
    }

    /// The counts as a period, with the requests that are older than each threshold.
    pub(super) fn period(&self, thresholds: Option<&Thresholds>) -> Period {
        let older = thresholds.map(|thresholds| thresholds.older(self.duration.cumulative()));
        Period {
            units: self.units,
            failures: self.failures,
            broken: self.broken,
            older: older.unwrap_or_default(),
        }
    }
}
