//! Starts the configured exporters.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use super::notices::NoticeFeed;
use crate::{
    admin::Readiness,
    config::{Config, Datadog},
    control::Controller,
    telemetry::{DatadogSettings, DatagramTarget, ExportSource, Metrics, run_datadog},
};

/// Spawns a task for each exporter; it flushes once more after the stop.
pub(super) fn spawn(
    tasks: &mut JoinSet<()>,
    config: &Config,
    metrics: &Metrics,
    controller: &Arc<Controller>,
    readiness: &Arc<Readiness>,
    stop: &watch::Sender<bool>,
) {
    let Some(datadog) = &config.datadog else {
        return;
    };
    let (mut feed, readiness) = (
        NoticeFeed::new(Arc::clone(controller)),
        Arc::clone(readiness),
    );
    let source = ExportSource {
        metrics: metrics.clone(),
        notices: Box::new(move || feed.take()),
        is_ready: Box::new(move || readiness.is_ready()),
    };
    let mut stop = stop.subscribe();
    let stopped = async move {
        // An error means that the sender was dropped, which is a stop as well.
        let _stopped = stop.wait_for(|stop| *stop).await;
    };
    tasks.spawn(run_datadog(settings(datadog), source, stopped));
}

fn settings(datadog: &Datadog) -> DatadogSettings {
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
