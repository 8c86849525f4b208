//! The desk where opinions of answers are taken: each answer is counted once.

use std::{
    collections::HashSet,
    mem,
    sync::{Mutex, PoisonError},
};

use crate::model::{ReleaseName, Revision, RouteName, VariantMark, Version};

/// Number of answers in each of the two generations that are remembered.
const REMEMBERED: usize = 50_000;

/// An answer that a user has an opinion of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The route.
    pub route: RouteName,
    /// The release that gave it.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// The revision by which the release was chosen.
    pub revision: Revision,
    /// Its number, which no other answer has but by chance.
    pub number: u64,
    /// Its session, as a hash; a random number without one.
    pub session: u64,
    /// Variants of flags that it was given with.
    pub variants: Vec<VariantMark>,
}

/// The answers that were spoken of lately: at least the last [`REMEMBERED`], at most twice as many.
#[derive(Debug, Default)]
struct RecentAnswers {
    newer: HashSet<u64>,
    older: HashSet<u64>,
}

/// The desk where opinions are taken. It forgets at a restart.
#[derive(Debug, Default)]
pub(super) struct FeedbackDesk(Mutex<RecentAnswers>);

impl RecentAnswers {
    /// True for an answer that is not remembered; it is from now on.
    fn insert(&mut self, number: u64) -> bool {
        if self.older.contains(&number) || !self.newer.insert(number) {
            return false;
        }
        if self.newer.len() >= REMEMBERED {
            self.older = mem::take(&mut self.newer);
        }
        true
    }
}

impl FeedbackDesk {
    pub(super) fn is_first(&self, answer: &Answer) -> bool {
        // Safe to ignore poisoning: a set is never in between.
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(answer.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_once_and_remembered_within_a_bound() {
        let mut recent = RecentAnswers::default();
        assert!(recent.insert(7) && !recent.insert(7));
        for number in 100..100 + REMEMBERED as u64 - 1 {
            assert!(recent.insert(number));
        }
        assert!(!recent.insert(7), "the last {REMEMBERED} are remembered");
        for number in 1_000_000..1_000_000 + 3 * REMEMBERED as u64 {
            assert!(recent.insert(number));
            assert!(recent.newer.len() + recent.older.len() <= 2 * REMEMBERED);
        }
        assert!(recent.insert(7), "it was forgotten");
    }
}
