//! How things are: what is live, who is healthy, what a rollback would do, how the disk and the workers are.

use std::sync::{Arc, PoisonError};

use super::{Controller, StatusPart, reconcile::live_keys};
use crate::{
    api::{
        ConvergenceStatus, Drift, DurabilityStatus, EndpointHealth, EndpointStatus, InFlightOn,
        ReleaseStatus, Role, RollbackStatus, Status, Timestamp, WorkerStatus,
    },
    fleet::{self, Endpoint, Health, WatchedRelease},
    model::{Diff, Revision, Rosters, TableDocument, TableState},
    table::{RollbackTarget, RoutingTable},
};

/// The drift that was worked out last, and of what.
#[derive(Debug)]
pub(super) struct DriftMemo {
    live: Revision,
    imported: Arc<TableDocument>,
    // What the file says, beside these rosters: it is made from the document again only when one of the two changes.
    file: TableState,
    rosters: Arc<Rosters>,
    drift: Drift,
}

impl Controller {
    /// All that a dashboard needs.
    pub fn status(&self) -> Status {
        self.status_of(&self.cell.load(), &StatusPart::Whole)
    }

    /// A part of it. Takes long where there is much: to be called off the threads that carry changes out.
    pub fn status_of(&self, live: &RoutingTable, part: &StatusPart) -> Status {
        let (mut rollback, mut drift) = (self.rollback_status(live), self.drift());
        if matches!(part, StatusPart::Brief) {
            rollback.diff.0.truncate(StatusPart::BRIEF);
            drift.diff.0.truncate(StatusPart::BRIEF);
        }
        let releases = self.releases(live);
        let shown = self.shown(live, part, releases);
        let previous = self.cell.in_flight_on_previous();
        let on_previous: u64 = previous.iter().map(|(_, count)| count).sum();
        let record = self
            .revision_index()
            .get(live.revision())
            .map(|kept| Arc::clone(&kept.record));
        Status {
            revision: live.revision(),
            digest: live.digest(),
            published_at: Timestamp::from_millis(
                record.as_ref().map_or(0, |record| record.published_at_ms),
            ),
            author: record.as_ref().map(|record| record.author.clone()),
            cause: record.as_ref().map(|record| record.cause.clone()),
            totals: shown.totals,
            routes: shown.routes,
            next: shown.next,
            releases: shown.releases,
            rollback,
            durability: self.durability(live),
            convergence: self.convergence(live),
            in_flight: live.in_flight().sum() + on_previous,
            in_flight_on_previous: previous
                .into_iter()
                .rev()
                .map(|(revision, in_flight)| InFlightOn {
                    revision,
                    in_flight,
                })
                .collect(),
            drift,
        }
    }

    fn releases(&self, live: &RoutingTable) -> Vec<ReleaseStatus> {
        let watched = self.fleet.watched();
        // A status right after a swap may come before the rosters are watched; the table says what is live.
        let weighted = live.compiled().spec().weighted();
        let (live, warm) = (live_keys(live), self.warm_keys());
        let mut releases: Vec<_> = watched
            .iter()
            .map(|watched| self.release(watched))
            .collect();
        for release in &mut releases {
            let key = (release.name.clone(), release.version.clone());
            release.role = match release.role {
                Role::Candidate => Role::Candidate,
                _ if live.contains(&key) && weighted.contains(&release.name) => Role::Live,
                _ if live.contains(&key) => Role::Standby,
                Role::Live if warm.contains(&key) => Role::Warm,
                Role::Live => Role::Draining,
                other => other,
            };
        }
        // Releases of the live table keep their places by name when weights move.
        let rank = |role: Role| match role {
            Role::Live | Role::Standby => 0,
            Role::Warm => 1,
            Role::Draining => 2,
            Role::Candidate => 3,
        };
        releases.sort_by(|a, b| {
            (rank(a.role), &a.name, &a.version).cmp(&(rank(b.role), &b.name, &b.version))
        });
        releases
    }

    fn release(&self, watched: &WatchedRelease) -> ReleaseStatus {
        let roster = &watched.roster;
        let (endpoints, draining) = (roster.endpoints(), roster.draining());
        let is_checked = watched.spec.health.is_some();
        let status =
            |endpoint: &Arc<Endpoint>, draining| endpoint_status(endpoint, is_checked, draining);
        ReleaseStatus {
            name: roster.release().clone(),
            version: roster.version().clone(),
            role: match watched.role {
                fleet::Role::Live => Role::Live,
                fleet::Role::Warm => Role::Warm,
                fleet::Role::Draining => Role::Draining,
                fleet::Role::Candidate => Role::Candidate,
            },
            ready: roster.is_ready(),
            healthy: endpoints
                .iter()
                .filter(|endpoint| !is_checked || endpoint.health() == Health::Healthy)
                .count(),
            in_flight: roster.in_flight(),
            queued: u64::from(roster.places().waiting()),
            endpoints: endpoints
                .iter()
                .map(|endpoint| status(endpoint, false))
                .chain(draining.iter().map(|endpoint| status(endpoint, true)))
                .collect(),
            changed_by: self.revision_index().release_changed(roster.release()),
        }
    }

