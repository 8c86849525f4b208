//! The stages of a request: received, selected, ready to be sent, committed. What a stage needs, its type holds.

use std::sync::Arc;

use crate::http1::BodyEncoder;
use crate::message::handshake;
use crate::model::LeaveCause;
use crate::table::{Pause, Release};

use super::connect::Connected;
use super::error::ProxyError;
use super::h2 as http2;
use super::pins::Pins;
use super::pool::Connection;
use super::request_context::RequestContext;
use super::select::Selected;
use super::session_move::SessionMove;
use super::settings::RequestTimeouts;
use super::taken_fields::TakenFields;
use super::work_class::Cut;

/// A request that is being served, and the stage that it has reached.
pub(super) struct Request {
    // Dropped first: a request is recorded while it still counts as in flight.
    pub(super) context: RequestContext,
    pub(super) stage: Stage,
}

/// The stage of a request that is not committed, and what its next step needs.
#[derive(Default)]
pub(super) enum Stage {
    /// Nothing is selected.
    #[default]
    Received,
    /// Its body is to be read first.
    Unread,
    /// Its route is paused.
    Paused(Arc<Pause>),
    /// It waits until this release, or an endpoint of it, has room.
    Queued(Arc<Release>),
    /// Its session is to be moved to another release first.
    Moving(Box<SessionMove>),
    /// A release and an endpoint are selected; there is no connection, not yet or not any more.
    Selected(Selected),
    /// It is committed with the first byte that is written.
    Http1(Selected, EncodedRequest),
    /// It is committed when its stream is opened.
    Http2(Selected, Box<http2::Start>),
    /// It gets a response of ours. What was selected counts it as in flight until then.
    Failed(ProxyError, Option<Selected>),
}

/// A request on an HTTP/1.1 connection, its head encoded and not yet written.
pub(super) struct EncodedRequest {
    pub(super) connection: Connection,
    pub(super) head: Vec<u8>,
    pub(super) encoder: BodyEncoder,
    /// The expected `Sec-WebSocket-Accept`, if the key is ours.
    pub(super) accept: Option<Box<handshake::Accept>>,
}

/// A request of which an endpoint may see a byte from now on.
#[derive(Clone, Copy)]
pub(super) struct Committed<'r> {
    pub(super) context: &'r RequestContext,
    pub(super) selected: &'r Selected,
}

impl Stage {
    /// Takes the connection out; what is selected stays so.
    pub(super) fn take_connection(&mut self) -> Option<Connected> {
        match std::mem::take(self) {
            Self::Http1(selected, encoded) => {
                *self = Self::Selected(selected);
                Some(Connected::Http1(encoded.connection))
            }
            Self::Http2(selected, start) => {
                *self = Self::Selected(selected);
                Some(Connected::Http2(start.stream))
            }
            without => {
                *self = without;
                None
            }
        }
    }

    /// The selection, without the connection.
    pub(super) fn into_selected(self) -> Option<Selected> {
        match self {
            Self::Received | Self::Unread | Self::Paused(_) | Self::Queued(_) | Self::Moving(_) => {
                None
            }
            Self::Selected(selected) | Self::Http1(selected, _) | Self::Http2(selected, _) => {
                Some(selected)
            }
            Self::Failed(_, selected) => selected,
        }
    }

    /// True if the request's head is encoded for a connection of HTTP/1.1: it will hardly be looked at again.
    pub(super) fn is_http1(&self) -> bool {
        matches!(self, Self::Http1(..))
    }
}

impl<'r> Committed<'r> {
    /// The timeouts of its route.
    pub(super) fn timeouts(self) -> RequestTimeouts {
        let timeouts = &self.selected.route().spec().timeouts;
        self.context.worker.shared.settings.for_route(timeouts)
    }

    /// The name of the field that tells the client which release responds, if the route has one.
    pub(super) fn exposed(self) -> Option<&'r str> {
        self.selected.route().spec().exposed_field()
    }

    /// The fields of its response that are not passed on.
    pub(super) fn taken(self) -> TakenFields<'r> {
        let route = self.selected.route();
        let guarded = self.context.guarded.get();
        if guarded.is_some_and(|guarded| guarded.is_recoded()) {
            return TakenFields::OfRecoded(route);
        }
        TakenFields::OfResponse(route)
    }

    /// The pins of its route, if it has any.
    pub(super) fn pins(self) -> Option<Pins<'r>> {
        Pins::of(self.selected.route(), &self.context.worker.shared)
    }

    /// The cause for which its release left the route, as far as the live table knows one.
    pub(super) fn cause_of_leaving(self) -> LeaveCause {
        let (route, release) = (self.selected.route(), self.selected.release());
        self.context
            .worker
            .with_table(|table| {
                let place = table.compiled().spec().place(&route.spec().name)?;
                let departures = table.departures();
                Some(
                    departures
                        .of(place, release.name(), release.version())?
                        .cause(),
                )
            })
            .unwrap_or(LeaveCause::Remove)
    }

    /// The end that it is to have because its release left the route, if it is to have one.
    pub(super) fn cut(self) -> Option<Cut> {
        let work = &self.selected.work;
        if work.is_cut() { work.cut() } else { None }
    }
}
