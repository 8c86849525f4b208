//! An import: the table of a configuration file is taken over. At start, on `SIGHUP`, by `apply`.

use std::sync::Arc;

use super::{
    Consent, ControlError, Controller, Expected,
    candidates::Candidates,
    data_answers::DataAnswers,
    merge::{Merged, merge},
    precondition::{Scope, check_base, idempotent_replay},
    proposal::Proposal,
    revision_log::RevisionLog,
    swap::AppliedSwap,
};
use crate::{
    api::{Conflict, ConflictPolicy, DataGuard, ImportReport, Receipt},
    history::StoredRevision,
    model::{
        Actor, Author, Change, Digest, FlagName, ReleaseName, Revision, RouteName, TableDocument,
    },
    table::RoutingTable,
};

/// A request for an import.
struct Import<'a> {
    file: &'a Arc<TableDocument>,
    policy: Option<ConflictPolicy>,
    by: &'a Author,
    expected: Expected,
    consent: Consent,
    request: Digest,
}

/// The result of one attempt at the head of the queue.
enum Attempt<'a> {
    /// The same import was made before.
    Replayed(Box<Receipt>),
    /// The health of a release that gets more is not known yet.
    HealthUnknown(Box<Proposal>),
    /// The checks of these are asked first.
    CheckFirst(Vec<DataGuard>),
    /// It was made, unless there are conflicts or nothing to do.
    Merged(Comparison, Option<AppliedSwap<'a>>),
}

/// A comparison of the imported file, the live table and the file as it is now.
struct Comparison {
    base: Arc<TableDocument>,
    merged: Box<Merged>,
    /// True if no file was imported before.
    is_first: bool,
}

impl Controller {
    /// Compares the file as it was last imported, the live table and the file as it is now, entry by entry, and makes
    /// live what changed only in the file. With a conflict and no policy for it, nothing changes and the report lists
    /// the conflict.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// When the table that it leads to is not valid, gives more to a release without a healthy endpoint, or cannot be made
    /// durable. A bad file changes nothing.
    pub async fn import(
        &self,
        file: TableDocument,
        policy: Option<ConflictPolicy>,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<ImportReport, ControlError> {
        let consent = consent.into();
        let file = Arc::new(file);
        let by_file = by.actor == Actor::File;
        let report = self.take_over(&file, policy, by, expected, consent).await;
        let taken = report
            .as_ref()
            .is_ok_and(|report| report.conflicts.is_empty());
        if taken || by_file {
            self.log.index().refused = (!taken).then_some(file);
        }
        // Computed last, for it depends on whether the file was taken over.
        report.map(|report| ImportReport {
            drift: self.current_drift().diff,
            ..report
        })
    }

    async fn take_over(
        &self,
        file: &Arc<TableDocument>,
        policy: Option<ConflictPolicy>,
        by: Author,
        expected: Expected,
        consent: Consent,
    ) -> Result<ImportReport, ControlError> {
        let digest = || Digest::of(&(file, policy));
        let import = Import {
            file,
            policy,
            by: &by,
            expected,
            consent,
            request: self.idempotency.request_of(&by).unwrap_or_else(digest),
        };
        let mut candidates = None;
        let mut answers = DataAnswers::default();
        let mut overtaken = 0;
        let (comparison, swap) = loop {
            let attempt = self.attempt_import(&import, candidates.as_ref(), &answers);
            let attempt = match attempt.await {
                Ok(attempt) => attempt,
                Err(error) => {
                    self.take_up_first(error, &mut overtaken).await?;
                    continue;
                }
            };
            match attempt {
                Attempt::CheckFirst(guards) => self.ask_checks(guards, &mut answers).await,
                Attempt::Replayed(receipt) => return Ok(self.replayed_report(*receipt, policy)),
                Attempt::HealthUnknown(proposal) => {
                    candidates = Some(self.health_gate().wait(&proposal, consent).await?);
                }
                Attempt::Merged(comparison, swap) => break (comparison, swap),
            }
        };
        let receipt = match swap {
            Some(swap) => {
                let convergence = self.converge(&swap).await;
                Some(self.receipts().of_swap(swap, convergence).into_receipt())
            }
            None => None,
        };
        Ok(self.report(comparison, policy, receipt))
    }

    async fn attempt_import(
        &self,
        import: &Import<'_>,
        candidates: Option<&Candidates<'_>>,
        answers: &DataAnswers,
    ) -> Result<Attempt<'_>, ControlError> {
        let _lock = self.publish_lock().await?;
        let is_same = |kept: &StoredRevision| kept.record.request == Some(import.request);
        if let Some(kept) = idempotent_replay(&self.log, import.by, is_same)? {
            let receipt = self.receipts().of_replay(&kept);
            return Ok(Attempt::Replayed(Box::new(receipt)));
        }
        let live = self.table.load();
        check_base(&self.log, live.revision(), Scope::Whole, import.expected)?;
        let first = self.joins_with_file(import.by).then_some(import.file);
        let sides = (first, &**import.file);
        let comparison = compare(&self.log, &live, sides, import.policy);
        if !comparison.merged.conflicts.is_empty() {
            return Ok(Attempt::Merged(comparison, None));
        }
        let (table, consent) = (comparison.merged.document.clone(), import.consent);
        let Some(mut proposal) = Proposal::of_import(&live.state(), table, import.file, consent)?
        else {
            self.remember(&comparison, import.file).await?;
            return Ok(Attempt::Merged(comparison, None));
        };
        if !import.consent.quarantined {
            self.quarantine
                .check(&live.state().spec, &proposal.state.spec)?;
        }
        let open = self.check_data(&live, &proposal.state.spec, import.consent, answers)?;
        if !open.is_empty() {
            return Ok(Attempt::CheckFirst(open));
        }
        if candidates.is_none() && self.must_wait(&proposal, import.consent) {
            return Ok(Attempt::HealthUnknown(Box::new(proposal)));
        }
        proposal.request = Some(import.request);
        let swap = self.publish(&live, proposal, import.by.clone(), candidates);
        Ok(Attempt::Merged(comparison, Some(swap.await?)))
    }

