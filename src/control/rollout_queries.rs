//! Queries of a rollout's plan: a Prometheus is asked beside the loop, and the values are compared with the next look.
//!
//! So one that hangs holds nothing. Its windows do not overlap: an interval is asked for when the one before it is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::join_all};
use tokio::task::JoinHandle;

use super::rollout_track::Track;
use crate::{
    analysis::{Compared, Direction, Judge},
    hooks::{CallError, Prometheus},
    model::{MetricQuery, WorseWhen},
};

/// Values of one query: of the release on trial, and of the stable one.
type Values = Result<[f64; 2], CallError>;

/// The queries of a track.
#[derive(Debug, Default)]
pub(super) struct QueryAsking {
    question: Option<Question>,
    /// End of the interval that is asked for next.
    next_at: Option<Instant>,
    /// For each query the reason for which the latest interval has no values.
    silent: Vec<Option<String>>,
}

/// Values that are being asked for; dropped, they are not.
#[derive(Debug)]
struct Question(JoinHandle<Vec<Values>>);

impl Drop for Question {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl QueryAsking {
    /// Begins a place: what was asked before it says nothing about it.
    pub(super) fn begin(&mut self) {
        (self.question, self.next_at) = (None, None);
    }

    /// Gives the judge the values that have come, and asks for the next ones if it is time to.
    pub(super) fn look(
        &mut self,
        prometheus: Option<&Arc<Prometheus>>,
        metrics: &[MetricQuery],
        track: &Track,
        judge: &mut Judge,
    ) {
        if metrics.is_empty() {
            return;
        }
        let Some(prometheus) = prometheus else {
            let missing = "the configuration has no `[prometheus]`".to_owned();
            self.silent = vec![Some(missing); metrics.len()];
            return;
        };
        if let Some(values) = self.take() {
            self.compare(values, metrics, judge);
        }
        let (now, interval) = (Instant::now(), prometheus.interval().0);
        let next_at = *self.next_at.get_or_insert(now + interval);
        if now >= next_at && self.question.is_none() {
            self.next_at = Some(now + interval);
            let asked = ask(Arc::clone(prometheus), texts(metrics, track, interval));
            self.question = Some(Question(tokio::spawn(asked)));
        }
    }

    /// Names of the queries without values in the latest interval, and the reasons.
    pub(super) fn silent<'a>(
        &'a self,
        metrics: &'a [MetricQuery],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let silent = metrics.iter().zip(&self.silent);
        silent.filter_map(|(metric, why)| Some((metric.name.as_str(), why.as_deref()?)))
    }

    fn take(&mut self) -> Option<Vec<Values>> {
        let question = self.question.as_mut()?;
        let ended = (&mut question.0).now_or_never()?;
        self.question = None;
        ended.ok()
    }

    fn compare(&mut self, values: Vec<Values>, metrics: &[MetricQuery], judge: &mut Judge) {
        let compared = metrics.iter().zip(values).enumerate();
        self.silent = compared
            .map(|(index, (metric, values))| {
                let [canary, stable] = match values {
                    Ok(values) => values,
                    Err(error) => return Some(error.to_string()),
                };
                let tolerance = metric.tolerance.share();
                if let Some(compared) = Compared::of(canary, stable, direction(metric), tolerance) {
                    judge.observe_query(index, compared);
                }
                None
            })
            .collect();
    }
}

/// Direction in which a value of a query is worse.
pub(super) const fn direction(metric: &MetricQuery) -> Direction {
    match metric.worse {
        WorseWhen::Higher => Direction::Higher,
        WorseWhen::Lower => Direction::Lower,
    }
}

/// The queries for both releases.
fn texts(metrics: &[MetricQuery], track: &Track, interval: Duration) -> Vec<[String; 2]> {
    let texts = metrics.iter().map(|metric| {
        [&track.to, &track.from]
            .map(|(release, version)| metric.text(&track.route, (release, version), interval))
    });
    texts.collect()
}

async fn ask(prometheus: Arc<Prometheus>, queries: Vec<[String; 2]>) -> Vec<Values> {
    let prometheus = &prometheus;
    let both = queries.iter().map(|[canary, stable]| async move {
        let (canary, stable) =
            futures_util::join!(prometheus.value(canary), prometheus.value(stable));
        Ok([canary?, stable?])
    });
    join_all(both).await
}
