//! The settings of HTTP/2 connections, in both directions, from the limits of the configuration.

use bytes::Bytes;
use h2::{client, server};

use super::budget::BudgetLimits;
use super::wire::WireIo;
use crate::config::{Http2Limits, Size};

/// What a server may have in flight before it has said how much: few, so that none is refused.
const FIRST_STREAMS: usize = 100;

/// Starts the server's side.
pub(super) fn serve(limits: &Http2Limits, io: WireIo) -> server::Handshake<WireIo, Bytes> {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .initial_window_size(bytes(limits.stream_window))
        .initial_connection_window_size(bytes(limits.connection_window))
        .max_frame_size(bytes(limits.frame))
        .max_header_list_size(bytes(limits.header_list))
        .header_table_size(bytes(limits.header_table))
        .max_send_buffer_size(bytes(limits.send_buffer) as usize)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(Some(limits.local_resets));
    builder.handshake(io)
}

/// Starts the client's side. Pushes are refused.
pub(super) async fn connect(
    limits: &Http2Limits,
    io: WireIo,
) -> Result<
    (
        client::SendRequest<Bytes>,
        client::Connection<WireIo, Bytes>,
    ),
    h2::Error,
> {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(FIRST_STREAMS)
        .initial_window_size(bytes(limits.stream_window))
        .initial_connection_window_size(bytes(limits.connection_window))
        .max_frame_size(bytes(limits.frame))
        .max_header_list_size(bytes(limits.header_list))
        .header_table_size(bytes(limits.header_table))
        .max_send_buffer_size(bytes(limits.send_buffer) as usize)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(Some(limits.local_resets));
    builder.handshake(io).await
}

/// The budget of a connection.
pub(super) fn budget(limits: &Http2Limits) -> BudgetLimits {
    BudgetLimits {
        leave: limits.abuse_goaway,
        close: limits.abuse_close,
        window_ms: u64::try_from(limits.abuse_window.0.as_millis()).unwrap_or(u64::MAX),
    }
}

/// A size as the library takes it.
pub(super) fn bytes(size: Size) -> u32 {
    u32::try_from(size.0).unwrap_or(u32::MAX)
}
