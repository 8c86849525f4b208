//! Samples of metrics, and what takes them: the page for Prometheus and the exporters.

use std::fmt;

use super::metric::Metric;
use crate::{model::Revision, stats::HistogramSnapshot};

/// Labels of a sample: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Taker of all samples of a scrape. Those of one metric come one after the other, after its head.
pub(super) trait Sink {
    /// Begins the samples of a metric; there may be none.
    fn head(&mut self, metric: Metric);

    /// Takes a sample of a counter or gauge.
    fn value(&mut self, metric: Metric, labels: Labels<'_>, value: Value);

    /// Takes a histogram.
    fn histogram(&mut self, metric: Metric, labels: Labels<'_>, buckets: &Buckets<'_>);
}

impl dyn Sink + '_ {
    /// Takes a sample of a counter or gauge.
    pub(super) fn sample(&mut self, metric: Metric, labels: Labels<'_>, value: impl Into<Value>) {
        self.value(metric, labels, value.into());
    }
}

/// Value of a counter or gauge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// A number of things.
    Count(u64),
    /// Any other number.
    Real(f64),
}

impl Value {
    /// The number; counts above 2⁵³ are rounded.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count that large needs no more than 53 bits"
    )]
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Real(real) => real,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Real(real) => real.fmt(f),
        }
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<f64> for Value {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

impl From<Revision> for Value {
    fn from(revision: Revision) -> Self {
        Self::Count(revision.0)
    }
}

/// Values of a histogram: one count for each bound, and one for what is above the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Buckets<'a> {
    /// Upper bounds of the buckets, without the infinite one.
    pub(super) bounds: &'static [f64],
    /// Number of values in each bucket.
    pub(super) counts: &'a [u64],
    /// Sum of all values.
    pub(super) sum: f64,
}

impl<'a> Buckets<'a> {
    /// The buckets of a traffic histogram.
    pub(super) fn of(snapshot: &'a HistogramSnapshot) -> Self {
        Self {
            bounds: &crate::stats::BOUNDS_SECONDS,
            counts: snapshot.counts(),
            sum: snapshot.sum_seconds(),
        }
    }

    /// Number of values.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bounds with the number of values at or below each; the last bound is infinite.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }
}
