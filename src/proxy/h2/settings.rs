//! Settings of HTTP/2 connections on both sides, from the limits of the configuration.

use crate::config::{Http2Limits, Size};
use crate::http2::{BudgetLimits, Settings};
use crate::message::Limits;

/// The largest window allowed (RFC 9113, section 6.9.1).
const MOST_WINDOW: u32 = 0x7fff_ffff;

/// Settings sent to a client.
pub(super) fn of_server(limits: &Http2Limits, message: &Limits) -> Settings {
    Settings {
        streams: limits.streams,
        pending_resets: limits.pending_resets,
        local_resets: limits.local_resets,
        stream_window: bytes(limits.stream_window),
        connection_window: bytes(limits.connection_window),
        frame: bytes(limits.frame),
        header_list: bytes(limits.header_list),
        informational: message.informational,
        trailers: message.trailers,
        // Pseudo-fields count as well; the validation of a head counts the others.
        fields: message.fields.saturating_add(8),
        header_table: bytes(limits.header_table),
        send_buffer_max: bytes(limits.send_buffer) as usize,
    }
}

/// Settings sent to an endpoint, on a connection with up to `streams` streams. Those belong to many clients, so the
/// whole windows of all may be in transit at once, however high the latency.
pub(super) fn of_client(limits: &Http2Limits, message: &Limits, streams: usize) -> Settings {
    let streams = u32::try_from(streams).unwrap_or(u32::MAX);
    let all = bytes(limits.stream_window).saturating_mul(streams);
    let own = of_server(limits, message);
    Settings {
        fields: message.response_fields.saturating_add(8),
        connection_window: own.connection_window.max(all).min(MOST_WINDOW),
        ..own
    }
}

/// Abuse budget of a connection.
pub(super) fn budget(limits: &Http2Limits) -> BudgetLimits {
    BudgetLimits {
        leave: limits.abuse_goaway,
        close: limits.abuse_close,
        window_ms: u64::try_from(limits.abuse_window.0.as_millis()).unwrap_or(u64::MAX),
    }
}

fn bytes(size: Size) -> u32 {
    u32::try_from(size.0).unwrap_or(u32::MAX)
}
