//! The undo stack: targets of rollbacks. A stack, not a toggle: two rollbacks go two revisions back.
//!
//! It holds decisions only. A fact (endpoints that came or went) makes a revision, but the live decision stays the one
//! before it, and a level is identified by the number of its decision.
//!
//! Pure: it holds levels and resolves rollback targets; `LiveTable` swaps.

use std::sync::Arc;

use super::Compiled;
use crate::model::{Digest, Revision, TableSpec};

/// Target of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackTarget {
    /// State before the live revision's whole group.
    Previous,
    /// State of the decision with this number, if it is on the stack.
    Revision(Revision),
    /// State one record before, even within a group.
    Step,
}

/// An earlier state that a rollback can go to.
#[derive(Debug, Clone)]
pub struct UndoEntry {
    /// Revision that made the decision.
    pub revision: Revision,
    /// Group of the revision.
    pub group: Option<Arc<str>>,
    /// Its decisions.
    pub spec: TableSpec,
    /// Its compiled decisions, while the level is warm.
    pub compiled: Option<Arc<Compiled>>,
    /// Time when it stopped being live: milliseconds since 1970.
    pub superseded_at_ms: u64,
}

/// Levels below the live revision, the deepest first.
#[derive(Debug, Clone, Default)]
pub(super) struct UndoStack {
    levels: Vec<UndoEntry>,
    // The live decision; a later live revision differs only in facts.
    live: Revision,
    live_group: Option<Arc<str>>,
}

impl UndoStack {
    pub(super) fn restored(
        levels: Vec<UndoEntry>,
        live: Revision,
        live_group: Option<Arc<str>>,
    ) -> Self {
        Self {
            levels,
            live,
            live_group,
        }
    }

    /// Revision of the live decision.
    pub(super) fn live(&self) -> Revision {
        self.live
    }

    /// Sets the revision of the live decision.
    pub(super) fn set_live(&mut self, live: Revision) {
        self.live = live;
    }

    pub(super) fn levels(&self) -> &[UndoEntry] {
        &self.levels
    }

    pub(super) fn live_group(&self) -> Option<&Arc<str>> {
        self.live_group.as_ref()
    }

    /// Target of a rollback from the live revision.
    pub(super) fn undo_to(&self) -> Option<Revision> {
        self.levels.last().map(|level| level.revision)
    }

    /// Pushes the replaced state below a new revision of a group.
    pub(super) fn push(&mut self, replaced: UndoEntry, group: Option<Arc<str>>) {
        self.levels.push(replaced);
        self.live_group = group;
    }

    /// Sets the group of the live revision.
    pub(super) fn set_group(&mut self, group: Option<Arc<str>>) {
        self.live_group = group;
    }

    /// Drops the levels later than a revision, and then the top if it equals the decisions that go live: a rollback to
    /// it would change nothing. The live revision then belongs to no group.
    pub(super) fn cut_above(&mut self, revision: Revision, digest: Digest) {
        self.levels.retain(|level| level.revision <= revision);
        self.levels.pop_if(|level| level.spec.digest() == digest);
        self.live_group = None;
    }

    /// Index of the level that a rollback target refers to.
    pub(super) fn place(&self, target: RollbackTarget) -> Option<usize> {
        match target {
            RollbackTarget::Step => self.levels.len().checked_sub(1),
            RollbackTarget::Revision(revision) => self
                .levels
                .iter()
                .rposition(|level| level.revision == revision),
            RollbackTarget::Previous => {
                let same_group =
                    |level: &UndoEntry| self.live_group.is_some() && level.group == self.live_group;
                self.levels.iter().rposition(|level| !same_group(level))
            }
        }
    }

    /// Pops the level at an index, and all above it; its group becomes that of the live revision.
    pub(super) fn pop_to(&mut self, place: usize) -> Option<(UndoEntry, Vec<Revision>)> {
        if place >= self.levels.len() {
            return None;
        }
        let above = self.levels.split_off(place);
        let undone = above.iter().skip(1).map(|level| level.revision).collect();
        let level = above.into_iter().next()?;
        self.live_group.clone_from(&level.group);
        Some((level, undone))
    }

    /// Drops the compiled form of levels for which `warm` returns false; it gets the distance from the top, from 0.
    pub(super) fn mark_cold(&mut self, warm: impl Fn(usize, &UndoEntry) -> bool) {
        for (distance, level) in self.levels.iter_mut().rev().enumerate() {
            if level.compiled.is_some() && !warm(distance, level) {
                level.compiled = None;
            }
        }
    }

    /// Adds the compiled form to the level of a revision.
    pub(super) fn mark_warm(&mut self, revision: Revision, compiled: &Arc<Compiled>) {
        let levels = self
            .levels
            .iter_mut()
            .filter(|level| level.revision == revision);
        levels.for_each(|level| level.compiled = Some(Arc::clone(compiled)));
    }

    /// Drops the deepest levels above a limit.
    pub(super) fn truncate(&mut self, most: usize) {
        let surplus = self.levels.len().saturating_sub(most);
        self.levels.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(revision: u64, group: Option<&str>) -> UndoEntry {
        let group = group.map(Arc::from);
        UndoEntry {
            revision: Revision(revision),
            group,
            spec: TableSpec::default(),
            compiled: None,
            superseded_at_ms: 0,
        }
    }

    /// Publishes 1, 2, 3 (of a group), 4 (of the same group); 4 is live.
    fn stack() -> UndoStack {
        let mut stack = UndoStack::default();
        stack.push(level(1, None), None);
        stack.push(level(2, None), Some("trial".into()));
        stack.push(level(3, Some("trial")), Some("trial".into()));
        stack
    }

    fn place_of(stack: &UndoStack, target: RollbackTarget) -> Option<u64> {
        stack
            .place(target)
            .map(|place| stack.levels()[place].revision.0)
    }

    #[test]
    fn a_bare_rollback_undoes_a_whole_group_and_a_step_one_record() {
        let stack = stack();
        assert_eq!(place_of(&stack, RollbackTarget::Previous), Some(2));
        assert_eq!(place_of(&stack, RollbackTarget::Step), Some(3));
        assert_eq!(
            place_of(&stack, RollbackTarget::Revision(Revision(1))),
            Some(1)
        );
        assert_eq!(
            place_of(&stack, RollbackTarget::Revision(Revision(9))),
            None
        );
    }

    #[test]
    fn rolling_back_twice_goes_two_back_and_never_returns() {
        let mut stack = stack();
        let place = stack.place(RollbackTarget::Previous).unwrap();
        let (to, undone) = stack.pop_to(place).unwrap();
        assert_eq!((to.revision, undone), (Revision(2), vec![Revision(3)]));
        assert_eq!(place_of(&stack, RollbackTarget::Previous), Some(1));
        stack.pop_to(0).unwrap();
        assert_eq!(stack.place(RollbackTarget::Previous), None);
        assert_eq!(stack.undo_to(), None);
    }

    #[test]
    fn only_the_top_stays_warm() {
        let mut stack = stack();
        stack
            .levels
            .iter_mut()
            .for_each(|level| level.compiled = Some(Compiled::empty()));
        stack.mark_cold(|distance, _| distance < 1);
        let warm: Vec<bool> = stack
            .levels()
            .iter()
            .map(|level| level.compiled.is_some())
            .collect();
        assert_eq!(warm, [false, false, true]);
    }
}
