//! The release of a request: an override comes before a pin, and that before the split.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;

use crate::message::KnownField;
use crate::model::{AgentProtocol, DecisionReason, OVERRIDE_FIELD, Overrides, RequestView};
use crate::seal::{Content, Label, Preview, is_sealed};
use crate::table::{Route, RoutingTable, SplitEntry};

use super::agent_ids;
use super::body_form::Peeked;
use super::error::ProxyError;
use super::guarded::Guarded;
use super::io::RequestParts;
use super::pins::{PinRefusal, Pinned, Pins, now_seconds};
use super::session::Session;
use super::settings::{PeerInfo, ProxySettings};
use super::shared::Shared;

/// The input of a selection beside the table and the head.
pub(super) struct DecisionInput<'c> {
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
    /// Gets the notes of the guards, on a route with guards.
    pub(super) guarded: &'c OnceCell<Box<Guarded>>,
    /// The result of a look at the body.
    pub(super) peeked: Option<&'c Peeked>,
}

/// The release of a request.
pub(super) struct Choice {
    /// Position in the split of the route.
    pub(super) entry: usize,
    pub(super) reason: DecisionReason,
    /// The release that its session was pinned to has left the route.
    pub(super) has_left: bool,
    /// Key of the flags of the route: that of the session, or else a random one.
    pub(super) key: u64,
}

/// The pin of a request.
enum Pin {
    None,
    /// It leads to the release at this position of the split.
    Stays(usize),
    /// Its release has left the route, and its session goes elsewhere.
    Leaves,
}

impl Choice {
    /// The release that a key is split to. A random key is a key like any other.
    #[inline]
    pub(super) fn by_split(route: &Route, key: u64) -> Self {
        Self::of(route.split().position(key), DecisionReason::Split, key)
    }

    fn of(entry: usize, reason: DecisionReason, key: u64) -> Self {
        Self {
            entry,
            reason,
            has_left: false,
            key,
        }
    }
}

/// Position of the release in the split of the route, and why.
///
/// # Errors
/// An override to a release that the route does not have, or by a token that is not valid.
#[inline(never)]
pub(super) fn decide(
    shared: &Shared,
    (table, route): (&RoutingTable, &Route),
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<Choice, ProxyError> {
    let (mut affinity, mut followed) = (None, None);
    let settings = &shared.settings;
    if route.has_sessions() {
        let before = input.session.get();
        let session = Session::by_affinity(route, request, (input.peer, settings), input.random);
        affinity = session.key();
        followed = before.pinned().map(|pinned| pinned.key);
        input.session.set(Session {
            is_counted: before.is_counted,
            ..session
        });
    }
    let key = affinity.unwrap_or(input.random);
    if input.falls_back {
        // Without one, the table has changed, and the request may have been sent to the release before.
        let fallback = route.retries().fallback().ok_or(ProxyError::NoEndpoint)?;
        // The pin of its session is not looked at again.
        let key = affinity.or(followed).unwrap_or(input.random);
        return Ok(Choice::of(fallback, DecisionReason::Fallback, key));
    }
    if let Some(entry) = overridden(settings, route, request, input)? {
        return Ok(Choice::of(entry, DecisionReason::Override, key));
    }
    let pin = Pins::of(route, shared).map_or(Pin::None, |pins| {
        pinned(pins, settings, (table, route), request, input.session)
    });
    let by_pin = |entry| {
        // An affinity key outlives the session, so that a user keeps what the flags gave.
        let key = affinity.or_else(|| input.session.get().key());
        Choice::of(entry, DecisionReason::Pin, key.unwrap_or(input.random))
    };
    if let Pin::Stays(entry) = pin {
        return Ok(by_pin(entry));
    }
    if matches!(pin, Pin::None)
        && let Some(protocol) = route.agent_protocol()
        && let Some(entry) = learned(shared, (table, route), (protocol, request), input)
    {
        return Ok(by_pin(entry));
    }
    Ok(Choice {
        has_left: matches!(pin, Pin::Leaves),
        ..Choice::by_split(route, key)
    })
}

/// True if a request names its release itself, rightly or wrongly.
pub(super) fn is_override(
    settings: &ProxySettings,
    route: &Route,
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> bool {
    !matches!(overridden(settings, route, request, input), Ok(None))
}

fn overridden(
    settings: &ProxySettings,
    route: &Route,
    request: &RequestParts<'_>,
    input: &DecisionInput<'_>,
) -> Result<Option<usize>, ProxyError> {
    if !request.facts.present.contains(KnownField::XSwitchback) {
        return Ok(None);
    }
    let Some(value) = request.header(OVERRIDE_FIELD) else {
        return Ok(None);
    };
    let takes_names = || input.preview || route.spec().overrides == Overrides::Plain;
    let mut content = Content::default();
    let name = if is_sealed(value) {
        previewed(settings, route, value, &mut content)?
    } else if takes_names() {
        value
    } else {
        return Ok(None);
    };
    let named = |entry: &SplitEntry| entry.release().name().as_str().as_bytes() == name;
    let entry = route.split().entries().iter().position(named);
    entry.map(Some).ok_or(ProxyError::UnknownRelease)
}

/// The release that a preview token names. A client that shows one wants that release: it is not silently given another.
fn previewed<'t>(
    settings: &ProxySettings,
    route: &Route,
    token: &[u8],
    content: &'t mut Content,
) -> Result<&'t [u8], ProxyError> {
    let label = Label::preview(route.spec().name.as_str());
    let ring = settings
        .seal
        .as_deref()
        .ok_or(ProxyError::OverrideRefused)?;
    let opened = Preview::open(ring, &label, token, content);
    let preview = opened.map_err(|_| ProxyError::OverrideRefused)?;
    if preview.is_expired(now_seconds().into()) {
        return Err(ProxyError::OverrideRefused);
    }
    Ok(preview.release.as_bytes())
}

