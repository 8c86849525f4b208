//! Exporter to Datadog's agent.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    ExportSource,
    datagrams::{DatagramTarget, Datagrams, Delivery},
    deltas::Deltas,
    dogstatsd,
    durations::{NewValues, share_out},
    payloads::{Payload, Payloads},
};
use crate::telemetry::{
    metric::{Kind, Metric},
    names,
    sample::{Buckets, Labels, Sink, Value},
};

/// Values of distributions in one flush. Of more, a part stands for all.
const DISTRIBUTION_VALUES: u64 = 2_000;
/// Timeout for the last flush, at the end of the process.
const LAST: Duration = Duration::from_millis(100);

/// Settings of the exporter.
#[derive(Debug, Clone)]
pub struct DatadogSettings {
    /// The agent.
    pub target: DatagramTarget,
    /// Tags of everything: names and values.
    pub tags: Vec<(String, String)>,
    /// Time between two flushes.
    pub interval: Duration,
}

/// State of the exporter between two flushes.
struct Exporter {
    source: ExportSource,
    limit: usize,
    tags: String,
    deltas: Deltas,
    carry: f64,
}

/// Takes all metrics of a flush.
struct Flush<'a> {
    exporter: &'a mut Exporter,
    payloads: Payloads,
    name: String,
    durations: Vec<Durations>,
}

/// New values of one histogram.
struct Durations {
    name: String,
    tags: String,
    values: NewValues,
}

/// Sends all metrics to Datadog's agent at an interval, until `stop` completes, and then once more.
pub async fn run_datadog(
    settings: DatadogSettings,
    source: ExportSource,
    stop: impl Future<Output = ()>,
) {
    let mut exporter = Exporter::new(&settings, source);
    let mut socket = Datagrams::new(settings.target.clone());
    let mut was_taken = true;
    let mut ticks = interval_at(Instant::now() + settings.interval, settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = &mut stop => true,
        };
        let collecting = tokio::task::spawn_blocking(move || {
            let collected = exporter.flush();
            (exporter, collected)
        });
        // An error: the runtime ends.
        let Ok((back, (payloads, too_long))) = collecting.await else {
            return;
        };
        exporter = back;
        let patience = if is_last { LAST } else { settings.interval / 2 };
        let delivery = socket.send(&payloads, patience).await;
        count(&delivery, too_long);
        log(&delivery, &settings.target, &mut was_taken);
        if is_last {
            return;
        }
    }
}

fn count(delivery: &Delivery, too_long: u64) {
    for (result, lines) in [
        ("sent", delivery.sent),
        ("dropped", delivery.dropped + too_long),
    ] {
        let labels = [("exporter", "datadog"), ("result", result)];
        metrics::counter!(names::EXPORTED.0, &labels).increment(lines);
    }
}

/// Logs when the agent begins to take nothing, and when it takes everything again.
fn log(delivery: &Delivery, target: &DatagramTarget, was_taken: &mut bool) {
    let is_taken = delivery.error.is_none();
    match &delivery.error {
        Some(error) if *was_taken => tracing::warn!(
            %error,
            ?target,
            dropped = delivery.dropped,
            "Datadog's agent does not take all metrics; what it does not take is dropped and counted"
        ),
        None if !*was_taken => tracing::info!(?target, "Datadog's agent takes all metrics again"),
        _ => {}
    }
    *was_taken = is_taken;
}

impl Exporter {
    fn new(settings: &DatadogSettings, source: ExportSource) -> Self {
        let mut tags = String::new();
        for (name, value) in &settings.tags {
            dogstatsd::push_tag(&mut tags, name, value);
        }
        Self {
            source,
            limit: settings.target.payload(),
            tags,
            deltas: Deltas::default(),
            carry: 0.0,
        }
    }

    /// Payloads to send now, and the number of lines that are too long for them.
    fn flush(&mut self) -> (Vec<Payload>, u64) {
        let mut payloads = Payloads::new(self.limit);
        let is_ready = (self.source.is_ready)();
        payloads.push(&dogstatsd::readiness_line(is_ready, &self.tags));
        for notice in (self.source.notices)() {
            payloads.push(&dogstatsd::event_line(&notice, &self.tags));
        }
        let metrics = self.source.metrics.clone();
        let mut flush = Flush {
            exporter: self,
            payloads,
            name: String::new(),
            durations: Vec::new(),
        };
        metrics.write(&mut flush);
        flush.write_distributions();
        let finished = flush.payloads.finish();
        self.deltas.end_round();
        finished
    }
}

impl Flush<'_> {
    /// Writes values that stand for those of the histograms, in proportion to their counts.
    fn write_distributions(&mut self) {
        let counts: Vec<_> = self
            .durations
            .iter()
            .map(|one| one.values.count())
            .collect();
        let shares = share_out(&counts, DISTRIBUTION_VALUES, &mut self.exporter.carry);
        for (one, many) in self.durations.drain(..).zip(shares) {
            for value in one.values.spread(many) {
                let value = format!("{value:.9}");
                let value = value.trim_end_matches('0').trim_end_matches('.');
                let line = dogstatsd::metric_line(&one.name, value, 'd', &one.tags);
                self.payloads.push(&line);
            }
        }
    }
}

