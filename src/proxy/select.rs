//! Which release and which endpoint answer a request: one table, loaded once, in one synchronous function.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::fleet::{ConcurrencyLimit, InFlight, Permit, Pick, QueueSlot};
use crate::message::{KnownField, Reason, Rejection, normal_path};
use crate::model::{AgentProtocol, DecisionReason, RequestView, Revision};
use crate::stats::OutcomeTable;
use crate::table::{Release, RevisionInFlight, Route, RoutingTable};

use super::error::ProxyError;
use super::io::RequestParts;
use super::route_cache::CachedRoute;
use super::session::Session;
use super::settings::PeerInfo;
use super::work_list::WorkPlace;
use super::worker::Worker;

/// The release of a request, whether or not it can respond. It holds the route, never the table.
#[derive(Clone)]
pub(super) struct Decision {
    pub(super) route: Rc<CachedRoute>,
    pub(super) revision: Revision,
    pub(super) reason: DecisionReason,
    // Invariant: an index into the entries of the route's split.
    entry: usize,
}

/// The release and the endpoint of a request, which counts as in flight on both until this is dropped.
pub(super) struct Selected {
    pub(super) decision: Decision,
    pub(super) in_flight: InFlight,
    /// Its place in the list of the worker's work.
    pub(super) work: WorkPlace,
    _counted: RevisionInFlight,
    permit: Option<Permit>,
}

/// The reason why nothing is selected, or not yet.
pub(super) enum SelectError {
    /// The release has as many requests as it may: the request waits for a permit, in the slot that it may have already.
    Busy(Decision, Option<QueueSlot>),
    /// The release has no endpoint that could respond.
    NoEndpoint(Decision),
    /// The request gets a response of ours, in the form of its route if there is one.
    Refused(ProxyError, Option<AgentProtocol>),
}

/// The input of a selection beside the table and the head.
pub(super) struct SelectInput<'c> {
    /// True if the request may name its release itself.
    pub(super) preview: bool,
    /// The client.
    pub(super) peer: PeerInfo,
    /// Random split key when there is no affinity key, the same whenever the request is selected for.
    pub(super) random: u64,
    /// Endpoints that could not be connected to.
    pub(super) tried: &'c [SocketAddr],
    /// Gets the session, on a route with sessions.
    pub(super) session: &'c Cell<Session>,
    /// True if the release that was decided on could not answer: the fallback of the route is to.
    pub(super) falls_back: bool,
}

/// The permit or the queue slot of a request that is selected for again, so that it does not queue anew.
#[derive(Default)]
pub(super) struct QueuePosition {
    pub(super) permit: Option<Permit>,
    pub(super) slot: Option<QueueSlot>,
}

/// Selects for a request that is not committed yet.
pub(super) fn select(
    worker: &Worker,
    request: &RequestParts<'_>,
    input: &SelectInput<'_>,
    position: QueuePosition,
) -> Result<Selected, SelectError> {
    let now_ms = worker.cached_now_ms();
    worker.with_table(|table| {
        // A request that was selected for by an earlier table and is not committed is selected for again.
        worker.acknowledge(table.revision());
        let route = route(table, request)?;
        let refused = |error| SelectError::Refused(error, route.agent_protocol());
        let (entry, reason) = decide(worker, route, request, input).map_err(refused)?;
        let release = route.split().entries()[entry].release();
        let decision = || Decision {
            route: worker.cached_route(route),
            revision: table.revision(),
            reason,
            entry,
        };
        let permit = match release.spec().limits.concurrency {
            None => None,
            Some(limit) => {
                let permit = position.permit(release.roster().concurrency_limit(), limit);
                Some(permit.map_err(|slot| SelectError::Busy(decision(), slot))?)
            }
        };
        let pick = Pick {
            tried: input.tried,
            ..preferring(route, input.session.get(), worker, now_ms)
        };
        let in_flight = release
            .roster()
            .pick(&pick)
            .ok_or_else(|| SelectError::NoEndpoint(decision()))?;
        let (decision, since) = (decision(), worker.timers.recent());
        let Decision {
            route, revision, ..
        } = &decision;
        Ok(Selected {
            work: worker.work.enter(route, entry, *revision, since),
            decision,
            in_flight,
            _counted: table.count(worker.slot),
            permit,
        })
    })
}

