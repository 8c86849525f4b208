//! The status: what is live, the health of releases, the next rollback, the state of the disk and of the workers.

use std::sync::Arc;

use super::{
    StatusPart, data_guard::crossed, dry_run::dry_run_level, readiness::ReadinessCheck,
    revision_log::RevisionLog, route_index::RouteIndex, warm_levels::WarmLevels,
    watch_set::live_keys,
};
use crate::{
    api::{
        ConvergenceStatus, Drift, DurabilityStatus, EjectionCause, EndpointHealth, EndpointStatus,
        InFlightOn, ReleaseRole, ReleaseStatus, RollbackStatus, ServiceWatchStatus, Status,
        Timestamp, WorkerStatus,
    },
    fleet::{self, EjectionReason, Endpoint, Fleet, Health, WatchedRelease},
    model::Diff,
    table::{LiveTable, RollbackTarget, RoutingTable},
};

/// The sources of a status.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusReader<'a> {
    pub(super) live: &'a RoutingTable,
    pub(super) table: &'a LiveTable,
    pub(super) fleet: &'a Fleet,
    pub(super) log: &'a RevisionLog,
    pub(super) warm: WarmLevels,
}

impl StatusReader<'_> {
    /// The status with a part of the routes and releases.
    pub(super) fn status(self, part: &StatusPart, index: &RouteIndex, mut drift: Drift) -> Status {
        let live = self.live;
        let mut rollback = self.rollback();
        if matches!(part, StatusPart::Brief) {
            rollback.diff.0.truncate(StatusPart::BRIEF);
            drift.diff.0.truncate(StatusPart::BRIEF);
        }
        let spec = live.compiled().spec();
        let shown = part.select(spec, index, self.log, self.releases());
        let previous = self.table.in_flight_on_previous();
        let on_previous: u64 = previous.iter().map(|(_, count)| count).sum();
        let record = self
            .log
            .index()
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
            durability: self.durability(),
            convergence: self.convergence(),
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
            rollouts: Vec::new(),
            going_back: Vec::new(),
            quarantine: Vec::new(),
            verifications: Vec::new(),
            stale_flags: Vec::new(),
            service_watches: self.service_watches(),
            backup: None,
            fleet: None,
            certificates: Vec::new(),
        }
    }

    fn service_watches(self) -> Vec<ServiceWatchStatus> {
        let watches = self.fleet.service_watches();
        let status = |watch: &Arc<fleet::ServiceWatch>| {
            let state = watch.state();
            let (failing_since, error) = state
                .failing
                .map(|failing| (Timestamp::of(failing.since), failing.error))
                .unzip();
            ServiceWatchStatus {
                service: watch.service().to_owned(),
                endpoints: state.endpoints,
                failing_since,
                error,
            }
        };
        watches.iter().map(status).collect()
    }

    fn releases(self) -> Vec<ReleaseStatus> {
        let (live, watched) = (self.live, self.fleet.watched());
        // A status right after a swap may come before the rosters are watched; the table says which are live.
        let weighted = live.compiled().spec().weighted();
        let (live, warm) = (live_keys(live), self.warm.releases(self.table));
        let mut releases: Vec<_> = watched
            .iter()
            .map(|watched| self.release(watched))
            .collect();
        for release in &mut releases {
            let key = (release.name.clone(), release.version.clone());
            release.role = match release.role {
                ReleaseRole::Candidate => ReleaseRole::Candidate,
                _ if live.contains(&key) && weighted.contains(&release.name) => ReleaseRole::Live,
                _ if live.contains(&key) => ReleaseRole::Standby,
                ReleaseRole::Live if warm.contains(&key) => ReleaseRole::Warm,
                ReleaseRole::Live => ReleaseRole::Draining,
                other => other,
            };
        }
        // Releases of the live table keep their places by name when weights move.
        let rank = |role: ReleaseRole| match role {
            ReleaseRole::Live | ReleaseRole::Standby => 0,
            ReleaseRole::Warm => 1,
            ReleaseRole::Draining => 2,
            ReleaseRole::Candidate => 3,
        };
        releases.sort_by(|a, b| {
            (rank(a.role), &a.name, &a.version).cmp(&(rank(b.role), &b.name, &b.version))
        });
        releases
    }

    fn release(self, watched: &WatchedRelease) -> ReleaseStatus {
        let roster = &watched.roster;
        let (endpoints, draining) = (roster.endpoints(), roster.draining());
        let is_checked = watched.spec.health.is_some();
        let status =
            |endpoint: &Arc<Endpoint>, draining| endpoint_status(endpoint, is_checked, draining);
        ReleaseStatus {
            name: roster.release().clone(),
            version: roster.version().clone(),
            role: match watched.role {
                fleet::RosterRole::Live => ReleaseRole::Live,
                fleet::RosterRole::Warm => ReleaseRole::Warm,
                fleet::RosterRole::Draining => ReleaseRole::Draining,
                fleet::RosterRole::Candidate => ReleaseRole::Candidate,
            },
            ready: roster.is_ready(),
            healthy: endpoints
                .iter()
                .filter(|endpoint| !is_checked || endpoint.health() == Health::Healthy)
                .count(),
            in_flight: roster.in_flight(),
            queued: u64::from(roster.concurrency_limit().waiting())
                + u64::from(roster.waiting_for_room()),
            endpoints: endpoints
                .iter()
                .map(|endpoint| status(endpoint, false))
                .chain(draining.iter().map(|endpoint| status(endpoint, true)))
                .collect(),
            changed_by: self.log.index().release_changed(roster.release()),
        }
    }

    /// The rollback to the previous revision.
    fn rollback(self) -> RollbackStatus {
        // The first of the chain is what is live.
        let depth = self.table.chain().len() - 1;
        let Some(level) = self.table.level(RollbackTarget::Previous) else {
            return RollbackStatus {
                available: false,
                to: None,
                undoes: Vec::new(),
                diff: Diff::default(),
                changes: 0,
                ready: false,
                not_ready: Vec::new(),
                crowded: Vec::new(),
                guards: Vec::new(),
                unproven: Vec::new(),
                nearest_ready: None,
                depth,
            };
        };
        let dry_run = dry_run_level(self.table, self.fleet, self.live, &level);
        let ready = dry_run.not_ready.is_empty();
        RollbackStatus {
            available: true,
            to: Some(level.revision),
            undoes: dry_run.undoes,
            changes: dry_run.diff.0.len(),
            diff: dry_run.diff,
            ready,
            not_ready: dry_run.not_ready,
            crowded: dry_run.crowded,
            unproven: Vec::new(),
            guards: crossed(
                &self.log.index(),
                (self.live.revision(), self.live.compiled().spec()),
                &level.spec,
            ),
            nearest_ready: if ready {
                Some(level.revision)
            } else {
                let (fleet, live) = (self.fleet, self.live);
                ReadinessCheck { fleet, live }.nearest_ready(self.table)
            },
            depth,
        }
    }

    fn durability(self) -> DurabilityStatus {
        let history = &self.log.history;
        let health = history.standing();
        let restart = self.log.restart_revision();
        let durable = self.log.is_durable(self.live.revision());
        DurabilityStatus {
            healthy: health.error.is_none() && durable,
            durable,
            restart_revision: restart,
            pending_records: health.pending,
            error: health.error,
            kept_revisions: self.log.index().kept().len(),
            path: history.path().display().to_string(),
            damaged: history.beside().damaged(),
        }
    }

    fn convergence(self) -> ConvergenceStatus {
        let worker = |(worker, revision)| WorkerStatus { worker, revision };
        let workers: Vec<_> = self.table.seen().into_iter().map(worker).collect();
        ConvergenceStatus {
            converged: workers
                .iter()
                .all(|worker| worker.revision >= self.live.revision()),
            workers,
        }
    }
}

