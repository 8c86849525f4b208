//! The fleet as one node knows it: the revision that it has taken up, the table there, and its own rollbacks that the fleet does
//! not have yet.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ControlError, clock::now};
use crate::{
    api::{FleetNode, FleetState, GoneNode, Timestamp},
    model::{Actor, Author, ChangeError, ChangeSet, TablePart, TableState},
    shared_table::{
        ChangeKind, Followed, LocalRollbacks, PartChanges, PartKnown, SharedRevision, apply_all,
        keep_parts,
    },
};

/// Longest time between two looks at the store, and two reports.
pub(super) const LOOK: Duration = Duration::from_secs(3);
/// Longest time without an answer of the store after which it is taken for the same one.
const SURE: Duration = Duration::from_secs(10);

/// Number of nodes up to which each reads the reports of all with every change.
const SMALL_FLEET: u32 = 16;
/// Pause between two such reads in a larger fleet, for each node.
const READ_PAUSE: Duration = Duration::from_millis(30);

/// The fleet as this node knows it.
#[derive(Debug, Default)]
pub(super) struct SharedState {
    /// Revision of the fleet that is taken up.
    pub(super) revision: u64,
    /// Identifier of that revision, if it is known.
    pub(super) id: Option<String>,
    /// The table of the fleet; none until it was read.
    pub(super) table: Option<TableState>,
    /// Revision of that table: at a start it is read again from an earlier one on.
    pub(super) read: u64,
    pub(super) rollbacks: LocalRollbacks,
    /// When each part of the table was changed last.
    pub(super) changes: PartChanges,
    pub(super) standing: FleetState,
    /// The reason, where it does not follow.
    pub(super) reason: Option<String>,
    /// The reason, where the table of the fleet cannot be live here.
    pub(super) blocked: Option<String>,
    pub(super) contact: Option<Timestamp>,
    /// The same moment by a clock that nobody sets.
    pub(super) answered_at: Option<Instant>,
    /// Revision of the fleet that all workers have taken up.
    pub(super) taken_up: u64,
    /// True if what the fleet has is live, and a worker has not taken it up yet.
    pub(super) is_spreading: bool,
    pub(super) nodes: Vec<FleetNode>,
    /// Nodes that have said nothing for longer than their lease.
    pub(super) gone: Vec<GoneNode>,
    pub(super) nodes_read_at: Option<Timestamp>,
    /// The same moment by a clock that nobody sets.
    pub(super) nodes_read: Option<Instant>,
    /// Version of the store when the nodes were read.
    pub(super) nodes_version: u64,
}

impl SharedState {
    /// The table and its revision, if changes can be made on it.
    ///
    /// # Errors
    /// When the node does not follow the store.
    pub(super) fn base(&self) -> Result<&TableState, ControlError> {
        let table = self.table.as_ref();
        let table = table.filter(|_| self.read == self.revision);
        if let (FleetState::Following, Some(table)) = (self.standing, table) {
            return Ok(table);
        }
        Err(ControlError::NotShared {
            reason: self.reason.clone().unwrap_or_default(),
            is_unknown: false,
        })
    }

    /// The number of the revision that comes next, if this node follows a store that is sure to be the same one.
    pub(super) fn next(&self) -> Option<u64> {
        let is_sure = self.unverified().is_none();
        (is_sure && self.base().is_ok()).then_some(self.read + 1)
    }

    /// True if the store is to be read, whatever its watch brings: that was a while ago, or something waits to be published
    /// or to be live.
    pub(super) fn is_look_due(&self) -> bool {
        let is_recent = self.answered_at.is_some_and(|at| at.elapsed() < LOOK);
        !is_recent || !self.rollbacks.all().is_empty() || self.blocked.is_some()
    }

    /// Takes up the next revision of the fleet. Of one that the process before has taken up only the table is made.
    ///
    /// # Errors
    /// The reason when it does not lead to the table that it names: this version must not follow it then.
    pub(super) fn take(&mut self, number: u64, revision: &SharedRevision) -> Result<(), String> {
        let before = self.table.clone().unwrap_or_default();
        if number != self.read + 1 {
            return Err(format!("revision {} is the one before it here", self.read));
        }
        let table = apply_all(&revision.changes, &before).map_err(|error| error.to_string())?;
        if table.spec.digest() != revision.digest {
            return Err("its changes do not lead to the table that it names".to_owned());
        }
        let mut parts = parts_between(&before, &table);
        parts.extend(revision.parts.iter().cloned());
        self.changes.note(number, &parts);
        if number > self.revision {
            self.rollbacks.follow(Followed {
                kind: revision.kind,
                parts: &parts,
                settles: &revision.settles,
                replaces: &revision.replaces,
            });
            self.revision = number;
            self.id = Some(revision.id.clone());
        }
        self.read = number;
        self.table = Some(table);
        Ok(())
    }

    /// Forgets the table of the fleet, but for the number that is taken up: the store is read anew.
    pub(super) fn forget(&mut self, revision: u64) {
        (self.revision, self.id, self.read, self.table) = (revision, None, 0, None);
        self.changes.begin(revision);
    }

