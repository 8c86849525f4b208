//! Parts of a way back that is spread over a time: the earlier release gets the requests little by little, where it might
//! not hold all of them at once.

use std::time::{Duration, Instant};

use crate::{
    api::{ReturnParts, Timestamp},
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
    /// Time at which the last part is due, by the wall clock: it is shown, and decides nothing.
    ends_at: Timestamp,
    /// True if all that is left is to be given at once.
    is_hurried: bool,
}

impl SpreadReturn {
    /// One that begins now, with at most one part a second.
    pub(super) fn new(over: Duration, from: Vec<Weights>, now: (Instant, Timestamp)) -> Self {
        let seconds = u32::try_from(over.as_secs()).unwrap_or(MOST_PARTS);
        let micros = u64::try_from(over.as_micros()).unwrap_or(u64::MAX);
        let (now, at) = now;
        Self {
            ends_at: Timestamp(at.0.saturating_add(micros)),
            is_hurried: false,
            over,
            began: now,
            parts: seconds.clamp(1, MOST_PARTS - 1) + 1,
            given: 0,
            from,
        }
    }

    /// The part that is due and not live; `None` if there is none now.
    pub(super) fn due(&self, now: Instant) -> Option<u32> {
        if self.is_hurried {
            return Some(self.parts);
        }
        let interval = self.over / (self.parts - 1);
        let passed = now.saturating_duration_since(self.began).as_nanos();
        let passed = passed / interval.as_nanos().max(1);
        let part = u32::try_from(passed).map_or(self.parts, |passed| passed.saturating_add(1));
        let part = part.min(self.parts);
        (part > self.given).then_some(part)
    }

    /// Time until the next part is due.
    pub(super) fn due_in(&self, now: Instant) -> Duration {
        if self.is_hurried {
            return Duration::ZERO;
        }
        let until_next = self.over / (self.parts - 1) * self.given;
        until_next.saturating_sub(now.saturating_duration_since(self.began))
    }

    /// Lets all that is left be due at once.
    pub(super) const fn hurry(&mut self) {
        self.is_hurried = true;
    }

    /// True if all that is left is due at once.
    pub(super) const fn is_hurried(&self) -> bool {
        self.is_hurried
    }

    /// Number of parts.
    pub(super) const fn parts(&self) -> u32 {
        self.parts
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

    pub(super) fn show(&self) -> ReturnParts {
        ReturnParts {
            over: HumanDuration(self.over),
            part: self.given,
            parts: self.parts,
            ends_at: self.ends_at,
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

/// True if two splits give each release the same share.
pub(super) fn are_same_shares(one: &Weights, other: &Weights) -> bool {
    let (of_one, of_other) = (total(one), total(other));
    let weight = |weights: &Weights, name| u64::from(weights.get(name).copied().unwrap_or(0));
    let mut names = one.keys().chain(other.keys());
    names.all(|name| weight(one, name) * of_other == weight(other, name) * of_one)
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
        let (now, noon) = (Instant::now(), Timestamp(1_000_000));
        let over = Duration::from_secs(30);
        let mut spread = SpreadReturn::new(over, vec![weights(0, 1)], (now, noon));
        let at =
            |seconds: u64, tenths: u64| now + Duration::from_millis(seconds * 1_000 + tenths * 100);
        assert_eq!((spread.show().parts, spread.due(now)), (10, Some(1)));
        assert_eq!(spread.show().ends_at, Timestamp(31_000_000));
        spread.give(1);
        assert_eq!(spread.due(at(3, 3)), None);
        assert!(spread.due_in(at(3, 3)) < Duration::from_millis(34));
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
        spread.hurry();
        assert_eq!(
            (spread.due(now), spread.due_in(now)),
            (Some(10), Duration::ZERO)
        );
    }

    #[test]
    fn a_short_time_has_few_parts() {
        let now = Instant::now();
        let parts = |seconds| {
            let (over, now) = (Duration::from_secs(seconds), (now, Timestamp(0)));
            SpreadReturn::new(over, Vec::new(), now).show().parts
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
    #[test]
    fn shares_are_the_same_whatever_the_weights_add_up_to() {
        assert!(are_same_shares(&weights(1, 0), &weights(100, 0)));
        assert!(are_same_shares(&weights(95, 5), &weights(950, 50)));
        assert!(!are_same_shares(&weights(95, 5), &weights(94, 6)));
        let alone: Weights = [("blue".parse().unwrap(), 3)].into();
        assert!(are_same_shares(&alone, &weights(7, 0)));
    }
}
