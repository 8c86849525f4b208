//! Readings of a route's counters, at each change of its shares and once a minute.
//!
//! Bounded: readings of the last minutes are dense and earlier ones thin, so that a route has about twenty. They are in
//! memory only: after a restart nothing is known of the time before it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    route_counts::{RouteCounts, Totals},
    route_shares::{Shares, share},
    seen_lately::SeenLately,
    watch_set::ReleaseKey,
};
use crate::{
    analysis::{Recovery, Thresholds},
    model::Revision,
};

/// Most readings at changes that are kept for a route.
const MOST_CHANGES: usize = 16;
/// Age up to which readings once a minute are kept; of older ones there is one.
const OLDEST: Duration = Duration::from_secs(2 * 3600);
/// Longest time before a release that is compared with, if it has enough requests.
const BEFORE: Duration = Duration::from_secs(3600);
/// Longest time with a release that is compared with, if it has enough requests: it may have gone bad lately.
const WITH: Duration = Duration::from_secs(600);
/// Shortest time in seconds that is slow. What is shorter differs from minute to minute, and users do not notice.
const LEAST_SLOW: f64 = 0.025;
/// Requests that are enough.
const ENOUGH: u64 = 200;

/// One reading.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) at: Instant,
    /// The change that it was made at, if it was made at one.
    pub(super) revision: Option<Revision>,
    /// Shares from then on.
    pub(super) shares: Arc<Shares>,
    pub(super) counts: RouteCounts,
}

/// The readings of a route, the earliest first.
#[derive(Debug, Default)]
pub(super) struct RouteTrail {
    marks: Vec<Mark>,
}

/// The periods before a rollback, and the revisions that it takes back.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) recovery: Recovery,
    pub(super) own_revisions: Vec<Revision>,
}

impl RouteTrail {
    /// The releases that were read last.
    pub(super) fn releases(&self) -> impl Iterator<Item = &ReleaseKey> {
        self.marks
            .last()
            .into_iter()
            .flat_map(|mark| mark.counts.keys())
    }

    /// Adds a reading. One without new requests says nothing, unless it is made at a change.
    pub(super) fn add(&mut self, mark: Mark) {
        let requests = |mark: &Mark| -> u64 { mark.counts.values().map(|one| one.units).sum() };
        let last = self.marks.last();
        let is_idle = last.is_some_and(|last| requests(last) == requests(&mark));
        if mark.revision.is_none() && is_idle {
            return;
        }
        self.marks.push(mark);
        self.thin();
    }

    /// Keeps the latest changes and, of the readings between them, the oldest of each span of ages: one minute, two, four
    /// and so on. The oldest, since it moves on into the next span; of those that are too old, the last.
    fn thin(&mut self) {
        let Some(now) = self.marks.last().map(|mark| mark.at) else {
            return;
        };
        let is_change = |mark: &&Mark| mark.revision.is_some();
        let mut surplus = self.marks.iter().filter(is_change).count();
        surplus = surplus.saturating_sub(MOST_CHANGES);
        let span = |mark: &Mark| (now.duration_since(mark.at).as_secs() / 60).checked_ilog2();
        let is_old = |mark: &Mark| now.duration_since(mark.at) > OLDEST;
        let readings = self.marks.iter().filter(|mark| mark.revision.is_none());
        let last_old = readings
            .filter(|mark| is_old(mark))
            .map(|mark| mark.at)
            .max();
        let mut last_span = None;
        self.marks.retain(|mark| {
            if mark.revision.is_some() {
                let is_kept = surplus == 0;
                surplus = surplus.saturating_sub(1);
                return is_kept;
            }
            if is_old(mark) {
                return Some(mark.at) == last_old;
            }
            last_span.replace(span(mark)) != Some(span(mark))
        });
    }

    /// Requests that each release got in the last ten minutes, or since the last reading if that is older; `None` without
    /// any.
    pub(super) fn seen_lately(&self, (now, counts): (Instant, &RouteCounts)) -> Option<SeenLately> {
        let is_late = |mark: &Mark| now.saturating_duration_since(mark.at) <= WITH;
        let from = self.marks.iter().position(is_late);
        let from = from.unwrap_or(self.marks.len().saturating_sub(1));
        let begin = self.marks.get(from)?.at;
        let requests = counts.keys().map(|key| {
            (
                key.clone(),
                self.between(from, counts, &|own| own == key).units,
            )
        });
        let requests: BTreeMap<_, _> = requests.filter(|(_, units)| *units > 0).collect();
        SeenLately::since((begin, now), requests)
    }

