//! Shares of keys that a change of a split moves from one release to another. Pure arithmetic, exact for the weighted
//! rendezvous hashing of [`rendezvous`](super::rendezvous).
//!
//! A key is a race: member `k` ends after `E/w`, with `E` exponential and independent for each member, and the first one
//! wins. A change of the weights keeps every `E`. So member `i` wins before and `j` after exactly if, with `s` and `t` for
//! their two `E`,
//!
//! ```text
//! s/w(i) ≤ t/w(j),   t/w'(j) ≤ s/w'(i),   E(k) ≥ max(s·w(k)/w(i), t·w'(k)/w'(j)) for every other k
//! ```
//!
//! With `r = t/s` the integral over `s` is `1 / (1 + r + Σ max(a, b·r))²`, which is a rational function between the values
//! of `r` at which one of the maxima changes sides.

use std::collections::BTreeMap;

/// Share of the keys of a route that moves.
#[derive(Debug, Clone, PartialEq)]
pub struct MovedShare<K> {
    /// Member that has them before.
    pub from: K,
    /// Member that has them after.
    pub to: K,
    /// Their part of all keys, from 0 to 1.
    pub share: f64,
}

/// Least share that counts as a move: less is an error of rounding.
const LEAST: f64 = 1e-9;

/// Moves between two splits, the largest first. The weights are relative, and all above 0.
pub fn moved_shares<K: Ord + Clone>(
    before: &BTreeMap<K, f64>,
    after: &BTreeMap<K, f64>,
) -> Vec<MovedShare<K>> {
    let mut moves = Vec::new();
    for from in before.keys() {
        for to in after.keys().filter(|to| *to != from) {
            let share = Race::new(before, after, from, to).share();
            if share > LEAST {
                let (from, to) = (from.clone(), to.clone());
                moves.push(MovedShare { from, to, share });
            }
        }
    }
    moves.sort_by(|one, other| other.share.total_cmp(&one.share));
    moves
}

/// The race in which one member wins before and another after.
struct Race {
    /// Bounds of `r`; the upper one is infinite for a member that leaves.
    from: f64,
    to: f64,
    /// Both factors of each other member.
    others: Vec<(f64, f64)>,
}

impl Race {
    fn new<K: Ord>(before: &BTreeMap<K, f64>, after: &BTreeMap<K, f64>, i: &K, j: &K) -> Self {
        let weight = |split: &BTreeMap<K, f64>, key| split.get(key).copied().unwrap_or(0.0);
        let (old, new) = (weight(before, i), weight(after, j));
        let mut keys: Vec<&K> = before.keys().chain(after.keys()).collect();
        keys.sort();
        keys.dedup();
        keys.retain(|key| *key != i && *key != j);
        let factors = |key| (weight(before, key) / old, weight(after, key) / new);
        Self {
            from: weight(before, j) / old,
            to: new / weight(after, i),
            others: keys.into_iter().map(factors).collect(),
        }
    }

    /// The integral, piece by piece.
    fn share(&self) -> f64 {
        if self.from >= self.to {
            return 0.0;
        }
        let turns = self.others.iter().map(|(a, b)| a / b);
        let mut turns: Vec<f64> = turns
            .filter(|turn| *turn > self.from && *turn < self.to)
            .collect();
        turns.sort_by(f64::total_cmp);
        turns.push(self.to);
        let mut begin = self.from;
        let pieces = turns.into_iter().map(|end| {
            let piece = self.piece(begin, end);
            begin = end;
            piece
        });
        pieces.sum()
    }

