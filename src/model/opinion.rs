//! A user's opinion of one answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A score from -1 (bad) to 1 (good), in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opinion(i16);

/// The simplest opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Thumb {
    /// The answer was good.
    Up,
    /// The answer was bad.
    Down,
}

/// Sign of an opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpinionSign {
    /// Below zero.
    Negative,
    /// Zero.
    Neutral,
    /// Above zero.
    Positive,
}

impl Opinion {
    /// An opinion from a score; `None` if it is not within -1 and 1.
    pub fn of_score(score: f64) -> Option<Self> {
        if !(-1.0..=1.0).contains(&score) {
            return None;
        }
        let thousandths = (score * 1_000.0).round();
        // A score that is not zero keeps its sign, however small it is.
        let thousandths = if thousandths == 0.0 && score != 0.0 {
            score.signum()
        } else {
            thousandths
        };
        #[expect(clippy::cast_possible_truncation, reason = "it is from -1000 to 1000")]
        Some(Self(thousandths as i16))
    }

    /// The opinion of a thumb.
    pub const fn of_thumb(thumb: Thumb) -> Self {
        Self(match thumb {
            Thumb::Up => 1_000,
            Thumb::Down => -1_000,
        })
    }

    /// The opinion of a sign: a whole one.
    pub const fn of_sign(sign: OpinionSign) -> Self {
        Self(match sign {
            OpinionSign::Negative => -1_000,
            OpinionSign::Neutral => 0,
            OpinionSign::Positive => 1_000,
        })
    }

    /// The score in thousandths.
    pub const fn thousandths(self) -> i16 {
        self.0
    }

    /// Its sign.
    pub const fn sign(self) -> OpinionSign {
        match self.0 {
            ..0 => OpinionSign::Negative,
            0 => OpinionSign::Neutral,
            1.. => OpinionSign::Positive,
        }
    }
}

impl OpinionSign {
    /// All signs, in the order of [`OpinionSign::index`].
    pub const ALL: [Self; 3] = [Self::Negative, Self::Neutral, Self::Positive];

    /// Index in [`OpinionSign::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_score_is_from_minus_one_to_one() {
        for (score, thousandths) in [
            (-1.0, Some(-1_000)),
            (0.0, Some(0)),
            (-0.0, Some(0)),
            (0.5, Some(500)),
            (1.0, Some(1_000)),
            (1e-9, Some(1)),
            (-1e-9, Some(-1)),
            (1.001, None),
            (-7.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            let opinion = Opinion::of_score(score);
            assert_eq!(opinion.map(Opinion::thousandths), thousandths, "{score}");
        }
        let down = Opinion::of_thumb(Thumb::Down);
        assert_eq!(Some(down), Opinion::of_score(-1.0));
        assert_eq!(down.sign().as_str(), "negative");
    }

    proptest! {
        #[test]
        fn an_opinion_has_the_sign_of_its_score(score in -1.0..=1.0) {
            let sign = Opinion::of_score(score).unwrap().sign();
            prop_assert_eq!(sign == OpinionSign::Negative, score < 0.0);
            prop_assert_eq!(sign == OpinionSign::Positive, score > 0.0);
            prop_assert_eq!(OpinionSign::ALL[sign.index()], sign);
        }
    }
}
