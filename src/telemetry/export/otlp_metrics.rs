//! All metrics as requests of OTLP.

use prost::Message as _;

use super::{
    durations::NewValues,
    otlp::{
        AggregationTemporality, Gauge, Histogram, HistogramPoint, KeyValue, Metric as Sent,
        MetricsRequest, NumberPoint, Resource, ResourceMetrics, Scope, ScopeMetrics, Sum, metric,
        number_point,
    },
    outbox::Batch,
    series::{Series, Since, Temporality},
};
use crate::telemetry::{
    metric::{Kind, Metric},
    metrics::Metrics,
    sample::{Buckets, Labels, Sink, Value},
};

/// Most points of a request: about a megabyte, a quarter of what collectors take.
const MOST_POINTS: u64 = 2_000;

/// All metrics with what was sent of them.
pub(super) struct OtlpMetrics {
    metrics: Metrics,
    resource: Resource,
    temporality: AggregationTemporality,
    series: Series,
}

/// Takes all metrics of a round.
struct Round<'a> {
    all: &'a mut OtlpMetrics,
    now: u64,
    metrics: Vec<Sent>,
    points: u64,
    batches: Vec<Batch>,
}

impl OtlpMetrics {
    /// Metrics of a resource, from `now` on.
    pub(super) fn new(
        metrics: Metrics,
        resource: Resource,
        temporality: Temporality,
        now: u64,
    ) -> Self {
        Self {
            metrics,
            resource,
            temporality: match temporality {
                Temporality::Cumulative => AggregationTemporality::Cumulative,
                Temporality::Delta => AggregationTemporality::Delta,
            },
            series: Series::new(temporality, now),
        }
    }

    /// Requests with the values at `now`, in nanoseconds since 1970.
    pub(super) fn batches(&mut self, now: u64) -> Vec<Batch> {
        let metrics = self.metrics.clone();
        let mut round = Round {
            all: self,
            now,
            metrics: Vec::new(),
            points: 0,
            batches: Vec::new(),
        };
        metrics.write(&mut round);
        round.end_batch();
        let batches = round.batches;
        self.series.end_round(now);
        batches
    }

    fn request(&self, metrics: Vec<Sent>) -> MetricsRequest {
        let scope_metrics = vec![ScopeMetrics {
            scope: Some(Scope::own()),
            metrics,
        }];
        MetricsRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics,
            }],
        }
    }

    /// A metric without points.
    fn empty(&self, metric: Metric) -> Sent {
        let (name, unit) = name_and_unit(metric);
        let temporality = self.temporality.into();
        let data = match metric.1 {
            Kind::Counter => metric::Data::Sum(Sum {
                data_points: Vec::new(),
                temporality,
                is_monotonic: true,
            }),
            Kind::Gauge => metric::Data::Gauge(Gauge::default()),
            Kind::Histogram => metric::Data::Histogram(Histogram {
                data_points: Vec::new(),
                temporality,
            }),
        };
        Sent {
            name,
            description: metric.2.to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
        }
    }
}

impl Round<'_> {
    /// The points of a metric, in a batch with room for one more.
    fn room(&mut self, metric: Metric) -> Option<&mut metric::Data> {
        if self.points >= MOST_POINTS {
            self.end_batch();
        }
        self.points += 1;
        let (name, _) = name_and_unit(metric);
        if self.metrics.last().is_none_or(|last| last.name != name) {
            self.metrics.push(self.all.empty(metric));
        }
        self.metrics.last_mut()?.data.as_mut()
    }

    fn end_batch(&mut self) {
        let (metrics, points) = (std::mem::take(&mut self.metrics), self.points);
        self.points = 0;
        if points > 0 {
            let body = self.all.request(metrics).encode_to_vec().into();
            self.batches.push(Batch {
                body,
                values: points,
            });
        }
    }
}

impl Sink for Round<'_> {
    fn head(&mut self, _: Metric) {}

    fn value(&mut self, metric: Metric, labels: Labels<'_>, value: Value) {
        let (start, value) = match (metric.1, value) {
            (Kind::Counter, Value::Count(count)) => {
                let series = &mut self.all.series;
                let Some(Since { start, value }) = series.counter(&identity(metric, labels), count)
                else {
                    return;
                };
                (start, Value::Count(value))
            }
            // The start of a gauge has no meaning.
            (_, value) => (0, value),
        };
        let Some(value) = number(value) else { return };
        let point = NumberPoint {
            start_time_unix_nano: start,
            time_unix_nano: self.now,
            value: Some(value),
            attributes: attributes(labels),
        };
        match self.room(metric) {
            Some(metric::Data::Sum(sum)) => sum.data_points.push(point),
            Some(metric::Data::Gauge(gauge)) => gauge.data_points.push(point),
            _ => {}
        }
    }

    fn histogram(&mut self, metric: Metric, labels: Labels<'_>, buckets: &Buckets<'_>) {
        let series = identity(metric, labels);
        let Some(values) = self.all.series.histogram(&series, buckets) else {
            return;
        };
        let point = histogram_point(values, self.now, labels);
        if let Some(metric::Data::Histogram(histogram)) = self.room(metric) {
            histogram.data_points.push(point);
        }
    }
}

fn histogram_point(values: Since<NewValues>, now: u64, labels: Labels<'_>) -> HistogramPoint {
    let Since { start, value } = values;
    HistogramPoint {
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: value.count(),
        sum: Some(value.sum),
        bucket_counts: value.counts,
        explicit_bounds: value.bounds.to_vec(),
        attributes: attributes(labels),
    }
}

