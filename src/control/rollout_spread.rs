//! Parts of a way back that is spread over a time: the earlier release gets the requests little by little, where it might
//! not hold all of them at once.

use std::time::{Duration, Instant};

use crate::{
    api::RolloutReturn,
    model::{HumanDuration, ReleaseName, Weights},
};

/// Largest number of parts.
const MOST_PARTS: u32 = 10;
/// Sum of the weights of a part.
const SCALE: u128 = 10_000;

/// A way back in equal parts: the first at once, the last when its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpreadReturn {
    over: Duration,
    began: Instant,
    parts: u32,
    /// Parts that are live.
    given: u32,
    /// Splits of the routes when it was ordered.
    from: Vec<Weights>,
}

impl SpreadReturn {
    /// One that begins now, with at most one part a second.
    pub(super) fn new(over: Duration, from: Vec<Weights>, now: Instant) -> Self {
        let seconds = u32::try_from(over.as_secs()).unwrap_or(MOST_PARTS);
        Self {
            over,
            began: now,
            parts: seconds.clamp(1, MOST_PARTS - 1) + 1,
            given: 0,
            from,
        }
    }

    /// The part that is due and not live; `None` if there is none now.
    pub(super) fn due(&self, now: Instant) -> Option<u32> {
        let interval = self.over / (self.parts - 1);
        let passed = now.saturating_duration_since(self.began).as_nanos();
        let passed = passed / interval.as_nanos().max(1);
        let part = u32::try_from(passed).map_or(self.parts, |passed| passed.saturating_add(1));
        let part = part.min(self.parts);
        (part > self.given).then_some(part)
    }

    /// True for the part with which all is back.
    pub(super) const fn is_last(&self, part: u32) -> bool {
        part >= self.parts
    }

    /// Takes note that a part is live.
    pub(super) const fn give(&mut self, part: u32) {
        self.given = part;
    }

    /// The split of a route, by its place, with a part of the way back.
    pub(super) fn split(&self, route: usize, to: &Weights, part: u32) -> Option<Weights> {
        Some(between(self.from.get(route)?, to, (part, self.parts)))
    }

    pub(super) fn show(&self) -> RolloutReturn {
        RolloutReturn {
            over: HumanDuration(self.over),
            part: self.given,
            parts: self.parts,
        }
    }
}

/// Shares that are a part of the way from one split to another.
fn between(from: &Weights, to: &Weights, (part, parts): (u32, u32)) -> Weights {
    let (of_from, of_to) = (u128::from(total(from)), u128::from(total(to)));
    let whole = of_from * of_to * u128::from(parts);
    if whole == 0 {
        return to.clone();
    }
    let weight = |name: &ReleaseName| {
        let of = |weights: &Weights| u128::from(weights.get(name).copied().unwrap_or(0));
        let sum = of(from) * of_to * u128::from(parts - part) + of(to) * of_from * u128::from(part);
        u32::try_from((sum * SCALE + whole / 2) / whole).unwrap_or(u32::MAX)
    };
    let names = from.keys().chain(to.keys());
    names.map(|name| (name.clone(), weight(name))).collect()
}

/// Sum of the weights of a split.
pub(super) fn total(weights: &Weights) -> u64 {
    weights.values().map(|weight| u64::from(*weight)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(blue: u32, green: u32) -> Weights {
        [("blue", blue), ("green", green)]
            .map(|(name, weight)| (name.parse().unwrap(), weight))
            .into()
    }

    #[test]
    fn the_first_part_is_due_at_once_and_the_last_when_the_time_is_over() {
        let now = Instant::now();
        let mut spread = SpreadReturn::new(Duration::from_secs(30), vec![weights(0, 1)], now);
        let at =
            |seconds: u64, tenths: u64| now + Duration::from_millis(seconds * 1_000 + tenths * 100);
        assert_eq!((spread.show().parts, spread.due(now)), (10, Some(1)));
        spread.give(1);
        assert_eq!(spread.due(at(3, 3)), None);
        assert_eq!(spread.due(at(3, 4)), Some(2));
        assert_eq!(
            spread.due(at(10, 1)),
            Some(4),
            "parts that are late are one"
        );
        assert!(!spread.is_last(9));
        assert_eq!(spread.due(at(29, 9)), Some(9));
        assert_eq!(spread.due(at(30, 0)), Some(10));
        assert_eq!(spread.due(at(5_000, 0)), Some(10));
        assert!(spread.is_last(10));
    }

    #[test]
    fn a_short_time_has_few_parts() {
        let now = Instant::now();
        let parts = |seconds| {
            SpreadReturn::new(Duration::from_secs(seconds), Vec::new(), now)
                .show()
                .parts
        };
        assert_eq!([1, 2, 5, 9, 600].map(parts), [2, 3, 6, 10, 10]);
    }

    #[test]
    fn the_parts_lead_from_one_split_to_the_other_whatever_the_weights_add_up_to() {
        let (from, to) = (weights(5, 95), weights(3, 0));
        assert_eq!(between(&from, &to, (1, 2)), weights(5_250, 4_750));
        assert_eq!(between(&from, &to, (2, 2)), weights(10_000, 0));
        let alone: Weights = [("blue".parse().unwrap(), 1)].into();
        assert_eq!(between(&from, &alone, (1, 10)), weights(1_450, 8_550));
        assert_eq!(between(&Weights::new(), &alone, (1, 10)), alone);
    }
}
