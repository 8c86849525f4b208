//! Reader of what was counted on the two releases of a rollout since the last look.
//!
//! The counters know requests by their end; one that is slow counts when it has become so old, in flight or not.

use std::time::{Duration, Instant};

use super::{
    rollout_cells::Cells,
    rollout_counts::{Counts, add_older},
    rollout_limits::Limits,
};
use crate::{analysis::LEVELS, model::Revision, table::Ages};

/// Facts at a look that the counters do not have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looked {
    /// First bad events of sessions, on a route with sessions.
    pub(super) first: Option<[Counts; 2]>,
    /// Requests in flight that are older than the thresholds, if every worker has said so.
    pub(super) in_flight: Option<[[u64; LEVELS]; 2]>,
    /// Those among them that began before the reader, at the first look.
    pub(super) earlier: [[u64; LEVELS]; 2],
}

/// Reader of the counters of two releases.
#[derive(Debug)]
pub(super) struct CountReader {
    cells: Cells,
    limits: Limits,
    began: Instant,
    /// True once the ages of what is in flight were known.
    has_ages: bool,
    last: [Counts; 2],
    /// The counts of the look that has begun.
    now: Option<[Counts; 2]>,
}

impl CountReader {
    /// A reader that begins now, at this revision: what users say of earlier answers is not counted.
    pub(super) fn new(cells: Cells, limits: Limits, revision: Revision) -> Self {
        for cells in [&cells.canary, &cells.stable] {
            cells.watch_feedback(revision);
        }
        Self {
            last: cells.counts(&limits),
            now: None,
            cells,
            limits,
            began: Instant::now(),
            has_ages: false,
        }
    }

    /// The ages from which requests in flight that began before the reader count as slow, until they are known.
    pub(super) fn earlier_ages(&self) -> Option<Ages> {
        let since = self.began.elapsed();
        let ages = self.ages()?.map(|age| age.max(since));
        (!self.has_ages).then_some(ages)
    }

    /// The ages from which requests in flight count as slow; `None` if slowness is not looked at.
    pub(super) fn ages(&self) -> Option<Ages> {
        let mut ages = [Duration::MAX; LEVELS];
        let seconds = self.limits.slow.as_ref()?.seconds();
        for (age, seconds) in ages.iter_mut().zip(seconds) {
            *age = Duration::from_secs_f64(*seconds);
        }
        Some(ages)
    }

    /// Begins a look: what ends before the work in flight is counted is in neither, and never in both.
    pub(super) fn snapshot(&mut self) {
        self.now = Some(self.cells.counts(&self.limits));
    }

    /// Counts since the last look. A request is slow once it is older than a threshold, in flight or not: what
    /// hangs does not wait for its end.
    pub(super) fn count(&mut self, looked: &Looked) -> [Counts; 2] {
        let now = self.now.take();
        let mut now = now.unwrap_or_else(|| self.cells.counts(&self.limits));
        if let Some(in_flight) = looked.in_flight {
            add_older(&mut now, in_flight);
            if !std::mem::replace(&mut self.has_ages, true) {
                add_older(&mut self.last, looked.earlier);
            }
        }
        let added = [now[0].since(self.last[0]), now[1].since(self.last[1])];
        // A request that ends between two counts is in neither, and was counted before.
        for (now, last) in now.iter_mut().zip(self.last) {
            for (older, last) in now.older.iter_mut().zip(last.older) {
                *older = last.max(*older);
            }
        }
        self.last = now;
        added
    }
}
