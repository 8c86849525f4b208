//! The series of all routes and releases, and the readings that feed them.
//!
//! Seconds are counted from the start by the monotonic clock. A reading at the end of a second belongs to it; one that is
//! late holds what the seconds before it had as well.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{kpi_series::KpiSeries, watch_set::ReleaseKey};
use crate::{
    api::Timestamp,
    fleet::{CellKey, FlagCellKey},
    model::{FlagName, RouteName, VariantName},
    stats::{OutcomeTable, OutcomeTotals, Resolution},
};

/// Most routes and releases that have series: at 430 kB each, 110 MB if all of them are busy for two days.
pub(super) const MOST_SERIES: usize = 256;

/// The series, and the latest reading.
#[derive(Debug)]
pub(super) struct KpiReadings {
    started: Instant,
    pub(super) read_at: Instant,
    /// Time of the latest reading by the wall clock.
    pub(super) at: Timestamp,
    /// The second of the latest reading.
    second: u64,
    series: BTreeMap<CellKey, KpiSeries>,
    flags: BTreeMap<FlagCellKey, KpiSeries>,
    /// Routes and releases that found no room at the latest reading.
    pub(super) left_out: usize,
}

/// Counters and gauges of the fleet at one time.
#[derive(Debug, Default)]
pub(super) struct FleetReading {
    pub(super) cells: HashMap<CellKey, Arc<OutcomeTable>>,
    pub(super) in_flight: HashMap<ReleaseKey, u64>,
    pub(super) flags: Vec<(FlagCellKey, Arc<OutcomeTable>)>,
}

/// A window that ends with the latest reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KpiWindow {
    pub(super) resolution: Resolution,
    pub(super) seconds: Range<u64>,
}

impl KpiReadings {
    pub(super) fn new(started: Instant, at: Timestamp) -> Self {
        Self {
            started,
            read_at: started,
            at,
            second: 0,
            series: BTreeMap::new(),
            flags: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// The second that a reading at this time belongs to.
    fn second_of_reading(&self, now: Instant) -> u64 {
        let over = now.duration_since(self.started).as_secs();
        over.saturating_sub(1).max(self.second)
    }

    /// Takes a reading.
    pub(super) fn take(&mut self, mut reading: FleetReading, (now, at): (Instant, Timestamp)) {
        let second = self.second_of_reading(now);
        (self.second, self.read_at, self.at) = (second, now, at);
        self.take_flags(std::mem::take(&mut reading.flags), second);
        let in_flight = reading.in_flight;
        let on = |key: &CellKey| {
            let release = (key.1.clone(), key.2.clone());
            in_flight.get(&release).copied().unwrap_or_default()
        };
        self.series.retain(|key, series| {
            let cells = reading.cells.remove(key);
            series.read(second, cells.as_deref(), on(key));
            cells.is_some() || !series.windows.is_empty()
        });
        // What found no room before has counted for an unknown time.
        let was_full = self.left_out > 0;
        let mut new: Vec<_> = reading.cells.into_iter().collect();
        new.sort_by(|a, b| a.0.cmp(&b.0));
        self.left_out = 0;
        for (key, cells) in new {
            if self.series.len() >= MOST_SERIES {
                self.left_out += 1;
                continue;
            }
            let last = was_full.then(|| OutcomeTotals::from(cells.snapshot()));
            let mut series = KpiSeries::new(second, last.unwrap_or_default());
            series.read(second, Some(&cells), on(&key));
            self.series.insert(key, series);
        }
    }

    /// Takes a reading of the counters of variants, none of which counts what is in flight.
    fn take_flags(&mut self, reading: Vec<(FlagCellKey, Arc<OutcomeTable>)>, second: u64) {
        let mut cells: BTreeMap<_, _> = reading.into_iter().collect();
        self.flags.retain(|key, series| {
            let cells = cells.remove(key);
            series.read(second, cells.as_deref(), 0);
            cells.is_some() || !series.windows.is_empty()
        });
        for (key, cells) in cells {
            // Room is made by age alone: a table has fewer.
            if self.flags.len() < MOST_SERIES {
                let mut series = KpiSeries::new(second, OutcomeTotals::default());
                series.read(second, Some(&cells), 0);
                self.flags.insert(key, series);
            }
        }
    }

    /// The series of a flag, by variant.
    pub(super) fn of_flag<'a>(
        &'a self,
        flag: &'a FlagName,
    ) -> impl Iterator<Item = (&'a VariantName, &'a KpiSeries)> {
        let own = self.flags.iter().filter(move |(key, _)| key.0 == *flag);
        own.map(|(key, series)| (&key.1, series))
    }

    /// The window of the last seconds, rounded to the intervals that it is read from.
    pub(super) fn window(&self, seconds: u64) -> KpiWindow {
        let resolution = Resolution::of_window(seconds);
        let (step, end) = (resolution.seconds(), self.second + 1);
        let from = end.saturating_sub(seconds) / step * step;
        KpiWindow {
            resolution,
            seconds: from..end,
        }
    }

    /// The second after that of the latest reading.
    pub(super) fn end(&self) -> u64 {
        self.second + 1
    }

    /// All series by route, release and version.
    pub(super) fn all(&self) -> impl Iterator<Item = (&CellKey, &KpiSeries)> {
        self.series.iter()
    }

    /// The series of a route.
    pub(super) fn of_route<'a>(
        &'a self,
        route: &'a RouteName,
    ) -> impl Iterator<Item = (&'a CellKey, &'a KpiSeries)> {
        self.series.iter().filter(move |(key, _)| key.0 == *route)
    }

