//! The rules of a node of a fleet: what a person rolled back on it does not come back there until a person who can know of
//! it decides so.
//!
//! `tests/fleet_model` has visited every order of a few events under these rules, in which every table fits the fleet; see
//! [`LocalRollbacks::dispute`] for one that does not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{LocalRollback, TablePart};

/// Origin of a revision of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A person or a tool changed the table.
    Human,
    /// switchback itself did: a step of a rollout.
    Machine,
    /// A part went back, on whose order ever.
    Rollback,
}

/// A revision of the fleet, as far as the rules depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    /// Its origin.
    pub kind: ChangeKind,
    /// The parts of the table that it changes.
    pub parts: &'a BTreeSet<TablePart>,
    /// Identifiers of the rollbacks that it settles.
    pub settles: &'a [String],
}

/// The rollbacks of a node that the fleet does not have yet, at most one of each part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalRollbacks(Vec<LocalRollback>);

impl From<Vec<LocalRollback>> for LocalRollbacks {
    fn from(all: Vec<LocalRollback>) -> Self {
        Self(all)
    }
}

impl LocalRollbacks {
    /// All of them.
    pub fn all(&self) -> &[LocalRollback] {
        &self.0
    }

    /// Those about which a person has to decide.
    pub fn disputed(&self) -> impl Iterator<Item = &LocalRollback> {
        self.0.iter().filter(|one| one.disputed)
    }

    /// The one of a part.
    pub fn of(&self, part: &TablePart) -> Option<&LocalRollback> {
        self.0.iter().find(|one| one.part == *part)
    }

    /// Parts went back on this node, from a revision of the fleet. An earlier rollback of a part is over by that.
    pub fn roll_back(
        &mut self,
        parts: impl IntoIterator<Item = TablePart>,
        id: &str,
        of: u64,
        by_machine: bool,
    ) {
        for part in parts {
            self.0.retain(|one| one.part != part);
            self.0.push(LocalRollback {
                id: format!("{id}/{part}"),
                part,
                of,
                by_machine,
                disputed: false,
            });
        }
    }

    /// Takes in a revision of the fleet.
    ///
    /// A change of automation leaves a rollback as it is, so that it is published after it. One of a person ends what
    /// automation rolled back, and disputes what a person did.
    pub fn follow(&mut self, revision: Followed<'_>) {
        let Followed {
            kind,
            parts,
            settles,
        } = revision;
        self.0.retain_mut(|one| {
            if settles.contains(&one.id) {
                return false;
            }
            if !parts.contains(&one.part) || kind == ChangeKind::Machine {
                return true;
            }
            one.disputed = true;
            !one.by_machine
        });
    }

    /// Disputes rollbacks that the fleet has no room for any more: a person decides, or the fleet's side is taken if it was
    /// automation that went back. True if that is news about one of them.
    pub fn dispute(&mut self, ids: &[String]) -> bool {
        let mut is_news = false;
        self.0.retain_mut(|one| {
            if !ids.contains(&one.id) {
                return true;
            }
            is_news |= !one.disputed;
            one.disputed = true;
            !one.by_machine
        });
        is_news
    }

    /// Takes in a stretch of revisions that are not kept any more: nobody knows who changed these parts.
    pub fn follow_unknown(&mut self, parts: &BTreeSet<TablePart>) {
        for one in &mut self.0 {
            one.disputed |= parts.contains(&one.part);
        }
    }

    /// Those that the node publishes by itself, on the latest revision: nobody disputes them, or the fleet has by now what
    /// they went back to. Equal values settle nothing by themselves: nobody would have been told.
    pub fn to_publish(&self, is_as_kept: impl Fn(&TablePart) -> bool) -> Vec<LocalRollback> {
        let may = |one: &&LocalRollback| !one.disputed || is_as_kept(&one.part);
        self.0.iter().filter(may).cloned().collect()
    }

    /// Identifiers of those of these parts.
    pub fn ids_of(&self, parts: &BTreeSet<TablePart>) -> Vec<String> {
        let of = self.0.iter().filter(|one| parts.contains(&one.part));
        of.map(|one| one.id.clone()).collect()
    }

    /// A person gives up what was kept in a dispute: the fleet's side is taken.
    pub fn give_up_disputed(&mut self) {
        self.0.retain(|one| !one.disputed);
    }
}

#[cfg(test)]
mod tests;
