//! The controller's queries: status, revisions, responses that were sent before. They change nothing, and none reads the
//! disk.

use super::{
    ControlError, Controller, KeyGuard, ReplayedResponse, StatusPart, clock::now_ms, flag_queries,
    revisions, status::StatusReader, status_part,
};
use crate::{
    api::{RevisionDetail, RevisionPage, RouteFacts, Status},
    model::{Cause, Diff, Revision, RouteName},
    table::RoutingTable,
};

impl Controller {
    /// The whole status.
    pub fn status(&self) -> Status {
        self.status_of(&self.table.load(), &StatusPart::Whole)
    }

    /// The status with a part of the routes and releases. Takes long for a large table: to be called off the threads that
    /// make changes.
    pub fn status_of(&self, live: &RoutingTable, part: &StatusPart) -> Status {
        let reader = StatusReader {
            live,
            table: &self.table,
            fleet: &self.fleet,
            log: &self.log,
            warm: self.reconciler.warm(),
        };
        let index = self.route_index.get(live);
        let mut status = reader.status(part, &index, self.current_drift());
        status.rollback.unproven = self.unproven_by_rollback();
        status.rollouts = self.rollout_states(part);
        status.going_back = self.going_back(part);
        status.quarantine = self.quarantined().to_vec();
        for route in &mut status.routes {
            route.drill = self.drills.last(&route.name);
        }
        status.verifications = self.verification_states(part);
        status.backup = Some(self.backups()).filter(|backups| backups.path.is_some());
        status.fleet = self.fleet_in_brief();
        status.certificates = self.certificates();
        status.stale_flags = flag_queries::stale(live.compiled().spec(), now_ms());
        status
    }

    /// The facts of these routes.
    pub fn route_facts<'a>(
        &self,
        routes: impl Iterator<Item = &'a RouteName> + Clone,
    ) -> Vec<RouteFacts> {
        let changed = status_part::routes_changed(&self.log, routes.clone());
        let facts = changed.into_iter().zip(routes);
        facts
            .map(|(changed_by, route)| RouteFacts {
                changed_by,
                drill: self.drills.last(route),
            })
            .collect()
    }

    /// Revisions before one, latest first; all kept ones when `before` is absent.
    pub fn revisions(&self, before: Option<Revision>, limit: usize) -> RevisionPage {
        let mut page = revisions::list(&self.table, &self.log, before, limit);
        for summary in &mut page.revisions {
            summary.verification = self.verification_of(summary.revision);
        }
        page
    }

    /// One revision, with its change and its table.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn revision(&self, revision: Revision) -> Result<RevisionDetail, ControlError> {
        let mut detail = revisions::detail(&self.table, &self.log, revision)?;
        detail.summary.verification = self.verification_of(revision);
        Ok(detail)
    }

    /// The difference of two revisions.
    ///
    /// # Errors
    /// When one of them is not kept.
    pub fn diff(&self, from: Revision, to: Revision) -> Result<Diff, ControlError> {
        revisions::diff(&self.log, from, to)
    }

    /// The response to the same request when it was made before, if it was.
    ///
    /// # Errors
    /// When the key belongs to another request.
    pub fn replayed(&self, guard: &KeyGuard) -> Result<Option<ReplayedResponse>, ControlError> {
        if let Some(kept) = self.idempotency.get(guard)? {
            return Ok(Some(ReplayedResponse::Kept(kept)));
        }
        let made = self.log.index().by_key(guard.key()).cloned();
        let Some(made) = made else { return Ok(None) };
        if made.record.request != Some(guard.request()) {
            let revision = Some(made.record.revision);
            return Err(ControlError::KeyReused { revision });
        }
        let receipt = self.receipts().of_replay(&made);
        Ok(Some(match made.record.cause {
            Cause::Import => {
                ReplayedResponse::Imported(Box::new(self.replayed_report(receipt, None)))
            }
            Cause::Publish
            | Cause::Rollback { .. }
            | Cause::RollbackFlag { .. }
            | Cause::RollbackRoute { .. }
            | Cause::ReturnPart { .. }
            | Cause::Drill { .. }
            | Cause::Roster
            | Cause::Void => ReplayedResponse::Made(Box::new(receipt)),
        }))
    }
}
