//! Exporter to `CloudWatch`, through its agent or a log.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{
    ExportSource,
    deltas::Deltas,
    emf::{self, Frame, Subject},
    writer::{LineTarget, LineWriter},
};
use crate::telemetry::{
    metric::{Kind, Metric},
    sample::{Buckets, Labels, Sink, Value},
};

/// Timeout for the last flush, at the end of the process.
const LAST: Duration = Duration::from_millis(100);

/// Settings of the exporter.
#[derive(Debug, Clone)]
pub struct CloudwatchSettings {
    /// The agent, or the log.
    pub target: LineTarget,
    /// Namespace of the metrics.
    pub namespace: String,
    /// Value of the dimension `Service`.
    pub service: String,
    /// Time between two flushes.
    pub interval: Duration,
}

/// State of the exporter between two flushes.
struct Exporter {
    source: ExportSource,
    frame: Frame,
    deltas: Deltas,
}

/// Takes all metrics of a flush.
struct Flush<'a> {
    deltas: &'a mut Deltas,
    name: String,
    subjects: BTreeMap<Subject, emf::Metrics>,
}

/// Writes all metrics at an interval, until `stop` completes, and then once more.
///
/// # Errors
/// When the writing thread cannot be started.
pub fn run_cloudwatch(
    settings: CloudwatchSettings,
    source: ExportSource,
    stop: impl Future<Output = ()>,
) -> io::Result<impl Future<Output = ()>> {
    let writer = LineWriter::start("cloudwatch", settings.target)?;
    let exporter = Exporter {
        source,
        frame: Frame {
            namespace: settings.namespace,
            service: settings.service,
        },
        deltas: Deltas::default(),
    };
    Ok(run(exporter, writer, settings.interval, stop))
}

async fn run(
    mut exporter: Exporter,
    writer: LineWriter,
    interval: Duration,
    stop: impl Future<Output = ()>,
) {
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = &mut stop => true,
        };
        let collecting = tokio::task::spawn_blocking(move || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_ms = since.unwrap_or_default().as_millis();
            let events = exporter.flush(u64::try_from(now_ms).unwrap_or(u64::MAX));
            (exporter, events)
        });
        // An error: the runtime ends.
        let Ok((back, events)) = collecting.await else {
            return;
        };
        exporter = back;
        let patience = if is_last { LAST } else { interval / 2 };
        // If it is not written by then, the thread goes on with it, and counts.
        let _written = timeout(patience, writer.write(events)).await;
        if is_last {
            return;
        }
    }
}

impl Exporter {
    /// The events of a flush.
    fn flush(&mut self, now_ms: u64) -> Vec<String> {
        let mut flush = Flush {
            deltas: &mut self.deltas,
            name: String::new(),
            subjects: BTreeMap::new(),
        };
        self.source.metrics.write(&mut flush);
        let subjects = flush.subjects;
        self.deltas.end_round();
        let events = |(subject, metrics)| self.frame.events(subject, metrics, now_ms);
        subjects.iter().flat_map(events).collect()
    }
}

impl Flush<'_> {
    fn metrics(&mut self, labels: Labels<'_>) -> &mut emf::Metrics {
        let label = |name| {
            let found = labels.iter().find(|(label, _)| *label == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let subject = Subject {
            route: label("route"),
            release: label("release"),
        };
        self.subjects.entry(subject).or_default()
    }
}

/// Identity of a series.
fn series(name: &str, labels: Labels<'_>) -> String {
    let mut series = name.to_owned();
    for (label, value) in labels {
        series.push('\0');
        series.push_str(label);
        series.push('=');
        series.push_str(value);
    }
    series
}

impl Sink for Flush<'_> {
    fn head(&mut self, metric: Metric) {
        self.name = emf::metric_name(metric);
    }

    fn value(&mut self, metric: Metric, labels: Labels<'_>, value: Value) {
        let name = self.name.clone();
        let (Kind::Counter, Value::Count(count)) = (metric.1, value) else {
            let gauge = self.metrics(labels).gauges.entry(name).or_default();
            *gauge += value.as_f64();
            return;
        };
        let delta = self.deltas.counter(&series(&name, labels), count);
        if delta == 0 {
            return;
        }
        let outcome = labels.iter().find(|(label, _)| *label == "outcome");
        let also = outcome.and_then(|(_, outcome)| emf::outcome_name(metric, outcome));
        let counts = &mut self.metrics(labels).counts;
        for name in [Some(name), also.map(str::to_owned)].into_iter().flatten() {
            *counts.entry(name).or_default() += delta;
        }
    }

    fn histogram(&mut self, _: Metric, labels: Labels<'_>, buckets: &Buckets<'_>) {
        let name = self.name.clone();
        let series = series(&name, labels);
        let Some(values) = self.deltas.histogram(&series, buckets) else {
            return;
        };
        let durations = &mut self.metrics(labels).durations;
        match durations.get_mut(&name) {
            Some(all) => all.add(&values),
            None => drop(durations.insert(name, values)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value as Json;

    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Outcome, ReleaseName, RouteName, Version},
        table::LiveTable,
        telemetry::Metrics,
    };

    fn exporter(fleet: &Arc<Fleet>) -> Exporter {
        let table = Arc::new(LiveTable::new(1));
        Exporter {
            source: ExportSource {
                metrics: Metrics::new(table, Arc::clone(fleet), || ()),
                notices: Box::new(Vec::new),
                is_ready: Box::new(|| true),
            },
            frame: Frame {
                namespace: "switchback".to_owned(),
                service: "proxy".to_owned(),
            },
            deltas: Deltas::default(),
        }
    }

    /// The member of the event of a release, if there is one.
    fn of_release(events: &[String], release: &str, member: &str) -> Option<Json> {
        let events = events
            .iter()
            .map(|event| serde_json::from_str::<Json>(event).unwrap());
        let mut of_release = events.filter(|event| event["Release"] == release);
        of_release.find_map(|event| event.get(member).cloned())
    }

    #[test]
    fn versions_and_codes_are_summed_over_and_releases_are_not() {
        let fleet = Arc::new(Fleet::new(1));
        let route = RouteName::new("all").unwrap();
        let record = |release: &str, version: &str, outcome| {
            let release = ReleaseName::new(release).unwrap();
            let cells = fleet.cells(&route, &release, &Version::new(version).unwrap());
            cells.record(0, outcome, Duration::from_millis(2), None);
        };
        record("blue", "1", Outcome::Answered(200));
        record("blue", "2", Outcome::Answered(404));
        record("blue", "2", Outcome::Failed(502));
        record("green", "3", Outcome::Answered(200));
        let mut exporter = exporter(&fleet);
        let events = exporter.flush(1);
        for (release, member, value) in [
            ("blue", "Requests", 3),
            ("blue", "Failures", 1),
            ("blue", "ClientErrors", 1),
            ("green", "Requests", 1),
        ] {
            let shown = of_release(&events, release, member);
            assert_eq!(shown, Some(value.into()), "{release} {member}");
        }
        let durations = of_release(&events, "blue", "RequestDuration").unwrap();
        assert_eq!(durations["Count"], 3);
        assert!(of_release(&events, "green", "Failures").is_none());
        let later = exporter.flush(2);
        assert!(of_release(&later, "blue", "Requests").is_none());
        record("blue", "1", Outcome::Answered(200));
        let later = exporter.flush(3);
        assert_eq!(of_release(&later, "blue", "Requests"), Some(1.into()));
    }
}
