//! The rollouts of a fleet in its store: each node writes those that it runs and lists those of the others.
//!
//! A rollout is run by the node that its document names. Who goes a step forward has written the document before, by a
//! compare with its version; so a node from which it was taken over finds that out before it changes anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ControlError, Controller,
    hook_loop::drop_owed,
    rollout_document::{DocumentPlace, FOLDER, RolloutDocument, name_of, value_of},
    rollout_orders::end_superseded,
    rollout_record::FleetPlace,
    rollout_registry::RolloutEntry,
    shared::Node,
    shared_publish::MOST_OVERTAKEN,
    shared_report::Failure,
};
use crate::{
    model::Revision,
    shared_table::{DecodeError, Expected, Lifetime, StoreError, Write, Written},
    telemetry::ErrorChain,
};

/// Number of rollouts that have ended and that the store keeps.
const KEPT: usize = 20;

/// The documents of all rollouts.
struct Found {
    version: u64,
    /// Names of all, also of those that this version cannot read.
    names: BTreeSet<String>,
    /// Versions of those that no version can read.
    damaged: BTreeMap<String, u64>,
    documents: Vec<RolloutDocument>,
}

impl Controller {
    /// Place in the fleet of a rollout that begins on this node, after this revision.
    pub(super) fn place_of(&self, base: Revision) -> Option<FleetPlace> {
        let node = self.shared.node()?;
        let index = self.log.index();
        let mark = index.get(base).and_then(|kept| kept.record.shared.as_ref());
        Some(FleetPlace {
            node: node.name.clone(),
            turn: 1,
            base: mark.map_or(0, |mark| mark.revision),
        })
    }

    /// Writes a rollout into the store before it goes a step forward: it is this node's to go then.
    ///
    /// # Errors
    /// When another node runs it by now, or the store does not take it.
    pub(super) async fn claim(&self, entry: &RolloutEntry) -> Result<(), ControlError> {
        let Some(node) = self.shared.node() else {
            return Ok(());
        };
        let mut place = entry.document.lock().await;
        if self.tell_rollout(node, entry, &mut place).await? {
            return Ok(());
        }
        Err(ControlError::NotShared {
            reason: "another node runs this rollout by now: `switchback rollout show` names it"
                .to_owned(),
            is_unknown: false,
        })
    }

    /// Writes a rollout into the store after a command that changes nothing in the table, before the command is answered.
    ///
    /// # Errors
    /// When another node runs it by now, so that the command is lost; or when the store does not take it, and it holds here.
    pub(super) async fn tell_command(&self, entry: &RolloutEntry) -> Result<(), ControlError> {
        let told = self.claim(entry).await;
        told.map_err(|error| match error {
            ControlError::NotShared { reason, .. } if !entry.is_given_up() => {
                ControlError::NotShared {
                    reason: format!(
                        "it holds on this node, and the fleet does not know it yet: {reason}"
                    ),
                    is_unknown: true,
                }
            }
            error => error,
        })
    }

    /// Writes the rollouts of this node into the store, as far as they are news.
    pub(super) async fn tell_rollouts(&self, node: &Node) {
        for entry in self.rollouts.all() {
            if entry.is_given_up() {
                self.rollouts.remove(&entry);
                continue;
            }
            // One that is being written is told by that.
            let Ok(mut place) = entry.document.try_lock() else {
                continue;
            };
            let record = entry.record();
            if record.fleet.is_none() || !place.is_due(&record) {
                continue;
            }
            if let Err(error) = self.tell_rollout(node, &entry, &mut place).await {
                // A store that is away takes none of the others either.
                tracing::warn!(rollout = record.id, %error, "the fleet is told of the rollout with the next look");
                break;
            }
        }
    }

    /// Writes the document of a rollout, if it is this node's still; gives the rollout up if it is not.
    async fn tell_rollout(
        &self,
        node: &Node,
        entry: &RolloutEntry,
        place: &mut DocumentPlace,
    ) -> Result<bool, StoreError> {
        let record = entry.record();
        for _ in 0..MOST_OVERTAKEN {
            if entry.is_given_up() {
                return Ok(false);
            }
            if place.version.is_none() && place.is_known {
                let found = self.read_rollouts(node).await?;
                let found_damaged = found.damaged.get(&name_of(&record.id)).copied();
                let mut documents = found.documents.into_iter();
                let found = documents.find(|one| one.record.id == record.id);
                match found.filter(|one| one.record.is_turn_of(&record)) {
                    Some(found) => place.know(&found, &record),
                    // Nobody but this node can go on with what is damaged.
                    None => match found_damaged {
                        Some(version) => place.version = Some(version),
                        None => entry.give_up(),
                    },
                }
                continue;
            }
            let write = Write {
                name: name_of(&record.id),
                value: value_of(&record),
                lifetime: Lifetime::Kept,
                expected: place.version.map_or(Expected::Absent, Expected::Version),
            };
            match node.store.write(write).await? {
                Written::Done(version) => {
                    place.tell(version, &record);
                    return Ok(true);
                }
                // It may be an own write, whose answer was lost.
                Written::Overtaken => (place.version, place.is_known) = (None, true),
            }
        }
        Ok(false)
    }

