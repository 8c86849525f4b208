//! Exporter to a collector of OpenTelemetry, over OTLP (HTTP, protobuf).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{
    ExportSource,
    collector::{Collector, Delivery, Signal},
    otlp::{KeyValue, Resource},
    otlp_metrics::OtlpMetrics,
    otlp_spans,
    outbox::Outbox,
    series::Temporality,
};
use crate::telemetry::span::SpanFeed;

/// Interval of looking for spans.
const SPANS: Duration = Duration::from_secs(1);
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

/// Sends all metrics to a collector at an interval, until `stop` completes, and then once more.
pub async fn run_opentelemetry(
    settings: OpentelemetrySettings,
    source: ExportSource,
    stop: impl Future<Output = ()>,
) {
    let (outbox, interval) = (Outbox::default(), settings.interval);
    let resource = resource(&settings.attributes);
    let mut metrics = OtlpMetrics::new(source.metrics, resource, settings.temporality, now());
    let delivery = Delivery::new(Signal::Metrics, &settings.collector, &outbox).run();
    let mut ticks = interval_at(Instant::now() + interval, interval);
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
            let batches = metrics.collect(now());
            (metrics, batches)
        });
        // An error: the runtime ends.
        let Ok((back, batches)) = collecting.await else {
            return;
        };
        metrics = back;
        for batch in batches {
            Signal::Metrics.count("dropped", outbox.push(batch));
        }
        if is_last {
            break;
        }
    }
    finish(Signal::Metrics, &outbox, delivery).await;
}

/// Sends the spans of requests to a collector, until `stop` completes, and then once more.
pub async fn run_opentelemetry_traces(
    settings: OpentelemetrySettings,
    mut feed: SpanFeed,
    stop: impl Future<Output = ()>,
) {
    let outbox = Outbox::default();
    let mut resource = resource(&settings.attributes);
    let delivery = Delivery::new(Signal::Traces, &settings.collector, &outbox).run();
    let mut ticks = interval_at(Instant::now() + SPANS, SPANS);
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
            let batches = otlp_spans::batches(&resource, &feed.take());
            (resource, feed, batches)
        });
        // An error: the runtime ends.
        let Ok((resource_back, feed_back, batches)) = collecting.await else {
            return;
        };
        (resource, feed) = (resource_back, feed_back);
        Signal::Traces.count("dropped", feed.take_lost());
        for batch in batches {
            Signal::Traces.count("dropped", outbox.push(batch));
        }
        if is_last {
            break;
        }
    }
    finish(Signal::Traces, &outbox, delivery).await;
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
