//! Strata of a rollout's evidence: counts that were drawn with one share, and wait to be given to the judge.
//!
//! Where the weights are the shares, all nodes of a fleet have the same one, and their counts are one stratum. Where the
//! shares are counted, each node is a stratum of its own: one with a larger share and more failures of its own would make
//! the release seem worse.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::rollout_counts::Counts;
use crate::analysis::{Arm, Evidence, Share, Tally};

/// Most nodes whose shares are counted apart; of more nothing is evidence.
const MOST_NODES: usize = 1_000;

/// Counts of one node since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeCounts {
    /// Its name; empty for this node.
    pub(super) node: String,
    pub(super) counts: [Counts; 2],
    /// First bad events of sessions among them; the counts themselves on a route without sessions.
    pub(super) first: [Counts; 2],
    /// True if what was counted may have begun before the step, so that it shows nothing that is fine.
    pub(super) is_early: bool,
}

/// The strata, those of early counts first.
#[derive(Debug)]
pub(super) struct Strata {
    settled_after: Duration,
    all: BTreeMap<(Moment, String), Stratum>,
}

/// Part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Early,
    Regular,
}

#[derive(Debug, Default)]
struct Stratum {
    waiting: [Counts; 2],
    /// First bad events of sessions among those that wait.
    first: [Counts; 2],
    settled: Tally,
    starts: VecDeque<(Duration, Tally)>,
}

/// Evidence of one stratum, but for its step.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) is_early: bool,
    waiting: [Counts; 2],
    first: [Counts; 2],
    settled: Tally,
}

impl NodeCounts {
    /// Requests.
    pub(super) const fn units(&self) -> Tally {
        units(&self.counts)
    }
}

const fn units(counts: &[Counts; 2]) -> Tally {
    Tally::new(counts[0].units, counts[1].units)
}

fn plus(one: [Counts; 2], more: [Counts; 2]) -> [Counts; 2] {
    [one[0].plus(more[0]), one[1].plus(more[1])]
}

impl Strata {
    /// No counts; a unit is settled so long after it was counted.
    pub(super) const fn new(settled_after: Duration) -> Self {
        Self {
            settled_after,
            all: BTreeMap::new(),
        }
    }

    /// Adds what one node has counted up to this time, to the stratum of all nodes or to its own.
    pub(super) fn add(&mut self, counts: NodeCounts, now: Duration, is_apart: bool) {
        let units = counts.units();
        let moment = if counts.is_early {
            Moment::Early
        } else {
            Moment::Regular
        };
        let node = if is_apart { counts.node } else { String::new() };
        let key = (moment, node);
        if self.all.len() >= 2 * MOST_NODES && !self.all.contains_key(&key) {
            return;
        }
        let stratum = self.all.entry(key).or_default();
        stratum.waiting = plus(stratum.waiting, counts.counts);
        stratum.first = plus(stratum.first, counts.first);
        if moment == Moment::Regular && units.total() > 0 {
            stratum.starts.push_back((now, units));
        }
    }

    /// Takes what has a share, by the requests that wait in each stratum.
    pub(super) fn take(
        &mut self,
        now: Duration,
        share: impl Fn(Tally) -> Option<Share>,
    ) -> Vec<(Share, Given)> {
        let mut given = Vec::new();
        let settled_after = self.settled_after;
        self.all.retain(|(moment, _), stratum| {
            stratum.settle(now, settled_after);
            if let Some(share) = share(units(&stratum.waiting)) {
                given.push((share, stratum.take(*moment == Moment::Early)));
            }
            let is_early_and_given =
                *moment == Moment::Early && stratum.waiting == <[Counts; 2]>::default();
            !is_early_and_given
        });
        given
    }
}

impl Stratum {
    fn settle(&mut self, now: Duration, settled_after: Duration) {
        while let Some((at, units)) = self.starts.front() {
            if now.saturating_sub(*at) < settled_after {
                break;
            }
            self.settled.add(*units);
            self.starts.pop_front();
        }
    }

    fn take(&mut self, is_early: bool) -> Given {
        Given {
            is_early,
            waiting: std::mem::take(&mut self.waiting),
            first: std::mem::take(&mut self.first),
            settled: std::mem::take(&mut self.settled),
        }
    }
}

impl Given {
    /// The evidence, of this step.
    pub(super) fn evidence(&self, step: u32, share: Share) -> Evidence {
        let mut evidence = Evidence::of_step(step, share);
        let settled = [self.settled.canary, self.settled.stable];
        for (index, arm) in [Arm::Canary, Arm::Stable].into_iter().enumerate() {
            evidence.started(arm, self.waiting[index].units);
            evidence.settled(arm, settled[index]);
            self.first[index].add_to(&mut evidence, arm, Evidence::bad);
            let again = self.waiting[index].since(self.first[index]);
            again.add_to(&mut evidence, arm, Evidence::again);
        }
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(node: &str, canary: u64, stable: u64, is_early: bool) -> NodeCounts {
        let arm = |units| Counts {
            units,
            failures: units / 10,
            ..Counts::default()
        };
        let counts = [arm(canary), arm(stable)];
        NodeCounts {
            node: node.to_owned(),
            counts,
            first: counts,
            is_early,
        }
    }

    #[test]
    fn nodes_with_one_share_are_one_stratum_and_counted_shares_are_apart() {
        let second = Duration::from_secs(1);
        let weights = |_: Tally| Some(Share::of_weights(1, 1));
        let mut strata = Strata::new(second);
        for node in ["", "b", "c"] {
            strata.add(counts(node, 30, 30, false), second, false);
        }
        let given = strata.take(second, weights);
        assert_eq!(given.len(), 1);
        assert_eq!(units(&given[0].1.waiting), Tally::new(90, 90));
        let mut strata = Strata::new(second);
        strata.add(counts("", 1, 59, false), second, true);
        strata.add(counts("b", 30, 30, false), second, true);
        strata.add(counts("c", 3, 3, false), second, true);
        let given = strata.take(second, Share::of_counts);
        let shares: Vec<_> = given.iter().map(|(share, _)| share.value()).collect();
        assert_eq!(shares.len(), 2, "the third waits");
        assert!((shares[0] - 1.0 / 60.0).abs() < 1e-9 && (shares[1] - 0.5).abs() < 1e-9);
        strata.add(counts("c", 20, 20, false), second, true);
        let given = strata.take(second, Share::of_counts);
        assert_eq!(given.len(), 1);
        assert_eq!(units(&given[0].1.waiting), Tally::new(23, 23));
    }

    #[test]
    fn early_counts_are_given_apart_and_are_never_settled() {
        let weights = |_: Tally| Some(Share::of_weights(1, 1));
        let mut strata = Strata::new(Duration::ZERO);
        strata.add(counts("b", 10, 10, true), Duration::ZERO, false);
        strata.add(counts("", 20, 20, false), Duration::ZERO, false);
        let given = strata.take(Duration::ZERO, weights);
        let seen: Vec<_> = given
            .iter()
            .map(|(_, given)| (given.is_early, given.waiting[0].units, given.settled.canary))
            .collect();
        assert_eq!(seen, [(true, 10, 0), (false, 20, 20)]);
        assert_eq!(strata.take(Duration::ZERO, weights).len(), 1);
    }
}
