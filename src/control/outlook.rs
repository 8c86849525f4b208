//! Outlook of a dry run: the shares that move, the rollback from there, and what else speaks against the change.
//!
//! The shares are the arithmetic of the weights. The proxy keeps no list of sessions, so that no request pays for one; of
//! the requests it knows how many each release got lately, and gives the shares in those as well.

use super::{
    Controller,
    data_guard::crossed_by_return,
    outlook_words::words,
    readiness::ReadinessCheck,
    route_shares::{self, Shares, share},
    seen_lately::SeenLately,
    watch_set::ReleaseKey,
};
use crate::{
    api::{DryRun, LastDrill, MovedUnit, QuarantinedRelease, RouteMoves, ShareMove, WayBack},
    model::{
        Growth, LeaveCause, Revision, RouteName, RouteSpec, SessionPolicy, TableSpec, moved_shares,
    },
    table::{Leave, RollbackTarget},
};

/// Most routes that are looked at.
const MOST_ROUTES: usize = 50;
/// Most levels of the undo stack that are looked at.
const MOST_LEVELS: usize = 1_000;

/// A change, as far as an outlook looks at it.
#[derive(Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) before: &'a TableSpec,
    pub(super) after: &'a TableSpec,
    pub(super) leave: &'a Leave,
    /// Destination of a rollback from there.
    pub(super) back: Option<&'a Level>,
}

/// A place that a rollback goes to.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) revision: Revision,
    pub(super) spec: TableSpec,
}

impl Controller {
    /// Adds the outlook to a dry run.
    pub(super) fn look_ahead(&self, dry_run: DryRun, planned: Planned<'_>) -> DryRun {
        let Planned { before, after, .. } = planned;
        let growth = Growth::between(before, after);
        let routes = || growth.iter().take(MOST_ROUTES).map(|one| &one.route);
        let moves: Vec<_> = routes()
            .filter_map(|route| self.moves_of(route, planned))
            .collect();
        let is_rollback = dry_run.to.is_some();
        let drills = moves.iter().filter(|_| !is_rollback);
        let drills = drills.map(|one| self.rehearsal(&one.route)).collect();
        let dry_run = DryRun {
            moves,
            unproven: self.unproven(before, after),
            quarantined: self.quarantined_among(&growth, after),
            guards: self.crossed(&self.table.load(), after),
            drills,
            way_back: planned.back.map(|back| self.way_back(after, back)),
            ..dry_run
        };
        let now = super::clock::now();
        DryRun {
            words: words(&dry_run, now),
            ..dry_run
        }
    }

    /// Shares of a route that a change moves.
    pub(super) fn moves_of(&self, route: &RouteName, planned: Planned<'_>) -> Option<RouteMoves> {
        let spec = planned.before.route(route)?;
        let before = route_shares::shares(planned.before, route)?;
        let after = route_shares::shares(planned.after, route)?;
        let seen = self.verifications.seen_lately(&self.fleet, route);
        let moves = moved_shares(&before, &after).into_iter().map(|one| {
            let pinned = spec
                .has_pins()
                .then(|| pinned(spec, &one.from, &after, planned));
            ShareMove {
                requests_per_minute: seen
                    .as_ref()
                    .map(|seen| seen.per_minute(&one.from) * one.share / share(&before, &one.from)),
                pinned,
                share: one.share,
                from: one.from.0,
                from_version: one.from.1,
                to: one.to.0,
                to_version: one.to.1,
            }
        });
        let moves: Vec<_> = moves.collect();
        (!moves.is_empty()).then(|| RouteMoves {
            route: route.clone(),
            of: if spec.has_sessions() {
                MovedUnit::Sessions
            } else {
                MovedUnit::Requests
            },
            moves,
            seen: seen.as_ref().map(SeenLately::shown),
        })
    }

    fn quarantined_among(&self, growth: &[Growth], after: &TableSpec) -> Vec<QuarantinedRelease> {
        let mut found: Vec<QuarantinedRelease> = Vec::new();
        for name in growth.iter().flat_map(|one| &one.releases) {
            let version = after.release(name).map(|spec| &spec.version);
            let entry = version.and_then(|version| self.quarantine.find(name, version));
            found.extend(entry.filter(|entry| !found.contains(entry)));
        }
        found
    }

    fn rehearsal(&self, route: &RouteName) -> LastDrill {
        let last = self.drills.last(route);
        LastDrill {
            route: route.clone(),
            passed_at: last.as_ref().and_then(|last| last.last_passed_at),
            failed: last.is_some_and(|last| !last.passed),
        }
    }

    fn way_back(&self, from: &TableSpec, back: &Level) -> WayBack {
        let live = self.table.load();
        let check = ReadinessCheck {
            fleet: &self.fleet,
            live: &live,
        };
        let growth = Growth::between(from, &back.spec);
        let is_ready = |name: &_| check.is_ready(&back.spec, None, name);
        WayBack {
            to: back.revision,
            not_ready: Growth::unready(&growth, is_ready).into_iter().collect(),
            guards: crossed_by_return(from, &back.spec),
        }
    }

    /// Destination of a rollback once a change has been made on top of what is live, in a group or not.
    pub(super) fn back_of_change(&self, group: Option<&str>) -> Option<Level> {
        let live = self.table.load();
        let live_group = self.table.live_group();
        if group.is_some() && live_group.as_deref() == group {
            let level = self.table.level(RollbackTarget::Previous)?;
            return Some(Level {
                revision: level.revision,
                spec: level.spec,
            });
        }
        let revision = self.table.decision();
        (revision > Revision(0)).then(|| Level {
            revision,
            spec: live.compiled().spec().clone(),
        })
    }

    /// Destination of a rollback once another one has gone to a revision.
    pub(super) fn back_of_rollback(&self, to: Revision) -> Option<Level> {
        let levels = self.table.nearest_levels(MOST_LEVELS);
        let Some(place) = levels.iter().position(|level| level.revision == to) else {
            // It goes on top of what is live.
            return self.back_of_change(None);
        };
        let (reached, below) = levels[place..].split_first()?;
        let is_same_group =
            |group: Option<&str>| group.is_some() && group == reached.group.as_deref();
        let next = below
            .iter()
            .find(|level| !is_same_group(level.group.as_deref()))?;
        Some(Level {
            revision: next.revision,
            spec: next.spec.clone(),
        })
    }

    /// Destination of a rollback once the split of one route has come back from a revision.
    pub(super) fn back_of_route(&self, to: Revision, after: &TableSpec) -> Option<Level> {
        let levels = self.table.nearest_levels(MOST_LEVELS);
        let next = levels
            .iter()
            .find(|level| level.revision <= to && level.spec.digest() != after.digest())?;
        Some(Level {
            revision: next.revision,
            spec: next.spec.clone(),
        })
    }
}

/// The policy for sessions with a pin to a release that loses a share.
fn pinned(
    route: &RouteSpec,
    from: &ReleaseKey,
    after: &Shares,
    planned: Planned<'_>,
) -> SessionPolicy {
    if after.contains_key(from) {
        return SessionPolicy::Keep;
    }
    let cause = planned.leave.cause_on(&route.name);
    let version = planned.after.release(&from.0).map(|spec| &spec.version);
    let is_gone = version != Some(&from.1);
    let cause = if is_gone && cause != LeaveCause::Rollback {
        LeaveCause::Remove
    } else {
        cause
    };
    route.in_flight.session(cause)
}