fn endpoint_status(endpoint: &Endpoint, is_checked: bool, draining: bool) -> EndpointStatus {
    EndpointStatus {
        url: endpoint.url().clone(),
        address: endpoint.address().to_string(),
        health: endpoint_health(endpoint, is_checked),
        in_flight: u64::from(endpoint.in_flight()),
        weight: endpoint.weight(),
        ejected: endpoint.ejected().map(ejection_cause),
        draining,
    }
}

/// The health of an endpoint, as it is shown.
pub(super) fn endpoint_health(endpoint: &Endpoint, is_checked: bool) -> EndpointHealth {
    match endpoint.health() {
        _ if !is_checked => EndpointHealth::Unchecked,
        Health::Healthy => EndpointHealth::Healthy,
        Health::Unhealthy => EndpointHealth::Unhealthy,
        Health::Unknown => EndpointHealth::Unknown,
    }
}

/// The reason of an ejection, as it is shown.
pub(super) fn ejection_cause(reason: EjectionReason) -> EjectionCause {
    match reason {
        EjectionReason::ConnectFailed => EjectionCause::ConnectFailed,
        EjectionReason::ConsecutiveFailures => EjectionCause::ConsecutiveFailures,
        EjectionReason::ConsecutiveGatewayFailures => EjectionCause::ConsecutiveGatewayFailures,
    }
}
