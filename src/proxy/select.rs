//! Which release and which endpoint answer a request: one table, loaded once, in one synchronous function.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::fleet::{ConcurrencyLimit, InFlight, Permit, QueueSlot};
use crate::message::{KnownField, Reason, Rejection, normal_path};
use crate::model::{DecisionReason, RequestView, Revision};
use crate::stats::OutcomeTable;
use crate::table::{Release, RevisionInFlight, Route, RoutingTable};

use super::error::ProxyError;
use super::io::RequestParts;
use super::route_cache::CachedRoute;
use super::worker::Worker;

/// A release that was decided on, whether or not it can answer. It holds the route, never the table.
pub(super) struct Decision {
    pub(super) route: Rc<CachedRoute>,
    pub(super) revision: Revision,
    pub(super) reason: DecisionReason,
    // Invariant: an index into the entries of the route's split.
    entry: usize,
}

/// What was chosen. It counts the request in flight until it is dropped.
pub(super) struct Selection {
    pub(super) decision: Decision,
    pub(super) in_flight: InFlight,
    _counted: RevisionInFlight,
    place: Option<Permit>,
}

/// What comes out of a selection that cannot proceed at once.
pub(super) enum SelectError {
    /// The release has as many requests as it may: wait for a place, on the seat that was taken before if there is one.
    Busy(Decision, Option<QueueSlot>),
    /// The release has no endpoint that could answer.
    NoEndpoint(Decision),
    /// Nobody can answer.
    Refused(ProxyError),
}

/// What a selection depends on beside the table and the head.
pub(super) struct SelectInput<'c> {
    /// Whether the request may name its release itself.
    pub(super) preview: bool,
    /// What a request without an affinity key is split by: drawn once, so that selecting again changes nothing.
    pub(super) random: u64,
    /// Endpoints that could not be connected to.
    pub(super) tried: &'c [SocketAddr],
}

/// What a request that selects again has of the release that was selected before: so it does not queue anew for it.
#[derive(Default)]
pub(super) struct QueuePosition {
    pub(super) place: Option<Permit>,
    pub(super) waiting: Option<QueueSlot>,
}

/// Selects for a request that is not committed yet.
pub(super) fn select(
    worker: &Worker,
    request: &RequestParts<'_>,
    choosing: &SelectInput<'_>,
    position: QueuePosition,
) -> Result<Selection, SelectError> {
    let now_ms = worker.cached_now_ms();
    worker.with_table(|table| {
        // Whoever was selected before and is not committed yet looks again before it is.
        worker.acknowledge(table.revision());
        let route = route(table, request)?;
        let (entry, reason) = decide(route, request, choosing)?;
        let release = route.split().entries()[entry].release();
        let decision = || Decision {
            route: worker.cached_route(route),
            revision: table.revision(),
            reason,
            entry,
        };
        let place = match release.spec().limits.concurrency {
            None => None,
            Some(limit) => {
                let place = position.place(release.roster().places(), limit);
                Some(place.map_err(|waiting| SelectError::Busy(decision(), waiting))?)
            }
        };
        let random = worker.random();
        let in_flight = release
            .roster()
            .pick_except(random, now_ms, worker.slot, choosing.tried)
            .ok_or_else(|| SelectError::NoEndpoint(decision()))?;
        Ok(Selection {
            decision: decision(),
            in_flight,
            _counted: table.count(worker.slot),
            place,
        })
    })
}

/// The route of the path as it came. If the normal form of the path would take another one, somebody is playing games.
fn route<'t>(
    table: &'t RoutingTable,
    request: &RequestParts<'_>,
) -> Result<&'t Arc<Route>, ProxyError> {
    let found = table.route(request);
    if let std::borrow::Cow::Owned(normal) =
        normal_path(request.facts.target.path).map_err(Rejection::request)?
    {
        let normal = std::str::from_utf8(&normal).unwrap_or_default();
        let other = table.compiled().route(request, normal);
        if found.map(Arc::as_ptr) != other.map(Arc::as_ptr) {
            return Err(Rejection::request(Reason::AmbiguousPath).into());
        }
    }
    found.ok_or(ProxyError::NoRoute)
}

/// Override before split. The draw of a request without a key is a key like any other.
fn decide(
    route: &Route,
    request: &RequestParts<'_>,
    choosing: &SelectInput<'_>,
) -> Result<(usize, DecisionReason), ProxyError> {
    let split = route.split();
    if choosing.preview
        && request.facts.present.contains(KnownField::XSwitchback)
        && let Some(name) = request.header("x-switchback-release")
    {
        let named =
            |entry: &crate::table::SplitEntry| entry.release().name().as_str().as_bytes() == name;
        let entry = split
            .entries()
            .iter()
            .position(named)
            .ok_or(ProxyError::UnknownRelease)?;
        return Ok((entry, DecisionReason::Override));
    }
    let key = route.affinity_key(request).unwrap_or(choosing.random);
    let chosen: *const _ = split.choose(key);
    let entry = split
        .entries()
        .iter()
        .position(|entry| std::ptr::eq(entry, chosen));
    Ok((
        entry.expect("a split chooses one of its entries"),
        DecisionReason::Split,
    ))
}

// === impl QueuePosition ===

impl QueuePosition {
    fn place(
        self,
        places: &Arc<ConcurrencyLimit>,
        limit: u32,
    ) -> Result<Permit, Option<QueueSlot>> {
        let held = self.place.filter(|place| place.is_of(places));
        let waiting = self.waiting.filter(|waiting| waiting.is_for(places));
        match (held, waiting) {
            (Some(place), _) => Ok(place),
            (None, Some(waiting)) => waiting.place(limit).map_err(Some),
            (None, None) => places.acquire(limit).ok_or(None),
        }
    }
}

// === impl Decision ===

impl Decision {
    pub(super) fn release(&self) -> &Arc<Release> {
        self.route.split().entries()[self.entry].release()
    }

    pub(super) fn cells(&self) -> &Arc<OutcomeTable> {
        self.route.split().entries()[self.entry].cells()
    }
}

// === impl Selection ===

impl Selection {
    /// Gives up all that is counted but the place on its release.
    pub(super) fn into_place(self) -> Option<Permit> {
        self.place
    }

    pub(super) fn route(&self) -> &CachedRoute {
        &self.decision.route
    }

    pub(super) fn release(&self) -> &Arc<Release> {
        self.decision.release()
    }

    /// Picks an endpoint of the same release anew, whatever the table says by now; whether there is one.
    pub(super) fn pick_again(&mut self, worker: &Worker, tried: &[SocketAddr]) -> bool {
        let roster = self.release().roster();
        let picked = roster.pick_except(worker.random(), worker.now_ms(), worker.slot, tried);
        picked.map(|picked| self.in_flight = picked).is_some()
    }
}

impl From<ProxyError> for SelectError {
    fn from(error: ProxyError) -> Self {
        Self::Refused(error)
    }
}