    /// The integral of `1 / (a + b·r)²` between two turns.
    fn piece(&self, begin: f64, end: f64) -> f64 {
        let (mut a, mut b) = (1.0, 1.0);
        for (of_a, of_b) in &self.others {
            // Neither side of a maximum is the larger one only at its turn, which is a bound.
            let middle = if end.is_finite() {
                f64::midpoint(begin, end)
            } else {
                begin + 1.0
            };
            if *of_a > of_b * middle {
                a += of_a;
            } else {
                b += of_b;
            }
        }
        let first = b.mul_add(begin, a);
        if end.is_finite() {
            (end - begin) / (first * b.mul_add(end, a))
        } else {
            1.0 / (b * first)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::rendezvous::score;

    fn split(weights: &[u32]) -> BTreeMap<usize, f64> {
        let weighed = weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0);
        weighed
            .map(|(member, weight)| (member, f64::from(*weight)))
            .collect()
    }

    fn moves(before: &[u32], after: &[u32]) -> Vec<(usize, usize, f64)> {
        let moves = moved_shares(&split(before), &split(after)).into_iter();
        moves
            .map(|one| (one.from, one.to, (one.share * 1e6).round() / 1e6))
            .collect()
    }

    #[test]
    fn a_canary_takes_its_share_and_gives_it_back() {
        assert_eq!(moves(&[100, 0], &[75, 25]), [(0, 1, 0.25)]);
        assert_eq!(moves(&[75, 25], &[100, 0]), [(1, 0, 0.25)]);
        assert_eq!(moves(&[75, 25], &[50, 50]), [(0, 1, 0.25)]);
        assert_eq!(moves(&[1, 0], &[0, 1]), [(0, 1, 1.0)]);
        assert_eq!(moves(&[1, 3], &[10, 30]), []);
    }

    #[test]
    fn a_third_release_gives_and_takes_nothing_if_its_weight_stays() {
        assert_eq!(
            moves(&[50, 50, 0], &[40, 40, 20]),
            [(0, 2, 0.1), (1, 2, 0.1)]
        );
        // Beside blue, red grows: its factor is the larger one.
        let moves = moves(&[60, 0, 40], &[50, 10, 40]);
        let pairs: Vec<_> = moves.iter().map(|(from, to, _)| (*from, *to)).collect();
        assert_eq!(pairs, [(0, 1), (0, 2), (2, 1)], "{moves:?}");
        let given: f64 = moves
            .iter()
            .map(|(from, _, share)| f64::from(u8::from(*from == 0)) * share)
            .sum();
        assert!((given - 0.1).abs() < 1e-5, "{moves:?}");
    }

    /// The release of each of so many keys.
    fn owners(weights: &[u32], keys: u64) -> Vec<usize> {
        let weighed: Vec<_> = weights
            .iter()
            .enumerate()
            .filter(|(_, w)| **w > 0)
            .collect();
        let owner = |key: u64| {
            let best = weighed.iter().max_by(|(one, a), (other, b)| {
                let score = |member: usize, weight: u32| {
                    score(
                        key.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                        member as u64 + 7,
                        weight,
                    )
                };
                score(*one, **a).total_cmp(&score(*other, **b))
            });
            best.map_or(0, |(member, _)| *member)
        };
        (0..keys).map(owner).collect()
    }

    const KEYS: u32 = 20_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_arithmetic_says_what_the_split_does_with_many_keys(
            before in prop::collection::vec(0_u32..6, 4),
            after in prop::collection::vec(0_u32..6, 4),
        ) {
            prop_assume!(before.iter().any(|w| *w > 0) && after.iter().any(|w| *w > 0));
            let mut counted: BTreeMap<(usize, usize), u32> = BTreeMap::new();
            let then = owners(&after, KEYS.into());
            for (from, to) in owners(&before, KEYS.into()).into_iter().zip(then) {
                *counted.entry((from, to)).or_default() += u32::from(from != to);
            }
            let said = moved_shares(&split(&before), &split(&after));
            let of = |pair| said.iter().find(|one| (one.from, one.to) == pair).map_or(0.0, |one| one.share);
            for from in 0..4 {
                for to in (0..4).filter(|to| *to != from) {
                    let real = f64::from(counted.get(&(from, to)).copied().unwrap_or(0)) / f64::from(KEYS);
                    let said = of((from, to));
                    // Five standard deviations.
                    let allowed = 5.0 * (said * (1.0 - said) / f64::from(KEYS)).sqrt() + 1e-9;
                    prop_assert!((real - said).abs() <= allowed, "{from} to {to}: {real}, not {said}");
                }
            }
        }
    }
}