    /// The series of a release on a route.
    pub(super) fn get(&self, key: &CellKey) -> Option<&KpiSeries> {
        self.series.get(key)
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Begin of a second by the wall clock.
    pub(super) fn time_of(&self, second: u64) -> Timestamp {
        let since_start = self.read_at.duration_since(self.started).as_micros();
        let since_start = u64::try_from(since_start).unwrap_or(u64::MAX);
        let begin = self.at.0.saturating_sub(since_start);
        Timestamp(begin.saturating_add(second.saturating_mul(1_000_000)))
    }

    /// Age of the latest reading.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.read_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Outcome, Version};

    fn key(route: &str, release: &str) -> CellKey {
        (
            route.parse().unwrap(),
            release.parse().unwrap(),
            Version::default(),
        )
    }

    /// Readings with their own clock.
    struct Clocked {
        readings: KpiReadings,
        start: Instant,
        cells: HashMap<CellKey, Arc<OutcomeTable>>,
    }

    impl Clocked {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                readings: KpiReadings::new(start, Timestamp(5_000_000)),
                start,
                cells: HashMap::new(),
            }
        }

        fn requests(&mut self, key: &CellKey, count: usize) {
            let new = || Arc::new(OutcomeTable::new(1));
            let cells = self.cells.entry(key.clone()).or_insert_with(new);
            for _ in 0..count {
                cells.record(0, Outcome::Answered(200), Duration::ZERO, None);
            }
        }

        fn read(&mut self, millis: u64) {
            let reading = FleetReading {
                cells: self.cells.clone(),
                ..FleetReading::default()
            };
            let at = Timestamp(5_000_000 + millis * 1_000);
            let now = self.start + Duration::from_millis(millis);
            self.readings.take(reading, (now, at));
        }

        fn seen(&self, key: &CellKey, window: u64) -> u64 {
            let KpiWindow {
                resolution,
                seconds,
            } = self.readings.window(window);
            let series = self.readings.get(key).unwrap();
            series.windows.sum(resolution, seconds).requests
        }
    }

    #[test]
    fn what_comes_between_two_readings_is_in_the_second_of_the_later_one() {
        let (mut clocked, chat) = (Clocked::new(), key("chat", "blue"));
        clocked.read(3);
        clocked.requests(&chat, 5);
        clocked.read(1_002);
        clocked.requests(&chat, 7);
        clocked.read(2_001);
        assert_eq!((clocked.seen(&chat, 1), clocked.seen(&chat, 2)), (7, 12));
        clocked.read(4_000);
        assert_eq!((clocked.seen(&chat, 2), clocked.seen(&chat, 3)), (0, 7));
        assert_eq!(clocked.readings.window(60).seconds, 0..4);
        assert_eq!(clocked.readings.time_of(3), Timestamp(8_000_000));
    }

    #[test]
    fn a_release_that_is_removed_keeps_its_series_until_they_age_out() {
        let (mut clocked, chat) = (Clocked::new(), key("chat", "blue"));
        clocked.requests(&chat, 5);
        clocked.read(1_000);
        clocked.cells.clear();
        clocked.read(60_000);
        assert_eq!(clocked.seen(&chat, 120), 5);
        clocked.requests(&chat, 2);
        clocked.read(61_000);
        assert_eq!(clocked.seen(&chat, 120), 7, "new counters");
        clocked.cells.clear();
        clocked.read(1_000 * 170_000);
        assert_eq!(clocked.readings.len(), 1);
        clocked.read(1_000 * 180_000);
        assert_eq!(clocked.readings.len(), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_begins_at_zero_once_there_is_some() {
        let mut clocked = Clocked::new();
        for index in 0..=MOST_SERIES {
            clocked.requests(&key("chat", &format!("r{index:03}")), 1);
        }
        clocked.read(1_000);
        assert_eq!(clocked.readings.len(), MOST_SERIES);
        assert_eq!(clocked.readings.left_out, 1);
        let (first, last) = (key("chat", "r000"), key("chat", "r256"));
        clocked.cells.remove(&first);
        clocked.requests(&last, 9);
        clocked.read(1_000 * 200_000);
        assert!(clocked.readings.get(&first).is_none());
        assert_eq!(clocked.seen(&last, 60), 0, "from an unknown time");
        clocked.requests(&last, 3);
        clocked.read(1_000 * 200_001);
        assert_eq!(clocked.seen(&last, 60), 3);
        assert_eq!(clocked.readings.left_out, 0);
    }
}
