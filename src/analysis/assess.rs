//! From the state of a judge to its verdict.

use super::{
    judge::{Judge, Signals},
    level::{FineEvidence, Level},
    number::real,
    tally::Tally,
    verdict::{Finding, MetricVerdict, Obstacle, Rate, Verdict},
    words::{Claim, Names, Sentence, overall},
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
        let blamed = self
            .alarm
            .and_then(|alarm| metrics.iter().find(|metric| metric.name == alarm.signal));
        let words = overall(found, (e, bound), blamed, obstacle, names);
        Verdict {
            overall: found,
            e,
            bound,
            obstacle: obstacle.filter(|_| found == Finding::Unmeasurable),
            metrics,
            words,
        }
    }

    /// The verdict in all, without words: cheap enough for each second of every rollout.
    pub fn finding(&self) -> Finding {
        if self.is_worse() {
            Finding::Worse
        } else if self.obstacle().is_some() {
            Finding::Unmeasurable
        } else if self.watches.iter().all(|signals| self.is_fine(signals)) {
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

    fn metric_finding(&self, signals: &Signals, obstacle: Option<Obstacle>) -> Finding {
        let is_blamed = self
            .alarm
            .is_some_and(|alarm| alarm.signal == signals.watch.signal());
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
        let now = signals.worse_e(&self.settings);
        let alarm = self
            .alarm
            .filter(|alarm| alarm.signal == signals.watch.signal());
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
