//! Work in flight on releases: what there is of it, and the wait for its end.
//!
//! "Drained" is a contract: once it is said, no request is sent to an endpoint of the release any more, unless a change
//! or an override asks for it. It takes three things in this order: no route of the live table gives the release a
//! weight or has it as its fallback, every worker has taken up that table, and no request counts on the release. A
//! request counts from its selection to its last byte, through every attempt, so nothing can come from in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Controller,
    clock::{now, now_ms},
    convergence::Convergence,
    receipt::LeftReleases,
};
use crate::{
    api::{ClassWork, EndpointWork, Receipt, RevisionWork, Work, WorkState},
    fleet::{Roster, RosterRole},
    model::{Hashed, ReleaseName, Revision, RouteName, RouteSpec, Version, WorkClass},
    table::{ClassTally, Departure, RoutingTable, WorkTally},
};

/// Interval at which a wait looks again.
const LOOK: Duration = Duration::from_millis(20);
/// Largest number of routes in an answer.
const SHOWN: usize = 50;

/// A version of a release whose work is looked at.
#[derive(Debug, Clone)]
pub struct WorkOf {
    roster: Arc<Roster>,
    others: Vec<Version>,
}

/// A wait for the end of a release's work: the routes are looked at again only when the table has changed.
struct Wait<'a> {
    controller: &'a Controller,
    roster: &'a Arc<Roster>,
    seen: Option<(Revision, bool)>,
    // Departures by which sessions are kept, as of the revision that was seen; none where it is not known.
    kept: Vec<Option<Arc<Departure>>>,
}

impl Controller {
    /// A version of a release, the live one by default; of a release that is not in the live table that with the most
    /// work. `None` if there is no such release, or it has been forgotten.
    pub fn work_of(&self, release: &ReleaseName, version: Option<&Version>) -> Option<WorkOf> {
        let live = self.table.load();
        let own = live.compiled().releases().get(release);
        let own = own.map(|own| Arc::clone(own.roster()));
        let watched = self.fleet.watched();
        let watched = watched
            .iter()
            .filter(|one| one.role != RosterRole::Candidate && one.roster.release() == release);
        let mut all: Vec<_> = own.into_iter().collect();
        for one in watched {
            if !all.iter().any(|known| Arc::ptr_eq(known, &one.roster)) {
                all.push(Arc::clone(&one.roster));
            }
        }
        let is_live = |roster: &Arc<Roster>| is_live(&live, roster);
        let roster = match version {
            Some(version) => all.iter().find(|roster| roster.version() == version),
            None => all
                .iter()
                .max_by_key(|roster| (is_live(roster), roster.in_flight())),
        };
        let roster = Arc::clone(roster?);
        let others = all.iter().map(|roster| roster.version().clone());
        Some(WorkOf {
            others: others.filter(|other| other != roster.version()).collect(),
            roster,
        })
    }

    /// The work in flight on a release.
    pub async fn work(&self, of: &WorkOf) -> Work {
        let live = self.table.load();
        let roster = &of.roster;
        let routes = weighing(&live, roster).take(SHOWN).cloned().collect();
        let sessions = keeping(&live, roster).map(|(route, _)| route.clone());
        let sessions: Vec<_> = sessions.take(SHOWN).collect();
        let (mut state, mut waiting_for) = self.work_state(&live, roster, sessions.is_empty());
        let nodes = self.undrained_elsewhere(roster);
        if state == WorkState::Drained && !nodes.is_empty() {
            state = WorkState::Draining;
        }
        let (tally, silent) = match state {
            WorkState::Drained => (WorkTally::default(), Vec::new()),
            WorkState::Active | WorkState::Draining => self.table.work().count(roster, None).await,
        };
        waiting_for.extend(silent);
        Work {
            release: roster.release().clone(),
            version: roster.version().clone(),
            state,
            revision: live.revision(),
            at: now(),
            routes,
            in_flight: match state {
                WorkState::Drained => 0,
                WorkState::Active | WorkState::Draining => roster.in_flight(),
            },
            classes: classes(&tally),
            revisions: revisions(&tally),
            sessions,
            removed_endpoints: removed_endpoints(roster),
            other_versions: of.others.clone(),
            waiting_for,
            nodes,
        }
    }

