//! A rollout goes from one node of a fleet to another: since its node is gone, or since a command was given there.
//!
//! The document names the new node first. Then a revision of the fleet that changes nothing is committed: whatever the node
//! before still has under way is based on an earlier one, and is refused. Then what is live says how far the rollout came.

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;

use super::{
    ControlError, Controller, RolloutError,
    rollout_document::{DocumentPlace, RolloutDocument, name_of, value_of},
    rollout_orders::weight_of,
    rollout_record::{FleetPlace, RolloutRecord},
    rollout_registry::{RolloutEntry, judges},
    rollout_track::Track,
    shared::Node,
    shared_publish::MOST_OVERTAKEN,
    shared_report::Failure,
};
use crate::{
    analysis::Judge,
    api::FleetState,
    model::{Percent, Revision},
    rollout::{Command, Place, Target},
    shared_table::{Expected, Lifetime, Write, Written},
};

/// The name in a report, which is all that is read of it: a later version may report more.
#[derive(Deserialize)]
struct ReportedName {
    node: String,
}

impl Controller {
    /// Takes over the rollouts of nodes that are gone.
    pub(super) async fn take_over_gone(&self, node: &Node) -> Result<(), Failure> {
        let mut running = self.rollouts.elsewhere();
        running.retain(|entry| !entry.record().machine.has_ended());
        if running.is_empty() {
            return Ok(());
        }
        let reports = node.store.reports().await?;
        let names = reports.all.iter().filter_map(|text| {
            let report: ReportedName = serde_json::from_slice(text).ok()?;
            Some(report.node)
        });
        let alive: BTreeSet<String> = names.collect();
        for entry in running {
            let runs_on = entry
                .record()
                .fleet
                .as_ref()
                .map(|place| place.node.clone());
            let runs_on = runs_on.unwrap_or_default();
            if !alive.contains(&runs_on) {
                let what = format!("goes on on `{}`, since `{runs_on}` is gone", node.name);
                self.take_over_rollout(node, &entry, ("switchback", what))
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes over a rollout of another node; `None` if its document has changed meanwhile.
    async fn take_over_rollout(
        &self,
        node: &Node,
        entry: &RolloutEntry,
        by: (&str, String),
    ) -> Result<Option<Arc<RolloutEntry>>, ControlError> {
        let mut record = (*entry.record()).clone();
        let before = record.fleet.take();
        record.fleet = before.map(|place| FleetPlace {
            node: node.name.clone(),
            turn: place.turn + 1,
            base: place.base,
        });
        let Some(version) = entry.document.lock().await.version else {
            return Ok(None);
        };
        let record = Arc::new(record);
        let write = Write {
            name: name_of(&record.id),
            value: value_of(&record),
            lifetime: Lifetime::Kept,
            expected: Expected::Version(version),
        };
        let Written::Done(version) = node.store.write(write).await? else {
            return Ok(None);
        };
        let record = (*record).clone();
        let document = RolloutDocument { record, version };
        self.adopt(node, document, by).await.map(Some)
    }

    /// Goes on with a rollout whose document names this node.
    pub(super) async fn adopt(
        &self,
        node: &Node,
        document: RolloutDocument,
        (by, what): (&str, String),
    ) -> Result<Arc<RolloutEntry>, ControlError> {
        let RolloutDocument {
            mut record,
            version,
        } = document;
        self.fence(node, &record).await?;
        record.base = self.base_here(&record);
        record.note(by, what);
        let place = DocumentPlace::of_version(version);
        let entry = self.entry_of(record, place);
        self.take_in(&entry);
        self.rollouts.save(self.settings.durable_within).await;
        self.hooks.owed.notify_one();
        self.rollouts.begun.notify_one();
        Ok(entry)
    }

    fn entry_of(&self, record: RolloutRecord, place: DocumentPlace) -> Arc<RolloutEntry> {
        let judges = judges(&record, |record, track| self.fresh_judge(record, track));
        Arc::new(RolloutEntry::new(record, judges).at(place))
    }

    fn fresh_judge(&self, record: &RolloutRecord, track: &Track) -> Judge {
        let takes_feedback = self.takes_feedback(&track.route);
        let (plan, routes) = (record.machine.plan(), record.tracks.len());
        self.cells_of(track).judge(plan, takes_feedback, routes)
    }

    /// Commits a revision that changes nothing, so that no change that is based on an earlier one can follow.
    async fn fence(&self, node: &Node, record: &RolloutRecord) -> Result<(), ControlError> {
        let mut overtaken = 0;
        loop {
            let by = record.author_of(format!("rollout {} goes on on `{}`", record.id, node.name));
            let fenced = {
                let _lock = self.publish_lock().await?;
                let draft = self.draft_of_nothing(node, by)?;
                self.commit(node, draft).await
            };
            match fenced {
                Ok(()) => return Ok(()),
                Err(error) => self.take_up_first(error, &mut overtaken).await?,
            }
        }
    }

    /// The revision of this node after which changes of the routes of a rollout are its own, or by others: that with which
    /// it took up what was live before the rollout.
    fn base_here(&self, record: &RolloutRecord) -> Revision {
        // A node that was away takes several revisions up in one, which names nobody's step.
        if self.is_as_left(record) {
            return self.table.load().revision();
        }
        let base = record.fleet.as_ref().map_or(0, |place| place.base);
        let index = self.log.index();
        let mut last = None;
        let mut found: Option<Revision> = None;
        for kept in index.kept().values() {
            let Some(mark) = kept.record.shared.as_ref() else {
                continue;
            };
            if mark.revision > base {
                break;
            }
            // What was made here on the same revision came after it, but a drill leaves everything as it was.
            if last != Some(mark.revision) || kept.record.cause.is_drill() {
                found = Some(kept.record.revision);
            }
            last = Some(mark.revision);
        }
        drop(index);
        found.unwrap_or(Revision(0))
    }

    /// True if the routes of a rollout have the weights that it gave them last.
    fn is_as_left(&self, record: &RolloutRecord) -> bool {
        let live = self.table.load().state();
        let machine = &record.machine;
        let given = match machine.place() {
            Some(Place::Step(step)) => machine.weight(Target::Step(step)),
            Some(Place::Bake) => machine.weight(Target::Step(machine.plan().last())),
            Some(Place::Start) => Percent::NONE,
            None => return false,
        };
        let mut tracks = record.tracks.iter();
        tracks.all(|track| weight_of(&live, track) == given)
    }

    /// Brings a rollout of another node here, for a command. Without the store only a way back can be gone: on what was known
    /// last, and as a rollback of this node.
    pub(super) async fn bring_here(
        &self,
        entry: Arc<RolloutEntry>,
        command: Command,
        by: &str,
    ) -> Result<Arc<RolloutEntry>, RolloutError> {
        let record = entry.record();
        let is_over = record.machine.has_ended() && !command.is_return();
        let Some(node) = self.shared.node() else {
            return Ok(entry);
        };
        if !entry.is_of_others() || is_over {
            return Ok(entry);
        }
        let error = match self.move_here(node, &record.id, by).await {
            Ok(entry) => return Ok(entry),
            Err(error) => error,
        };
        if !command.is_return() {
            return Err(error.into());
        }
        tracing::warn!(rollout = record.id, %error, "the way back of a rollout of another node is gone here alone");
        Ok(self.take_without_store(node, &record))
    }

    async fn move_here(
        &self,
        node: &Node,
        id: &str,
        by: &str,
    ) -> Result<Arc<RolloutEntry>, ControlError> {
        {
            let state = self.shared.state();
            if state.standing != FleetState::Following {
                return Err(ControlError::NotShared {
                    reason: state.reason.clone().unwrap_or_default(),
                    is_unknown: false,
                });
            }
        }
        let _one_at_a_time = self.shared.working.lock().await;
        for _ in 0..MOST_OVERTAKEN {
            self.follow_rollouts(node)
                .await
                .map_err(ControlError::from)?;
            let here = self.rollouts.find(id).filter(|one| !one.is_of_others());
            if let Some(entry) = here {
                return Ok(entry);
            }
            let mut elsewhere = self.rollouts.elsewhere().into_iter();
            let Some(entry) = elsewhere.find(|one| one.record().id == id) else {
                return Err(ControlError::NotShared {
                    reason: "the store does not have this rollout any more".to_owned(),
                    is_unknown: false,
                });
            };
            let what = format!("goes on on `{}`, for a command", node.name);
            if let Some(entry) = self.take_over_rollout(node, &entry, (by, what)).await? {
                return Ok(entry);
            }
        }
        Err(ControlError::Overtaken)
    }

    /// Takes a rollout as it was known last, until the store says which node runs it.
    fn take_without_store(&self, node: &Node, record: &RolloutRecord) -> Arc<RolloutEntry> {
        let mut record = record.clone();
        if let Some(place) = &mut record.fleet {
            place.node.clone_from(&node.name);
        }
        record.base = self.base_here(&record);
        let place = DocumentPlace::of_saved(&record);
        let entry = self.entry_of(record, place);
        self.take_in(&entry);
        entry
    }
}
