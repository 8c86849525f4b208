//! State of one signal at one threshold.

use serde::{Deserialize, Serialize};

use super::{
    margin, mixture::Mixture, number::fraction, ratio::Ratio, sample::Sample, settings::Settings,
    share::Share, tally::Tally,
};

/// E-processes and counts: eight numbers of evidence and seven counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    /// Weight among all levels of all signals; they add up to 1.
    #[serde(deserialize_with = "fraction")]
    weight: f64,
    mixture: Mixture,
    ratio: Ratio,
    /// Bad units of the whole rollout.
    bad: Tally,
    /// Further bad events of units that were bad before.
    again: Tally,
    /// Bad units of this step, with those that were bad again.
    bad_in_step: Tally,
}

impl Level {
    pub(super) fn new(weight: f64) -> Self {
        Self {
            weight,
            mixture: Mixture::new(),
            ratio: Ratio::default(),
            bad: Tally::default(),
            again: Tally::default(),
            bad_in_step: Tally::default(),
        }
    }

    /// Forgets what belongs to a step: *fine* is earned anew at each.
    pub(super) fn begin_step(&mut self) {
        self.ratio = Ratio::default();
        self.bad_in_step = Tally::default();
    }

    /// Adds bad units of any step as evidence that the canary is worse.
    pub(super) fn observe(&mut self, settings: &Settings, share: Share, bad: Tally) {
        self.bad.add(bad);
        self.mixture
            .observe(share.tolerating(settings.tolerance), bad);
    }

    /// Adds further bad events of units that were bad before.
    pub(super) fn observe_again(&mut self, again: Tally) {
        self.again.add(again);
    }

    /// Adds bad units of the current step, and those that were bad again, as evidence about its being fine.
    pub(super) fn observe_step(&mut self, settings: &Settings, share: Share, bad: Tally) {
        self.bad_in_step.add(bad);
        let cap = 2.0 * settings.fine_bound().ln();
        self.ratio.observe(share.value(), settings.ratio, bad, cap);
    }

    /// Pays for a bad unit of the canary that a restart may have lost.
    pub(super) fn charge(&mut self, settings: &Settings) {
        self.ratio.charge(settings.ratio);
    }

    /// Part of the e-value of the whole judge; nothing below the fewest bad units.
    pub(super) fn worse_e(&self, settings: &Settings) -> f64 {
        if self.bad.canary < settings.min_bad_units {
            return 0.0;
        }
        self.weight * self.mixture.e()
    }

    /// Evidence that it is fine. `lost` bad units of the canary are added for those that restarts may have lost.
    pub(super) fn fine(
        &self,
        settings: &Settings,
        started: Tally,
        settled: Tally,
        lost: u64,
    ) -> FineEvidence {
        if settled.canary < settings.min_units {
            return FineEvidence::default();
        }
        let bad = self.bad_in_step;
        let canary = Sample::new(bad.canary.saturating_add(lost), settled.canary);
        let stable = Sample::new(bad.stable, started.stable);
        FineEvidence {
            ratio: self.ratio.e(),
            margin: margin::e(canary, stable, settings.margin, settings.beta),
        }
    }

    pub(super) fn has_weight_of(&self, other: &Self) -> bool {
        (self.weight - other.weight).abs() < 1e-9
    }

    /// Bad units of the whole rollout.
    pub(super) const fn bad(&self) -> Tally {
        self.bad
    }

    /// Bad events of the whole rollout.
    pub(super) fn events(&self) -> Tally {
        let mut events = self.bad;
        events.add(self.again);
        events
    }
}

/// Evidence for each of the two claims that make a release fine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct FineEvidence {
    /// That its rate is below `ratio` times stable's.
    pub(super) ratio: f64,
    /// That its rate is less than `margin` above stable's.
    pub(super) margin: f64,
}

impl FineEvidence {
    /// The stronger of the two.
    pub(super) const fn e(self) -> f64 {
        self.ratio.max(self.margin)
    }
}
