//! Exporter to a collector of OpenTelemetry, over OTLP (HTTP, protobuf).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{
    collector::{Collector, Delivery, Signal},
    notice::Notice,
    otlp::{KeyValue, Resource},
    otlp_logs,
    otlp_metrics::OtlpMetrics,
    otlp_spans,
    outbox::{Batch, Outbox},
    series::Temporality,
};
use crate::telemetry::{metrics::Metrics, span::SpanFeed};

/// Interval of looking for spans and for events.
const EVERY: Duration = Duration::from_secs(1);
/// Timeout for the last requests, at the end of the process.
const LAST: Duration = Duration::from_millis(800);

/// Settings of the exporter.
#[derive(Debug, Clone)]
pub struct OpentelemetrySettings {
    /// The collector.
    pub collector: Collector,
    /// Attributes of the resource, which is this process: names and values.
    pub attributes: Vec<(String, String)>,
    /// Meaning of the values of counters and histograms.
    pub temporality: Temporality,
    /// Time between two requests with all metrics.
    pub interval: Duration,
}

/// Source of the requests of one kind. It is called on a thread that may block.
trait Feed: Send + 'static {
    /// The requests to send now, and the number of values that were lost since the last call.
    fn collect(&mut self) -> (Vec<Batch>, u64);
}

/// Spans of requests.
struct Spans {
    resource: Resource,
    feed: SpanFeed,
}

/// Events.
struct Events<F> {
    resource: Resource,
    notices: F,
}

impl Feed for OtlpMetrics {
    fn collect(&mut self) -> (Vec<Batch>, u64) {
        (self.batches(now()), 0)
    }
}

impl Feed for Spans {
    fn collect(&mut self) -> (Vec<Batch>, u64) {
        let batches = otlp_spans::batches(&self.resource, &self.feed.take());
        (batches, self.feed.take_lost())
    }
}

impl<F: FnMut() -> Vec<Notice> + Send + 'static> Feed for Events<F> {
    fn collect(&mut self) -> (Vec<Batch>, u64) {
        let batch = otlp_logs::batch(&self.resource, &(self.notices)(), now());
        (Vec::from_iter(batch), 0)
    }
}

/// Sends all metrics to a collector at an interval, until `stop` completes, and then once more.
pub async fn run_opentelemetry(
    settings: OpentelemetrySettings,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) {
    let resource = resource(&settings.attributes);
    let feed = OtlpMetrics::new(metrics, resource, settings.temporality, now());
    let every = settings.interval;
    run(Signal::Metrics, &settings.collector, every, feed, stop).await;
}

/// Sends the spans of requests to a collector, until `stop` completes, and then once more.
pub async fn run_opentelemetry_traces(
    settings: OpentelemetrySettings,
    feed: SpanFeed,
    stop: impl Future<Output = ()>,
) {
    let resource = resource(&settings.attributes);
    let feed = Spans { resource, feed };
    run(Signal::Traces, &settings.collector, EVERY, feed, stop).await;
}

/// Sends events to a collector as log records, until `stop` completes, and then once more. `notices` gives those since
/// its last call; it is called on a thread that may block.
pub async fn run_opentelemetry_events(
    settings: OpentelemetrySettings,
    notices: impl FnMut() -> Vec<Notice> + Send + 'static,
    stop: impl Future<Output = ()>,
) {
    let resource = resource(&settings.attributes);
    let feed = Events { resource, notices };
    run(Signal::Logs, &settings.collector, EVERY, feed, stop).await;
}

/// Sends what a feed gives at an interval, until `stop` completes, and then once more.
async fn run(
    signal: Signal,
    collector: &Collector,
    every: Duration,
    mut feed: impl Feed,
    stop: impl Future<Output = ()>,
) {
    let outbox = Outbox::default();
    let delivery = Delivery::new(signal, collector, &outbox).run();
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop, delivery);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = &mut stop => true,
            // It ends once the outbox is closed.
            () = &mut delivery => return,
        };
        let collecting = tokio::task::spawn_blocking(move || {
            let collected = feed.collect();
            (feed, collected)
        });
        // An error: the runtime ends.
        let Ok((back, (batches, lost))) = collecting.await else {
            return;
        };
        feed = back;
        signal.count("dropped", lost);
        for batch in batches {
            signal.count("dropped", outbox.push(batch));
        }
        if is_last {
            break;
        }
    }
    finish(signal, &outbox, delivery).await;
}

/// Lets a delivery end, in a short time.
async fn finish(signal: Signal, outbox: &Outbox, delivery: impl Future<Output = ()>) {
    outbox.close();
    if timeout(LAST, delivery).await.is_err() {
        let left = outbox.clear();
        signal.count("dropped", left);
        tracing::warn!(
            ?signal,
            left,
            "the collector did not take the last requests in time"
        );
    }
}

fn resource(attributes: &[(String, String)]) -> Resource {
    let attribute = |(key, value): &(String, String)| KeyValue::text(key, value);
    Resource {
        attributes: attributes.iter().map(attribute).collect(),
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
