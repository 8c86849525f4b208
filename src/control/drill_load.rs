//! Synthetic requests of drills: each once to the predecessor (smoke), or as a load (full).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::{sleep_until, timeout};

use super::{
    Controller,
    drill_record::{DrillRecord, Trial},
    synthetic::{SyntheticRequest, SyntheticTraffic},
};
use crate::{
    api::DrillLoad,
    model::{DrillRequestSpec, ReleaseName, RouteSpec},
};

/// Largest number of times that a smoke test sends each request.
const MOST_ROUNDS: usize = 8;
/// Longest time of a smoke test.
const LONGEST_SMOKE: Duration = Duration::from_secs(20);
/// Concurrent requests of a load.
const LANES: usize = 4;
/// Shortest time from one request to the next of a lane: with four of them, at most 100 requests a second.
const PACE: Duration = Duration::from_millis(40);
/// Failures after which a load is over.
const MOST_FAILURES: u64 = 3;

/// The source of synthetic requests of one drill.
struct Source<'a> {
    route: &'a RouteSpec,
    drill: &'a str,
    traffic: Arc<dyn SyntheticTraffic>,
}

/// Outcomes of some synthetic requests.
#[derive(Default)]
struct Outcomes {
    sent: u64,
    failures: Vec<String>,
    slowest: Duration,
}

impl Controller {
    /// Sends each synthetic request of the route to the predecessor, as often as that has endpoints.
    pub(super) async fn drill_smoke(&self, record: &mut DrillRecord) {
        let Some(trial) = record.trial.clone() else {
            return;
        };
        let Trial { to, .. } = trial;
        let endpoints = self.fleet.roster(&to.0, &to.1).endpoints().len();
        let rounds = endpoints.clamp(1, MOST_ROUNDS);
        let sent = self.with_source(record, async |source| {
            let mut outcomes = Outcomes::default();
            let all = async {
                for _ in 0..rounds {
                    for spec in &source.route.drill {
                        outcomes.add(source.send(spec, Some(&to.0)).await);
                    }
                }
            };
            let in_time = timeout(LONGEST_SMOKE, all).await.is_ok();
            (outcomes, in_time)
        });
        let Some((outcomes, in_time)) = sent.await else {
            record.fail("the route, or its synthetic requests, are gone");
            return;
        };
        if !in_time {
            record.fail(format!("not all requests ended within {LONGEST_SMOKE:?}"));
        }
        add_load(record, &to.0, outcomes);
    }

    /// Sends the synthetic requests of the route for a time, like those of any client; up to the third failure.
    pub(super) async fn drill_load(&self, record: &mut DrillRecord, on: &ReleaseName) {
        let period = record
            .drill
            .period
            .map_or(Duration::ZERO, |period| period.0);
        let end = Instant::now() + period;
        let sent = self.with_source(record, async |source| {
            let lanes = (0..LANES).map(|lane| source.lane(lane, end));
            let mut all = Outcomes::default();
            for outcomes in join_all(lanes).await {
                all.sent += outcomes.sent;
                all.slowest = all.slowest.max(outcomes.slowest);
                all.failures.extend(outcomes.failures);
            }
            all
        });
        match sent.await {
            Some(outcomes) => add_load(record, on, outcomes),
            None => record.fail("the route, or its synthetic requests, are gone"),
        }
    }

    async fn with_source<T>(
        &self,
        record: &DrillRecord,
        send: impl AsyncFnOnce(Source<'_>) -> T,
    ) -> Option<T> {
        let state = self.table.load().state();
        let route = state.spec.route(&record.drill.route)?;
        let source = Source {
            route,
            drill: &record.drill.id,
            traffic: self.drills.traffic()?,
        };
        if route.drill.is_empty() {
            return None;
        }
        Some(send(source).await)
    }
}

impl Source<'_> {
    async fn send(
        &self,
        spec: &DrillRequestSpec,
        release: Option<&ReleaseName>,
    ) -> (Duration, Result<(), String>) {
        let request = SyntheticRequest::new(self.route, spec, self.drill, release);
        let begin = Instant::now();
        let status = self.traffic.send(request).await;
        let what = || format!("`{} {}`", spec.method, spec.path);
        let result = match status {
            Ok(status) if spec.status.contains(status) => Ok(()),
            Ok(status) => Err(format!("{}: {status}, expected {}", what(), spec.status)),
            Err(reason) => Err(format!("{}: {reason}", what())),
        };
        (begin.elapsed(), result)
    }

    async fn lane(&self, lane: usize, end: Instant) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let requests = self.route.drill.iter().cycle().skip(lane);
        for spec in requests {
            let next = Instant::now() + PACE;
            outcomes.add(self.send(spec, None).await);
            let count = outcomes.failures.len();
            if next >= end || u64::try_from(count).is_ok_and(|count| count >= MOST_FAILURES) {
                break;
            }
            sleep_until(next.into()).await;
        }
        outcomes
    }
}

impl Outcomes {
    fn add(&mut self, (took, result): (Duration, Result<(), String>)) {
        self.sent += 1;
        self.slowest = self.slowest.max(took);
        self.failures.extend(result.err());
    }
}

fn add_load(record: &mut DrillRecord, release: &ReleaseName, outcomes: Outcomes) {
    record.drill.requests.push(DrillLoad {
        release: release.clone(),
        sent: outcomes.sent,
        failed: u64::try_from(outcomes.failures.len()).unwrap_or(u64::MAX),
        slowest_ms: outcomes.slowest.as_secs_f64() * 1_000.0,
    });
    for failure in outcomes.failures {
        record.fail(format!("{release}: {failure}"));
    }
}
