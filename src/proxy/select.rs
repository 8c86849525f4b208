//! Which release and which endpoint answer a request: one table, loaded once, in one synchronous function.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::fleet::{AnswerOrigin, InFlight, Permit, Pick, PickError};
use crate::message::KnownField;
use crate::model::{AgentProtocol, DecisionReason, MCP_SESSION_FIELD, RequestView, Revision};
use crate::stats::{Halves, OutcomeTable};
use crate::table::{FlagVariants, Release, RevisionInFlight, Route, RoutingTable};

use super::admit::{NotAdmitted, admit};
use super::body_form::Peeked;
use super::decide::{Choice, DecisionInput, decide};
use super::error::ProxyError;
use super::io::{FieldSink, RequestParts};
use super::pins::Minted;
use super::queue_position::QueuePosition;
use super::route_cache::CachedRoute;
use super::route_match::route;
use super::session::Session;
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
    /// Variants of the route's flags, drawn by the table that chose the release.
    pub(super) flags: FlagVariants,
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
    /// The route has not let it pass.
    NotAdmitted(NotAdmitted),
    /// The body is to be read first.
    Unread,
    /// The release or each of its endpoints has as many requests as it may: the request waits, at the position that it
    /// may have already.
    Busy(Decision, Box<QueuePosition>),
    /// The session of the request has to be begun anew on the release first.
    Moves(Decision),
    /// The release has no endpoint that could respond, or none that may.
    Unserved(Decision, ProxyError),
    /// The request gets a response of ours, in the form of its route if there is one.
    Refused(ProxyError, Option<AgentProtocol>),
}

/// Selects for a request that is not committed yet.
pub(super) fn select(
    worker: &Worker,
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
    mut position: Option<Box<QueuePosition>>,
) -> Result<Selected, SelectError> {
    let now_ms = worker.cached_now_ms();
    worker.with_table(|table| {
        // A request that was selected for by an earlier table and is not committed is selected for again.
        worker.acknowledge(table.revision());
        let route = admitted(worker, table, request, input)?;
        let chosen = choose(worker, (table.as_ref(), route.as_ref()), request, input)?;
        let Choice {
            entry, reason, key, ..
        } = chosen;
        let release = route.split().entries()[entry].release();
        let decision = || Decision {
            route: worker.cached_route(route),
            revision: table.revision(),
            reason,
            entry,
            flags: variants(route, entry, key),
        };
        let begins_anew = || begins_anew(route, request);
        if chosen.has_left && begins_anew() {
            return Err(SelectError::Moves(decision()));
        }
        let permit = permit(release, &mut position)
            .map_err(|position| SelectError::Busy(decision(), position))?;
        let mut pick = Pick::random(worker.random(), now_ms, worker.slot);
        pick.policy = release.balance();
        pick.tried = input.tried;
        prefer(&mut pick, route, input.session);
        let in_flight = match picked(&mut position, release, &pick) {
            Ok(in_flight) => in_flight,
            Err(PickError::NoEndpoint) => {
                return Err(SelectError::Unserved(decision(), ProxyError::NoEndpoint));
            }
            Err(PickError::Full(_)) => {
                let mut position = position.unwrap_or_default();
                position.permit = permit;
                return Err(SelectError::Busy(decision(), position));
            }
        };
        if reason == DecisionReason::Pin {
            check_pin(route, input.session, in_flight.endpoint().address())
                .map_err(|error| SelectError::Unserved(decision(), error))?;
            if input.session.get().is_lost && begins_anew() {
                return Err(SelectError::Moves(decision()));
            }
        }
        let (decision, since) = (decision(), worker.timers.recent());
        let is_preview = reason == DecisionReason::Override;
        let Decision {
            route, revision, ..
        } = &decision;
        Ok(Selected {
            work: worker
                .work
                .enter(route, entry, (*revision, is_preview), since),
            decision,
            in_flight,
            _counted: table.count(worker.slot),
            permit,
        })
    })
}

/// The route of a request that a release is to answer.
#[inline]
fn admitted<'t>(
    worker: &Worker,
    table: &'t RoutingTable,
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<&'t Arc<Route>, SelectError> {
    let route = route(table, request)?;
    if route.answers().is_some() || route.guards().is_some() {
        admit(worker, route, request, input).map_err(SelectError::NotAdmitted)?;
    }
    Ok(route)
}

/// The variants of the route's flags for a key.
#[inline]
fn variants(route: &Route, entry: usize, key: u64) -> FlagVariants {
    let flags = route.flags();
    flags.map_or_else(FlagVariants::default, |flags| flags.variants(entry, key))
}