    /// Begins before the first revision of the fleet.
    pub(super) fn begin_empty(&mut self) {
        (self.read, self.table) = (0, Some(TableState::default()));
        self.changes.begin(0);
    }

    /// Begins with a whole table of the fleet.
    pub(super) fn begin_whole(&mut self, number: u64, table: TableState) {
        (self.read, self.table) = (number, Some(table));
        self.changes.begin(number);
    }

    /// The changes of a part that this node knows of. While it reads the store anew it is sure of nothing.
    pub(super) fn known(&self, part: &TablePart) -> PartKnown {
        let revision = self.revision;
        let unchanged_since = if self.table.is_some() && self.read < revision {
            revision
        } else {
            self.changes.unchanged_since(part)
        };
        PartKnown {
            revision,
            unchanged_since,
        }
    }

    /// The identifier of the revision that is taken up, if the store may be another one by now: the node starts, was without
    /// it, or stood still.
    pub(super) fn unverified(&self) -> Option<String> {
        let is_recent = self.answered_at.is_some_and(|at| at.elapsed() < SURE);
        // The clock that nobody sets stands still in a machine that sleeps; the other one may have been set back.
        let away = |contact: Timestamp| now().millis().abs_diff(contact.millis());
        let is_near = self
            .contact
            .is_some_and(|contact| u128::from(away(contact)) < SURE.as_millis());
        let is_sure = self.standing == FleetState::Following && is_recent && is_near;
        self.id.clone().filter(|_| !is_sure)
    }

    /// True if the reports of the nodes are to be read again. Each of a large fleet reads them less often, or a change would
    /// cost the store a read of all by all.
    pub(super) fn is_report_due(&self) -> bool {
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let pause = if nodes > SMALL_FLEET {
            READ_PAUSE.saturating_mul(nodes)
        } else {
            Duration::ZERO
        };
        self.nodes_read.is_none_or(|read| read.elapsed() >= pause)
    }

    /// The table that is to be live on this node: that of the fleet, and beside it what was rolled back here.
    pub(super) fn wanted(&self, live: &TableState) -> Result<TableState, ChangeError> {
        let table = self.table.as_ref().filter(|_| self.read == self.revision);
        let Some(table) = table else {
            return Ok(live.clone());
        };
        let kept = self.rollbacks.all().iter().map(|one| &one.part);
        let wanted = keep_parts(table, kept, live)?;
        // Of versions that the fleet does not know this node keeps what it had, for the way back.
        let is_known = |(key, roster): (_, _)| live.rosters.get(key) == Some(roster);
        let rosters = if wanted.rosters.iter().all(is_known) {
            Arc::clone(&live.rosters)
        } else {
            let mut rosters = (*live.rosters).clone();
            let new = wanted.rosters.iter();
            rosters.extend(new.map(|(key, roster)| (key.clone(), Arc::clone(roster))));
            Arc::new(rosters)
        };
        Ok(TableState { rosters, ..wanted })
    }

    /// Notes the reason for which the table of the fleet cannot be live here, or that it is.
    pub(super) fn block(&mut self, reason: Option<String>) {
        if let Some(reason) = reason.as_ref().filter(|_| self.blocked != reason) {
            tracing::error!(reason, "what the fleet has cannot be live on this node");
        }
        self.blocked = reason;
    }

    pub(super) fn answered(&mut self) {
        (self.contact, self.answered_at) = (Some(now()), Some(Instant::now()));
    }

    pub(super) fn stop(&mut self, standing: FleetState, reason: String) {
        if self.standing != standing {
            tracing::warn!(%reason, state = ?standing, "this node does not follow its fleet");
        }
        self.standing = standing;
        self.reason = Some(reason);
    }

    pub(super) fn follow_again(&mut self) {
        if self.standing != FleetState::Following {
            tracing::info!(revision = self.revision, "this node follows its fleet");
        }
        self.standing = FleetState::Following;
        self.reason = None;
    }
}

/// The parts that differ between two tables.
pub(super) fn parts_between(before: &TableState, after: &TableState) -> BTreeSet<TablePart> {
    ChangeSet::between(before, after).parts().collect()
}

/// The origin of a change, by its author.
pub(super) fn kind_of(by: &Author) -> ChangeKind {
    match by.actor {
        Actor::System => ChangeKind::Machine,
        Actor::Api | Actor::File => ChangeKind::Human,
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_hides_no_silence_of_the_store() {
        let mut state = SharedState {
            id: Some("a-1".to_owned()),
            standing: FleetState::Following,
            ..SharedState::default()
        };
        state.answered();
        assert_eq!(state.unverified(), None);
        let hour = 3_600_000;
        for contact in [now().millis() - hour, now().millis() + hour] {
            state.contact = Some(Timestamp::from_millis(contact));
            assert!(state.unverified().is_some(), "{contact}");
        }
        state.answered();
        state.answered_at = state
            .answered_at
            .and_then(|at| at.checked_sub(Duration::from_secs(20)));
        assert!(state.unverified().is_some());
    }
}
