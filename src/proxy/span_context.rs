//! The place of a request in a trace (W3C Trace Context), and the decision to record it.

use std::cell::Cell;

use crate::message::KnownField;
use crate::net::Tick;

use super::forward::{RequestId, SpanFields, Traceparent, hex, hex_half};
use super::io::RequestParts;
use super::settings::TraceSampling;

/// Longest `tracestate` and longest `User-Agent` that are recorded.
const LONGEST: usize = 512;

/// The place of a request in a trace; only of one that is recorded, or is if it fails.
pub(super) struct SpanContext {
    pub(super) trace: u128,
    /// Span of the client.
    pub(super) parent: Option<u64>,
    /// Span towards the client.
    pub(super) server: u64,
    /// Span towards the endpoint.
    pub(super) client: u64,
    /// It is recorded, whatever becomes of it.
    pub(super) is_sampled: bool,
    pub(super) tracestate: Box<str>,
    pub(super) user_agent: Option<Box<str>>,
    /// Time of the last attempt.
    pub(super) sent: Cell<Option<Tick>>,
}

impl SpanContext {
    /// Begins the record of a request; `None` if there is to be none. The client's trace decides, if there is one, or
    /// else a random number.
    pub(super) fn begin(
        sampling: TraceSampling,
        parts: &RequestParts<'_>,
        id: &RequestId,
        random: impl Fn() -> u64,
    ) -> Option<Box<Self>> {
        let present = parts.facts.present;
        let parent = present
            .contains(KnownField::Traceparent)
            .then(|| parts.value(KnownField::Traceparent))
            .flatten()
            .and_then(Traceparent::parse);
        let is_sampled =
            parent.map_or_else(|| sampling.draws(random()), |parent| parent.is_sampled);
        if !is_sampled && !sampling.failures {
            return None;
        }
        let text = |known| {
            let value = std::str::from_utf8(parts.value(known)?).ok()?;
            (value.len() <= LONGEST).then(|| value.into())
        };
        let tracestate = parent.and_then(|_| text(KnownField::Tracestate));
        let trace = match (parent, id) {
            (Some(parent), _) => parent.trace,
            (None, RequestId::Own(number)) => *number,
            (None, RequestId::Given(_)) => u128::from(random()) << 64 | u128::from(random()),
        };
        Some(Box::new(Self {
            trace: trace.max(1),
            parent: parent.map(|parent| parent.span),
            server: random().max(1),
            client: random().max(1),
            is_sampled,
            tracestate: tracestate.unwrap_or_default(),
            user_agent: text(KnownField::UserAgent),
            sent: Cell::new(None),
        }))
    }

    /// Trace fields for the endpoint at this time, if the trace is sampled.
    pub(super) fn send(&self, now: Tick) -> Option<SpanFields> {
        self.sent.set(Some(now));
        let mut text = *b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
        text[3..35].copy_from_slice(&hex(self.trace));
        text[36..52].copy_from_slice(&hex_half(self.client));
        self.is_sampled.then_some(SpanFields {
            traceparent: text,
            has_parent: self.parent.is_some(),
        })
    }
}
