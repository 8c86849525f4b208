//! A release compared with the stable one, or a variant with the default: differences with confidence intervals, and a
//! sentence.

use std::fmt::Write as _;

use super::{kpi_readings::KpiWindow, kpi_series::KpiSeries, watch_set::ReleaseKey};
use crate::{
    analysis::{CONFIDENCE, Estimate, Rate},
    api::{KpiComparison, KpiDifference, KpiFinding},
    stats::{HistogramSnapshot, OutcomeTotals},
};

/// Counts of two releases or of two times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) one: &'a OutcomeTotals,
    pub(super) other: &'a OutcomeTotals,
}

/// A comparison of two series.
#[derive(Debug)]
pub(super) struct Compared {
    /// Time that is compared, in seconds.
    pub(super) seconds: u64,
    pub(super) failure_share: Option<KpiDifference>,
    pub(super) duration_p95_seconds: Option<KpiDifference>,
    pub(super) first_byte_p95_seconds: Option<KpiDifference>,
    pub(super) words: String,
}

/// Compares a release with the stable one.
pub(super) fn comparison(
    window: &KpiWindow,
    (canary, its): (&ReleaseKey, Option<&KpiSeries>),
    (stable, others): (&ReleaseKey, Option<&KpiSeries>),
) -> KpiComparison {
    let found = compared(
        window,
        (canary.0.as_str(), its),
        (stable.0.as_str(), others),
    );
    KpiComparison {
        stable: stable.0.clone(),
        stable_version: stable.1.clone(),
        seconds: found.seconds,
        confidence: CONFIDENCE,
        failure_share: found.failure_share,
        duration_p95_seconds: found.duration_p95_seconds,
        first_byte_p95_seconds: found.first_byte_p95_seconds,
        words: found.words,
    }
}

/// Compares two series, within the part of the window in which both had requests: what one had alone says nothing about
/// the other.
pub(super) fn compared(
    window: &KpiWindow,
    (name, its): (&str, Option<&KpiSeries>),
    (of_other, others): (&str, Option<&KpiSeries>),
) -> Compared {
    let both = its.zip(others).and_then(|(its, others)| {
        let (one, other) = (active(window, its)?, active(window, others)?);
        let seconds = one.0.max(other.0)..one.1.min(other.1);
        (seconds.start < seconds.end).then_some((its, others, seconds))
    });
    let mut found = Compared {
        seconds: 0,
        failure_share: None,
        duration_p95_seconds: None,
        first_byte_p95_seconds: None,
        words: format!("{name} and {of_other} had no requests at the same time"),
    };
    if let Some((its, others, seconds)) = both {
        found.seconds = seconds.end - seconds.start;
        let sum = |series: &KpiSeries| series.windows.sum(window.resolution, seconds.clone());
        let (one, other) = (sum(its), sum(others));
        let pair = Pair {
            one: &one,
            other: &other,
        };
        found.failure_share = pair.failure_share();
        found.duration_p95_seconds = pair.p95(|totals| &totals.duration);
        found.first_byte_p95_seconds = pair.p95(|totals| &totals.first_byte);
        found.words = sentence(name, of_other, pair, &found);
    }
    found
}

/// The seconds from the first interval with requests to the last.
fn active(window: &KpiWindow, series: &KpiSeries) -> Option<(u64, u64)> {
    let intervals = series
        .windows
        .intervals(window.resolution, window.seconds.clone());
    let mut busy = intervals
        .filter(|(_, totals, _)| totals.requests > 0)
        .map(|(second, _, _)| second);
    let first = busy.next()?;
    let last = busy.last().unwrap_or(first);
    Some((first, last + window.resolution.seconds()))
}

impl Pair<'_> {
    /// Difference of the shares of failures, streams that broke off included.
    pub(super) fn failure_share(self) -> Option<KpiDifference> {
        let share = |totals: &OutcomeTotals| {
            Estimate::share(totals.failures + totals.broken, totals.requests)
        };
        Some(difference(share(self.one)?, share(self.other)?))
    }

    /// Difference of the 95th percentiles.
    pub(super) fn p95(self, of: fn(&OutcomeTotals) -> &HistogramSnapshot) -> Option<KpiDifference> {
        let p95 = |totals| {
            let histogram = of(totals);
            Estimate::quantile(histogram.count(), 0.95, |rank| histogram.seconds_at(rank))
        };
        Some(difference(p95(self.one)?, p95(self.other)?))
    }
}

fn difference(one: Estimate, other: Estimate) -> KpiDifference {
    let difference = one.minus(other);
    let finding = if difference.is_more() {
        KpiFinding::More
    } else if difference.is_less() {
        KpiFinding::Less
    } else {
        KpiFinding::NotShown
    };
    KpiDifference {
        value: one.value,
        other: other.value,
        difference: difference.value,
        low: difference.low,
        high: difference.high,
        finding,
    }
}