    /// What a bare rollback would do.
    pub(super) fn rollback_status(&self, live: &RoutingTable) -> RollbackStatus {
        // The first of the chain is what is live.
        let depth = self.cell.chain().len() - 1;
        let Some(level) = self.cell.level(RollbackTarget::Previous) else {
            return RollbackStatus {
                available: false,
                to: None,
                undoes: Vec::new(),
                diff: Diff::default(),
                changes: 0,
                ready: false,
                not_ready: Vec::new(),
                nearest_ready: None,
                depth,
            };
        };
        let preview = self.preview_back(live, &level);
        let ready = preview.not_ready.is_empty();
        RollbackStatus {
            available: true,
            to: Some(level.revision),
            undoes: preview.undoes,
            changes: preview.diff.0.len(),
            diff: preview.diff,
            ready,
            not_ready: preview.not_ready,
            nearest_ready: if ready {
                Some(level.revision)
            } else {
                self.nearest_ready(live)
            },
            depth,
        }
    }

    fn durability(&self, live: &RoutingTable) -> DurabilityStatus {
        let standing = self.history.standing();
        let restart = self.restart_revision();
        let durable = self.is_durable(live.revision());
        DurabilityStatus {
            healthy: standing.error.is_none() && durable,
            durable,
            restart_revision: restart,
            pending_records: standing.pending,
            error: standing.error,
            kept_revisions: self.revision_index().kept().len(),
            path: self.history.path().display().to_string(),
        }
    }

    fn convergence(&self, live: &RoutingTable) -> ConvergenceStatus {
        let worker = |(worker, revision)| WorkerStatus { worker, revision };
        let workers: Vec<_> = self.cell.seen().into_iter().map(worker).collect();
        ConvergenceStatus {
            converged: workers
                .iter()
                .all(|worker| worker.revision >= live.revision()),
            workers,
        }
    }

    /// How the live table differs from the file that was last imported, or was read since and not taken over. Worked out
    /// once for each pair.
    pub(super) fn drift(&self) -> Drift {
        if !self.settings.has_file {
            return Drift::default();
        }
        let live = self.cell.load();
        let (imported, refused) = {
            let index = self.revision_index();
            (index.imported.clone(), index.refused.clone())
        };
        let refused_now = refused.is_some();
        let Some(imported) = refused.or(imported) else {
            return Drift::default();
        };
        // Held to copy a pointer, not while entries are compared: whoever changes something looks at the drift, too.
        let memo = || self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memo().clone();
        let known = known.filter(|memo| Arc::ptr_eq(&memo.imported, &imported));
        if let Some(known) = &known
            && known.live == live.revision()
        {
            return known.drift.clone();
        }
        let state = live.state();
        let known = known.filter(|memo| Arc::ptr_eq(&memo.rosters, &state.rosters));
        let file = known.map(|memo| memo.file.clone());
        let file = file.unwrap_or_else(|| (*imported).clone().into_state(&state));
        let drift = Drift {
            refused: refused_now,
            ..drift_between(&file, &state)
        };
        *memo() = Some(Arc::new(DriftMemo {
            live: live.revision(),
            imported,
            file,
            rosters: state.rosters,
            drift: drift.clone(),
        }));
        drift
    }
}

/// What the file says, and what is live instead.
fn drift_between(file: &TableState, live: &TableState) -> Drift {
    let diff = Diff::between(file, live);
    Drift {
        imported: true,
        drifted: !diff.is_empty(),
        refused: false,
        changes: diff.0.len(),
        diff,
    }
}

fn endpoint_status(endpoint: &Endpoint, is_checked: bool, draining: bool) -> EndpointStatus {
    EndpointStatus {
        url: endpoint.url().clone(),
        address: endpoint.address().to_string(),
        health: match endpoint.health() {
            _ if !is_checked => EndpointHealth::Unchecked,
            Health::Healthy => EndpointHealth::Healthy,
            Health::Unhealthy => EndpointHealth::Unhealthy,
            Health::Unknown => EndpointHealth::Unknown,
        },
        in_flight: u64::from(endpoint.in_flight()),
        draining,
    }
}
