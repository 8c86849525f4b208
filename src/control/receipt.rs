//! Receipts: of a swap, of a request that was made before, of a change that changes nothing.

use std::{ops::Deref, sync::Arc};

use super::{
    convergence::Convergence,
    revision_index::RevisionIndex,
    revision_log::RevisionLog,
    shared::SharedTable,
    shared_progress::SharedChange,
    swap::{AppliedSwap, PendingEffects},
    verification_registry::VerificationRegistry,
};
use crate::{
    api::{Crowded, FleetProgress, Receipt, ReturnParts, Timestamp},
    history::StoredRevision,
    model::{Author, Cause, Diff, Digest, Revision, RevisionRecord},
    table::{Departure, LiveTable, RollbackTarget, RoutingTable, UndoEntry},
};

/// A receipt that can be sent before the effects of its swap have run: they run when this is dropped.
#[derive(Debug)]
pub struct EarlyReceipt<'a> {
    receipt: Receipt,
    left: Option<LeftReleases>,
    effects: Option<PendingEffects<'a>>,
}

/// The releases that left a route by a change.
#[derive(Debug, Clone)]
pub struct LeftReleases(pub(super) Arc<[Arc<Departure>]>);

/// The source of receipts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipts<'a> {
    pub(super) table: &'a LiveTable,
    pub(super) log: &'a RevisionLog,
    pub(super) verifications: &'a VerificationRegistry,
    pub(super) shared: &'a SharedTable,
}

// === impl EarlyReceipt ===

impl<'a> EarlyReceipt<'a> {
    /// The releases that left a route by the change; `None` if this request has changed nothing.
    pub fn left(&self) -> Option<&LeftReleases> {
        self.left.as_ref()
    }

    /// The receipt, and what is still to run.
    pub fn into_parts(self) -> (Receipt, Option<PendingEffects<'a>>) {
        (self.receipt, self.effects)
    }

    /// The same receipt with the releases that have no room for what they got.
    #[must_use]
    pub(super) fn crowded(mut self, crowded: Vec<Crowded>) -> Self {
        self.receipt.crowded = crowded;
        self
    }

    /// The same receipt of a way back over a time: its progress, and what else there is to say.
    #[must_use]
    pub(super) fn in_parts(mut self, parts: Option<ReturnParts>, hint: Option<String>) -> Self {
        self.receipt.going_back = parts;
        self.receipt.hint = hint.or(self.receipt.hint);
        self
    }

    /// The receipt, once the effects of its swap have run.
    #[must_use]
    pub fn into_receipt(self) -> Receipt {
        self.receipt
    }
}

impl Deref for EarlyReceipt<'_> {
    type Target = Receipt;

    fn deref(&self) -> &Receipt {
        &self.receipt
    }
}

impl From<Receipt> for EarlyReceipt<'_> {
    fn from(receipt: Receipt) -> Self {
        Self {
            receipt,
            left: None,
            effects: None,
        }
    }
}

// === impl Receipts ===

