//! A proposal: the table that a change leads to, not yet compiled.

use std::sync::Arc;

use super::{Consent, ControlError, leave::leave_by, withdrawal::Withdrawal};
use crate::{
    model::{Cause, Change, ChangeSet, Digest, RouteName, TableDocument, TableState, Weights},
    table::Leave,
};

/// A change that was applied to the live state, and is not compiled yet.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) cause: Cause,
    pub(super) change: Change,
    pub(super) state: TableState,
    pub(super) touched: ChangeSet,
    pub(super) imported: Option<Arc<TableDocument>>,
    /// The digest of the request, where the change does not say it.
    pub(super) request: Option<Digest>,
    /// True if it may give more to a release without a healthy endpoint.
    pub(super) force: bool,
    /// True if what is in flight on releases that leave is cut at once.
    pub(super) cut: bool,
    /// The sign that it was withdrawn, if it can be.
    pub(super) order: Option<Withdrawal>,
}

impl Proposal {
    /// Applies a change to the live state; `None` if it changes nothing.
    pub(super) fn of_change(
        before: &TableState,
        change: &Change,
        consent: Consent,
    ) -> Result<Option<Self>, ControlError> {
        let applied = change.apply_to(before)?;
        if applied.is_same(before) {
            return Ok(None);
        }
        let is_fact = applied.is_fact(before);
        Ok(Some(Self {
            cause: if is_fact {
                Cause::Roster
            } else {
                Cause::Publish
            },
            change: change.clone(),
            state: applied.state,
            touched: applied.touched,
            imported: None,
            request: None,
            force: consent.force,
            cut: consent.cut,
            order: None,
        }))
    }

    /// The live table once more, for a drill: a fact that changes nothing.
    pub(super) fn of_drill(live: TableState, route: &RouteName) -> Self {
        let weights = live.spec.route(route).map(|route| route.split.clone());
        Self {
            cause: Cause::Drill { to: None },
            change: Change::SetSplit {
                route: route.clone(),
                weights: weights.unwrap_or_default(),
            },
            state: live,
            touched: ChangeSet::default(),
            imported: None,
            request: None,
            force: false,
            cut: false,
            order: None,
        }
    }

    /// Applies the table of an imported file.
    pub(super) fn of_import(
        before: &TableState,
        table: TableDocument,
        file: &Arc<TableDocument>,
        consent: Consent,
    ) -> Result<Option<Self>, ControlError> {
        let proposal = Self::of_change(before, &Change::Replace { table }, consent)?;
        Ok(proposal.map(|proposal| Self {
            cause: Cause::Import,
            imported: Some(Arc::clone(file)),
            ..proposal
        }))
    }

    /// The way in which releases leave their routes by it.
    pub(super) fn leave(&self) -> Leave {
        leave_by(&self.change, self.cut)
    }

    /// True if it only goes back to what was live, and so waits for no check.
    pub(super) fn is_way_back(&self) -> bool {
        self.change.is_abort() || matches!(self.cause, Cause::ReturnPart { .. })
    }
}

/// Refuses a split that leaves out a release that has a weight: more often than not it was forgotten.
pub(super) fn check_drops_no_weight(
    before: &TableState,
    change: &Change,
) -> Result<(), ControlError> {
    match change {
        Change::SetSplit { route, weights } => check_weights(before, route, weights),
        _ => Ok(()),
    }
}

fn check_weights(
    before: &TableState,
    route: &RouteName,
    weights: &Weights,
) -> Result<(), ControlError> {
    // A split without any weight is not valid at all, and that error comes first.
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
