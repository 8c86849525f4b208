//! Values of queries: in each interval the canary's is worse than stable's, or it is not.
//!
//! A sign test. If the canary is not worse, it is no likelier than stable to have the worse value in an interval, whatever
//! came before, so each interval in which they differ is a fair bet at a share of one half. What the values are made of,
//! and how they are spread, does not matter.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{mixture::Mixture, ratio::Ratio, settings::Settings, tally::Tally};

/// Part of the evidence that queries have, shared by them.
pub(super) const WEIGHT: f64 = 0.2;
/// Most queries of a judge.
pub const MOST_QUERIES: usize = 4;
/// Probability that an interval in which they differ is worse for the canary, if it is as good.
const SHARE: f64 = 0.5;
/// Odds that an interval is worse for the canary, below which it is fine: four of five.
const ODDS: f64 = 4.0;
/// Natural logarithm of the largest evidence for *fine*, as of other signals.
const CAP: f64 = 6.0;

/// Direction in which a value is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The higher one is worse.
    Higher,
    /// The lower one is worse.
    Lower,
}

/// A query whose values are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryWatch {
    /// Its name.
    pub name: String,
    /// Direction in which its value is worse.
    pub worse: Direction,
}

/// Values of one interval, compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The canary's is worse by more than is tolerated.
    CanaryWorse,
    /// Stable's is worse.
    StableWorse,
    /// Neither.
    Alike,
}

/// State of one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Query {
    pub(super) watch: QueryWatch,
    mixture: Mixture,
    ratio: Ratio,
    /// Intervals of the whole rollout in which the canary's value was worse, and in which stable's was.
    pub(super) worse: Tally,
    /// Intervals that were compared.
    pub(super) intervals: u64,
}

impl Compared {
    /// Compares two values; `tolerance` is the part of stable's by which the canary's may be worse. `None` if one of
    /// them is no number.
    pub fn of(canary: f64, stable: f64, worse: Direction, tolerance: f64) -> Option<Self> {
        if !canary.is_finite() || !stable.is_finite() {
            return None;
        }
        let worse_by = match worse {
            Direction::Higher => canary - stable,
            Direction::Lower => stable - canary,
        };
        Some(if worse_by > stable.abs() * tolerance {
            Self::CanaryWorse
        } else if worse_by < 0.0 {
            Self::StableWorse
        } else {
            Self::Alike
        })
    }
}

impl Query {
    pub(super) fn new(watch: QueryWatch) -> Self {
        Self {
            watch,
            mixture: Mixture::new(),
            ratio: Ratio::default(),
            worse: Tally::default(),
            intervals: 0,
        }
    }

    /// Adds an interval.
    pub(super) fn observe(&mut self, compared: Compared) {
        let (worse, not_worse) = match compared {
            Compared::CanaryWorse => (Tally::new(1, 0), Tally::new(1, 0)),
            Compared::StableWorse => (Tally::new(0, 1), Tally::new(0, 1)),
            Compared::Alike => (Tally::default(), Tally::new(0, 1)),
        };
        self.intervals = self.intervals.saturating_add(1);
        self.worse.add(worse);
        self.mixture.observe(SHARE, worse);
        self.ratio.observe(SHARE, ODDS, not_worse, CAP);
    }

    /// *Fine* is earned anew at each step.
    pub(super) fn begin_step(&mut self) {
        self.ratio = Ratio::default();
    }

    /// Pays for an interval that a restart may have lost.
    pub(super) fn charge(&mut self) {
        self.ratio.charge(ODDS);
    }

    /// E-value that the canary is worse, before its weight.
    pub(super) fn worse_e(&self, settings: &Settings) -> f64 {
        if self.worse.canary < settings.min_bad_units {
            return 0.0;
        }
        self.mixture.e()
    }

    /// E-value that it is fine: its value is worse in fewer than four of five intervals.
    pub(super) fn fine_e(&self) -> f64 {
        self.ratio.e()
    }
}

