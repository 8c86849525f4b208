//! Series of one route and release.

use crate::stats::{OutcomeTable, OutcomeTotals, Windows};

/// The rings of a route and release, and the reading that the next one is compared with.
#[derive(Debug)]
pub(super) struct KpiSeries {
    pub(super) windows: Windows,
    last: OutcomeTotals,
    /// Requests in flight on the release at the latest reading.
    pub(super) in_flight: u64,
    /// The second of the first reading.
    pub(super) began: u64,
}

impl KpiSeries {
    /// Series that begin in a second, with what is counted after `last`.
    pub(super) fn new(began: u64, last: OutcomeTotals) -> Self {
        Self {
            windows: Windows::default(),
            last,
            in_flight: 0,
            began,
        }
    }

    /// Adds what was counted since the last reading; nothing if the counters are gone.
    pub(super) fn read(&mut self, second: u64, cells: Option<&OutcomeTable>, in_flight: u64) {
        let now = cells.map(|cells| OutcomeTotals::from(cells.snapshot()));
        let since = now.as_ref().map(|now| now.since(&self.last));
        self.in_flight = in_flight;
        self.windows
            .add(second, &since.unwrap_or_default(), in_flight);
        // Counters that come back after they were gone begin at zero.
        self.last = now.unwrap_or_default();
    }
}
