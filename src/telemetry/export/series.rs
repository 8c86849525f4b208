//! Values of counters and histograms with the time that they are about: the increase since the last round, or the total.

use std::collections::HashMap;

use super::{deltas::Deltas, durations::NewValues};
use crate::telemetry::sample::Buckets;

/// Meaning of the value of a counter or a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// The total since a start.
    Cumulative,
    /// The increase since the last value.
    Delta,
}

/// All series of counters and histograms. Those that a round does not see are forgotten.
#[derive(Debug)]
pub(super) struct Series {
    temporality: Temporality,
    deltas: Deltas,
    totals: HashMap<String, Total>,
    /// Time of the last round, in nanoseconds since 1970.
    last: u64,
    round: u64,
}

/// A value with the begin of the time that it is about, in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Since<T> {
    pub(super) start: u64,
    pub(super) value: T,
}

#[derive(Debug)]
struct Total {
    start: u64,
    count: u64,
    values: Option<NewValues>,
    round: u64,
}

impl Series {
    /// Series that begin at `now`.
    pub(super) fn new(temporality: Temporality, now: u64) -> Self {
        Self {
            temporality,
            deltas: Deltas::default(),
            totals: HashMap::new(),
            last: now,
            round: 0,
        }
    }

    /// Value of a counter; `None` if there is nothing to say.
    pub(super) fn counter(&mut self, series: &str, value: u64) -> Option<Since<u64>> {
        let delta = self.deltas.counter(series, value);
        if self.temporality == Temporality::Delta {
            let since = Since {
                start: self.last,
                value: delta,
            };
            return (delta > 0).then_some(since);
        }
        let total = self.total(series);
        total.count += delta;
        Some(Since {
            start: total.start,
            value: total.count,
        })
    }

    /// Values of a histogram; `None` if there is nothing to say.
    pub(super) fn histogram(
        &mut self,
        series: &str,
        buckets: &Buckets<'_>,
    ) -> Option<Since<NewValues>> {
        let new = self.deltas.histogram(series, buckets);
        if self.temporality == Temporality::Delta {
            let start = self.last;
            return new.map(|value| Since { start, value });
        }
        let total = self.total(series);
        match (&mut total.values, new) {
            (Some(all), Some(new)) => all.add(&new),
            (all @ None, new) => *all = new,
            (Some(_), None) => {}
        }
        let value = total.values.clone()?;
        let start = total.start;
        Some(Since { start, value })
    }

    /// The total of a series in this round; a new one starts with the round before.
    fn total(&mut self, series: &str) -> &mut Total {
        if !self.totals.contains_key(series) {
            let total = Total {
                start: self.last,
                count: 0,
                values: None,
                round: self.round,
            };
            self.totals.insert(series.to_owned(), total);
        }
        let total = self.totals.get_mut(series);
        let total = total.expect("a total that was missing was inserted");
        total.round = self.round;
        total
    }

    /// Ends a round.
    pub(super) fn end_round(&mut self, now: u64) {
        let round = self.round;
        self.totals.retain(|_, total| total.round == round);
        self.deltas.end_round();
        self.round += 1;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn since<T>(start: u64, value: T) -> Since<T> {
        Since { start, value }
    }

    #[test]
    fn a_delta_is_about_the_time_since_the_last_round() {
        let mut series = Series::new(Temporality::Delta, 10);
        assert_eq!(series.counter("a", 5), Some(since(10, 5)));
        series.end_round(20);
        assert_eq!(series.counter("a", 7), Some(since(20, 2)));
        series.end_round(30);
        assert_eq!(series.counter("a", 7), None);
    }

    #[test]
    fn a_total_keeps_its_start_and_never_falls() {
        let mut series = Series::new(Temporality::Cumulative, 10);
        let mut values = Vec::new();
        for (now, value) in [(20, 5), (30, 5), (40, 8), (50, 1)] {
            values.push(series.counter("a", value).unwrap());
            series.end_round(now);
        }
        assert!(values.iter().all(|one| one.start == 10));
        let totals: Vec<_> = values.iter().map(|one| one.value).collect();
        assert_eq!(totals, [5, 5, 8, 9]);
    }

    #[test]
    fn a_series_that_comes_back_starts_anew() {
        let mut series = Series::new(Temporality::Cumulative, 10);
        series.counter("a", 5);
        series.end_round(20);
        series.end_round(30);
        assert_eq!(series.counter("a", 6), Some(since(30, 6)));
    }

    #[test]
    fn a_histogram_is_summed_over_the_rounds() {
        let of = |counts: &'static [u64], sum| Buckets {
            bounds: &[1.0],
            counts,
            sum,
        };
        for (temporality, start, counts, sum) in [
            (Temporality::Cumulative, 10, [3, 1], 5.5),
            (Temporality::Delta, 20, [1, 0], 0.5),
        ] {
            let mut series = Series::new(temporality, 10);
            assert_eq!(series.histogram("a", &of(&[0, 0], 0.0)), None);
            series.histogram("a", &of(&[2, 1], 5.0));
            series.end_round(20);
            let second = series.histogram("a", &of(&[3, 1], 5.5)).unwrap();
            assert_eq!((second.start, second.value.sum), (start, sum));
            assert_eq!(second.value.counts, counts);
        }
    }
}
