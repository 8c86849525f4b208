//! Key figures of counts, and the points of series.

use super::{kpi_readings::KpiReadings, kpi_readings::KpiWindow, kpi_series::KpiSeries};
use crate::{
    api::{KpiFeedback, KpiPoints, KpiQuantiles, Kpis},
    model::OpinionSign,
    stats::{HistogramSnapshot, OutcomeTotals},
};

/// The figures of counts of so many seconds.
pub(super) fn kpis(totals: &OutcomeTotals, seconds: u64, in_flight: u64) -> Kpis {
    let share = |count| (totals.requests > 0).then(|| ratio(count, totals.requests));
    Kpis {
        requests: totals.requests,
        requests_per_second: ratio(totals.requests, seconds.max(1)),
        failures: totals.failures,
        failure_share: share(totals.failures),
        client_errors: totals.client_errors,
        client_error_share: share(totals.client_errors),
        broken_streams: totals.broken,
        broken_stream_share: share(totals.broken),
        duration: quantiles(&totals.duration),
        first_byte: quantiles(&totals.first_byte),
        in_flight: Some(in_flight),
        feedback: feedback(totals),
    }
}

/// A part of a whole.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 are rounded, which no person sees"
)]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn quantiles(histogram: &HistogramSnapshot) -> Option<KpiQuantiles> {
    Some(KpiQuantiles {
        p50_seconds: histogram.quantile(0.5)?,
        p95_seconds: histogram.quantile(0.95)?,
        p99_seconds: histogram.quantile(0.99)?,
    })
}

fn feedback(totals: &OutcomeTotals) -> Option<KpiFeedback> {
    let of = |sign: OpinionSign| totals.opinions[sign.index()];
    let found = KpiFeedback {
        positive: of(OpinionSign::Positive),
        neutral: of(OpinionSign::Neutral),
        negative: of(OpinionSign::Negative),
    };
    (found != KpiFeedback::default()).then_some(found)
}

/// At most `most` points of some series, added up. Each is of the same whole number of intervals, and the last one ends
/// with the last interval that is over.
pub(super) fn points<'a>(
    readings: &KpiReadings,
    window: &KpiWindow,
    most: usize,
    series: impl Iterator<Item = &'a KpiSeries>,
) -> KpiPoints {
    let interval = window.resolution.seconds();
    let end = window.seconds.end / interval * interval;
    let intervals = end.saturating_sub(window.seconds.start) / interval;
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let step = intervals.div_ceil(most.max(1)).max(1) * interval;
    let count = usize::try_from(intervals * interval / step).unwrap_or_default();
    let from = end - (step * u64::try_from(count).unwrap_or_default());
    let mut sums = vec![(OutcomeTotals::default(), 0); count];
    for one in series {
        let mut in_flight = vec![0; count];
        for (second, totals, seen) in one.windows.intervals(window.resolution, from..end) {
            let place = usize::try_from((second - from) / step).unwrap_or(usize::MAX);
            if let Some((sum, most)) = sums.get_mut(place).zip(in_flight.get_mut(place)) {
                sum.0.add(&totals);
                *most = seen.max(*most);
            }
        }
        for (sum, seen) in sums.iter_mut().zip(in_flight) {
            sum.1 += seen;
        }
    }
    columns(readings, (from, step), &sums)
}

fn columns(
    readings: &KpiReadings,
    (from, step_seconds): (u64, u64),
    sums: &[(OutcomeTotals, u64)],
) -> KpiPoints {
    let counts = |of: fn(&OutcomeTotals) -> u64| sums.iter().map(|(sum, _)| of(sum)).collect();
    let seconds = |of: fn(&OutcomeTotals) -> Option<f64>| {
        let all = sums.iter().map(|(sum, _)| of(sum));
        all.collect()
    };
    KpiPoints {
        from: readings.time_of(from),
        step_seconds,
        requests: counts(|sum| sum.requests),
        failures: counts(|sum| sum.failures),
        client_errors: counts(|sum| sum.client_errors),
        broken_streams: counts(|sum| sum.broken),
        duration_p50_seconds: seconds(|sum| sum.duration.quantile(0.5)),
        duration_p95_seconds: seconds(|sum| sum.duration.quantile(0.95)),
        first_byte_p95_seconds: seconds(|sum| sum.first_byte.quantile(0.95)),
        in_flight: sums.iter().map(|(_, in_flight)| *in_flight).collect(),
    }
}
