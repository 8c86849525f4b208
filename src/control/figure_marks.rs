//! Marks of sessions that were bad for the first time on a node, as the nodes of a fleet tell each other.
//!
//! A session that fails on two nodes counts once: the node that judges keeps all marks in one memory.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::analysis::{FirstBad, LEVELS, Signal};

/// Number of looks for which a mark is told.
const LOOKS: u64 = 10;

/// Session that was bad by a signal and threshold: its arm and its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u8, u8, u8, u32)", into = "(u8, u8, u8, u32)")]
pub(super) struct Mark {
    /// 0 for the release on trial, 1 for the stable one.
    pub(super) arm: usize,
    pub(super) signal: Signal,
    pub(super) level: usize,
    pub(super) key: u32,
}

/// Error of a mark that this version does not know.
#[derive(Debug, Error)]
#[error("a mark has an unknown release, signal or threshold")]
pub(super) struct MarkError;

/// Marks that a node tells, numbered from 0 since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ToldMarks {
    /// Number of the first one.
    from: u64,
    all: Vec<Mark>,
}

/// The latest marks of a node.
#[derive(Debug, Default)]
pub(super) struct RecentMarks {
    from: u64,
    look: u64,
    all: VecDeque<(u64, Mark)>,
}

impl Mark {
    pub(super) const fn new(arm: usize, unit: u64, signal: Signal, level: usize) -> Self {
        let key = FirstBad::key(unit, signal, level);
        Self {
            arm,
            signal,
            level,
            key,
        }
    }
}

impl TryFrom<(u8, u8, u8, u32)> for Mark {
    type Error = MarkError;

    fn try_from((arm, signal, level, key): (u8, u8, u8, u32)) -> Result<Self, MarkError> {
        let signal = Signal::ALL.get(usize::from(signal));
        let (arm, level) = (usize::from(arm), usize::from(level));
        let signal = signal.filter(|_| arm < 2 && level < LEVELS);
        let signal = *signal.ok_or(MarkError)?;
        Ok(Self {
            arm,
            signal,
            level,
            key,
        })
    }
}

impl From<Mark> for (u8, u8, u8, u32) {
    fn from(mark: Mark) -> Self {
        let small = |index: usize| u8::try_from(index).unwrap_or(u8::MAX);
        let signal = small(mark.signal.index());
        (small(mark.arm), signal, small(mark.level), mark.key)
    }
}

impl ToldMarks {
    /// Number that the next one will have.
    pub(super) const fn next(&self) -> u64 {
        self.from + self.all.len() as u64
    }

    /// Those from a number on; `None` if some of them are not told any more.
    pub(super) fn since(&self, number: u64) -> Option<&[Mark]> {
        let skipped = number.checked_sub(self.from)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Some(self.all.get(skipped..).unwrap_or_default())
    }
}

impl RecentMarks {
    /// Adds those of a look, and forgets those of long ago; there are never more than `most`.
    pub(super) fn add(&mut self, marks: Vec<Mark>, most: usize) {
        self.look += 1;
        let look = self.look;
        self.all.extend(marks.into_iter().map(|mark| (look, mark)));
        let is_old = |(at, _): &(u64, Mark)| at + LOOKS <= look;
        while self.all.len() > most || self.all.front().is_some_and(is_old) {
            self.all.pop_front();
            self.from += 1;
        }
    }

    pub(super) fn told(&self) -> ToldMarks {
        ToldMarks {
            from: self.from,
            all: self.all.iter().map(|(_, mark)| *mark).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(unit: u64) -> Mark {
        Mark::new(0, unit, Signal::Failures, 0)
    }

    #[test]
    fn marks_are_told_for_some_looks_and_a_gap_is_seen() {
        let mut recent = RecentMarks::default();
        recent.add(vec![mark(0), mark(1)], 100);
        assert_eq!(recent.told().since(0), Some(&[mark(0), mark(1)][..]));
        assert_eq!(recent.told().since(2), Some(&[][..]));
        for _ in 0..LOOKS - 1 {
            recent.add(Vec::new(), 100);
        }
        assert_eq!(recent.told().since(1), Some(&[mark(1)][..]));
        recent.add(vec![mark(2)], 100);
        let told = recent.told();
        assert_eq!((told.next(), told.since(2)), (3, Some(&[mark(2)][..])));
        assert_eq!(told.since(1), None, "one is missing");
        assert_eq!(told.since(9), Some(&[][..]), "of an earlier time");
    }

    #[test]
    fn there_are_never_more_than_may_be_told() {
        let mut recent = RecentMarks::default();
        recent.add((0..100).map(mark).collect(), 10);
        let told = recent.told();
        assert_eq!((told.all.len(), told.next()), (10, 100));
        assert!(told.since(89).is_none() && told.since(90).is_some());
    }

    #[test]
    fn marks_have_a_short_form_and_unknown_ones_are_refused() {
        let text = serde_json::to_string(&mark(7)).unwrap();
        assert_eq!(serde_json::from_str::<Mark>(&text).unwrap(), mark(7));
        assert!(text.starts_with("[0,0,0,"), "{text}");
        for wrong in ["[2,0,0,1]", "[0,6,0,1]", "[0,0,4,1]"] {
            assert!(serde_json::from_str::<Mark>(wrong).is_err(), "{wrong}");
        }
    }
}
