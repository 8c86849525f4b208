//! A request for a change, and its receipt where there is nothing to make.

use super::{
    Consent, ControlError, Controller, Expected, precondition::idempotent_replay,
    withdrawal::Withdrawal,
};
use crate::{
    api::Receipt,
    history::StoredRevision,
    model::{Author, Cause, Change},
    table::RoutingTable,
};

/// A request for a change.
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) by: Author,
    pub(super) expected: Expected,
    pub(super) consent: Consent,
    /// The cause of the revision, where the change alone does not say it.
    pub(super) cause: Option<Cause>,
    /// The sign that it was withdrawn, if it can be.
    pub(super) order: Option<Withdrawal>,
}

impl Controller {
    /// The receipt of a request that was carried out before.
    pub(super) fn replay(&self, request: &Request) -> Result<Option<Receipt>, ControlError> {
        let is_same = |kept: &StoredRevision| kept.record.change.as_ref() == Some(&request.change);
        let kept = idempotent_replay(&self.log, &request.by, is_same)?;
        Ok(kept.map(|kept| self.receipts().of_replay(&kept)))
    }

    /// The receipt of a change that changes nothing.
    pub(super) fn unchanged(&self, live: &RoutingTable, request: &Request) -> Receipt {
        match &request.change {
            Change::Abort { .. } => self.receipts().of_no_trial(live, &request.by),
            _ => self.receipts().of_no_change(live, &request.by),
        }
    }

    /// The receipt of a change that was made already, or changes nothing: it waits for no other change, and for no disk.
    /// Any other is checked at the head of the queue: a change before it may make it valid.
    pub(super) fn receipt_without_queue(
        &self,
        request: &Request,
    ) -> Result<Option<Receipt>, ControlError> {
        if let Some(receipt) = self.replay(request)? {
            return Ok(Some(receipt));
        }
        let live = self.table.load();
        let checked = self.check(&live, &request.change, request.expected, request.consent);
        Ok(matches!(checked, Ok(None)).then(|| self.unchanged(&live, request)))
    }
}
