//! Recorder of rare events: what the macros of the `metrics` crate write to.
//!
//! It knows the metrics of [`names::ALL`] and no others, and its label values are words of ours, so it stays small.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Label, Metadata, SharedString, Unit,
};

use super::{
    names::{self, Metric},
    sample::{Buckets, Sink, Value},
};
use crate::stats::BOUNDS_SECONDS;

/// Bounds for durations of micro- to milliseconds: swaps and convergence.
const SHORT_SECONDS: [f64; 12] = [
    0.000_001, 0.000_005, 0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5,
];

/// Counters, gauges and histograms by name and labels.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    counters: Series<AtomicU64>,
    gauges: Series<AtomicU64>,
    histograms: Series<Distribution>,
}

/// Values of one kind, by name and labels.
#[derive(Debug)]
struct Series<T>(RwLock<BTreeMap<Key, Arc<T>>>);

/// Values in buckets. Events are rare, so that all threads share one.
#[derive(Debug)]
struct Distribution {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    // The bits of a float.
    sum: AtomicU64,
}

impl Recorder {
    /// Gives a sink all values.
    pub(super) fn write(&self, sink: &mut dyn Sink) {
        self.counters.write(sink, |sink, metric, labels, counter| {
            let count = counter.load(Ordering::Relaxed);
            sink.sample(metric, labels, count);
        });
        self.gauges.write(sink, |sink, metric, labels, gauge| {
            let value = f64::from_bits(gauge.load(Ordering::Relaxed));
            sink.sample(metric, labels, Value::Real(value));
        });
        self.histograms.write(sink, |sink, metric, labels, values| {
            let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let counts: Vec<_> = values.counts.iter().map(load).collect();
            let buckets = Buckets {
                bounds: values.bounds,
                counts: &counts,
                sum: f64::from_bits(load(&values.sum)),
            };
            sink.histogram(metric, labels, &buckets);
        });
    }
}

impl metrics::Recorder for Recorder {
    // The list of names has the descriptions.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counter = self.counters.get(key, AtomicU64::default);
        counter.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let gauge = self.gauges.get(key, AtomicU64::default);
        gauge.map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let is_short = names::SHORT.contains(&key.name());
        let values = self.histograms.get(key, || {
            Distribution::new(if is_short {
                &SHORT_SECONDS
            } else {
                &BOUNDS_SECONDS
            })
        });
        values.map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Series<T> {
    /// The value of a key; none if the name is not one of ours.
    fn get(&self, key: &Key, create: impl FnOnce() -> T) -> Option<Arc<T>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(key) {
            return Some(Arc::clone(value));
        }
        drop(known);
        find(key.name())?;
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let value = all.entry(key.clone()).or_insert_with(|| Arc::new(create()));
        Some(Arc::clone(value))
    }

    fn write(&self, sink: &mut dyn Sink, one: impl Fn(&mut dyn Sink, Metric, &[(&str, &str)], &T)) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut last = "";
        for (key, value) in &*all {
            let Some(metric) = find(key.name()) else {
                continue;
            };
            if metric.0 != last {
                sink.head(metric);
                last = metric.0;
            }
            let label = |label: &'_ Label| (label.key().to_owned(), label.value().to_owned());
            let labels: Vec<_> = key.labels().map(label).collect();
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            one(sink, metric, &labels, value);
        }
    }
}

fn find(name: &str) -> Option<Metric> {
    names::ALL.iter().find(|metric| metric.0 == name).copied()
}

impl Distribution {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }
}

impl HistogramFn for Distribution {
    fn record(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        metrics::GaugeFn::increment(&self.sum, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::text::Text;

    fn page(events: impl FnOnce()) -> String {
        let recorder = Arc::new(Recorder::default());
        metrics::with_local_recorder(&recorder, events);
        let mut text = Text::default();
        recorder.write(&mut text);
        text.finish()
    }

    #[test]
    fn events_are_in_the_page_by_name_and_labels() {
        let page = page(|| {
            for reason in ["no_route", "no_route", "full"] {
                metrics::counter!(names::REJECTED.0, "reason" => reason).increment(1);
            }
            metrics::gauge!(names::DRIFT.0).set(1.0);
            metrics::counter!(names::HISTORY_ERRORS.0).absolute(7);
        });
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "switchback_history_errors_total 7",
                "switchback_requests_rejected_total{reason=\"full\"} 1",
                "switchback_requests_rejected_total{reason=\"no_route\"} 2",
                "switchback_drift 1",
            ]
        );
        assert_eq!(page.matches("# TYPE").count(), 3);
    }

    #[test]
    fn a_value_on_a_bound_is_in_the_bucket_of_that_bound() {
        let page = page(|| {
            let swap = metrics::histogram!(names::SWAP_SECONDS.0);
            for seconds in [0.000_001, 0.000_002, 9.0] {
                swap.record(seconds);
            }
        });
        for line in [
            "switchback_swap_seconds_bucket{le=\"0.000001\"} 1",
            "switchback_swap_seconds_bucket{le=\"0.000005\"} 2",
            "switchback_swap_seconds_bucket{le=\"0.5\"} 2",
            "switchback_swap_seconds_bucket{le=\"+Inf\"} 3",
            "switchback_swap_seconds_sum 9.000003",
            "switchback_swap_seconds_count 3",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_metric_that_is_not_in_the_list_is_not_recorded() {
        assert_eq!(page(|| metrics::counter!("other").increment(1)), "");
    }
}
