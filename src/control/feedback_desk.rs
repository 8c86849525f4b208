//! The desk where opinions of answers are taken: each answer is counted once, and few are looked for at a time.

use std::{
    collections::HashSet,
    mem,
    sync::{Mutex, PoisonError},
};

use thiserror::Error;
use tokio::sync::Semaphore;

use crate::model::{ReleaseName, Revision, RouteName, VariantMark, Version};

/// Number of answers in each of the two generations that are remembered.
const REMEMBERED: usize = 50_000;
/// Most answers that workers look for at a time.
const MOST_LOOKED_FOR: usize = 64;

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

/// The name of an answer, for those who have no stamp of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerName {
    /// The id of its request.
    RequestId(String),
    /// The last answer of a session.
    Session {
        /// The route.
        route: RouteName,
        /// The value that identifies the session in its requests: of a source of the route's `affinity`, or the id that the
        /// endpoint gave it.
        key: String,
    },
}

/// The reason why a name leads to no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FindAnswerError {
    /// Several requests had this id.
    #[error("several requests had this id")]
    Ambiguous,
    /// A worker does not say what it remembers, or too many answers are looked for.
    #[error("not every worker has said what it remembers")]
    Busy,
    /// The route does not remember its answers by session.
    #[error("route `{0}` does not remember its answers by session")]
    NotBySession(RouteName),
    /// No worker remembers such an answer.
    #[error("no worker remembers such an answer")]
    Unknown,
    /// There is no such route.
    #[error("there is no route `{0}`")]
    UnknownRoute(RouteName),
}

/// The answers that were spoken of lately: at least the last [`REMEMBERED`], at most twice as many.
#[derive(Debug, Default)]
struct RecentAnswers {
    newer: HashSet<u64>,
    older: HashSet<u64>,
}

/// The desk where opinions are taken. It forgets at a restart.
#[derive(Debug)]
pub(super) struct FeedbackDesk {
    recent: Mutex<RecentAnswers>,
    /// A permit for each answer that may be looked for at a time: what waits at a worker that hangs is bounded.
    pub(super) looked_for: Semaphore,
}

impl Default for FeedbackDesk {
    fn default() -> Self {
        Self {
            recent: Mutex::default(),
            looked_for: Semaphore::new(MOST_LOOKED_FOR),
        }
    }
}

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
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
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
