//! Confidence intervals of shares, of quantiles and of their differences, for people who look at two releases.
//!
//! They describe; they decide nothing. A reader who looks again and again until a difference shows will see one where there
//! is none: for decisions there is the judge.
//!
//! A share: Wilson, "Probable inference" (1927). A difference of shares: Newcombe, "Interval estimation for the difference
//! between independent proportions" (1998), method 10. The same way from two intervals to that of the difference serves
//! quantiles (MOVER: Zou and Donner 2008).

use super::number::real;

/// Confidence of every interval here.
pub const CONFIDENCE: f64 = 0.95;
/// Quantile of the normal distribution for it.
const Z: f64 = 1.959_963_984_540_054;

/// A value with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// Share of `bad` among `all`; `None` of nothing.
    pub fn share(bad: u64, all: u64) -> Option<Self> {
        if all == 0 {
            return None;
        }
        let (n, value) = (real(all), real(bad.min(all)) / real(all));
        let center = value + Z * Z / (2.0 * n);
        let half = Z * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Some(Self {
            value,
            low: ((center - half) / scale).clamp(0.0, value),
            high: ((center + half) / scale).clamp(value, 1.0),
        })
    }

    /// Quantile of `count` values, read by rank; `None` of too few: its interval would end above the largest one, and so
    /// nowhere.
    pub fn quantile(count: u64, quantile: f64, at: impl Fn(f64) -> f64) -> Option<Self> {
        let n = real(count);
        let (rank, half) = (n * quantile, Z * (n * quantile * (1.0 - quantile)).sqrt());
        if count == 0 || rank + half > n {
            return None;
        }
        Some(Self {
            value: at(rank),
            low: at((rank - half).max(0.0)),
            high: at(rank + half),
        })
    }

    /// Difference from another value.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let value = self.value - other.value;
        let down = (self.value - self.low).hypot(other.high - other.value);
        let up = (self.high - self.value).hypot(other.value - other.low);
        Self {
            value,
            low: value - down,
            high: value + up,
        }
    }

    /// True if the whole interval is above 0.
    pub fn is_more(self) -> bool {
        self.low > 0.0
    }

    /// True if the whole interval is below 0.
    pub fn is_less(self) -> bool {
        self.high < 0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(estimate: Estimate, expected: [f64; 3]) -> bool {
        let own = [estimate.value, estimate.low, estimate.high];
        own.iter()
            .zip(expected)
            .all(|(own, expected)| (own - expected).abs() < 5e-5)
    }

    #[test]
    fn differences_are_those_of_newcombes_table() {
        // Newcombe 1998, table II, method 10: 56/70 less 48/80; 9/10 less 3/10; 10/10 less 0/10.
        for (one, other, expected) in [
            ((56, 70), (48, 80), [0.2, 0.0524, 0.3339]),
            ((9, 10), (3, 10), [0.6, 0.1705, 0.8090]),
            ((5, 56), (0, 29), [0.0893, -0.0381, 0.1926]),
            ((10, 10), (0, 20), [1.0, 0.6791, 1.0]),
        ] {
            let share = |(bad, all)| Estimate::share(bad, all).unwrap();
            let difference = share(one).minus(share(other));
            assert!(near(difference, expected), "{difference:?}");
        }
        assert_eq!(Estimate::share(0, 0), None);
    }

    #[test]
    fn a_quantile_is_between_its_ranks() {
        let p95 = Estimate::quantile(1_000, 0.95, |rank| rank / 1_000.0).unwrap();
        assert!(near(p95, [0.95, 0.936_49, 0.963_51]), "{p95:?}");
        assert!(Estimate::quantile(74, 0.95, |rank| rank).is_some());
        for few in [0, 2, 72] {
            assert_eq!(Estimate::quantile(few, 0.95, |rank| rank), None, "{few}");
        }
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_value_and_a_difference_turns_with_its_order(
            one in (0_u64..1_000, 1_u64..1_000), other in (0_u64..1_000, 1_u64..1_000)
        ) {
            let share = |(bad, all): (u64, u64)| Estimate::share(bad.min(all), all).unwrap();
            let (a, b) = (share(one).minus(share(other)), share(other).minus(share(one)));
            prop_assert!(a.low <= a.value && a.value <= a.high);
            prop_assert!(a.low >= -1.0 - 1e-9 && a.high <= 1.0 + 1e-9);
            prop_assert!((a.low + b.high).abs() < 1e-9 && (a.high + b.low).abs() < 1e-9);
            prop_assert!(!(a.is_more() && a.is_less()));
        }
    }
}
