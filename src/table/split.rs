//! The split of a route: chooses a release by key.
//!
//! Weighted rendezvous hashing ([`rendezvous`]), with the name and version of a release as its seed. By its law, if one
//! weight changes, keys move only to or from that release, and going back restores the exact assignment. A request
//! without a key uses a random one: one mechanism, not two.

use std::sync::Arc;

use super::{Release, hash};
use crate::{
    model::rendezvous,
    stats::{Halves, OutcomeTable},
};

/// A release in a split, with its weight.
#[derive(Debug)]
pub struct SplitEntry {
    release: Arc<Release>,
    weight: u32,
    seed: u64,
    cells: Arc<OutcomeTable>,
    halves: Option<Arc<Halves>>,
}

impl SplitEntry {
    pub(super) fn new(release: Arc<Release>, weight: u32, cells: Arc<OutcomeTable>) -> Self {
        let seed = hash::seed_of(release.name().as_str(), release.version().as_str());
        Self {
            release,
            weight,
            seed,
            cells,
            halves: None,
        }
    }

    /// The entry with counters of the halves of its requests, on a route that is calibrated.
    pub(super) fn with_halves(self, halves: Option<Arc<Halves>>) -> Self {
        Self { halves, ..self }
    }

    /// The release.
    pub fn release(&self) -> &Arc<Release> {
        &self.release
    }

    /// Its weight; 0 is never chosen.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Outcome counters of the release on this route.
    pub fn cells(&self) -> &Arc<OutcomeTable> {
        &self.cells
    }

    /// Counters of the halves of its requests, on a route that is calibrated.
    pub fn halves(&self) -> Option<&Halves> {
        self.halves.as_deref()
    }

    /// Identity of its release: the hash of its name and version.
    pub fn identity(&self) -> u64 {
        self.seed
    }

    fn score(&self, key: u64) -> f64 {
        rendezvous::score(key, self.seed, self.weight)
    }
}

/// Releases of a route with their weights. The compiler ensures that at least one weight is above zero, or that nothing is
/// ever chosen.
#[derive(Debug)]
pub struct Split {
    entries: Box<[SplitEntry]>,
    // Invariant: an index into `entries`. The only entry with a weight, or else the first with one.
    first: usize,
    sole: bool,
}

