//! Bad units among all units of one arm or of one period, and what is known of their rate at any time.
//!
//! The likelihood of a beta(½, ½) mixture over that of a rate is an e-process for that rate. So the rates that it does not
//! reject are a confidence sequence: it holds however often one looks, and whenever one stops.

use super::number::{LARGEST, ln_beta, real};

/// Counts above this are scaled down, where the gamma function has no digits left; it makes evidence weaker.
const MOST_UNITS: f64 = 1e9;

/// Halvings of an interval until its middle is exact enough.
const HALVINGS: u32 = 60;

/// Bad units and units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    bad: f64,
    units: f64,
}

impl Sample {
    pub(super) fn new(bad: u64, units: u64) -> Self {
        let units = real(units.max(bad));
        let scale = (MOST_UNITS / units.max(1.0)).min(1.0);
        Self {
            bad: real(bad) * scale,
            units: units * scale,
        }
    }

    /// Share of the bad units.
    pub(super) fn rate(self) -> f64 {
        self.bad / self.units.max(1.0)
    }

    /// Logarithm of the beta mixture over the likelihood at a rate between 0 and 1.
    fn ln_e(self, rate: f64) -> f64 {
        let good = self.units - self.bad;
        let mixture = ln_beta(0.5 + self.bad, 0.5 + good) - ln_beta(0.5, 0.5);
        mixture - self.bad * rate.ln() - good * (-rate).ln_1p()
    }

    /// E-value against "the rate is `limit` or more".
    pub(super) fn e_below(self, limit: f64) -> f64 {
        let limit = limit.min(0.999);
        if self.bad >= limit * self.units {
            return 0.0;
        }
        self.ln_e(limit).min(LARGEST.ln()).exp()
    }

    /// E-value against "the rate is `limit` or less".
    pub(super) fn e_above(self, limit: f64) -> f64 {
        let limit = limit.max(1e-9);
        if limit >= 1.0 || self.bad <= limit * self.units {
            return 0.0;
        }
        self.ln_e(limit).min(LARGEST.ln()).exp()
    }

    /// Lower end of the confidence sequence of the rate, valid at all times together with this error.
    pub(super) fn lower_rate(self, error: f64) -> f64 {
        if self.bad <= 0.0 {
            return 0.0;
        }
        let bound = -error.ln();
        let (mut low, mut high) = (0.0, self.rate().min(1.0 - 1e-12));
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if middle > 0.0 && self.ln_e(middle) <= bound {
                high = middle;
            } else {
                low = middle;
            }
        }
        low
    }

    /// Upper end of the confidence sequence of the rate, valid at all times together with this error.
    pub(super) fn upper_rate(self, error: f64) -> f64 {
        if self.bad >= self.units {
            return 1.0;
        }
        let bound = -error.ln();
        let (mut low, mut high) = (self.rate().max(1e-12), 1.0);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if middle < 1.0 && self.ln_e(middle) <= bound {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_are_beside_the_rate_and_come_closer() {
        let low = |bad, units| Sample::new(bad, units).lower_rate(0.01);
        assert!(low(10, 1_000) > 0.001 && low(10, 1_000) < 0.005);
        assert!(low(10_000, 1_000_000) > 0.0095 && low(10_000, 1_000_000) < 0.01);
        assert!(low(5, 5) > 0.1);
        let high = |bad, units| Sample::new(bad, units).upper_rate(0.01);
        assert!(high(10, 1_000) > 0.015 && high(10, 1_000) < 0.03);
        assert!(high(10_000, 1_000_000) > 0.01 && high(10_000, 1_000_000) < 0.0105);
        assert!(high(0, 0) > 0.999 && high(5, 5) > 0.999);
        assert!(high(0, 1_000) > 0.003 && high(0, 1_000) < 0.02);
    }

    #[test]
    fn a_rate_at_the_limit_is_evidence_of_nothing() {
        let sample = Sample::new(10, 1_000);
        assert!(sample.e_below(0.01) < 1.0 && sample.e_above(0.01) < 1.0);
        assert!(sample.e_below(0.05) > 100.0 && sample.e_above(0.001) > 100.0);
        assert!(Sample::new(0, 0).e_below(0.5) < 1.0 && Sample::new(0, 0).e_above(0.5) < 1.0);
    }

    proptest! {
        #[test]
        fn all_of_it_is_finite_and_in_order_for_any_counts(
            bad in any::<u64>(), units in any::<u64>(), small in 0..64_u32, limit in 0.0..=1.0_f64,
        ) {
            let sample = Sample::new(bad >> small, units);
            let (low, high) = (sample.lower_rate(0.01), sample.upper_rate(0.01));
            prop_assert!(0.0 <= low && low <= high && high <= 1.0, "{low} {high}");
            let (below, above) = (sample.e_below(limit), sample.e_above(limit));
            prop_assert!(below.is_finite() && below >= 0.0 && above.is_finite() && above >= 0.0);
        }
    }
}