/// Failures among the requests, in words: "4.2 % (5 of 120)".
pub(super) fn failing(totals: &OutcomeTotals) -> Rate {
    let bad = totals.failures + totals.broken;
    Rate {
        bad,
        units: totals.requests,
        distinct: bad,
    }
}

fn sentence(canary: &str, stable: &str, pair: Pair<'_>, found: &Compared) -> String {
    let (one, other) = (failing(pair.one), failing(pair.other));
    let mut words = format!("{canary} fails {one}, {stable} {other}");
    if let Some(share) = &found.failure_share {
        words.push_str(": ");
        words.push_str(&points_in_words(share));
    }
    if let Some(p95) = &found.duration_p95_seconds {
        let (one, other) = (seconds(p95.value), seconds(p95.other));
        let finding = match p95.finding {
            KpiFinding::More => "slower",
            KpiFinding::Less => "faster",
            KpiFinding::NotShown => "no difference shown",
        };
        let _ = write!(words, "; p95 {one} against {other}: {finding}");
    }
    words
}

/// A difference of shares, in percentage points.
pub(super) fn points_in_words(share: &KpiDifference) -> String {
    let (low, high) = (share.low * 100.0, share.high * 100.0);
    match share.finding {
        KpiFinding::More => format!("{low:.1} to {high:.1} percentage points more"),
        KpiFinding::Less => format!("{:.1} to {:.1} percentage points less", -high, -low),
        KpiFinding::NotShown => {
            format!("no difference shown ({low:+.1} to {high:+.1} percentage points)")
        }
    }
}

/// `850 ms`, `1.2 s`.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1_000.0);
    }
    format!("{seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        model::{Outcome, Version},
        stats::{OutcomeTable, Resolution},
    };

    fn series(seconds: &[(u64, u16, usize, u64)]) -> KpiSeries {
        let cells = Arc::new(OutcomeTable::new(1));
        let mut series = KpiSeries::new(0, OutcomeTotals::default());
        for (second, status, count, ms) in seconds {
            for _ in 0..*count {
                let duration = Duration::from_millis(*ms);
                cells.record(0, Outcome::Answered(*status), duration, None);
            }
            series.read(*second, Some(&cells), 0);
        }
        series
    }

    fn compared(canary: &KpiSeries, stable: &KpiSeries) -> KpiComparison {
        let key = |name: &str| (name.parse().unwrap(), Version::default());
        let window = KpiWindow {
            resolution: Resolution::Second,
            seconds: 0..60,
        };
        let (green, blue) = (key("green"), key("blue"));
        comparison(&window, (&green, Some(canary)), (&blue, Some(stable)))
    }

    #[test]
    fn only_the_time_in_which_both_had_requests_is_compared() {
        // Stable failed before the canary began: that is not to the canary's credit.
        let stable = series(&[(0, 500, 900, 10), (30, 200, 100, 10), (59, 200, 50, 10)]);
        let canary = series(&[(30, 200, 90, 900), (40, 500, 10, 900)]);
        let found = compared(&canary, &stable);
        assert_eq!(found.seconds, 11);
        let share = found.failure_share.unwrap();
        assert_eq!((share.value, share.other), (0.1, 0.0));
        assert_eq!(share.finding, KpiFinding::More);
        let p95 = found.duration_p95_seconds.unwrap();
        assert_eq!(p95.finding, KpiFinding::More);
        assert_eq!(found.first_byte_p95_seconds, None);
        assert_eq!(
            found.words,
            "green fails 10.0 % (10 of 100), blue 0.0 % (0 of 100): 4.2 to 17.4 percentage points more; p95 975 ms against 10 ms: slower"
        );
    }

    #[test]
    fn few_requests_show_no_difference_and_none_at_the_same_time_are_not_compared() {
        let stable = series(&[(10, 200, 20, 10)]);
        let found = compared(&series(&[(10, 500, 1, 10), (10, 200, 9, 10)]), &stable);
        let share = found.failure_share.unwrap();
        assert_eq!(share.finding, KpiFinding::NotShown);
        assert!(
            found.words.contains("no difference shown (-"),
            "{}",
            found.words
        );
        let found = compared(&series(&[(11, 200, 5, 10)]), &stable);
        assert_eq!((found.seconds, found.failure_share), (0, None));
        assert_eq!(
            found.words,
            "green and blue had no requests at the same time"
        );
        let found = compared(&series(&[]), &stable);
        assert_eq!(found.seconds, 0);
    }
}
