//! Traffic that only fails or does not, and a judge that looks after each request.
//!
//! Evidence changes at a bad request only, so what is drawn is the number of requests up to the next one: the same
//! rollout, and the same looks, in less time.

use switchback::analysis::{Arm, Evidence, Finding, Judge, Settings, Share, Signal, Watch};

use super::draws::Draws;

/// Traffic of two arms.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    /// Share of the canary in percent.
    pub(crate) percent: u32,
    /// Rates of failures.
    pub(crate) canary: f64,
    pub(crate) stable: f64,
}

/// Good requests, and the bad one that follows them.
#[derive(Clone, Copy)]
pub(crate) struct Next {
    pub(crate) good_canary: u64,
    pub(crate) good_stable: u64,
    /// Arm of the bad request; none within the requests that are left.
    pub(crate) bad: Option<Arm>,
}

impl Next {
    pub(crate) fn requests(self) -> u64 {
        self.good_canary + self.good_stable + u64::from(self.bad.is_some())
    }
}

impl Traffic {
    pub(crate) const fn new(percent: u32, canary: f64, stable: f64) -> Self {
        Self {
            percent,
            canary,
            stable,
        }
    }

    pub(crate) fn share(self) -> Share {
        Share::of_weights(self.percent, 100 - self.percent)
    }

    fn weight(self) -> f64 {
        f64::from(self.percent) / 100.0
    }

    /// Probability that a request is bad.
    pub(crate) fn bad(self) -> f64 {
        self.weight() * self.canary + (1.0 - self.weight()) * self.stable
    }

    /// Requests up to the next bad one, at most so many.
    pub(crate) fn next(self, draws: &mut Draws, within: u64) -> Next {
        let bad = self.bad();
        let at = draws.geometric(bad);
        let good = at.min(within.saturating_add(1)) - 1;
        let good_canary = draws.binomial(
            good,
            self.weight() * (1.0 - self.canary) / (1.0 - bad).max(1e-12),
        );
        let arm = || {
            let is_canary = draws.is(self.weight() * self.canary / bad);
            if is_canary { Arm::Canary } else { Arm::Stable }
        };
        Next {
            good_canary,
            good_stable: good - good_canary,
            bad: (at <= within).then(arm),
        }
    }
}

/// A rollout: its judge and the canary requests so far.
pub(crate) struct Rollout {
    pub(crate) judge: Judge,
    pub(crate) canary_requests: u64,
    step: u32,
}

impl Rollout {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let judge = Judge::new(settings, vec![Watch::Failures]).expect("one signal");
        Self {
            judge,
            canary_requests: 0,
            step: 0,
        }
    }

    /// So many requests of this traffic, as one step; stops when the condition is true after a bad request.
    pub(crate) fn step(
        &mut self,
        draws: &mut Draws,
        traffic: Traffic,
        requests: u64,
        stop: impl Fn(&Judge) -> bool,
    ) -> bool {
        let mut left = requests;
        while left > 0 {
            let next = traffic.next(draws, left);
            left -= next.requests();
            self.look(traffic.share(), next);
            if stop(&self.judge) {
                return true;
            }
        }
        false
    }

    /// Begins the next step with the next look.
    pub(crate) fn begin_step(&mut self) {
        self.step += 1;
    }

    /// One look at some good requests and a bad one.
    pub(crate) fn look(&mut self, share: Share, next: Next) {
        let mut evidence = Evidence::of_step(self.step, share);
        for (arm, good) in [
            (Arm::Canary, next.good_canary),
            (Arm::Stable, next.good_stable),
        ] {
            let is_bad = next.bad == Some(arm);
            evidence.started(arm, good + u64::from(is_bad));
            evidence.settled(arm, good + u64::from(is_bad));
            evidence.bad(Signal::Failures, 0, arm, u64::from(is_bad));
        }
        self.judge.observe(&evidence);
        self.canary_requests += next.good_canary + u64::from(next.bad == Some(Arm::Canary));
    }
}

/// Canary requests until it is worse, or `None` within so many requests of both.
pub(crate) fn until_worse(draws: &mut Draws, traffic: Traffic, requests: u64) -> Option<u64> {
    let mut rollout = Rollout::new();
    let is_worse = rollout.step(draws, traffic, requests, Judge::is_worse);
    is_worse.then_some(rollout.canary_requests)
}

/// Canary requests until it is fine, or `None` within so many requests of both.
pub(crate) fn until_fine(draws: &mut Draws, traffic: Traffic, requests: u64) -> Option<u64> {
    let mut rollout = Rollout::new();
    // With next to nothing bad, good requests must be looked at as well.
    let part = 200;
    for _ in 0..requests / part {
        if rollout.step(draws, traffic, part, |judge| {
            judge.finding() == Finding::Fine
        }) {
            return Some(rollout.canary_requests);
        }
        if rollout.judge.is_worse() {
            return None;
        }
    }
    None
}

/// Canary requests from the start of a regression until it is worse; `Err` if it was called worse before.
pub(crate) fn until_late(
    draws: &mut Draws,
    healthy: Traffic,
    canary: u64,
    sick: Traffic,
    requests: u64,
) -> Result<Option<u64>, ()> {
    let mut rollout = Rollout::new();
    let before = canary * 100 / u64::from(healthy.percent);
    if rollout.step(draws, healthy, before, Judge::is_worse) {
        return Err(());
    }
    let start = rollout.canary_requests;
    let is_worse = rollout.step(draws, sick, requests, Judge::is_worse);
    Ok(is_worse.then(|| rollout.canary_requests - start))
}