/// The release of a request, and the reason for it.
#[inline]
fn choose(
    worker: &Worker,
    (table, route): (&RoutingTable, &Route),
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<Choice, SelectError> {
    let protocol = route.agent_protocol();
    if is_plain(route, request, input) {
        return Ok(Choice::by_split(route, input.random));
    }
    if input.peeked.is_none() && Peeked::is_wanted(protocol, request) {
        return Err(SelectError::Unread);
    }
    decide(&worker.shared, (table, route), request, input)
        .map_err(|error| SelectError::Refused(error, protocol))
}

/// An endpoint of the release, with room for the request if its endpoints have a limit.
#[inline]
fn picked(
    position: &mut Option<Box<QueuePosition>>,
    release: &Release,
    pick: &Pick<'_>,
) -> Result<InFlight, PickError> {
    if release.balance().limits_endpoints() {
        position.get_or_insert_default().pick(release, pick)
    } else {
        release.roster().pick(pick)
    }
}

/// A permit of the release, if it has a limit.
///
/// # Errors
/// The position in the queue, if none is free.
#[inline]
fn permit(
    release: &Release,
    position: &mut Option<Box<QueuePosition>>,
) -> Result<Option<Permit>, Box<QueuePosition>> {
    let Some(limit) = release.spec().limits.concurrency else {
        return Ok(None);
    };
    let requests = release.roster().concurrency_limit();
    let permit = position
        .get_or_insert_default()
        .take_permit(requests, limit);
    permit.map(Some).map_err(|slot| {
        Box::new(QueuePosition {
            slot,
            ..QueuePosition::default()
        })
    })
}

/// Prefers the endpoint of the session, if the route has sessions.
#[inline]
fn prefer(pick: &mut Pick<'_>, route: &Route, session: &Cell<Session>) {
    if route.has_sessions() {
        let session = session.get();
        pick.key = session.key();
        pick.preferred = session.pinned().map(|pinned| pinned.endpoint);
    }
}

/// True if nothing but the weights decides on a request.
#[inline]
fn is_plain(route: &Route, request: &RequestParts<'_>, input: &DecisionInput<'_>) -> bool {
    !route.has_sessions()
        && !input.falls_back
        && !request.facts.present.contains(KnownField::XSwitchback)
}

/// True if a session that leaves its endpoint is begun anew on another one, by us: the state of an MCP session is in the
/// memory of its server.
fn begins_anew(route: &Route, request: &RequestParts<'_>) -> bool {
    route.agent_protocol() == Some(AgentProtocol::Mcp)
        && request.method != b"DELETE"
        && request.header(MCP_SESSION_FIELD).is_some()
}

/// Notes that the pinned endpoint of a session is not the one that was picked.
///
/// # Errors
/// If the route lets no other endpoint serve the session.
fn check_pin(route: &Route, session: &Cell<Session>, picked: SocketAddr) -> Result<(), ProxyError> {
    let mut noted = session.get();
    let Some(pinned) = noted.pinned().filter(|_| route.has_sessions()) else {
        return Ok(());
    };
    noted.is_lost = pinned.endpoint != picked;
    session.set(noted);
    match route.spec().pin_lost.status() {
        Some(status) if noted.is_lost => Err(ProxyError::PinLost(status)),
        _ => Ok(()),
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

    /// Writes the field that names the release, the reason and the revision.
    pub(super) fn write(&self, out: &mut dyn FieldSink) {
        let (release, reason) = (self.release().name(), self.reason.as_str());
        let text = format!("{release}; reason={reason}; revision={}", self.revision);
        out.add("x-switchback-decision", text.as_bytes());
    }

    /// The origin of its answer.
    pub(super) fn origin(&self) -> &Rc<AnswerOrigin> {
        self.route.origin(self.entry)
    }

    fn identity(&self) -> u64 {
        self.route.split().entries()[self.entry].identity()
    }

    pub(super) fn cells(&self) -> &Arc<OutcomeTable> {
        self.route.split().entries()[self.entry].cells()
    }

    /// Counters of the halves of the release's requests, on a route that is calibrated.
    #[inline]
    pub(super) fn halves(&self) -> Option<&Halves> {
        self.route.split().entries()[self.entry].halves()
    }
}

// === impl Selected ===

impl Selected {
    /// The permit of its release, and the place on its endpoint where there is a limit; nothing else is counted any
    /// more.
    pub(super) fn into_position(self) -> QueuePosition {
        let is_limited = self.release().balance().limits_endpoints();
        QueuePosition {
            permit: self.permit,
            in_flight: is_limited.then_some(self.in_flight),
            ..QueuePosition::default()
        }
    }

    pub(super) fn route(&self) -> &CachedRoute {
        &self.decision.route
    }

    pub(super) fn release(&self) -> &Arc<Release> {
        self.decision.release()
    }

    /// The origin of ids in its response.
    pub(super) fn minted(&self, session: Session) -> Minted {
        let follows = self.decision.reason == DecisionReason::Pin;
        Minted {
            release: self.decision.identity(),
            endpoint: self.in_flight.endpoint().address(),
            pinned: session.pinned().filter(|_| follows),
        }
    }

    /// Picks another endpoint of the same release, whatever the table says by now.
    ///
    /// # Errors
    /// If there is none, or none that may serve the session.
    pub(super) fn pick_again(
        &mut self,
        worker: &Worker,
        tried: &[SocketAddr],
        session: &Cell<Session>,
    ) -> Result<(), ProxyError> {
        let mut pick = Pick::random(worker.random(), worker.now_ms(), worker.slot);
        pick.policy = self.release().balance();
        pick.tried = tried;
        prefer(&mut pick, self.route(), session);
        match self.release().roster().pick(&pick) {
            Ok(picked) => self.in_flight = picked,
            // All are full, and the place that the request holds is its own.
            Err(PickError::Full(_)) if !tried.contains(&self.in_flight.endpoint().address()) => {}
            Err(_) => return Err(ProxyError::NoEndpoint),
        }
        if self.decision.reason == DecisionReason::Pin {
            check_pin(self.route(), session, self.in_flight.endpoint().address())?;
            let is_mcp = self.route().agent_protocol() == Some(AgentProtocol::Mcp);
            if is_mcp && session.get().is_lost {
                // Another server does not know it; the next request of the session begins it anew.
                return Err(ProxyError::PinLost(503));
            }
        }
        Ok(())
    }
}

impl From<ProxyError> for SelectError {
    fn from(error: ProxyError) -> Self {
        Self::Refused(error, None)
    }
}