/// The pin of a request, if it has one. Refused pins and moves are counted once for each
/// request.
fn pinned(
    pins: Pins<'_>,
    settings: &ProxySettings,
    (table, route): (&RoutingTable, &Route),
    request: &RequestParts<'_>,
    session: &Cell<Session>,
) -> Pin {
    let mut noted = session.get();
    let is_first = !noted.is_counted;
    let mut is_out = false;
    let found = pins.find(route, request, settings, |refusal| {
        is_out |= refusal == PinRefusal::Foreign;
        if is_first {
            refusal.count();
        }
    });
    let leaves = |entry| moves((table, route), entry, is_first);
    let pin = match found {
        None if is_out => Pin::Leaves,
        None => Pin::None,
        Some((entry, _)) if leaves(entry) => Pin::Leaves,
        Some((entry, _)) => Pin::Stays(entry),
    };
    let found = found.filter(|_| matches!(pin, Pin::Stays(_)));
    noted.is_counted = true;
    if let Some((_, pinned)) = found {
        noted.pin(pinned);
    }
    session.set(noted);
    pin
}

/// Position of the release that handed out the id that a request names in its head or its body.
fn learned(
    shared: &Shared,
    (table, route): (&RoutingTable, &Route),
    (protocol, request): (AgentProtocol, &RequestParts<'_>),
    input: &DecisionInput<'_>,
) -> Option<usize> {
    let in_body = || Some(input.peeked?.id.as_ref()?.as_bytes());
    let id = agent_ids::of_request_head(protocol, request).or_else(in_body)?;
    let name = route.spec().name.as_str();
    let pin = shared.learned.find(name, id, now_seconds())?;
    let entry = route.split().position_of(pin.release)?;
    let mut noted = input.session.get();
    let stays = !moves((table, route), entry, !noted.is_counted);
    noted.is_counted = true;
    if stays {
        noted.pin(Pinned::learned(pin.endpoint, id));
    }
    input.session.set(noted);
    stays.then_some(entry)
}

/// True if the release of a pin has left the route, and its sessions move by the policy of that.
fn moves((table, route): (&RoutingTable, &Route), entry: usize, is_first: bool) -> bool {
    let Some(departure) = table.departure(route, entry) else {
        return false;
    };
    let moves = departure.moves_session(u64::from(now_seconds()) * 1_000);
    if moves && is_first {
        let cells = route.split().entries()[entry].cells();
        cells.record_move(departure.cause());
    }
    moves
}
