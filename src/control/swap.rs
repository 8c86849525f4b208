//! A swap that took place, and the effects that follow it once its receipt is sent.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    clock::now, event_bodies, event_hub::EventHub, metrics, readiness::is_rollback_ready,
    reconcile::Reconciler, retention::prune_history, revision_log::RevisionLog,
    verification_registry::VerificationRegistry,
};
use crate::{
    api::Timestamp,
    fleet::Fleet,
    history::StoredRevision,
    model::{ChangeSet, Diff, Revision, RevisionRecord},
    table::{Departure, LiveTable, RoutingTable},
};

/// The effects of every swap that no receipt waits for: the fleet's watch list, the audit log, the retention of
/// revisions, the gauges.
#[derive(Debug)]
pub(super) struct SwapEffects {
    pub(super) table: Arc<LiveTable>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) log: Arc<RevisionLog>,
    pub(super) reconciler: Arc<Reconciler>,
    pub(super) verifications: Arc<VerificationRegistry>,
    pub(super) events: Arc<EventHub>,
    /// Number of revisions that are kept.
    pub(super) keep: usize,
    pub(super) pending: Mutex<Vec<AuditEntry>>,
}

/// The effects of a swap, still to be run: they run when this is dropped, whichever way a request ends.
#[derive(Debug)]
#[must_use = "they run when this is dropped"]
pub struct PendingEffects<'a>(&'a SwapEffects);

/// A swap that took place. A receipt is made of it.
#[derive(Debug)]
pub(super) struct AppliedSwap<'a> {
    pub(super) record: Arc<RevisionRecord>,
    pub(super) diff: Diff,
    pub(super) undone: Vec<Revision>,
    pub(super) applied_at: Timestamp,
    pub(super) took: Duration,
    /// The releases that left a route by it.
    pub(super) left: Arc<[Arc<Departure>]>,
    /// Id of the verification that it begins.
    pub(super) verification: Option<String>,
    pub(super) effects: PendingEffects<'a>,
}

/// The audit log's entry for a swap, and its event.
#[derive(Debug)]
pub(super) struct AuditEntry {
    record: Arc<RevisionRecord>,
    touched: ChangeSet,
    changes: usize,
    took: Duration,
}

// === impl SwapEffects ===

impl SwapEffects {
    fn pending(&self) -> MutexGuard<'_, Vec<AuditEntry>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the effects of every swap that has not had them yet.
    pub(super) fn run(&self) {
        let pending = std::mem::take(&mut *self.pending());
        if pending.is_empty() {
            return;
        }
        self.log.history.resume();
        self.reconciler.reconcile();
        for entry in &pending {
            entry.write(&self.events);
        }
        prune_history(&self.table, &self.log, self.keep);
        self.set_gauges();
    }

    pub(super) fn set_gauges(&self) {
        metrics::set_gauges(&self.log, is_rollback_ready(&self.table, &self.fleet));
    }
}

// === impl PendingEffects ===

impl Drop for PendingEffects<'_> {
    fn drop(&mut self) {
        // A panic in a panic would end the process; the controller's next tick runs them then.
        if !std::thread::panicking() {
            self.0.run();
        }
    }
}

// === impl AppliedSwap ===

impl<'a> AppliedSwap<'a> {
    /// Called right after a swap. This is the only way to a receipt of it, so no swap goes without its effects.
    pub(super) fn new(
        effects: &'a SwapEffects,
        replaced: &RoutingTable,
        kept: &StoredRevision,
        undone: Vec<Revision>,
        (took, left): (Duration, Arc<[Arc<Departure>]>),
    ) -> Self {
        let (record, applied_at) = (Arc::clone(&kept.record), now());
        let state = kept.state.as_ref().expect("a live revision has a state");
        let diff = Diff::between(&replaced.state(), state);
        metrics::count_swap(&record.cause, took);
        let verifications = &effects.verifications;
        let verification = verifications.after_swap(&effects.fleet, replaced, kept, &undone);
        effects.pending().push(AuditEntry {
            record: Arc::clone(&record),
            touched: ChangeSet::between(&replaced.state(), state),
            changes: diff.0.len(),
            took,
        });
        Self {
            record,
            diff,
            undone,
            applied_at,
            took,
            left,
            verification,
            effects: PendingEffects(effects),
        }
    }
}

// === impl AuditEntry ===

impl AuditEntry {
    fn write(&self, hub: &EventHub) {
        let record = &self.record;
        hub.publish(event_bodies::revision(record, &self.touched, self.changes));
        tracing::info!(
            target: "audit",
            revision = record.revision.0,
            parent = record.parent.0,
            cause = record.cause.as_str(),
            actor = ?record.author.actor,
            name = %record.author.name,
            note = record.author.message.as_deref(),
            changes = self.changes,
            swap_us = self.took.as_micros(),
            "a revision is live"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::{Controller, Expected, Settings},
        history::History,
        model::{Actor, Author, Change},
    };

    #[test]
    fn the_effects_of_a_swap_run_when_its_receipt_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (history, loaded) = History::open(&folder.path().join("history")).unwrap();
        let (table, fleet) = (Arc::new(LiveTable::new(1)), Arc::new(Fleet::new(1)));
        let settings = Settings {
            converge_within: Duration::ZERO,
            ..Settings::default()
        };
        let controller = Controller::open(settings, history, loaded, table, Arc::clone(&fleet));
        let controller = controller.unwrap();
        let release = r#"{"kind":"put_release","release":"blue","document":{"version":"1","endpoints":["http://127.0.0.1:1"]}}"#;
        let change: Change = serde_json::from_str(release).unwrap();
        let by = Author {
            actor: Actor::Api,
            name: "test".to_owned(),
            message: None,
            idempotency_key: None,
            group: None,
        };
        let early = controller.apply_early(change, by, Expected::Any, true);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let early = runtime.unwrap().block_on(early).unwrap();
        assert!(early.changed && fleet.watched().is_empty());
        drop(early);
        assert_eq!(fleet.watched().len(), 1);
        assert!(controller.effects.pending().is_empty());
    }
}
