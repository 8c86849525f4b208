//! Traffic with all usual signals: failures, durations, streams that break off.

use std::time::Duration;

use switchback::{
    analysis::{Arm, Evidence, Finding, Judge, Settings, Share, Signal, Thresholds, Watch},
    model::Outcome,
    stats::OutcomeTable,
};

use super::draws::Draws;

/// Spread of the log-normal durations.
const SIGMA: f64 = 0.9;

/// Standard normal quantiles of p50, p90, p95 and p99.
const QUANTILES: [f64; 4] = [0.0, 1.281_551_565_5, 1.644_853_626_95, 2.326_347_874];

/// Changed durations of the canary.
#[derive(Clone, Copy)]
pub(crate) enum Slower {
    /// All by this factor.
    All(f64),
    /// Those above p80, such that p95 is this factor larger.
    Tail(f64),
}

/// Places of the thresholds.
#[derive(Clone, Copy)]
pub(crate) enum Frozen {
    /// Stable's exact quantiles.
    Exact,
    /// The nearest bounds of the proxy's own histogram of 1,000 requests of stable.
    Bounds,
}

/// Rates and durations of the requests of an arm.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) fails: f64,
    pub(crate) breaks: f64,
    pub(crate) slower: Slower,
}

impl Kind {
    pub(crate) const STABLE: Self = Self {
        fails: 0.01,
        breaks: 0.02,
        slower: Slower::All(1.0),
    };
}

/// Traffic of two arms.
#[derive(Clone, Copy)]
pub(crate) struct Requests {
    pub(crate) percent: u32,
    pub(crate) canary: Kind,
    /// Median duration of stable in seconds.
    pub(crate) median: f64,
    pub(crate) frozen: Frozen,
}

impl Requests {
    pub(crate) const fn new(percent: u32, canary: Kind) -> Self {
        Self {
            percent,
            canary,
            median: 1.0,
            frozen: Frozen::Exact,
        }
    }

    fn thresholds(&self, draws: &mut Draws) -> Thresholds {
        match self.frozen {
            Frozen::Exact => {
                let seconds = QUANTILES.map(|quantile| self.median * (SIGMA * quantile).exp());
                Thresholds::given(&seconds).expect("quantiles ascend")
            }
            Frozen::Bounds => {
                let outcomes = OutcomeTable::new(1);
                for _ in 0..1_000 {
                    let seconds = self.median * (SIGMA * draws.normal()).exp();
                    let duration = Duration::from_secs_f64(seconds);
                    outcomes.record(0, Outcome::Answered(200), duration, None);
                }
                let durations = outcomes.snapshot().duration;
                Thresholds::freeze(durations.cumulative()).expect("1,000 values")
            }
        }
    }

    fn duration(&self, draws: &mut Draws, slower: Slower) -> f64 {
        let plain = self.median * (SIGMA * draws.normal()).exp();
        match slower {
            Slower::All(factor) => plain * factor,
            Slower::Tail(factor) => {
                let p80 = self.median * (SIGMA * 0.841_621_233_6).exp();
                let p95 = self.median * (SIGMA * QUANTILES[2]).exp();
                let stretch = (factor * p95 / p80).ln() / (p95 / p80).ln();
                if plain > p80 {
                    p80 * (plain / p80).powf(stretch)
                } else {
                    plain
                }
            }
        }
    }

    /// Canary requests until the judge has this finding, within so many requests of both; it looks after each.
    pub(crate) fn until(&self, draws: &mut Draws, finding: Finding, requests: u64) -> Option<u64> {
        let thresholds = self.thresholds(draws);
        let watches = vec![
            Watch::Failures,
            Watch::Slow(thresholds.clone()),
            Watch::BrokenStreams,
        ];
        let mut judge = Judge::new(Settings::default(), watches).expect("three signals");
        let share = Share::of_weights(self.percent, 100 - self.percent);
        let weight = f64::from(self.percent) / 100.0;
        let mut canary = 0;
        for number in 0..requests {
            let is_canary = draws.is(weight);
            let (arm, kind) = if is_canary {
                (Arm::Canary, self.canary)
            } else {
                (Arm::Stable, Kind::STABLE)
            };
            canary += u64::from(is_canary);
            let mut evidence = Evidence::of_step(0, share);
            evidence.started(arm, 1);
            evidence.settled(arm, 1);
            evidence.bad(Signal::Failures, 0, arm, u64::from(draws.is(kind.fails)));
            evidence.bad(
                Signal::BrokenStreams,
                0,
                arm,
                u64::from(draws.is(kind.breaks)),
            );
            let passed = thresholds.passed(self.duration(draws, kind.slower));
            let levels = std::array::from_fn(|level| u64::from(level < passed));
            evidence.passed(Signal::Slow, arm, levels);
            judge.observe(&evidence);
            let found = match finding {
                Finding::Worse => judge.is_worse(),
                // Each hundredth request: this is more work, and it changes a median by less.
                _ => number % 100 == 0 && judge.finding() == finding,
            };
            if found {
                return Some(canary);
            }
        }
        None
    }
}