    /// True if a fleet has a table already and this node reads its own file: that is then what later files are compared
    /// with, and brings back nothing that was removed or rolled back meanwhile.
    fn joins_with_file(&self, by: &Author) -> bool {
        let is_node = by.actor == Actor::File && self.shared.node().is_some();
        is_node && self.shared.state().revision > 0
    }

    /// Remembers a file that changed nothing live, so that the next comparison begins with it.
    async fn remember(
        &self,
        comparison: &Comparison,
        file: &Arc<TableDocument>,
    ) -> Result<(), ControlError> {
        if !comparison.is_first && comparison.base == *file {
            return Ok(());
        }
        let within = self.settings.durable_within;
        self.log.remember_import(file, within).await
    }

    /// Reports what an import would do now. Nothing is written.
    ///
    /// # Errors
    /// Those of [`Controller::import`].
    pub fn dry_run_import(
        &self,
        file: &TableDocument,
        policy: Option<ConflictPolicy>,
        expected: Expected,
        force: bool,
    ) -> Result<ImportReport, ControlError> {
        let live = self.table.load();
        check_base(&self.log, live.revision(), Scope::Whole, expected)?;
        let comparison = compare(&self.log, &live, (None, file), policy);
        if !comparison.merged.conflicts.is_empty() {
            return Ok(self.report(comparison, policy, None));
        }
        let table = comparison.merged.document.clone();
        let before = live.state();
        let proposal = Proposal::of_import(&before, table.clone(), &Arc::default(), force.into())?;
        if let (Some(proposal), false) = (proposal, force) {
            self.quarantine.check(&before.spec, &proposal.state.spec)?;
        }
        let dry_run = self.dry_run(
            &Change::Replace { table },
            Expected::Unchanged(live.revision()),
            force,
        )?;
        Ok(ImportReport {
            dry_run: Some(dry_run),
            ..self.report(comparison, policy, None)
        })
    }

    /// The report of an import that was made before, as far as its record shows it.
    pub(super) fn replayed_report(
        &self,
        receipt: Receipt,
        policy: Option<ConflictPolicy>,
    ) -> ImportReport {
        let nothing = Comparison {
            base: Arc::default(),
            merged: Box::default(),
            is_first: false,
        };
        self.report(nothing, policy, Some(receipt))
    }

    fn report(
        &self,
        comparison: Comparison,
        policy: Option<ConflictPolicy>,
        receipt: Option<Receipt>,
    ) -> ImportReport {
        let Merged {
            applied,
            kept,
            conflicts,
            document: _,
        } = *comparison.merged;
        ImportReport {
            revision: self.table.load().revision(),
            first: comparison.is_first,
            applied: if conflicts.is_empty() {
                applied
            } else {
                Vec::new()
            },
            kept,
            conflicts,
            wins: policy,
            dry_run: None,
            drift: self.current_drift().diff,
            receipt,
        }
    }
}

/// Compares the three sides; a conflict names the revision that changed its entry live. `first` is the file before this one
/// if none was imported yet.
fn compare(
    log: &RevisionLog,
    live: &RoutingTable,
    (first, file): (Option<&Arc<TableDocument>>, &TableDocument),
    policy: Option<ConflictPolicy>,
) -> Comparison {
    let base = log.index().imported.clone();
    let is_first = base.is_none();
    let base = base.or_else(|| first.cloned()).unwrap_or_default();
    let mut merged = merge(&base, &TableDocument::of(&live.state()), file, policy);
    attribute_conflicts(log, &mut merged.conflicts);
    Comparison {
        base,
        merged: Box::new(merged),
        is_first,
    }
}

fn attribute_conflicts(log: &RevisionLog, conflicts: &mut [Conflict]) {
    let index = log.index();
    for conflict in conflicts {
        let by: Option<Revision> = match conflict.path.split_once('.') {
            Some(("releases", name)) => ReleaseName::new(name)
                .ok()
                .and_then(|name| index.release_changed(&name)),
            Some(("routes", name)) => RouteName::new(name)
                .ok()
                .and_then(|name| index.route_changed(&name)),
            Some(("flags", name)) => FlagName::new(name)
                .ok()
                .and_then(|name| index.flag_changed(&name)),
            _ => None,
        };
        conflict.changed_live_by = by;
    }
}
