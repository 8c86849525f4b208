//! Counters of the answers to mirrored requests that were compared as JSON, and the paths at which they differed last.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::model::JsonSkip;

const SKIPS: usize = JsonSkip::ALL.len();
/// Most paths that are kept.
const MOST_PATHS: usize = 16;

/// The comparison of two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonComparison {
    /// They hold the same.
    Same,
    /// They differ at these JSON pointers, and maybe at more.
    Different(Vec<String>),
    /// They are not compared.
    Skipped(JsonSkip),
}

/// Counters of one route and release. Written only by the thread that sends the copies.
#[derive(Debug, Default)]
pub(super) struct JsonCounters {
    same: AtomicU64,
    different: AtomicU64,
    skipped: [AtomicU64; SKIPS],
    /// The latest one first.
    paths: Mutex<VecDeque<(String, u64)>>,
}

/// Values of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonSnapshot {
    /// Answers that hold the same as the original's.
    pub same: u64,
    /// Answers that hold something else.
    pub different: u64,
    /// Answers that are not compared, in the order of [`JsonSkip::ALL`].
    pub skipped: [u64; SKIPS],
    /// JSON pointers at which answers differed, the latest one first, with the number of answers.
    pub paths: Vec<(String, u64)>,
}

impl JsonCounters {
    pub(super) fn record(&self, comparison: JsonComparison) {
        let count = match &comparison {
            JsonComparison::Same => &self.same,
            JsonComparison::Different(_) => &self.different,
            JsonComparison::Skipped(reason) => &self.skipped[reason.index()],
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let JsonComparison::Different(paths) = comparison {
            let mut kept = self.paths();
            for path in paths {
                note(&mut kept, path);
            }
        }
    }

    pub(super) fn snapshot(&self) -> JsonSnapshot {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        JsonSnapshot {
            same: value(&self.same),
            different: value(&self.different),
            skipped: self.skipped.each_ref().map(value),
            paths: self.paths().iter().cloned().collect(),
        }
    }

    // Safe to ignore poisoning: a panic under the lock leaves the list intact.
    fn paths(&self) -> MutexGuard<'_, VecDeque<(String, u64)>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves a path to the front; the one that was seen longest ago leaves.
fn note(kept: &mut VecDeque<(String, u64)>, path: String) {
    let place = kept.iter().position(|(own, _)| *own == path);
    let before = place.and_then(|place| kept.remove(place));
    let count = before.map_or(0, |(_, count)| count);
    kept.truncate(MOST_PATHS - 1);
    kept.push_front((path, count + 1));
}

impl JsonSnapshot {
    /// Pairs of answers that were looked at, compared or not.
    pub fn all(&self) -> u64 {
        self.same + self.different + self.skipped.iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_that_differed_last_are_kept_and_no_more() {
        let counters = JsonCounters::default();
        let different = |path: &str| JsonComparison::Different(vec![path.to_owned()]);
        counters.record(different("/first"));
        for number in 0..100 {
            counters.record(different(&format!("/{number}")));
            counters.record(different("/again"));
        }
        let seen = counters.snapshot();
        assert_eq!((seen.different, seen.paths.len()), (201, MOST_PATHS));
        assert_eq!(
            seen.paths[..2],
            [("/again".to_owned(), 100), ("/99".to_owned(), 1)]
        );
        assert!(!seen.paths.iter().any(|(path, _)| path == "/first"));
    }

    #[test]
    fn every_pair_of_answers_is_in_one_count() {
        let counters = JsonCounters::default();
        counters.record(JsonComparison::Same);
        for reason in JsonSkip::ALL {
            counters.record(JsonComparison::Skipped(reason));
        }
        let seen = counters.snapshot();
        assert_eq!((seen.all(), seen.same, seen.different), (7, 1, 0));
        assert_eq!(seen.skipped, [1; SKIPS]);
    }
}