/// Queries as a judge can have them: few, and each under a name of its own.
pub(super) fn are_valid(queries: &[QueryWatch]) -> bool {
    let is_repeated = |at: usize| {
        let (before, rest) = queries.split_at(at);
        before.iter().any(|other| other.name == rest[0].name)
    };
    queries.len() <= MOST_QUERIES && !(0..queries.len()).any(is_repeated)
}

pub(super) fn valid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Query>, D::Error> {
    let saved = Vec::<Query>::deserialize(deserializer)?;
    let watches: Vec<_> = saved.iter().map(|query| query.watch.clone()).collect();
    if !are_valid(&watches) {
        return Err(D::Error::custom(
            "there are too many queries, or one is there twice",
        ));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        Query::new(QueryWatch {
            name: "p99".to_owned(),
            worse: Direction::Higher,
        })
    }

    fn after(compared: &[Compared]) -> Query {
        let mut query = query();
        for one in compared {
            query.observe(*one);
        }
        query
    }

    #[test]
    fn values_are_compared_in_their_direction_and_within_the_tolerance() {
        let higher = |canary, stable| Compared::of(canary, stable, Direction::Higher, 0.1);
        let lower = |canary, stable| Compared::of(canary, stable, Direction::Lower, 0.1);
        assert_eq!(higher(1.2, 1.0), Some(Compared::CanaryWorse));
        assert_eq!(higher(1.05, 1.0), Some(Compared::Alike));
        assert_eq!(higher(0.99, 1.0), Some(Compared::StableWorse));
        assert_eq!(lower(0.8, 1.0), Some(Compared::CanaryWorse));
        assert_eq!(lower(-1.2, -1.0), Some(Compared::CanaryWorse));
        assert_eq!(lower(1.2, 1.0), Some(Compared::StableWorse));
        assert_eq!(higher(0.0, 0.0), Some(Compared::Alike));
        assert_eq!(higher(0.1, 0.0), Some(Compared::CanaryWorse));
        for none in [f64::NAN, f64::INFINITY] {
            assert_eq!((higher(none, 1.0), higher(1.0, none)), (None, None));
        }
    }

    /// The law that bounds false alarms: an interval in which equal releases differ is a fair bet.
    #[test]
    fn the_next_interval_is_a_fair_bet_for_equal_releases() {
        use Compared::{Alike, CanaryWorse, StableWorse};
        let settings = Settings::default();
        for history in [
            &[CanaryWorse; 3][..],
            &[CanaryWorse, StableWorse, CanaryWorse, Alike, CanaryWorse],
            &[CanaryWorse; 40],
        ] {
            let e = |next: Compared| after(&[history, &[next]].concat()).worse_e(&settings);
            let mean = f64::midpoint(e(CanaryWorse), e(StableWorse));
            let now = after(history).worse_e(&settings);
            assert!((mean / now - 1.0).abs() < 1e-9, "{history:?}");
            assert!((e(Alike) / now - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn fine_is_a_fair_bet_for_a_canary_that_is_worse_in_four_of_five_intervals() {
        let e = |next| after(&[next]).fine_e();
        let mean = 0.8 * e(Compared::CanaryWorse) + 0.2 * e(Compared::Alike);
        assert!((mean - 1.0).abs() < 1e-9);
        assert!((e(Compared::Alike) - e(Compared::StableWorse)).abs() < 1e-12);
    }

    #[test]
    fn twelve_worse_intervals_are_an_alarm_and_four_that_are_not_are_fine() {
        let settings = Settings::default();
        let e =
            |count: usize| WEIGHT * after(&vec![Compared::CanaryWorse; count]).worse_e(&settings);
        assert!(e(12) >= 100.0 && e(10) < 100.0, "{} {}", e(10), e(12));
        let fine = |count: usize| after(&vec![Compared::Alike; count]).fine_e();
        assert!(fine(3) < 20.0 && fine(4) >= 20.0);
        assert!(after(&[Compared::CanaryWorse; 2]).worse_e(&settings) <= 0.0);
    }
}