/// A number as OTLP has it; none for one that is not finite.
fn number(value: Value) -> Option<number_point::Value> {
    match value {
        Value::Count(count) => {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            Some(number_point::Value::Int(count))
        }
        Value::Real(real) => real
            .is_finite()
            .then_some(number_point::Value::Double(real)),
    }
}

fn attributes(labels: Labels<'_>) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, &str)| KeyValue::text(*key, *value);
    labels.iter().map(attribute).collect()
}

/// Identity of a series.
fn identity(metric: Metric, labels: Labels<'_>) -> String {
    let mut identity = metric.0.to_owned();
    for (label, value) in labels {
        for part in ["\0", label, "=", value] {
            identity.push_str(part);
        }
    }
    identity
}

/// Name and unit of a metric: `switchback_request_duration_seconds` is `switchback.request_duration` in `s`. What reads
/// them for Prometheus puts the unit, and the `_total` of a counter, back.
pub(super) fn name_and_unit((name, _, _): Metric) -> (String, &'static str) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let units = [("_seconds", "s"), ("_bytes", "By")];
    let found = units
        .iter()
        .find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, *unit)));
    let (name, unit) = found.unwrap_or((name, ""));
    (name.replacen('_', ".", 1), unit)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Outcome, ReleaseName, RouteName, Version},
        table::LiveTable,
        telemetry::names,
    };

    fn of(fleet: &Arc<Fleet>, temporality: Temporality) -> OtlpMetrics {
        let table = Arc::new(LiveTable::new(1));
        let metrics = Metrics::new(table, Arc::clone(fleet), || ());
        let attributes = vec![KeyValue::text("service.name", "proxy")];
        OtlpMetrics::new(metrics, Resource { attributes }, temporality, 10)
    }

    fn sent(metrics: &mut OtlpMetrics, now: u64) -> Vec<Sent> {
        let mut all = Vec::new();
        for batch in metrics.batches(now) {
            let request = MetricsRequest::decode(batch.body).unwrap();
            let [of_resource] = request.resource_metrics.try_into().unwrap();
            assert_eq!(of_resource.resource.as_ref(), Some(&metrics.resource));
            let [of_scope] = of_resource.scope_metrics.try_into().unwrap();
            all.extend(of_scope.metrics);
        }
        all
    }

    fn named(sent: &[Sent], name: &str) -> Option<metric::Data> {
        let found = sent.iter().find(|one| one.name == name);
        found.and_then(|one| one.data.clone())
    }

    /// The name that the translation to Prometheus makes of a name, a unit and a kind.
    fn in_prometheus((name, unit): &(String, &str), kind: Kind) -> String {
        let unit = match *unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", name.replace('.', "_"))
    }

    #[test]
    fn what_reads_them_for_prometheus_gets_the_same_names() {
        for metric in names::ALL {
            let sent = name_and_unit(*metric);
            assert_eq!(in_prometheus(&sent, metric.1), metric.0);
        }
    }

    #[test]
    fn totals_stay_and_increases_come_once() {
        let fleet = Arc::new(Fleet::new(1));
        let (route, release) = (
            RouteName::new("all").unwrap(),
            ReleaseName::new("blue").unwrap(),
        );
        let cells = fleet.cells(&route, &release, &Version::default());
        cells.record(0, Outcome::Answered(200), Duration::from_millis(2), None);
        for (temporality, again) in [(Temporality::Cumulative, true), (Temporality::Delta, false)] {
            let mut metrics = of(&fleet, temporality);
            let first = sent(&mut metrics, 20);
            let Some(metric::Data::Sum(sum)) = named(&first, "switchback.requests") else {
                panic!("{first:#?}");
            };
            assert!(sum.is_monotonic);
            let point = &sum.data_points[0];
            assert_eq!(point.value, Some(number_point::Value::Int(1)));
            let times = (point.start_time_unix_nano, point.time_unix_nano);
            assert_eq!(times, (10, 20));
            let route = KeyValue::text("route", "all");
            assert!(point.attributes.contains(&route), "{point:?}");
            let duration = named(&first, "switchback.request_duration");
            let Some(metric::Data::Histogram(duration)) = duration else {
                panic!("{first:#?}");
            };
            let point = &duration.data_points[0];
            assert_eq!(point.count, 1);
            assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
            let second = sent(&mut metrics, 30);
            let requests = named(&second, "switchback.requests");
            assert_eq!(requests.is_some(), again, "{temporality:?}");
            assert!(named(&second, "switchback.live_revision").is_some());
        }
    }

    #[test]
    fn a_request_is_no_larger_than_a_collector_takes() {
        let fleet = Arc::new(Fleet::new(1));
        let route = RouteName::new("all").unwrap();
        for number in 0..1_500 {
            let release = ReleaseName::new(&format!("r{number}")).unwrap();
            let cells = fleet.cells(&route, &release, &Version::default());
            cells.record(0, Outcome::Answered(200), Duration::from_millis(2), None);
        }
        let batches = of(&fleet, Temporality::Cumulative).batches(20);
        assert!(batches.len() > 1);
        for batch in &batches {
            assert!((1..=MOST_POINTS).contains(&batch.values));
            assert!(batch.body.len() < 2 << 20, "{}", batch.body.len());
        }
    }
}