    /// The periods that end now, by which `taken_back` go back to the shares that they had.
    pub(super) fn past(
        &self,
        now: (Instant, &RouteCounts),
        taken_back: &[ReleaseKey],
        after: &Shares,
    ) -> Past {
        let is_before = |mark: &Mark| {
            let within = |key| share(&mark.shares, key) <= share(after, key) + 1e-9;
            taken_back.iter().all(within)
        };
        let last_before = self.marks.iter().rposition(is_before);
        let begin = last_before.map_or(0, |last| last + 1);
        let with_from = self.with_from(begin, now);
        let own = |key: &ReleaseKey| taken_back.contains(key);
        let between = |filter: &dyn Fn(&ReleaseKey) -> bool| self.between(with_from, now.1, filter);
        let before = last_before.and_then(|last| self.before(last, is_before));
        let parts = Parts {
            before,
            beside: between(&|key| !own(key)),
            with: between(&|_| true),
            own: between(&own),
        };
        let changes = self.marks[begin.min(self.marks.len())..].iter();
        Past {
            recovery: parts.recovery(),
            own_revisions: changes.filter_map(|mark| mark.revision).collect(),
        }
    }

    /// Counts before the release: from an hour before it, or earlier if there are too few, to the change that gave it
    /// requests.
    fn before(&self, last: usize, is_before: impl Fn(&Mark) -> bool) -> Option<Totals> {
        let end = self.marks.get(last + 1)?;
        let mut from = last;
        let mut totals = self.between(from, &end.counts, &|_| true);
        while from > 0 && is_before(&self.marks[from - 1]) {
            let is_long_ago = end.at.duration_since(self.marks[from - 1].at) > BEFORE;
            if is_long_ago && totals.units >= ENOUGH {
                break;
            }
            from -= 1;
            totals = self.between(from, &end.counts, &|_| true);
        }
        Some(totals)
    }

    /// Index of the reading from which the time with the release is counted.
    fn with_from(&self, begin: usize, (now, counts): (Instant, &RouteCounts)) -> usize {
        let mut from = self.marks.len().saturating_sub(1);
        while from > begin {
            let is_long = now.duration_since(self.marks[from].at) >= WITH;
            if is_long && self.between(from, counts, &|_| true).units >= ENOUGH {
                break;
            }
            from -= 1;
        }
        from
    }

    /// Counts from a reading to a later one. Of a release that was not read then, they begin with its first reading.
    fn between(
        &self,
        from: usize,
        to: &RouteCounts,
        filter: &dyn Fn(&ReleaseKey) -> bool,
    ) -> Totals {
        let mut sum = Totals::default();
        let later = self.marks.get(from..).unwrap_or_default();
        for (key, totals) in to.iter().filter(|(key, _)| filter(key)) {
            let first = later.iter().find_map(|mark| mark.counts.get(key));
            if let Some(first) = first {
                sum.add(&totals.since(first));
            }
        }
        sum
    }
}

/// Counts of the periods before a rollback.
struct Parts {
    before: Option<Totals>,
    beside: Totals,
    with: Totals,
    own: Totals,
}

impl Parts {
    fn recovery(self) -> Recovery {
        let freeze = |totals: &Totals| {
            let thresholds = Thresholds::freeze(totals.duration.cumulative())?;
            Some(thresholds.at_least(LEAST_SLOW))
        };
        let thresholds = self.before.as_ref().and_then(freeze);
        let thresholds = thresholds.or_else(|| freeze(&self.beside));
        let slow = thresholds.as_ref();
        Recovery {
            before: self.before.map(|totals| totals.period(slow)),
            beside: (self.beside.units > 0).then(|| self.beside.period(slow)),
            with: self.with.period(slow),
            own: self.own.period(slow),
            thresholds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Outcome, Version},
        stats::OutcomeTable,
    };

    /// A route between blue and green with its own clock and counters.
    struct Road {
        trail: RouteTrail,
        start: Instant,
        cells: [OutcomeTable; 2],
        shares: Arc<Shares>,
    }

    fn key(index: usize) -> ReleaseKey {
        (
            ["blue", "green"][index].parse().unwrap(),
            Version::default(),
        )
    }

    fn green(percent: f64) -> Shares {
        let all = [(key(0), 1.0 - percent / 100.0), (key(1), percent / 100.0)];
        all.into_iter().filter(|(_, share)| *share > 0.0).collect()
    }