impl Sink for Flush<'_> {
    fn head(&mut self, metric: Metric) {
        self.name = dogstatsd::metric_name(metric);
    }

    fn value(&mut self, metric: Metric, labels: Labels<'_>, value: Value) {
        let tags = dogstatsd::tags(&self.exporter.tags, metric, labels);
        match (metric.1, value) {
            (Kind::Counter, Value::Count(count)) => {
                let series = format!("{} {tags}", self.name);
                let delta = self.exporter.deltas.counter(&series, count);
                if delta > 0 {
                    let line = dogstatsd::metric_line(&self.name, delta, 'c', &tags);
                    self.payloads.push(&line);
                }
            }
            _ if value.as_f64().is_finite() => {
                let line = dogstatsd::metric_line(&self.name, value, 'g', &tags);
                self.payloads.push(&line);
            }
            _ => {}
        }
    }

    fn histogram(&mut self, metric: Metric, labels: Labels<'_>, buckets: &Buckets<'_>) {
        let tags = dogstatsd::tags(&self.exporter.tags, metric, labels);
        let series = format!("{} {tags}", self.name);
        let Some(values) = self.exporter.deltas.histogram(&series, buckets) else {
            return;
        };
        let (count, sum) = (values.count().to_string(), format!("{:.6}", values.sum));
        for (part, value) in [("count", &count), ("sum", &sum)] {
            let name = format!("{}.{part}", self.name);
            let line = dogstatsd::metric_line(&name, value, 'c', &tags);
            self.payloads.push(&line);
        }
        let name = self.name.clone();
        self.durations.push(Durations { name, tags, values });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Outcome, ReleaseName, RouteName, Version},
        table::LiveTable,
        telemetry::{Metrics, Notice, NoticeKind, NoticeLevel},
    };

    fn exporter(fleet: &Arc<Fleet>) -> Exporter {
        let table = Arc::new(LiveTable::new(1));
        let notice = Notice {
            kind: NoticeKind::Revision,
            title: "rollback".to_owned(),
            text: String::new(),
            at_ms: 1_000,
            level: NoticeLevel::Warning,
            labels: Vec::new(),
        };
        let mut notices = vec![notice];
        let source = ExportSource {
            metrics: Metrics::new(table, Arc::clone(fleet), || ()),
            notices: Box::new(move || std::mem::take(&mut notices)),
            is_ready: Box::new(|| true),
        };
        let settings = DatadogSettings {
            target: DatagramTarget::Udp("127.0.0.1:8125".to_owned()),
            tags: vec![("env".to_owned(), "a b".to_owned())],
            interval: Duration::from_secs(10),
        };
        Exporter::new(&settings, source)
    }

    fn lines(exporter: &mut Exporter) -> Vec<String> {
        let (payloads, too_long) = exporter.flush();
        assert_eq!(too_long, 0);
        assert!(payloads.iter().all(|one| one.text.len() <= 1432));
        let lines = payloads.iter().flat_map(|one| one.text.lines());
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_flush_has_what_came_since_the_last_one() {
        let fleet = Arc::new(Fleet::new(1));
        let (route, release) = (
            RouteName::new("all").unwrap(),
            ReleaseName::new("blue").unwrap(),
        );
        let cells = fleet.cells(&route, &release, &Version::default());
        let mut exporter = exporter(&fleet);
        let record = |count: u32| {
            for _ in 0..count {
                cells.record(0, Outcome::Answered(200), Duration::from_millis(2), None);
            }
        };
        record(3);
        let first = lines(&mut exporter);
        assert_eq!(first[0], "_sc|switchback.ready|0|#env:a_b");
        assert!(
            first[1].starts_with("_e{8,0}:rollback||d:1|t:warning"),
            "{}",
            first[1]
        );
        let of = |lines: &[String], start: &str| -> Vec<String> {
            let starts = lines.iter().filter(|line| line.starts_with(start));
            starts.cloned().collect()
        };
        let [requests] = of(&first, "switchback.requests:").try_into().unwrap();
        assert!(requests.starts_with("switchback.requests:3|c|#env:a_b,route:all,release:blue,"));
        assert_eq!(of(&first, "switchback.request_duration_seconds:").len(), 3);
        assert_eq!(
            of(&first, "switchback.request_duration_seconds.count:3|c").len(),
            1
        );
        assert_eq!(
            of(&first, "switchback.request_duration_seconds.sum:0.006000|c").len(),
            1
        );
        let second = lines(&mut exporter);
        assert!(
            of(&second, "switchback.request")
                .iter()
                .all(|line| line.contains("|g|"))
        );
        assert!(of(&second, "_e").is_empty());
        record(1);
        let third = lines(&mut exporter);
        assert_eq!(of(&third, "switchback.requests:1|c").len(), 1);
        assert_eq!(of(&third, "switchback.live_revision:0|g|#env:a_b").len(), 1);
    }

    #[test]
    fn many_requests_are_represented_by_a_bounded_number_of_values() {
        let fleet = Arc::new(Fleet::new(1));
        let route = RouteName::new("all").unwrap();
        for (name, count) in [("blue", 9_000), ("green", 1_000)] {
            let release = ReleaseName::new(name).unwrap();
            let cells = fleet.cells(&route, &release, &Version::default());
            for _ in 0..count {
                cells.record(0, Outcome::Answered(200), Duration::from_millis(2), None);
            }
        }
        let lines = lines(&mut exporter(&fleet));
        let values = |release: &str| {
            let tag = format!("release:{release}");
            let of = |line: &&String| {
                line.contains("seconds:") && line.contains("|d|") && line.contains(&tag)
            };
            lines.iter().filter(of).count()
        };
        let (blue, green) = (values("blue"), values("green"));
        assert!((1_799..=1_800).contains(&blue), "{blue}");
        assert_eq!(blue + green, 2_000);
        let is_exact =
            |line: &String| line.starts_with("switchback.request_duration_seconds.count:9000|c");
        assert!(lines.iter().any(is_exact));
    }
}
