//! Starts the configured exporters.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use super::{ServerError, collector, notices::NoticeFeed};
use crate::{
    admin::Readiness,
    config::{Cloudwatch, Config, Datadog, EventTarget},
    control::Controller,
    telemetry::{
        self, CloudwatchSettings, DatadogSettings, DatagramTarget, ExportSource, LineTarget,
        Metrics, SpanFeed, SpanQueue, run_cloudwatch, run_datadog, run_opentelemetry,
        run_opentelemetry_events, run_opentelemetry_traces,
    },
};

/// Spawns a task for each exporter; it flushes once more after the stop.
///
/// # Errors
/// When a thread cannot be started, or a secret or a certificate cannot be used.
pub(super) fn spawn(
    tasks: &mut JoinSet<()>,
    config: &Config,
    metrics: &Metrics,
    controller: &Arc<Controller>,
    (readiness, feed): (&Arc<Readiness>, Option<SpanFeed>),
    stop: &watch::Sender<bool>,
) -> Result<(), ServerError> {
    let notices = || {
        let mut feed = NoticeFeed::new(Arc::clone(controller));
        move || feed.take()
    };
    let source = || {
        let readiness = Arc::clone(readiness);
        ExportSource {
            metrics: metrics.clone(),
            notices: Box::new(notices()),
            is_ready: Box::new(move || readiness.is_ready()),
        }
    };
    if let Some(datadog) = &config.datadog {
        tasks.spawn(run_datadog(for_datadog(datadog), source(), stopped(stop)));
    }
    if let Some(cloudwatch) = &config.cloudwatch {
        let settings = for_cloudwatch(cloudwatch);
        let running = run_cloudwatch(settings, source(), stopped(stop));
        tasks.spawn(running.map_err(ServerError::Thread)?);
    }
    if let Some(opentelemetry) = &config.opentelemetry {
        let settings = collector::load(opentelemetry).map_err(ServerError::Collector)?;
        if let Some(feed) = feed {
            let settings = settings.clone();
            tasks.spawn(run_opentelemetry_traces(settings, feed, stopped(stop)));
        }
        if opentelemetry.events {
            let settings = settings.clone();
            tasks.spawn(run_opentelemetry_events(settings, notices(), stopped(stop)));
        }
        tasks.spawn(run_opentelemetry(settings, metrics.clone(), stopped(stop)));
    }
    Ok(())
}

/// The queue for spans of requests, if there are to be any.
pub(super) fn span_queue(config: &Config) -> Option<(SpanQueue, SpanFeed)> {
    let traces = config.opentelemetry.as_ref()?.traces.as_ref();
    traces.map(|_| telemetry::span_queue())
}

fn stopped(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + use<> {
    let mut stop = stop.subscribe();
    async move {
        // An error means that the sender was dropped, which is a stop as well.
        let _stopped = stop.wait_for(|stop| *stop).await;
    }
}

fn for_datadog(datadog: &Datadog) -> DatadogSettings {
    let target = match &datadog.socket {
        Some(path) => DatagramTarget::Unix(path.clone()),
        None => DatagramTarget::Udp(datadog.address().to_owned()),
    };
    DatadogSettings {
        target,
        tags: datadog.all_tags(),
        interval: datadog.interval.0,
    }
}

fn for_cloudwatch(cloudwatch: &Cloudwatch) -> CloudwatchSettings {
    // A configuration that was checked has a target.
    let target = match cloudwatch.target().unwrap_or(EventTarget::Stdout) {
        EventTarget::Stdout => LineTarget::Stdout,
        EventTarget::File(path) => LineTarget::File(path),
        EventTarget::Tcp(address) => LineTarget::Tcp(address),
        EventTarget::Udp(address) => LineTarget::Udp(address),
    };
    CloudwatchSettings {
        target,
        namespace: cloudwatch.namespace.clone(),
        service: cloudwatch.service.clone(),
        interval: cloudwatch.interval.0,
    }
}
