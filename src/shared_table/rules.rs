//! The rules of a node of a fleet: what a person rolled back on it does not come back there until a person who can know of
//! it decides so.
//!
//! `tests/fleet_model` has visited every order of a few events under these rules, in which every table fits the fleet; see
//! [`LocalRollbacks::dispute`] for one that does not.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Identifiers of earlier rollbacks, which those had replaced.
    pub replaces: &'a [String],
}

/// The answer to a rollback that another node made and offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is made here as well.
    Taken,
    /// It is here already, or a later one is that replaces it.
    Known,
    /// This node has not heard of the change that it takes back.
    Behind,
    /// The part was changed after that, as far as this node knows.
    Changed,
    /// This node has gone back by itself.
    Contradicted,
}

/// The changes of a part that a node knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartKnown {
    /// Revision of the fleet that it has taken up.
    pub revision: u64,
    /// Revision since which the part is certainly unchanged.
    pub unchanged_since: u64,
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
            let made = LocalRollback {
                id: format!("{id}/{part}"),
                replaces: self.of(&part).map(chain).unwrap_or_default(),
                part,
                of,
                by_machine,
                disputed: false,
            };
            self.put(made);
        }
    }

    /// The answer to a rollback of another node, whose part was `changed` by that revision or an earlier one, and not between
    /// it and the revision from which it went back. Only who serves what it takes back does the same.
    pub fn answer(&self, offered: &LocalRollback, changed: u64, known: PartKnown) -> Offered {
        let own = self.of(&offered.part);
        match own {
            Some(own) if own.id == offered.id || own.replaces.contains(&offered.id) => {
                Offered::Known
            }
            Some(own) if !offered.replaces.contains(&own.id) => Offered::Contradicted,
            _ if known.unchanged_since > offered.of => Offered::Changed,
            _ if known.revision < changed => Offered::Behind,
            _ => Offered::Taken,
        }
    }

    /// Has a rollback that another node made, and this one as well.
    pub fn take(&mut self, offered: LocalRollback) {
        self.put(LocalRollback {
            disputed: false,
            ..offered
        });
    }

    fn put(&mut self, made: LocalRollback) {
        self.0.retain(|one| one.part != made.part);
        self.0.push(made);
    }

    /// Takes in a revision of the fleet.
    ///
    /// A change of automation leaves a rollback as it is, so that it is published after it; an earlier rollback that it
    /// replaces does too: another node had taken that over, and knew of no other. A change of a person ends what automation
    /// rolled back, and disputes what a person did.
    pub fn follow(&mut self, revision: Followed<'_>) {
        let Followed {
            kind,
            parts,
            settles,
            replaces,
        } = revision;
        self.0.retain_mut(|one| {
            if settles.contains(&one.id) || replaces.contains(&one.id) {
                return false;
            }
            let is_earlier = |id: &String| one.replaces.contains(id);
            if kind == ChangeKind::Rollback && settles.iter().any(is_earlier) {
                return true;
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

    /// Those of these parts.
    pub fn of_parts(&self, parts: &BTreeSet<TablePart>) -> Vec<LocalRollback> {
        let of = self.0.iter().filter(|one| parts.contains(&one.part));
        of.cloned().collect()
    }

    /// Those that other nodes are told of, in the steps in which they were made: nobody disputes them.
    pub fn to_offer(&self) -> Vec<Vec<LocalRollback>> {
        let open = self.0.iter().filter(|one| !one.disputed);
        let mut steps: BTreeMap<&str, Vec<LocalRollback>> = BTreeMap::new();
        for one in open {
            steps.entry(one.step()).or_default().push(one.clone());
        }
        steps.into_values().collect()
    }

    /// A person gives up what was kept in a dispute: the fleet's side is taken.
    pub fn give_up_disputed(&mut self) {
        self.0.retain(|one| !one.disputed);
    }
}

/// Identifiers that a rollback ends which replaces this one: its own, and those that it has replaced.
fn chain(one: &LocalRollback) -> Vec<String> {
    let all = one.replaces.iter().chain([&one.id]);
    let skipped = (one.replaces.len() + 1).saturating_sub(LocalRollback::MOST_REPLACED);
    all.skip(skipped).cloned().collect()
}

#[cfg(test)]
mod tests;
