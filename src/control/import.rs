//! Taking over a configuration file: at start, on `SIGHUP`, by `apply`.

use std::sync::Arc;

use super::{
    Consent, ControlError, Controller, Expected,
    guard::Scope,
    merge::{Merged, merge},
    publish::Proposal,
};
use crate::{
    api::{Conflict, ImportReport, Receipt, Wins},
    history::Kept,
    model::{
        Actor, Author, Cause, Change, Digest, ReleaseName, Revision, RouteName, TableDocument,
    },
    table::RoutingTable,
};

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
        wins: Option<Wins>,
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
            self.book().refused = (!taken).then_some(file);
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
        wins: Option<Wins>,
        by: Author,
        expected: Expected,
        consent: Consent,
    ) -> Result<ImportReport, ControlError> {
        let asked = || Digest::of(&(file, wins));
        let request = self.answers.request_of(&by).unwrap_or_else(asked);
        if !consent.wait.is_zero() && self.imported_before(&by, request)?.is_none() {
            self.wait_for_file(file, wins, consent).await?;
        }
        let (report, done) = {
            let _turn = self.turn().await?;
            if let Some(before) = self.imported_before(&by, request)? {
                let receipt = self.receipt_again(&before);
                return Ok(self.report(Merged::default(), wins, false, Some(receipt)));
            }
            let live = self.cell.load();
            self.check(&self.book(), live.revision(), Scope::Whole, expected)?;
            let base = self.book().imported.clone();
            let first = base.is_none();
            let base = base.unwrap_or_default();
            let mut merged = merge(&base, &TableDocument::of(&live.state()), file, wins);
            if !merged.conflicts.is_empty() {
                self.say_who(&mut merged.conflicts);
                return Ok(self.report(merged, wins, first, None));
            }
            let proposal = proposal(&live, &merged, file, consent.force)?;
            let done = if let Some(mut proposal) = proposal {
                proposal.request = Some(request);
                Some(self.publish(&live, proposal, by).await?)
            } else {
                self.remember(&base, file, first).await?;
                None
            };
            ((merged, first), done)
        };
        let receipt = match done {
            Some(done) => Some(self.receipt(done).await),
            None => None,
        };
        self.settle();
        Ok(self.report(report.0, wins, report.1, receipt))
    }

    /// Waits until what the file gives more to is healthy.
    async fn wait_for_file(
        &self,
        file: &Arc<TableDocument>,
        wins: Option<Wins>,
        consent: Consent,
    ) -> Result<(), ControlError> {
        let live = self.cell.load();
        let base = self.book().imported.clone().unwrap_or_default();
        let merged = merge(&base, &TableDocument::of(&live.state()), file, wins);
        if !merged.conflicts.is_empty() {
            return Ok(());
        }
        match proposal(&live, &merged, file, consent.force)? {
            Some(proposal) => {
                self.wait_for_health(&proposal.state, &proposal.touched, consent)
                    .await
            }
            None => Ok(()),
        }
    }

    /// What an import would do now. Nothing is written.
    ///
    /// # Errors
    /// Those of [`Controller::import`].
    pub fn preview_import(
        &self,
        file: &TableDocument,
        wins: Option<Wins>,
        expected: Expected,
        force: bool,
    ) -> Result<ImportReport, ControlError> {
        let live = self.cell.load();
        self.check(&self.book(), live.revision(), Scope::Whole, expected)?;
        let base = self.book().imported.clone();
        let first = base.is_none();
        let live_document = TableDocument::of(&live.state());
        let mut merged = merge(&base.unwrap_or_default(), &live_document, file, wins);
        if !merged.conflicts.is_empty() {
            self.say_who(&mut merged.conflicts);
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

    fn imported_before(&self, by: &Author, request: Digest) -> Result<Option<Kept>, ControlError> {
        let same = |kept: &Kept| kept.record.request == Some(request);
        Self::made_before(&self.book(), by.idempotency_key.as_ref(), same)
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
        self.book().imported = Some(Arc::clone(file));
        Ok(())
    }

    /// Names the revision that changed each conflicting entry live.
    fn say_who(&self, conflicts: &mut [Conflict]) {
        let book = self.book();
        for conflict in conflicts {
            let by: Option<Revision> = match conflict.path.split_once('.') {
                Some(("releases", name)) => ReleaseName::new(name)
                    .ok()
                    .and_then(|name| book.release_changed(&name)),
                Some(("routes", name)) => RouteName::new(name)
                    .ok()
                    .and_then(|name| book.route_changed(&name)),
                _ => None,
            };
            conflict.changed_live_by = by;
        }
    }

    fn report(
        &self,
        merged: Merged,
        wins: Option<Wins>,
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
