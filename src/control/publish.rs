//! A publish: check → compile → reserve → append → swap → converge → receipt. Durable first, then live.
//!
//! Publishes queue behind one another. A change that has to wait for health does so outside the queue, and is checked
//! again afterwards.

use std::{sync::Arc, time::Duration};

use super::{
    Consent, ControlError, Controller, EarlyReceipt, Expected,
    candidates::Candidates,
    capacity::crowded_by,
    clock::now_ms,
    data_answers::DataAnswers,
    named::check_unnamed,
    precondition::{Scope, check_base, stale},
    proposal::Proposal,
    publish_request::Request,
    resolve::{ResolvedNames, await_addresses, set_rosters},
    revision_log::may_return,
    swap::AppliedSwap,
    withdrawal::Withdrawal,
};
use crate::{
    api::{DataGuard, Receipt},
    history::{FullWeight, StoredRevision},
    model::{Author, Change, Revision, RevisionRecord, TableDocument, TableState},
    table::{Draft, RevisionConflict, RoutingTable, StackChange, compile},
};

/// Timeout for a publish in the queue. Each of those before it is bounded in time.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of one attempt at the head of the queue.
enum Attempt<'a> {
    /// The change is made already, or changes nothing.
    Unchanged(Box<Receipt>),
    /// The health of a release that gets more is not known yet.
    HealthUnknown(Box<Proposal>),
    /// The checks of these are asked first.
    CheckFirst(Vec<DataGuard>),
    Live(AppliedSwap<'a>),
}

/// A compiled proposal.
struct CompiledChange<'a> {
    proposal: Proposal,
    draft: Draft,
    names: ResolvedNames<'a>,
}

/// A revision with a number of its own, to be written.
struct Reserved {
    kept: StoredRevision,
    imported: Option<Arc<TableDocument>>,
    order: Option<Withdrawal>,
}

/// The table of a reserved revision, to be swapped in once that is written.
struct NextTable<'a> {
    draft: Draft,
    undo: StackChange,
    names: ResolvedNames<'a>,
}

impl Controller {
    /// Makes a change: durable first, then live. All of its effects have run when this returns.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// As [`Controller::apply_early`].
    pub async fn apply(
        &self,
        change: Change,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<Receipt, ControlError> {
        let receipt = self.apply_early(change, by, expected, consent).await?;
        Ok(receipt.into_receipt())
    }

    /// Makes a change like [`Controller::apply`], with a receipt that can be sent before the effects of the swap run.
    ///
    /// # Errors
    /// When the change cannot be applied, is not valid, is based on what is not live any more, gives more to a release
    /// that has no healthy endpoint, goes back across a release that does not allow it, or cannot be made durable in time. Nothing has changed then. An error of which
    /// [`ControlError::may_return`] is true says that a restart may bring the change all the same, until the record that
    /// voids it is written.
    pub async fn apply_early(
        &self,
        change: Change,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<EarlyReceipt<'_>, ControlError> {
        let request = Request {
            by: self.join_parts(&change, by),
            change,
            expected,
            consent: consent.into(),
            cause: None,
            order: None,
        };
        self.make(request, DataAnswers::default()).await
    }

    /// Makes a change, about which hooks may have answered already.
    pub(super) async fn make(
        &self,
        request: Request,
        mut answers: DataAnswers,
    ) -> Result<EarlyReceipt<'_>, ControlError> {
        if let Some(receipt) = self.receipt_without_queue(&request)? {
            return Ok(receipt.into());
        }
        self.end_returns_before(&request).await;
        let mut candidates = None;
        let mut overtaken = 0;
        let swap = loop {
            let attempt = self.attempt(&request, candidates.as_ref(), &answers);
            let attempt = match attempt.await {
                Ok(attempt) => attempt,
                // A rollout looks first whether it is still its node's to order.
                Err(error) if request.order.is_some() => return Err(error),
                Err(error) => {
                    self.take_up_first(error, &mut overtaken).await?;
                    continue;
                }
            };
            match attempt {
                Attempt::CheckFirst(guards) => self.ask_checks(guards, &mut answers).await,
                Attempt::Unchanged(receipt) => return Ok((*receipt).into()),
                Attempt::HealthUnknown(proposal) => {
                    let gate = self.health_gate();
                    candidates = Some(gate.wait(&proposal, request.consent).await?);
                }
                Attempt::Live(swap) => break swap,
            }
        };
        let is_back = request.change.is_abort() || request.cause.is_some();
        let crowded = is_back.then(|| crowded_by(&self.fleet, &self.log, &swap.record));
        let convergence = self.converge(&swap).await;
        let receipt = self.receipts().of_swap(swap, convergence);
        Ok(receipt.crowded(crowded.unwrap_or_default()))
    }

