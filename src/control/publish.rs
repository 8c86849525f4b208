//! A publish: applied, compiled, written, and live only then.

use std::{sync::Arc, time::Duration};

use super::{
    Consent, ControlError, Controller, Expected,
    consent::Candidates,
    controller::{now, now_ms},
    precondition::Scope,
    receipt::AppliedSwap,
    warmup::{Members, set_rosters},
};
use crate::{
    api::Receipt,
    history::{AppendError, Entry, FullWeight, StoredRevision},
    model::{
        Author, Cause, Change, ChangeSet, Diff, Digest, Revision, RevisionRecord, TableDocument,
        TableState,
    },
    table::{Draft, RoutingTable, StackChange, compile},
};

/// How long a publish may wait for those before it. Each of them is bounded itself.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a refusal waits until what it refuses cannot come back.
const TAKE_BACK: Duration = Duration::from_millis(500);

/// A change worked out, not yet compiled.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) cause: Cause,
    pub(super) change: Option<Change>,
    pub(super) state: TableState,
    pub(super) touched: ChangeSet,
    pub(super) imported: Option<Arc<TableDocument>>,
    /// The digest of what was asked for, where the change does not say it.
    pub(super) request: Option<Digest>,
    /// Whether it may give more to a release without a healthy endpoint.
    pub(super) force: bool,
}

impl Proposal {
    /// Whether it only goes back to what was live, and so waits for no check.
    pub(super) fn is_way_back(&self) -> bool {
        matches!(self.change, Some(Change::Abort { .. }))
    }
}

/// A change that is not live, and of which a restart may find the record before that which voids it.
fn returns(revision: Revision, reason: &str) -> ControlError {
    ControlError::NotDurable(AppendError::Unknown(format!(
        "revision {revision} is not live, but a restart in the next moments may bring it: {reason}"
    )))
}