    /// Removes what the store has of a start that was refused.
    pub(super) async fn withdraw_document(&self, entry: &RolloutEntry) {
        let Some(node) = self.shared.node() else {
            return;
        };
        let id = entry.record().id.clone();
        self.rollouts.refuse(&id);
        let mut place = entry.document.lock().await;
        entry.give_up();
        if let Some(version) = place.version.take() {
            let name = name_of(&id);
            let removed = node.store.remove(&name, Expected::Version(version)).await;
            if let Err(error) = removed {
                tracing::debug!(%error, id, "the document of a refused rollout is removed later");
            }
        }
    }

    async fn read_rollouts(&self, node: &Node) -> Result<Found, StoreError> {
        let read = node.store.documents(FOLDER).await?;
        let (mut documents, mut damaged) = (Vec::new(), BTreeMap::new());
        for document in &read.all {
            match RolloutDocument::read(document) {
                Ok(found) => documents.push(found),
                Err(error) => {
                    if !matches!(error, DecodeError::Format(_)) {
                        damaged.insert(document.name.clone(), document.version);
                    }
                    tracing::warn!(name = document.name, error = %ErrorChain(&error), "a rollout of the fleet cannot be read");
                }
            }
        }
        Ok(Found {
            version: read.version,
            names: read.all.into_iter().map(|one| one.name).collect(),
            damaged,
            documents,
        })
    }

    /// Takes in what the store has of rollouts: gives up what other nodes run, and goes on with what is this node's. The
    /// version of the store at which it was read.
    pub(super) async fn follow_rollouts(&self, node: &Node) -> Result<u64, Failure> {
        let Found {
            version,
            names,
            documents,
            ..
        } = self.read_rollouts(node).await?;
        self.end_lost(version, &names).await;
        let mut elsewhere = Vec::new();
        let mut to_adopt = Vec::new();
        for document in documents {
            let (id, is_mine) = (&document.record.id, document.record.runs_on(&node.name));
            if let Some(entry) = self.rollouts.find(id) {
                let own = entry.record();
                if is_mine && document.record.is_turn_of(&own) {
                    if let Ok(mut place) = entry.document.try_lock() {
                        place.know(&document, &own);
                    }
                    continue;
                }
                self.give_up(&entry, &document);
            }
            if !is_mine || document.record.machine.has_ended() {
                elsewhere.push(Arc::new(RolloutEntry::elsewhere(document)));
            } else if self.rollouts.was_refused(id) {
                let expected = Expected::Version(document.version);
                node.store.remove(&name_of(id), expected).await?;
            } else {
                to_adopt.push(document);
            }
        }
        self.rollouts.set_elsewhere(elsewhere);
        for document in to_adopt {
            let what = format!("goes on on `{}`", node.name);
            self.adopt(node, document, ("switchback", what)).await?;
        }
        if self.leads() {
            self.forget_ended(node).await?;
        }
        Ok(version)
    }

    fn give_up(&self, entry: &Arc<RolloutEntry>, found: &RolloutDocument) {
        let record = &found.record;
        let runs_on = record.fleet.as_ref().map(|place| &place.node);
        tracing::info!(rollout = record.id, node = ?runs_on, "another node runs the rollout by now");
        entry.give_up();
        self.rollouts.remove(entry);
    }

    /// Ends the rollouts of this node that the store had and has no more: it is another store, or others have ended them
    /// long ago.
    async fn end_lost(&self, version: u64, names: &BTreeSet<String>) {
        for entry in self.rollouts.running() {
            let is_lost = entry.document.try_lock().is_ok_and(|place| {
                place.is_known && place.version.is_none_or(|written| written <= version)
            });
            if !is_lost || names.contains(&name_of(&entry.record().id)) {
                continue;
            }
            let mut run = entry.running.lock().await;
            if !run.record.machine.has_ended() {
                end_superseded(&mut run, "the store of the fleet does not have it any more");
                self.owe(&mut run);
                run.record.fleet = None;
                entry.show(&run.record);
            }
        }
    }

    /// Removes the documents of the rollouts that have ended first, beyond the number that is kept.
    async fn forget_ended(&self, node: &Node) -> Result<(), StoreError> {
        let mut ended = Vec::new();
        for entry in self.rollouts.known() {
            let record = entry.record();
            let version = entry
                .document
                .try_lock()
                .ok()
                .and_then(|place| place.version);
            if let (true, Some(version)) = (record.machine.has_ended(), version) {
                ended.push((record.ended_at, record.id.clone(), version));
            }
        }
        ended.sort();
        ended.truncate(ended.len().saturating_sub(KEPT));
        for (_, id, version) in ended {
            // One that was written meanwhile stays until the next time.
            node.store
                .remove(&name_of(&id), Expected::Version(version))
                .await?;
            if let Some(entry) = self.rollouts.find(&id) {
                let mut place = entry.document.lock().await;
                (place.version, place.is_known) = (None, false);
            }
        }
        Ok(())
    }

    /// Drops what is owed for rollouts that are forgotten.
    pub(super) fn take_in(&self, entry: &Arc<RolloutEntry>) {
        for forgotten in self.rollouts.take_in(entry) {
            drop_owed(&forgotten.record());
        }
    }
}
