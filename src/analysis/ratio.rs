//! E-process against "the canary's rate is `ratio` times stable's or more": evidence that it is fine.

use serde::{Deserialize, Serialize};

use super::{
    number::{finite, real},
    tally::Tally,
};

/// Natural logarithm of the e-value. It is held below a cap, so that a regression after weeks of health takes *fine* away
/// within a few bad units; what is held down stays an e-process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio(#[serde(deserialize_with = "finite")] f64);

impl Ratio {
    /// Adds the bad units of one stratum.
    pub(super) fn observe(&mut self, share: f64, ratio: f64, bad: Tally, cap: f64) {
        if bad.total() > 0 && share > 0.0 && share < 1.0 {
            let scale = (1.0 + share * (ratio - 1.0)).ln();
            self.0 += real(bad.total()) * scale - real(bad.canary) * ratio.ln();
            self.0 = self.0.min(cap);
        }
    }

    /// Pays for a bad unit of the canary that may have been lost.
    pub(super) fn charge(&mut self, ratio: f64) {
        self.0 -= ratio.ln();
    }

    /// The e-value.
    pub(super) fn e(self) -> f64 {
        self.0.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: f64 = 6.0;

    fn after(strata: &[(u64, u64)]) -> Ratio {
        let mut ratio = Ratio::default();
        for (canary, stable) in strata {
            ratio.observe(0.05, 2.0, Tally::new(*canary, *stable), CAP);
        }
        ratio
    }

    #[test]
    fn it_is_a_fair_bet_if_the_canary_fails_twice_as_often() {
        let share = 2.0 * 0.05 / 1.05;
        let mean = share * after(&[(1, 0)]).e() + (1.0 - share) * after(&[(0, 1)]).e();
        assert!((mean - 1.0).abs() < 1e-12);
    }

    #[test]
    fn health_without_end_is_forgotten_within_a_few_failures() {
        let healthy = vec![(1, 19); 10_000];
        assert!(after(&healthy).e() > 300.0);
        assert!(after(&[&healthy[..], &[(10, 0)]].concat()).e() < 20.0);
        assert!(after(&[(u64::MAX, u64::MAX)]).e().abs() < 1e-12);
    }
}