    impl Road {
        fn new() -> Self {
            let mut road = Self {
                trail: RouteTrail::default(),
                start: Instant::now(),
                cells: [OutcomeTable::new(1), OutcomeTable::new(1)],
                shares: Arc::new(green(0.0)),
            };
            road.mark(0, None);
            road
        }

        fn requests(&self, release: usize, outcome: Outcome, count: usize) {
            for _ in 0..count {
                self.cells[release].record(0, outcome, Duration::from_millis(3), None);
            }
        }

        fn counts(&self) -> RouteCounts {
            let cells = self.cells.iter().enumerate();
            cells
                .map(|(index, cells)| (key(index), Totals::of(cells)))
                .collect()
        }

        fn mark(&mut self, seconds: u64, revision: Option<u64>) {
            self.trail.add(Mark {
                at: self.start + Duration::from_secs(seconds),
                revision: revision.map(Revision),
                shares: Arc::clone(&self.shares),
                counts: self.counts(),
            });
        }

        fn split(&mut self, seconds: u64, revision: u64, percent: f64) {
            self.shares = Arc::new(green(percent));
            self.mark(seconds, Some(revision));
        }

        fn back(&self, seconds: u64) -> Past {
            let now = self.start + Duration::from_secs(seconds);
            let after = green(0.0);
            self.trail.past((now, &self.counts()), &[key(1)], &after)
        }
    }

    #[test]
    fn the_periods_are_those_before_the_first_step_and_with_the_release() {
        let mut road = Road::new();
        road.requests(0, Outcome::Answered(200), 500);
        road.split(60, 7, 5.0);
        road.requests(0, Outcome::Answered(200), 90);
        road.requests(1, Outcome::Answered(500), 10);
        road.split(120, 8, 50.0);
        road.requests(0, Outcome::Answered(200), 200);
        road.requests(1, Outcome::Cut(200), 200);
        let past = road.back(180);
        let recovery = past.recovery;
        assert_eq!(past.own_revisions, [Revision(7), Revision(8)]);
        assert_eq!(recovery.before.unwrap().units, 500);
        assert_eq!((recovery.with.units, recovery.own.units), (500, 210));
        assert_eq!((recovery.with.failures, recovery.with.broken), (10, 200));
        assert_eq!(recovery.beside.unwrap().units, 290);
        assert_eq!(recovery.thresholds.unwrap().seconds(), [LEAST_SLOW]);
    }

    #[test]
    fn a_release_that_goes_bad_late_is_seen_by_its_last_ten_minutes() {
        let mut road = Road::new();
        road.split(60, 7, 100.0);
        for minute in 2..60 {
            road.requests(1, Outcome::Answered(200), 100);
            road.mark(60 * minute, None);
        }
        road.requests(1, Outcome::Answered(500), 300);
        let with = road.back(3600).recovery.with;
        assert_eq!(with.failures, 300);
        assert!((1_000..2_600).contains(&with.units), "{with:?}");
    }

    #[test]
    fn without_a_reading_before_the_release_nothing_is_known_of_that_time() {
        let mut road = Road::new();
        road.trail = RouteTrail::default();
        road.shares = Arc::new(green(5.0));
        road.mark(0, None);
        road.requests(1, Outcome::Answered(200), 300);
        let past = road.back(60);
        assert_eq!(past.recovery.before, None);
        assert_eq!(past.recovery.with.units, 300);
        assert!(past.own_revisions.is_empty());
        let nothing = RouteTrail::default().past((road.start, &road.counts()), &[], &green(0.0));
        assert_eq!(nothing.recovery.with.units, 0);
    }

    #[test]
    fn a_trail_stays_short_and_idle_minutes_leave_nothing() {
        let mut road = Road::new();
        for minute in 0..3_000 {
            road.requests(0, Outcome::Answered(200), 1);
            road.mark(60 * minute, None);
            if minute % 7 == 0 {
                road.split(60 * minute, minute, 5.0);
            }
        }
        let length = road.trail.marks.len();
        assert!((20..30).contains(&length), "{length}");
        road.mark(60 * 3_001, None);
        assert_eq!(road.trail.marks.len(), length);
    }

    #[test]
    fn counters_that_began_anew_count_as_nothing() {
        let mut road = Road::new();
        road.requests(0, Outcome::Answered(200), 300);
        road.split(60, 7, 100.0);
        road.cells[0] = OutcomeTable::new(1);
        road.requests(1, Outcome::Answered(200), 10);
        assert_eq!(road.back(120).recovery.with.units, 10);
    }
}
