//! From the state of a judge to its verdict.

use super::{
    judge::{Judge, Signals, Source},
    level::{FineEvidence, Level},
    number::real,
    query::Query,
    tally::Tally,
    verdict::{Finding, MetricVerdict, Obstacle, QueryVerdict, Rate, Verdict},
    words::{Claim, Names, Numbers, QueryNumbers, QuerySentence, Sentence, overall},
};

/// Share of the canary from which stable is too small to compare with: at 95 % it takes forty times the evidence of 5 %.
const BLIND_SHARE: f64 = 0.95;

impl Judge {
    /// The verdict on the evidence so far.
    pub fn verdict(&self, names: Names<'_>) -> Verdict {
        let obstacle = self.obstacle();
        let metrics: Vec<_> = self
            .watches
            .iter()
            .map(|signals| self.metric(signals, obstacle, names))
            .collect();
        let found = self.finding();
        let e = self.e();
        let bound = self.settings.worse_bound();
        let queries: Vec<_> = (0..)
            .zip(&self.queries)
            .map(|(index, query)| self.query((index, query), names))
            .collect();
        let blamed = self.alarm.and_then(|alarm| match alarm.source {
            Source::Signal(signal) => {
                let metric = metrics.iter().find(|metric| metric.name == signal)?;
                Some(Numbers(metric, names).to_string())
            }
            Source::Query(index) => {
                let query = queries.get(usize::from(index))?;
                Some(QueryNumbers(query, names).to_string())
            }
        });
        let words = overall(found, (e, bound), blamed, obstacle, names);
        Verdict {
            overall: found,
            e,
            bound,
            obstacle: obstacle.filter(|_| found == Finding::Unmeasurable),
            metrics,
            queries,
            words,
        }
    }

    /// The verdict in all, without words: cheap enough for each second of every rollout.
    pub fn finding(&self) -> Finding {
        if self.is_worse() {
            Finding::Worse
        } else if self.obstacle().is_some() {
            Finding::Unmeasurable
        } else if self.watches.iter().all(|signals| self.is_fine(signals))
            && self.queries.iter().all(|query| self.is_query_fine(query))
        {
            Finding::Fine
        } else {
            Finding::NotEnoughData
        }
    }

    /// Reason why nothing can be compared at present, worse or not.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let share = self.share.value();
        if let Some(share) = self.stable_guard.failing(self.settings.max_stable_failures) {
            return Some(Obstacle::StableFails { share });
        }
        if share >= BLIND_SHARE {
            return Some(Obstacle::ShareTooLarge { share });
        }
        let units = self.started_in_step;
        self.share_check.is_off().then(|| Obstacle::ShareIsOff {
            configured: share,
            counted: real(units.canary) / real(units.total().max(1)),
        })
    }

    fn metric(
        &self,
        signals: &Signals,
        obstacle: Option<Obstacle>,
        names: Names<'_>,
    ) -> MetricVerdict {
        let verdict = self.metric_finding(signals, obstacle);
        let index = self.deciding(signals, verdict);
        let level = &signals.levels[index];
        let thresholds = signals.watch.thresholds();
        let fine = self.fine(level);
        let (bad, events) = (level.bad(), level.events());
        let units = self.started;
        let mut metric = MetricVerdict {
            name: signals.watch.signal(),
            verdict,
            e: self.metric_e(signals),
            fine_e: fine.e(),
            fine_bound: self.settings.fine_bound(),
            threshold_seconds: thresholds.map(|thresholds| thresholds.seconds()[index]),
            canary: rate((bad.canary, events.canary), units.canary),
            stable: rate((bad.stable, events.stable), units.stable),
            words: String::new(),
        };
        let claim = if fine.ratio >= fine.margin {
            Claim::Ratio(self.settings.ratio)
        } else {
            Claim::Margin(self.settings.margin)
        };
        let bound = self.settings.worse_bound();
        metric.words = Sentence {
            metric: &metric,
            names,
            claim,
            bound,
        }
        .to_string();
        metric
    }

    /// Verdict by a query. It needs no large share of stable: the two have a value each.
    fn query(&self, (index, query): (u8, &Query), names: Names<'_>) -> QueryVerdict {
        let now = self.part_of_query(query);
        let source = Source::Query(index);
        let alarm = self.alarm.filter(|alarm| alarm.source == source);
        let e = alarm.map_or(now, |alarm| alarm.part.max(now));
        let bound = self.settings.worse_bound();
        let verdict = if alarm.is_some() || e >= bound {
            Finding::Worse
        } else if self.is_query_fine(query) {
            Finding::Fine
        } else {
            Finding::NotEnoughData
        };
        let mut shown = QueryVerdict {
            name: query.watch.name.clone(),
            worse: query.watch.worse,
            verdict,
            e,
            fine_e: query.fine_e(),
            fine_bound: self.settings.fine_bound(),
            worse_in: query.worse,
            intervals: query.intervals,
            words: String::new(),
        };
        shown.words = QuerySentence(&shown, names, bound).to_string();
        shown
    }

    fn is_query_fine(&self, query: &Query) -> bool {
        query.fine_e() >= self.settings.fine_bound()
    }

    fn metric_finding(&self, signals: &Signals, obstacle: Option<Obstacle>) -> Finding {
        let is_blamed = self
            .alarm
            .is_some_and(|alarm| alarm.source == Source::Signal(signals.watch.signal()));
        if is_blamed || self.metric_e(signals) >= self.settings.worse_bound() {
            Finding::Worse
        } else if obstacle.is_some() {
            Finding::Unmeasurable
        } else if self.is_fine(signals) {
            Finding::Fine
        } else {
            Finding::NotEnoughData
        }
    }

    /// Its part of the e-value; for the signal that raised the alarm, the largest that it was.
    fn metric_e(&self, signals: &Signals) -> f64 {
        let now = self.part_of(signals);
        let alarm = self
            .alarm
            .filter(|alarm| alarm.source == Source::Signal(signals.watch.signal()));
        alarm.map_or(now, |alarm| alarm.part.max(now))
    }

    /// Index of the threshold that decides: the one with most evidence that the canary is worse, or, where it is fine or
    /// nothing is shown, the one with least evidence that it is fine.
    fn deciding(&self, signals: &Signals, verdict: Finding) -> usize {
        let levels = signals.levels.iter().enumerate();
        let worse = |level: &Level| level.worse_e(&self.settings);
        let fine = |level: &Level| self.fine(level).e();
        let index = match verdict {
            Finding::Worse => levels.max_by(|a, b| worse(a.1).total_cmp(&worse(b.1))),
            Finding::Fine | Finding::NotEnoughData | Finding::Unmeasurable => {
                levels.min_by(|a, b| fine(a.1).total_cmp(&fine(b.1)))
            }
        };
        index.map_or(0, |(index, _)| index)
    }

    fn is_fine(&self, signals: &Signals) -> bool {
        let bound = self.settings.fine_bound();
        signals
            .levels
            .iter()
            .all(|level| self.fine(level).e() >= bound)
    }

    fn fine(&self, level: &Level) -> FineEvidence {
        let Self {
            started_in_step,
            settled_in_step,
            ..
        } = *self;
        let settled = Tally::new(
            settled_in_step.canary.min(started_in_step.canary),
            settled_in_step.stable,
        );
        level.fine(&self.settings, started_in_step, settled, self.restarts)
    }
}

const fn rate((distinct, bad): (u64, u64), units: u64) -> Rate {
    // A request that was older than its step when it failed is bad without having been counted as started.
    let units = if units == 0 || units > bad {
        units
    } else {
        bad
    };
    Rate {
        bad,
        units,
        distinct,
    }
}