impl Controller {
    /// Makes a change: durable first, then live.
    ///
    /// Not to be cancelled: whoever calls it lets it run to its end, which is bounded in time.
    ///
    /// # Errors
    /// As [`Controller::apply_without_settle`].
    pub async fn apply(
        &self,
        change: Change,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<Receipt, ControlError> {
        let receipt = self
            .apply_without_settle(change, by, expected, consent)
            .await;
        self.run_after_swap();
        receipt
    }

    /// Like [`Controller::apply`], but leaves what no answer has to wait for to [`Controller::run_after_swap`], which is to be
    /// called next.
    ///
    /// # Errors
    /// When the change cannot be applied, is not valid, is based on what is not live any more, gives more to a release
    /// that has no healthy endpoint, or cannot be made durable in time. Nothing has changed then; [`AppendError::Unknown`] says that a restart may bring it all the
    /// same, until the record that voids it is written.
    pub async fn apply_without_settle(
        &self,
        change: Change,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<Receipt, ControlError> {
        let consent = consent.into();
        if let Some(before) = self.applied_before(&change, &by)? {
            return Ok(self.receipt_again(&before));
        }
        let asked = self.cell.load();
        if let Ok(None) = self.propose(&asked, change.clone(), expected, consent) {
            // What changes nothing waits for no other change, and for no disk. Everything else is judged in its turn:
            // what is before it in the queue may make it right.
            return Ok(self.nothing_changed(&asked, &change, &by));
        }
        drop(asked);
        let mut candidates = None;
        let done = loop {
            let nothing = Candidates::default();
            let proposal = {
                let _turn = self.publish_lock().await?;
                if let Some(before) = self.applied_before(&change, &by)? {
                    return Ok(self.receipt_again(&before));
                }
                let live = self.cell.load();
                let Some(proposal) = self.propose(&live, change.clone(), expected, consent)? else {
                    return Ok(self.nothing_changed(&live, &change, &by));
                };
                let has_waited = candidates.is_some();
                if has_waited || !self.has_to_wait(&proposal, consent, &nothing) {
                    let candidates = candidates.as_ref().unwrap_or(&nothing);
                    break self.publish(&live, proposal, by, candidates).await?;
                }
                proposal
            };
            candidates = Some(self.await_health(&proposal, consent).await?);
        };
        Ok(self.receipt(done).await)
    }

    fn nothing_changed(&self, live: &RoutingTable, change: &Change, by: &Author) -> Receipt {
        match change {
            Change::Abort { .. } => self.receipt_of_no_trial(live, by),
            _ => self.receipt_of_nothing(live, by),
        }
    }

    fn applied_before(
        &self,
        change: &Change,
        by: &Author,
    ) -> Result<Option<StoredRevision>, ControlError> {
        let same = |kept: &StoredRevision| kept.record.change.as_ref() == Some(change);
        Self::idempotent_replay(&self.revision_index(), by.idempotency_key.as_ref(), same)
    }

    pub(super) async fn publish_lock(
        &self,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, ControlError> {
        tokio::time::timeout(QUEUE_PATIENCE, self.publishing.lock())
            .await
            .map_err(|_| ControlError::Busy)
    }

    /// Works a change out; `None` when it changes nothing.
    pub(super) fn propose(
        &self,
        live: &RoutingTable,
        change: Change,
        expected: Expected,
        consent: Consent,
    ) -> Result<Option<Proposal>, ControlError> {
        let Consent { force, drop, .. } = consent;
        let scope = Scope::of(&change);
        if matches!((scope, expected), (Scope::Whole, Expected::Any)) {
            return Err(ControlError::PreconditionRequired {
                live: live.revision(),
            });
        }
        self.check(&self.revision_index(), live.revision(), scope, expected)?;
        let before = live.state();
        let applied = change.apply_to(&before)?;
        if !drop {
            keeps_weighed(&before, &change)?;
        }
        if let Change::RemoveRelease { release } = &change
            && !force
        {
            self.check_removable(&before, release)?;
        }
        if applied.is_same(&before) {
            return Ok(None);
        }
        let fact = applied.is_fact(&before);
        Ok(Some(Proposal {
            cause: if fact { Cause::Roster } else { Cause::Publish },
            change: Some(change),
            state: applied.state,
            touched: applied.touched,
            imported: None,
            request: None,
            force,
        }))
    }

    /// Compiles, writes and swaps. The caller holds the turn.
    pub(super) async fn publish(
        &self,
        live: &RoutingTable,
        proposal: Proposal,
        by: Author,
        candidates: &Candidates<'_>,
    ) -> Result<AppliedSwap, ControlError> {
        let Proposal { state, touched, .. } = &proposal;
        let draft = compile(state.clone(), touched, Some(live.compiled()), &self.fleet)
            .map_err(ControlError::Invalid)?;
        let found = self.await_rosters(&draft, touched).await;
        if !proposal.force {
            self.check_growth(live, &proposal, candidates)?;
        }
        let Proposal {
            cause,
            change,
            state,
            touched,
            imported,
            request,
            force: _,
        } = proposal;
        let (undo, undo_to, group) = self.undo_of(live, &state, &by);
        let request = self.answers.request_of(&by).or(request);
        let revision = self.history.reserve();
        let record = RevisionRecord {
            revision,
            parent: live.revision(),
            undo_to,
            published_at_ms: now_ms(),
            author: Author { group, ..by },
            cause,
            digest: draft.digest(),
            change,
            request,
        };
        let kept = StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            state: Some(state),
            touched,
        };
        self.write(&kept, imported.as_ref()).await?;
        let swapped = self.swap(
            live,
            draft,
            undo,
            &kept,
            (imported.as_ref(), &found.addresses),
        );
        if swapped.is_ok() || self.take_back(&kept, imported.is_some()).await {
            return swapped;
        }
        Err(returns(kept.record.revision, "a rollback was faster"))
    }

    /// How the change treats the undo stack: a decision goes on it, a fact does not.
    fn undo_of(
        &self,
        live: &RoutingTable,
        state: &TableState,
        by: &Author,
    ) -> (StackChange, Option<Revision>, Option<String>) {
        if state.spec.digest() == live.digest() {
            let (_, undo_to) = self.cell.undo_to();
            let group = self.cell.live_group().map(|group| group.to_string());
            return (StackChange::Keep, undo_to, group);
        }
        let group = by.group.as_deref().map(Arc::from);
        let undo_to = Some(self.cell.decision()).filter(|revision| *revision > Revision(0));
        (StackChange::Push(group), undo_to, by.group.clone())
    }

    /// Makes a record durable, within the time it has.
    async fn write(
        &self,
        kept: &StoredRevision,
        imported: Option<&Arc<TableDocument>>,
    ) -> Result<(), ControlError> {
        let revision = kept.record.revision;
        let entry = Entry::new((*kept.record).clone());
        let written = match self.history.append(entry, imported.cloned()) {
            Ok(answer) => tokio::time::timeout(self.settings.durable_within, answer).await,
            Err(error) => return Err(ControlError::NotDurable(error)),
        };
        let error = match written {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => AppendError::Unknown("the thread of the history is gone".to_owned()),
            Err(_) if self.history.cancel(revision) => AppendError::NotWritten(self.too_slow()),
            Err(_) => AppendError::Unknown(self.too_slow()),
        };
        let AppendError::Unknown(reason) = error else {
            return Err(ControlError::NotDurable(error));
        };
        if self.take_back(kept, imported.is_some()).await {
            return Err(ControlError::NotDurable(AppendError::NotWritten(reason)));
        }
        Err(returns(revision, &reason))
    }

    /// Has it recorded that a number never became live although its record may be on the disk. What is refused must not
    /// come back, so this waits until that record cannot be lost with this process; `false` when that takes too long.
    async fn take_back(&self, kept: &StoredRevision, imported: bool) -> bool {
        let safe = self.record_void(kept, imported);
        let told = tokio::time::timeout(TAKE_BACK, safe).await;
        matches!(told, Ok(Ok(())))
    }

    fn too_slow(&self) -> String {
        let limit = self.settings.durable_within;
        format!("the disk did not answer within {limit:?}")
    }

    /// Records that a number never became live.
    fn record_void(
        &self,
        kept: &StoredRevision,
        imported: bool,
    ) -> tokio::sync::oneshot::Receiver<()> {
        let mut record = (*kept.record).clone();
        record.cause = Cause::Void;
        record.change = None;
        record.undo_to = None;
        record.author.idempotency_key = None;
        let mut index = self.revision_index();
        let before = imported.then_some(index.imported.as_deref());
        let safe = self.history.void(Entry::new(record.clone()), before);
        index.insert(StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            state: None,
            touched: ChangeSet::default(),
        });
        safe
    }

    /// Makes a durable record live, unless a rollback was faster.
    fn swap(
        &self,
        live: &RoutingTable,
        draft: Draft,
        undo: StackChange,
        kept: &StoredRevision,
        (imported, known): (Option<&Arc<TableDocument>>, &Members),
    ) -> Result<AppliedSwap, ControlError> {
        let (revision, parent) = (kept.record.revision, live.revision());
        let swapped = {
            let mut index = self.revision_index();
            let facts = |draft: &Draft| set_rosters(draft, &kept.touched, known);
            let swapped = self
                .cell
                .publish_after(draft, revision, parent, undo, now_ms(), facts);
            if swapped.is_ok() {
                index.insert(kept.clone());
                index.imported = imported.cloned().or_else(|| index.imported.take());
            }
            swapped
        };
        let swapped = swapped.map_err(|stale| {
            self.stale(&self.revision_index(), stale.live, Scope::Whole, parent)
        })?;
        let before = live.state();
        let state = kept.state.as_ref().expect("a publish has a state");
        let done = AppliedSwap {
            diff: Diff::between(&before, state),
            record: Arc::clone(&kept.record),
            undid: Vec::new(),
            applied_at: now(),
            took: swapped.took,
            rollback: false,
        };
        self.swapped(&done);
        Ok(done)
    }
}

/// Refuses a split that leaves out a release that has a weight: more often than not it was forgotten.
fn keeps_weighed(before: &TableState, change: &Change) -> Result<(), ControlError> {
    let Change::SetSplit { route, weights } = change else {
        return Ok(());
    };
    // A split without any weight cannot be at all, and that is said first.
    if weights.values().all(|weight| *weight == 0) {
        return Ok(());
    }
    let old = before.spec.route(route);
    let weighed = old.into_iter().flat_map(|old| old.weighed());
    let releases: Vec<_> = weighed
        .filter(|name| !weights.contains_key(*name))
        .cloned()
        .collect();
    if releases.is_empty() {
        return Ok(());
    }
    Err(ControlError::WouldDrop {
        route: route.clone(),
        releases,
    })
}
