//! Differences of counters and histograms since the last round.

use std::collections::HashMap;

use super::durations::NewValues;
use crate::telemetry::sample::Buckets;

/// Last values of counters and histograms by series. Series that a round does not see are forgotten.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    counters: HashMap<String, LastCount>,
    histograms: HashMap<String, LastBuckets>,
    round: u64,
}

#[derive(Debug)]
struct LastCount {
    value: u64,
    round: u64,
}

#[derive(Debug)]
struct LastBuckets {
    counts: Vec<u64>,
    sum: f64,
    round: u64,
}

impl Deltas {
    /// Increase of a counter.
    pub(super) fn counter(&mut self, series: &str, value: u64) -> u64 {
        let round = self.round;
        if let Some(last) = self.counters.get_mut(series) {
            last.round = round;
            return increase(&mut last.value, value);
        }
        let last = LastCount { value, round };
        self.counters.insert(series.to_owned(), last);
        value
    }

    /// Values that a histogram has got; `None` if there are none.
    pub(super) fn histogram(&mut self, series: &str, buckets: &Buckets<'_>) -> Option<NewValues> {
        let round = self.round;
        if !self.histograms.contains_key(series) {
            let last = LastBuckets {
                counts: vec![0; buckets.counts.len()],
                sum: 0.0,
                round,
            };
            self.histograms.insert(series.to_owned(), last);
        }
        let last = self.histograms.get_mut(series)?;
        last.round = round;
        let counts = last.counts.iter_mut().zip(buckets.counts);
        let counts: Vec<u64> = counts.map(|(last, now)| increase(last, *now)).collect();
        let before = std::mem::replace(&mut last.sum, buckets.sum);
        let sum = if buckets.sum < before {
            buckets.sum
        } else {
            buckets.sum - before
        };
        let values = NewValues {
            bounds: buckets.bounds,
            counts,
            sum,
        };
        (values.count() > 0).then_some(values)
    }

    /// Ends a round: forgets the series that were not seen in it.
    pub(super) fn end_round(&mut self) {
        let round = self.round;
        self.counters.retain(|_, last| last.round == round);
        self.histograms.retain(|_, last| last.round == round);
        self.round += 1;
    }
}

/// Increase of a counter, which becomes the last value.
///
/// A counter that has fallen by half or more began anew: its release was removed and came back. One that fell less was
/// read amid an update, since a sum over workers is not one instant; it counts on from the larger value.
fn increase(last: &mut u64, now: u64) -> u64 {
    if now >= *last {
        return now - std::mem::replace(last, now);
    }
    if now > *last / 2 {
        return 0;
    }
    *last = now;
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_gives_what_came_since_the_last_round() {
        let mut deltas = Deltas::default();
        let values = [5, 5, 9, 8, 10, 3, 4].map(|value| {
            let delta = deltas.counter("a", value);
            deltas.end_round();
            delta
        });
        assert_eq!(values, [5, 0, 4, 0, 1, 3, 1]);
    }

    #[test]
    fn a_series_that_is_not_seen_is_forgotten() {
        let mut deltas = Deltas::default();
        deltas.counter("a", 5);
        deltas.end_round();
        deltas.end_round();
        assert!(deltas.counters.is_empty());
        assert_eq!(deltas.counter("a", 6), 6);
    }

    #[test]
    fn a_histogram_gives_its_new_values() {
        let mut deltas = Deltas::default();
        let of = |counts: &'static [u64], sum| Buckets {
            bounds: &[1.0],
            counts,
            sum,
        };
        let first = deltas.histogram("a", &of(&[2, 1], 4.0)).unwrap();
        assert_eq!((first.counts.as_slice(), first.sum), (&[2, 1][..], 4.0));
        deltas.end_round();
        assert_eq!(deltas.histogram("a", &of(&[2, 1], 4.0)), None);
        deltas.end_round();
        let third = deltas.histogram("a", &of(&[2, 2], 9.0)).unwrap();
        assert_eq!((third.counts.as_slice(), third.sum), (&[0, 1][..], 5.0));
    }
}