/// The route of the path as it came. A path whose normal form matches another route is refused.
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

/// Fallback before override before split. A random key is a key like any other.
fn decide(
    worker: &Worker,
    route: &Route,
    request: &RequestParts<'_>,
    input: &SelectInput<'_>,
) -> Result<(usize, DecisionReason), ProxyError> {
    let split = route.split();
    let mut key = input.random;
    if route.has_sessions() {
        let settings = &worker.shared.settings;
        let session = Session::by_affinity(route, request, (input.peer, settings), input.random);
        key = session.key.unwrap_or(key);
        input.session.set(session);
    }
    if input.falls_back {
        // Without one, the table has changed, and the request may have been sent to the release before.
        let fallback = route.retries().fallback().ok_or(ProxyError::NoEndpoint)?;
        return Ok((fallback, DecisionReason::Fallback));
    }
    if input.preview
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
    Ok((split.position(key), DecisionReason::Split))
}

/// A pick by a random number that prefers the endpoint of the session, if the route has sessions.
fn preferring(route: &Route, session: Session, worker: &Worker, now_ms: u64) -> Pick<'static> {
    let random = Pick::random(worker.random(), now_ms, worker.slot);
    if !route.has_sessions() {
        return random;
    }
    Pick {
        key: session.key,
        ..random
    }
}

// === impl QueuePosition ===

impl QueuePosition {
    fn permit(
        self,
        requests: &Arc<ConcurrencyLimit>,
        limit: u32,
    ) -> Result<Permit, Option<QueueSlot>> {
        let permit = self.permit.filter(|permit| permit.is_of(requests));
        let slot = self.slot.filter(|slot| slot.is_for(requests));
        match (permit, slot) {
            (Some(permit), _) => Ok(permit),
            (None, Some(slot)) => slot.place(limit).map_err(Some),
            (None, None) => requests.acquire(limit).ok_or(None),
        }
    }
}

// === impl Decision ===

impl Decision {
    pub(super) fn release(&self) -> &Arc<Release> {
        self.route.split().entries()[self.entry].release()
    }

    /// The release that answers if this one cannot; `None` if it is that already.
    pub(super) fn fallback(&self) -> Option<&Arc<Release>> {
        let fallback = self.route.retries().fallback()?;
        (fallback != self.entry).then(|| self.route.split().entries()[fallback].release())
    }

    pub(super) fn cells(&self) -> &Arc<OutcomeTable> {
        self.route.split().entries()[self.entry].cells()
    }
}

// === impl Selected ===

impl Selected {
    /// The permit of its release; nothing else is counted any more.
    pub(super) fn into_permit(self) -> Option<Permit> {
        self.permit
    }

    pub(super) fn route(&self) -> &CachedRoute {
        &self.decision.route
    }

    pub(super) fn release(&self) -> &Arc<Release> {
        self.decision.release()
    }

    /// Picks another endpoint of the same release, whatever the table says by now; false if there is none.
    pub(super) fn pick_again(
        &mut self,
        worker: &Worker,
        tried: &[SocketAddr],
        session: Session,
    ) -> bool {
        let roster = self.release().roster();
        let pick = Pick {
            tried,
            ..preferring(self.route(), session, worker, worker.now_ms())
        };
        let picked = roster.pick(&pick);
        picked.map(|picked| self.in_flight = picked).is_some()
    }
}

impl From<ProxyError> for SelectError {
    fn from(error: ProxyError) -> Self {
        Self::Refused(error, None)
    }
}
