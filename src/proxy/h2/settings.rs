//! The settings of HTTP/2 connections, in both directions, from the limits of the configuration.

use crate::config::{Http2Limits, Size};
use crate::http2::{BudgetLimits, Settings};
use crate::message::Limits;

/// What we allow a peer.
pub(super) fn settings(limits: &Http2Limits, message: &Limits) -> Settings {
    Settings {
        streams: limits.streams,
        pending_resets: limits.pending_resets,
        local_resets: limits.local_resets,
        stream_window: bytes(limits.stream_window),
        connection_window: bytes(limits.connection_window),
        frame: bytes(limits.frame),
        header_list: bytes(limits.header_list),
        // Pseudo-fields count as well; who judges a head counts the others.
        fields: message.fields.saturating_add(8),
        header_table: bytes(limits.header_table),
        gathered: bytes(limits.send_buffer) as usize,
    }
}

/// The budget of a connection.
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