    async fn attempt(
        &self,
        request: &Request,
        candidates: Option<&Candidates<'_>>,
        answers: &DataAnswers,
    ) -> Result<Attempt<'_>, ControlError> {
        let _lock = self.publish_lock().await?;
        if let Some(receipt) = self.replay(request)? {
            return Ok(Attempt::Unchanged(Box::new(receipt)));
        }
        let live = self.table.load();
        let consent = request.consent;
        let Some(proposal) = self.check(&live, &request.change, request.expected, consent)? else {
            let receipt = self.unchanged(&live, request);
            return Ok(Attempt::Unchanged(Box::new(receipt)));
        };
        let proposal = Proposal {
            cause: request.cause.clone().unwrap_or(proposal.cause),
            order: request.order.clone(),
            ..proposal
        };
        let open = self.check_data(&live, &proposal.state.spec, consent, answers)?;
        if !open.is_empty() {
            return Ok(Attempt::CheckFirst(open));
        }
        if candidates.is_none() && self.must_wait(&proposal, consent) {
            return Ok(Attempt::HealthUnknown(Box::new(proposal)));
        }
        let swap = self.publish(&live, proposal, request.by.clone(), candidates);
        Ok(Attempt::Live(swap.await?))
    }

    pub(super) async fn publish_lock(
        &self,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, ControlError> {
        tokio::time::timeout(QUEUE_TIMEOUT, self.publishing.lock())
            .await
            .map_err(|_| ControlError::Busy)
    }

    pub(super) fn must_wait(&self, proposal: &Proposal, consent: Consent) -> bool {
        self.health_gate()
            .must_wait(proposal, consent, &Candidates::default())
    }

    /// The check: the base of the change still holds, it can be applied, and it takes away nothing that is of use. `None`
    /// if it changes nothing.
    pub(super) fn check(
        &self,
        live: &RoutingTable,
        change: &Change,
        expected: Expected,
        consent: Consent,
    ) -> Result<Option<Proposal>, ControlError> {
        for part in change.parts() {
            let scope = Scope::of(part);
            if matches!((scope, expected), (Scope::Whole, Expected::Any)) {
                return Err(ControlError::PreconditionRequired {
                    live: live.revision(),
                });
            }
            check_base(&self.log, live.revision(), scope, expected)?;
        }
        let before = live.state();
        if change.is_batch() {
            self.check_batch(live, &before, change, consent)?;
        }
        let proposal = Proposal::of_change(&before, change, consent)?;
        self.check_use(&before, change, consent)?;
        check_unnamed(&before, change)?;
        Ok(proposal)
    }

    /// Compiles, writes and swaps. The caller holds the publish lock.
    pub(super) async fn publish(
        &self,
        live: &RoutingTable,
        proposal: Proposal,
        by: Author,
        candidates: Option<&Candidates<'_>>,
    ) -> Result<AppliedSwap<'_>, ControlError> {
        let compiled = self.compile(live, proposal, candidates).await?;
        let node = self.shared.node();
        if let Some(node) = node.filter(|_| !compiled.proposal.cause.is_drill()) {
            // The names stay looked up until it is live.
            let CompiledChange {
                proposal, names, ..
            } = compiled;
            let swapped = self.publish_to_fleet(node, live, proposal, by).await;
            drop(names);
            return swapped;
        }
        let (reserved, next) = self.reserve(live, compiled, by);
        self.append(&reserved).await?;
        let swapped = self.swap(live, next, &reserved);
        let Reserved { kept, imported, .. } = &reserved;
        if swapped.is_ok() || self.log.void(kept, imported.is_some()).await {
            return swapped;
        }
        Err(may_return(kept.record.revision, "superseded by a rollback"))
    }

    /// Compiles a proposal, resolves its new names and checks the readiness of the releases that get more.
    async fn compile(
        &self,
        live: &RoutingTable,
        proposal: Proposal,
        candidates: Option<&Candidates<'_>>,
    ) -> Result<CompiledChange<'_>, ControlError> {
        let Proposal { state, touched, .. } = &proposal;
        let draft = compile(state.clone(), touched, Some(live.compiled()), &self.fleet)
            .map_err(ControlError::Invalid)?
            .leaving(proposal.leave());
        let nothing = &Candidates::default();
        let names = await_addresses(&self.reconciler, &self.fleet, &draft, touched).await;
        if !proposal.force {
            let candidates = candidates.unwrap_or(nothing);
            self.readiness(live).check_growth(&proposal, candidates)?;
        }
        Ok(CompiledChange {
            proposal,
            draft,
            names,
        })
    }

    /// Takes a revision number and makes the record.
    fn reserve<'a>(
        &self,
        live: &RoutingTable,
        compiled: CompiledChange<'a>,
        by: Author,
    ) -> (Reserved, NextTable<'a>) {
        let CompiledChange {
            proposal,
            draft,
            names,
        } = compiled;
        let (undo, undo_to, group) = self.undo_of(live, &proposal.state, &by);
        let record = RevisionRecord {
            request: self.idempotency.request_of(&by).or(proposal.request),
            revision: self.log.history.reserve(),
            parent: live.revision(),
            undo_to,
            published_at_ms: now_ms(),
            author: Author { group, ..by },
            cause: proposal.cause,
            digest: draft.digest(),
            change: Some(proposal.change),
            cut: proposal.cut,
            shared: self.shared.mark(),
        };
        let kept = StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            state: Some(proposal.state),
            touched: proposal.touched,
        };
        let (imported, order) = (proposal.imported, proposal.order);
        (
            Reserved {
                kept,
                imported,
                order,
            },
            NextTable { draft, undo, names },
        )
    }

    /// Makes the record durable, within the time it has.
    async fn append(&self, reserved: &Reserved) -> Result<(), ControlError> {
        let Reserved { kept, imported, .. } = reserved;
        let within = self.settings.durable_within;
        self.log.append(kept, imported.as_ref(), within).await
    }

    /// The change to the undo stack: a decision goes on it, a fact does not.
    fn undo_of(
        &self,
        live: &RoutingTable,
        state: &TableState,
        by: &Author,
    ) -> (StackChange, Option<Revision>, Option<String>) {
        if state.spec.digest() == live.digest() {
            let (_, undo_to) = self.table.undo_to();
            let group = self.table.live_group().map(|group| group.to_string());
            return (StackChange::Keep, undo_to, group);
        }
        let group = by.group.as_deref().map(Arc::from);
        let undo_to = Some(self.table.decision()).filter(|revision| *revision > Revision(0));
        (StackChange::Push(group), undo_to, by.group.clone())
    }

    /// Makes a durable record live, unless a rollback was faster, or its order was withdrawn.
    fn swap(
        &self,
        live: &RoutingTable,
        next: NextTable<'_>,
        reserved: &Reserved,
    ) -> Result<AppliedSwap<'_>, ControlError> {
        let Reserved { kept, imported, .. } = reserved;
        let NextTable { draft, undo, names } = next;
        let (revision, parent) = (kept.record.revision, live.revision());
        let set_rosters = |draft: &Draft| set_rosters(draft, &kept.touched, &names.addresses);
        let swapped = {
            let mut index = self.log.index();
            let order = reserved.order.as_ref();
            let swapped = if order.is_some_and(Withdrawal::is_withdrawn) {
                Err(RevisionConflict { live: parent })
            } else {
                self.table
                    .publish_after(draft, revision, parent, undo, now_ms(), set_rosters)
            };
            if swapped.is_ok() {
                index.insert(kept.clone());
                index.imported = imported.clone().or_else(|| index.imported.take());
            }
            swapped
        };
        let swapped =
            swapped.map_err(|conflict| stale(&self.log, conflict.live, Scope::Whole, parent))?;
        let (effects, undone) = (&self.effects, Vec::new());
        let left = Arc::clone(swapped.table.departures().latest());
        let swap = AppliedSwap::new(effects, live, kept, undone, (swapped.took, left));
        Ok(swap)
    }
}