impl Split {
    /// Creates a split; `None` if no entry has a weight.
    pub(super) fn new(entries: Vec<SplitEntry>) -> Option<Self> {
        let mut weighed = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.weight > 0)
            .map(|(place, _)| place);
        let first = weighed.next()?;
        let sole = weighed.next().is_none();
        Some(Self {
            entries: entries.into(),
            first,
            sole,
        })
    }

    /// The split of a route that answers all its requests itself.
    pub(super) fn none() -> Self {
        Self {
            entries: Box::default(),
            first: 0,
            sole: true,
        }
    }

    /// Chooses the release for a key. A release with weight 0 is never chosen.
    pub fn choose(&self, key: u64) -> &SplitEntry {
        &self.entries[self.position(key)]
    }

    /// Position among [`Split::entries`] of the release for a key.
    pub fn position(&self, key: u64) -> usize {
        if self.sole {
            return self.first;
        }
        let mut best = (self.entries[self.first].score(key), self.first);
        for (position, entry) in self.entries.iter().enumerate().skip(self.first + 1) {
            if entry.weight == 0 {
                continue;
            }
            let score = entry.score(key);
            if score > best.0 {
                best = (score, position);
            }
        }
        best.1
    }

    /// Position of the release with this identity, at weight 0 too.
    pub fn position_of(&self, identity: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.seed == identity)
    }

    /// All entries by name, including those with weight 0.
    pub fn entries(&self) -> &[SplitEntry] {
        &self.entries
    }

    /// Entry of a release.
    pub fn entry(&self, release: &str) -> Option<&SplitEntry> {
        self.entries
            .iter()
            .find(|entry| entry.release.name().as_str() == release)
    }

    /// Share of the traffic of an entry, 0 to 1.
    pub fn share(&self, entry: &SplitEntry) -> f64 {
        let total: u64 = self
            .entries
            .iter()
            .map(|entry| u64::from(entry.weight))
            .sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "at most 64 weights of at most a million"
        )]
        let total = total as f64;
        f64::from(entry.weight) / total
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Hashed, ReleaseName, ReleaseSpec, Version},
    };

    fn split(weights: &[(&str, &str, u32)]) -> Split {
        let fleet = Fleet::new(1);
        let entry = |(name, version, weight): &(&str, &str, u32)| {
            let name = ReleaseName::new(name).unwrap();
            let spec = ReleaseSpec {
                version: Version::new(version).unwrap(),
                ..ReleaseSpec::default()
            };
            let roster = fleet.roster(&name, &spec.version);
            SplitEntry::new(
                Arc::new(Release::new(name, Arc::new(Hashed::new(spec)), roster)),
                *weight,
                Arc::new(OutcomeTable::new(1)),
            )
        };
        Split::new(weights.iter().map(entry).collect()).unwrap()
    }

    fn chosen(split: &Split, key: u64) -> &str {
        split.choose(key).release().name().as_str()
    }

    /// The same vectors as in the documentation of the hash, from an independent implementation.
    #[test]
    fn golden_choices() {
        let split = split(&[("blue", "1.0.0", 95), ("green", "", 5)]);
        let green = (0..200)
            .filter(|i| chosen(&split, hash::key_of(format!("user-{i}").as_bytes())) == "green");
        assert_eq!(green.collect::<Vec<_>>(), GREEN);
    }

    const GREEN: &[i32] = &[4, 27, 49, 68, 120, 122, 131, 149, 152, 173, 186];

    #[test]
    fn a_split_without_a_weight_is_none() {
        assert!(Split::new(Vec::new()).is_none());
    }

    #[test]
    fn a_new_version_draws_new_users() {
        let (old, new) = (
            split(&[("blue", "1", 90), ("green", "1", 10)]),
            split(&[("blue", "1", 90), ("green", "2", 10)]),
        );
        let users = |split: &Split| {
            (0..20_000)
                .filter(|key| chosen(split, *key) == "green")
                .collect::<Vec<u64>>()
        };
        let (before, after) = (users(&old), users(&new));
        let both = before.iter().filter(|key| after.contains(key)).count();
        // A tenth of a tenth would be expected by chance: about 200 of 20,000.
        assert!(
            both < 2 * before.len() / 10,
            "{both} of {} are the same users",
            before.len()
        );
    }

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(
            prop_oneof![Just(0_u32), 1_u32..=1_000_000, 1_u32..100],
            2..=5,
        )
        .prop_filter("a weight", |weights| weights.iter().any(|w| *w > 0))
    }

    fn named(weights: &[u32]) -> Split {
        split(
            &NAMES
                .iter()
                .zip(weights)
                .map(|(name, weight)| (*name, "1", *weight))
                .collect::<Vec<_>>(),
        )
    }

    proptest! {
        #[test]
        fn shares_are_within_statistical_bounds(weights in weights(), salt: u64) {
            const DRAWS: u32 = 20_000;
            let split = named(&weights);
            let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
            for i in 0..DRAWS {
                *counts.entry(chosen(&split, hash::key_of(&(salt.wrapping_add(u64::from(i))).to_le_bytes()))).or_default() += 1;
            }
            for entry in split.entries() {
                let p = split.share(entry);
                let expected = p * f64::from(DRAWS);
                // Six and a half standard deviations, and the term of Bernstein's inequality for releases that are
                // chosen a few times at most: one false alarm in a billion.
                let bound = 6.5 * (f64::from(DRAWS) * p * (1.0 - p)).sqrt() + 6.5 * 6.5 / 6.0;
                let count = f64::from(*counts.get(entry.release().name().as_str()).unwrap_or(&0));
                prop_assert!((count - expected).abs() <= bound, "{count} for {expected} ± {bound}");
                prop_assert!(entry.weight() > 0 || count == 0.0, "weight 0 is never chosen");
            }
        }

        #[test]
        fn a_key_moves_only_to_a_release_that_grew_by_a_larger_factor(before in weights(), after in weights(), key: u64) {
            let count = before.len().min(after.len());
            prop_assume!(before[..count].iter().any(|w| *w > 0) && after[..count].iter().any(|w| *w > 0));
            let (old, new) = (named(&before[..count]), named(&after[..count]));
            let place = |name: &str| NAMES.iter().position(|n| *n == name).unwrap();
            let (i, j) = (place(chosen(&old, key)), place(chosen(&new, key)));
            if i != j {
                // after[j] / before[j] > after[i] / before[i], without a division by zero.
                let (grew, shrank) = (u64::from(after[j]) * u64::from(before[i]), u64::from(after[i]) * u64::from(before[j]));
                prop_assert!(grew > shrank, "moved from {i} to {j}: {before:?} -> {after:?}");
            }
        }
    }
}