impl<'a> Receipts<'a> {
    pub(super) fn of_swap(
        self,
        swap: AppliedSwap<'a>,
        convergence: Convergence,
    ) -> EarlyReceipt<'a> {
        let record = &swap.record;
        let receipt = Receipt {
            diff: swap.diff,
            undid: swap.undone,
            verification: swap.verification,
            applied_at: swap.applied_at,
            swap_microseconds: u64::try_from(swap.took.as_micros()).unwrap_or(u64::MAX),
            ..self.of_record(record.revision, Some(record), convergence)
        };
        EarlyReceipt {
            receipt,
            left: Some(LeftReleases(swap.left)),
            effects: Some(swap.effects),
        }
    }

    /// The receipt of a request that was made before.
    pub(super) fn of_replay(self, kept: &StoredRevision) -> Receipt {
        let record = &kept.record;
        let (before, undid) = {
            let index = self.log.index();
            (index.state(record.parent), undone_revisions(&index, record))
        };
        // Whole tables are compared: not under the index's lock, for which a rollback would wait.
        let states = before.as_ref().zip(kept.state.as_ref());
        let diff = states.map(|(before, after)| Diff::between(before, after));
        let convergence = Convergence::now(self.table, self.log, record.revision);
        Receipt {
            diff: diff.unwrap_or_default(),
            undid,
            verification: self
                .verifications
                .record(record.revision)
                .map(|verification| verification.id()),
            ..self.of_record(record.revision, Some(record), convergence)
        }
    }

    /// The receipt of a change that changes nothing.
    pub(super) fn of_no_change(self, live: &RoutingTable, by: &Author) -> Receipt {
        let revision = live.revision();
        let record = self
            .log
            .index()
            .get(revision)
            .map(|kept| kept.record.clone());
        let convergence = Convergence::now(self.table, self.log, revision);
        Receipt {
            digest: live.digest(),
            changed: false,
            message: by.message.clone(),
            ..self.of_record(revision, record.as_deref(), convergence)
        }
    }

    /// The receipt of an abort that finds no trial: the release may have been promoted already, and then a rollback is
    /// wanted.
    pub(super) fn of_no_trial(self, live: &RoutingTable, by: &Author) -> Receipt {
        let hint = |level: UndoEntry| {
            format!(
                "one release has the whole split, and an abort only ends a trial; `POST /v1/rollback` restores revision {}",
                level.revision
            )
        };
        Receipt {
            hint: self.table.level(RollbackTarget::Previous).map(hint),
            ..self.of_no_change(live, by)
        }
    }

    /// The part of a receipt that a record, the workers and the disk say. Revision 0 has no record.
    fn of_record(
        self,
        revision: Revision,
        record: Option<&RevisionRecord>,
        convergence: Convergence,
    ) -> Receipt {
        let durable = self.log.is_durable(revision);
        let published = record.map_or(0, |record| record.published_at_ms);
        Receipt {
            revision,
            parent: record.map_or(Revision(0), |record| record.parent),
            digest: record.map_or_else(Digest::default, |record| record.digest),
            changed: true,
            cause: record.map_or(Cause::Publish, |record| record.cause.clone()),
            message: record.and_then(|record| record.author.message.clone()),
            diff: Diff::default(),
            undid: Vec::new(),
            verification: None,
            durable,
            restart_revision: (!durable).then(|| self.log.restart_revision()),
            applied_at: Timestamp::from_millis(published),
            converged_at: convergence.at,
            fleet: self.fleet(revision),
            waiting_for: convergence.waiting_for,
            unresolved: convergence.unresolved,
            in_flight_on_previous: in_flight_on_previous(self.table),
            swap_microseconds: 0,
            crowded: Vec::new(),
            hint: None,
            drained: None,
            going_back: None,
        }
    }
}

impl Receipts<'_> {
    /// The progress of a revision through the fleet, as far as it is known now; none on a proxy of its own.
    fn fleet(self, revision: Revision) -> Option<FleetProgress> {
        let node = self.shared.node()?;
        let change = SharedChange::of(node, self.log, revision);
        Some(self.shared.state().progress(&node.name, &change, &[]).shown)
    }
}

fn in_flight_on_previous(table: &LiveTable) -> u64 {
    let previous = table.in_flight_on_previous();
    previous.iter().map(|(_, count)| count).sum()
}

/// The revisions that a rollback took back, according to the records.
fn undone_revisions(index: &RevisionIndex, record: &RevisionRecord) -> Vec<Revision> {
    let Cause::Rollback { to } = record.cause else {
        return Vec::new();
    };
    let mut undone = Vec::new();
    let mut next = Some(index.decision(record.parent));
    while let Some(revision) = next.filter(|revision| *revision != to) {
        undone.push(revision);
        next = index.get(revision).and_then(|kept| kept.record.undo_to);
    }
    // A revision that was not on the chain was published; nothing was undone.
    if next == Some(to) { undone } else { Vec::new() }
}
