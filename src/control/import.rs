//! Taking over a configuration file: at start, on `SIGHUP`, by `apply`.

use std::sync::Arc;

use super::{
    Consent, ControlError, Controller, Expected,
    consent::Candidates,
    merge::{Merged, merge},
    precondition::Scope,
    publish::Proposal,
    receipt::AppliedSwap,
};
use crate::{
    api::{Conflict, ConflictPolicy, ImportReport, Receipt},
    history::StoredRevision,
    model::{
        Actor, Author, Cause, Change, Digest, ReleaseName, Revision, RouteName, TableDocument,
    },
    table::RoutingTable,
};

/// What is asked for by an import.
struct Import<'a> {
    file: &'a Arc<TableDocument>,
    wins: Option<ConflictPolicy>,
    by: &'a Author,
    expected: Expected,
    consent: Consent,
    request: Digest,
}

/// What came of an import.
enum Imported {
    /// The same one was made before.
    Before(Box<Receipt>),
    /// Nothing yet: it waits for the health of what it gives more to.
    Waits(Box<Proposal>),
    /// It was made, unless there are conflicts or nothing to do.
    Done {
        merged: Box<Merged>,
        first: bool,
        done: Option<AppliedSwap>,
    },
}

impl Controller {
    /// Compares the file as it was last imported, the live table and the file as it is now, entry by entry, and makes
    /// live what changed only in the file. With a conflict that nobody decides, nothing changes and the report lists
    /// it.
    ///
    /// Not to be cancelled: whoever calls it lets it run to its end, which is bounded in time.
    ///
    /// # Errors
    /// When the table that it leads to is not valid, gives more to a release without a healthy endpoint, or cannot be made
    /// durable. A bad file changes nothing.
    pub async fn import(
        &self,
        file: TableDocument,
        wins: Option<ConflictPolicy>,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<ImportReport, ControlError> {
        let consent = consent.into();
        let file = Arc::new(file);
        let by_file = by.actor == Actor::File;
        let report = self.take_over(&file, wins, by, expected, consent).await;
        let taken = report
            .as_ref()
            .is_ok_and(|report| report.conflicts.is_empty());
        if taken || by_file {
            self.revision_index().refused = (!taken).then_some(file);
        }
        // Worked out last, for it depends on whether the file was taken over.
        report.map(|report| ImportReport {
            drift: self.drift().diff,
            ..report
        })
    }

    async fn take_over(
        &self,
        file: &Arc<TableDocument>,
        wins: Option<ConflictPolicy>,
        by: Author,
        expected: Expected,
        consent: Consent,
    ) -> Result<ImportReport, ControlError> {
        let asked = || Digest::of(&(file, wins));
        let request = self.answers.request_of(&by).unwrap_or_else(asked);
        let asked = Import {
            file,
            wins,
            by: &by,
            expected,
            consent,
            request,
        };
        let mut candidates = None;
        let (merged, first, done) = loop {
            match self.import_once(&asked, candidates.as_ref()).await? {
                Imported::Before(receipt) => {
                    return Ok(self.report(Merged::default(), wins, false, Some(*receipt)));
                }
                Imported::Waits(proposal) => {
                    candidates = Some(self.await_health(&proposal, consent).await?);
                }
                Imported::Done {
                    merged,
                    first,
                    done,
                } => break (*merged, first, done),
            }
        };
        let receipt = match done {
            Some(done) => Some(self.receipt(done).await),
            None => None,
        };
        self.run_after_swap();
        Ok(self.report(merged, wins, first, receipt))
    }

    /// Takes a file over, or says for what it has to wait first.
    async fn import_once(
        &self,
        asked: &Import<'_>,
        candidates: Option<&Candidates<'_>>,
    ) -> Result<Imported, ControlError> {
        let _turn = self.publish_lock().await?;
        if let Some(before) = self.imported_before(asked.by, asked.request)? {
            return Ok(Imported::Before(Box::new(self.receipt_again(&before))));
        }
        let live = self.cell.load();
        self.check(
            &self.revision_index(),
            live.revision(),
            Scope::Whole,
            asked.expected,
        )?;
        let base = self.revision_index().imported.clone();
        let first = base.is_none();
        let base = base.unwrap_or_default();
        let mut merged = merge(
            &base,
            &TableDocument::of(&live.state()),
            asked.file,
            asked.wins,
        );
        let mut done = None;
        if merged.conflicts.is_empty() {
            let nothing = Candidates::default();
            match proposal(&live, &merged, asked.file, asked.consent.force)? {
                Some(proposal)
                    if candidates.is_none()
                        && self.has_to_wait(&proposal, asked.consent, &nothing) =>
                {
                    return Ok(Imported::Waits(Box::new(proposal)));
                }
                Some(mut proposal) => {
                    proposal.request = Some(asked.request);
                    let by = asked.by.clone();
                    let candidates = candidates.unwrap_or(&nothing);
                    done = Some(self.publish(&live, proposal, by, candidates).await?);
                }
                None => self.remember(&base, asked.file, first).await?,
            }
        } else {
            self.attribute_conflicts(&mut merged.conflicts);
        }
        Ok(Imported::Done {
            merged: Box::new(merged),
            first,
            done,
        })
    }

    /// What an import would do now. Nothing is written.
    ///
    /// # Errors
    /// Those of [`Controller::import`].
    pub fn preview_import(
        &self,
        file: &TableDocument,
        wins: Option<ConflictPolicy>,
        expected: Expected,
        force: bool,
    ) -> Result<ImportReport, ControlError> {
        let live = self.cell.load();
        self.check(
            &self.revision_index(),
            live.revision(),
            Scope::Whole,
            expected,
        )?;
        let base = self.revision_index().imported.clone();
        let first = base.is_none();
        let live_document = TableDocument::of(&live.state());
        let mut merged = merge(&base.unwrap_or_default(), &live_document, file, wins);
        if !merged.conflicts.is_empty() {
            self.attribute_conflicts(&mut merged.conflicts);
            return Ok(self.report(merged, wins, first, None));
        }
        let table = merged.document.clone();
        let preview = self.preview(
            &Change::Replace { table },
            Expected::Unchanged(live.revision()),
            force,
        )?;
        Ok(ImportReport {
            preview: Some(preview),
            ..self.report(merged, wins, first, None)
        })
    }

    /// The report of an import that was made, as far as its record tells it.
    pub(super) fn report_again(&self, receipt: Receipt) -> ImportReport {
        self.report(Merged::default(), None, false, Some(receipt))
    }

    fn imported_before(
        &self,
        by: &Author,
        request: Digest,
    ) -> Result<Option<StoredRevision>, ControlError> {
        let same = |kept: &StoredRevision| kept.record.request == Some(request);
        Self::idempotent_replay(&self.revision_index(), by.idempotency_key.as_ref(), same)
    }

    /// Remembers a file that changed nothing live, so that the next comparison begins with it.
    async fn remember(
        &self,
        base: &TableDocument,
        file: &Arc<TableDocument>,
        first: bool,
    ) -> Result<(), ControlError> {
        if !first && base == &**file {
            return Ok(());
        }
        let answer = self
            .history
            .remember_import(Arc::clone(file))
            .map_err(ControlError::NotDurable)?;
        let written = tokio::time::timeout(self.settings.durable_within, answer).await;
        let lost = |what: &str| {
            ControlError::NotDurable(crate::history::AppendError::Unknown(what.to_owned()))
        };
        written
            .map_err(|_| lost("the disk did not answer in time"))?
            .map_err(|_| lost("the thread of the history is gone"))?
            .map_err(ControlError::NotDurable)?;
        self.revision_index().imported = Some(Arc::clone(file));
        Ok(())
    }

    /// Names the revision that changed each conflicting entry live.
    fn attribute_conflicts(&self, conflicts: &mut [Conflict]) {
        let index = self.revision_index();
        for conflict in conflicts {
            let by: Option<Revision> = match conflict.path.split_once('.') {
                Some(("releases", name)) => ReleaseName::new(name)
                    .ok()
                    .and_then(|name| index.release_changed(&name)),
                Some(("routes", name)) => RouteName::new(name)
                    .ok()
                    .and_then(|name| index.route_changed(&name)),
                _ => None,
            };
            conflict.changed_live_by = by;
        }
    }

    fn report(
        &self,
        merged: Merged,
        wins: Option<ConflictPolicy>,
        first: bool,
        receipt: Option<Receipt>,
    ) -> ImportReport {
        let Merged {
            applied,
            kept,
            conflicts,
            document: _,
        } = merged;
        ImportReport {
            revision: self.cell.load().revision(),
            first,
            applied: if conflicts.is_empty() {
                applied
            } else {
                Vec::new()
            },
            kept,
            conflicts,
            wins,
            preview: None,
            drift: self.drift().diff,
            receipt,
        }
    }
}

fn proposal(
    live: &RoutingTable,
    merged: &Merged,
    file: &Arc<TableDocument>,
    force: bool,
) -> Result<Option<Proposal>, ControlError> {
    let before = live.state();
    let change = Change::Replace {
        table: merged.document.clone(),
    };
    let applied = change.apply_to(&before)?;
    if applied.is_same(&before) {
        return Ok(None);
    }
    Ok(Some(Proposal {
        cause: Cause::Import,
        change: Some(change),
        state: applied.state,
        touched: applied.touched,
        imported: Some(Arc::clone(file)),
        request: None,
        force,
    }))
}