    /// Waits until a release is drained, on all nodes of a fleet, for a limited time. Cancel-safe.
    pub async fn wait_drained(&self, of: &WorkOf, longest: Duration) {
        let until = Instant::now() + longest;
        let mut wait = Wait {
            controller: self,
            roster: &of.roster,
            seen: None,
            kept: Vec::new(),
        };
        let is_drained_elsewhere = || self.undrained_elsewhere(&of.roster).is_empty();
        while !(wait.is_drained() && is_drained_elsewhere()) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every worker has taken up a change, for a limited time, and enters that into its receipt.
    pub async fn wait_converged(&self, receipt: &mut Receipt, longest: Duration) {
        let converged = self.table.converged(receipt.revision);
        // The receipt says if it was not in time.
        let _in_time = tokio::time::timeout(longest, converged).await;
        let now = Convergence::now(&self.table, &self.log, receipt.revision);
        receipt.converged_at = receipt.converged_at.or(now.at);
        (receipt.waiting_for, receipt.unresolved) = (now.waiting_for, now.unresolved);
    }

    /// Waits until nothing is in flight on the releases that left a route by a change, for a limited time, and enters
    /// the result into its receipt.
    pub async fn wait_left(
        &self,
        receipt: &mut Receipt,
        LeftReleases(left): &LeftReleases,
        longest: Duration,
    ) {
        let until = tokio::time::Instant::now() + longest;
        self.wait_converged(receipt, longest).await;
        let all = async {
            for departure in left.iter() {
                self.wait_departure(departure).await;
            }
        };
        let is_in_time = tokio::time::timeout_at(until, all).await.is_ok();
        receipt.drained = Some(is_in_time && receipt.waiting_for.is_empty());
        let previous = self.table.in_flight_on_previous();
        receipt.in_flight_on_previous = previous.iter().map(|(_, count)| count).sum();
    }

    /// Waits until nothing is in flight on a release that left a route, of what that route sent to it before.
    async fn wait_departure(&self, departure: &Departure) {
        let (release, version) = (departure.release(), departure.version());
        let roster = self.fleet.roster(release, version);
        loop {
            let (tally, silent) = self
                .table
                .work()
                .count(&roster, Some(departure.route()))
                .await;
            let earlier = tally.revisions.range(..departure.revision());
            if silent.is_empty() && earlier.map(|(_, one)| one.count).sum::<u64>() == 0 {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// True if no route gives requests to a release, nothing is in flight on it and nothing can come.
    pub(super) fn is_drained(&self, live: &RoutingTable, roster: &Arc<Roster>) -> bool {
        let is_without_sessions = keeping(live, roster).next().is_none();
        let (state, _) = self.work_state(live, roster, is_without_sessions);
        state == WorkState::Drained
    }

    fn work_state(
        &self,
        live: &RoutingTable,
        roster: &Arc<Roster>,
        is_without_sessions: bool,
    ) -> (WorkState, Vec<usize>) {
        if weighing(live, roster).next().is_some() {
            return (WorkState::Active, Vec::new());
        }
        let waiting_for = self.table.waiting_for(live.revision());
        // In this order: what a worker selected before it took up the table is counted by then.
        let is_drained = is_without_sessions && waiting_for.is_empty() && roster.in_flight() == 0;
        let state = if is_drained {
            WorkState::Drained
        } else {
            WorkState::Draining
        };
        (state, waiting_for)
    }
}

/// True if the live table has the release in this version.
fn is_live(live: &RoutingTable, roster: &Arc<Roster>) -> bool {
    let own = live.compiled().releases().get(roster.release());
    own.is_some_and(|own| Arc::ptr_eq(own.roster(), roster))
}

/// The routes of a table that send requests to a release: by its weight, or as their fallback.
fn weighing<'a>(
    live: &'a RoutingTable,
    roster: &'a Arc<Roster>,
) -> impl Iterator<Item = &'a RouteName> {
    let routes = is_live(live, roster).then_some(live.compiled().spec().routes().iter());
    let routes = routes.into_iter().flatten();
    routes
        .filter(|route| route.may_choose(roster.release()))
        .map(|route| &route.name)
}

/// The routes whose sessions may still come to a release by their pins, with its departure. Where that is not known, such
/// as on a route where it never had a weight, a preview or another route may have pinned sessions to it.
fn keeping<'a>(
    live: &'a RoutingTable,
    roster: &'a Arc<Roster>,
) -> impl Iterator<Item = (&'a RouteName, Option<&'a Arc<Departure>>)> {
    let (spec, now_ms) = (live.compiled().spec(), now_ms());
    let has_pins = |(_, route): &(usize, &Arc<Hashed<RouteSpec>>)| {
        route.has_pins() && route.split.contains_key(roster.release())
    };
    let routes = is_live(live, roster).then_some(spec.routes().iter().enumerate());
    let routes = routes.into_iter().flatten().filter(has_pins);
    let departures = live.departures();
    let departure = |(place, route): (usize, &'a Arc<Hashed<RouteSpec>>)| {
        let departure = departures.of(place, roster.release(), roster.version());
        (&route.name, departure)
    };
    routes
        .map(departure)
        .filter(move |(_, one)| one.is_none_or(|one| !one.moves_session(now_ms)))
}

/// True if a route of a table sends requests to a release.
pub(super) fn is_weighed(live: &RoutingTable, roster: &Arc<Roster>) -> bool {
    weighing(live, roster).next().is_some()
}

/// True if sessions of a route of a table may still come to a release by their pins.
pub(super) fn keeps_sessions(live: &RoutingTable, roster: &Arc<Roster>) -> bool {
    keeping(live, roster).next().is_some()
}

fn classes(tally: &WorkTally) -> Vec<ClassWork> {
    let classes = WorkClass::ALL.into_iter().zip(&tally.classes);
    let work = |(class, tally): (WorkClass, &ClassTally)| ClassWork {
        class,
        count: tally.count,
        oldest_seconds: (tally.count > 0).then_some(tally.oldest.as_secs_f64()),
    };
    classes.map(work).collect()
}

fn revisions(tally: &WorkTally) -> Vec<RevisionWork> {
    let work = |(revision, tally): (&Revision, &ClassTally)| RevisionWork {
        revision: *revision,
        count: tally.count,
        oldest_seconds: tally.oldest.as_secs_f64(),
    };
    tally.revisions.iter().rev().map(work).collect()
}

fn removed_endpoints(roster: &Roster) -> Vec<EndpointWork> {
    let draining = roster.draining().into_iter();
    let work = draining.map(|endpoint| EndpointWork {
        url: endpoint.url().clone(),
        address: endpoint.address().to_string(),
        in_flight: u64::from(endpoint.in_flight()),
    });
    work.collect()
}

// === impl Wait ===

impl Wait<'_> {
    fn is_drained(&mut self) -> bool {
        let table = &self.controller.table;
        let live = table.load();
        let is_active = match self.seen {
            Some((revision, is_active)) if revision == live.revision() => is_active,
            _ => {
                let kept = keeping(&live, self.roster);
                self.kept = kept.map(|(_, departure)| departure.cloned()).collect();
                weighing(&live, self.roster).next().is_some()
            }
        };
        self.seen = Some((live.revision(), is_active));
        let now_ms = now_ms();
        let moves = |one: &Arc<Departure>| one.moves_session(now_ms);
        self.kept.retain(|one| !one.as_ref().is_some_and(moves));
        !is_active
            && self.kept.is_empty()
            && table.waiting_for(live.revision()).is_empty()
            && self.roster.in_flight() == 0
    }
}
