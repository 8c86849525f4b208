//! Limits and timeouts of the data plane. Each has a key and a default that is safe on the internet.

use serde::{Deserialize, Serialize};

use super::Size;
use crate::model::HumanDuration;

/// Sizes of the read buffers of connections, in bytes.
pub const BUFFER_SIZES: [usize; 3] = [16 * 1024, 64 * 1024, 256 * 1024];

/// Limits on the resources that a client or an endpoint can make us hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceLimits {
    /// Size of a request's head; beyond it, 431. At most 256 KiB, as for a response's.
    pub head: Size,
    /// Number of fields in a request's head; beyond it, 431.
    pub head_fields: usize,
    /// Length of the request target; beyond it, 414.
    pub target: Size,
    /// Length of the method.
    pub method: Size,
    /// Size of a response's head; beyond it, 502.
    pub response_head: Size,
    /// Number of fields in a response's head; beyond it, 502.
    pub response_head_fields: usize,
    /// Size of the trailers of one message.
    pub trailers: Size,
    /// Size of the chunk extensions of one body, which are discarded.
    pub chunk_extensions: Size,
    /// Number of interim (1xx) responses to one request; beyond it, 502.
    pub interim_responses: usize,
    /// Bytes of a body buffered per direction while the reader is slower than the writer. A body is read into buffers
    /// of 16, 64 or 256 KiB, none larger than this. Over HTTP/2 the flow control windows apply as well.
    pub buffer: Size,
    /// Client connections in total; lowered to (file descriptors − 256) / 2 where that is less.
    pub connections: usize,
    /// Connections to endpoints in total, idle ones included; lowered to what file descriptors allow. No release takes
    /// so many that less than a fifth is left to the others.
    pub upstream_connections: usize,
    /// Requests in flight in total; beyond it, 503 with `Retry-After`.
    pub requests: usize,
    /// Idle connections kept to one endpoint, over all workers.
    pub idle_per_endpoint: usize,
    /// Number of other endpoints of the same release to try when a connection fails.
    pub retries: u32,
    /// Bytes of a request's body kept until its response begins, to resend it if an endpoint did not process it. A
    /// longer body is sent once, and so is every body while its worker keeps 16 MiB of others. With 0, nothing is kept.
    pub retry_body: Size,
    /// Limits of HTTP/2.
    pub http2: Http2Limits,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            head: Size::kib(64),
            head_fields: 100,
            target: Size::kib(16),
            method: Size(32),
            response_head: Size::kib(64),
            response_head_fields: 256,
            trailers: Size::kib(16),
            chunk_extensions: Size::kib(16),
            interim_responses: 100,
            buffer: Size::kib(64),
            connections: 10_000,
            upstream_connections: 20_000,
            requests: 20_000,
            idle_per_endpoint: 256,
            retries: 2,
            retry_body: Size::kib(64),
            http2: Http2Limits::default(),
        }
    }
}

/// Limits of one HTTP/2 connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http2Limits {
    /// Concurrent streams.
    pub streams: u32,
    /// Flow control window of a stream: how far a body may be ahead of its reader. A connection holds no more than this
    /// for each of its streams.
    pub stream_window: Size,
    /// Flow control window of the connection: bytes in flight to us, over all its streams.
    pub connection_window: Size,
    /// Largest frame accepted.
    pub frame: Size,
    /// Size of a decoded list of header fields.
    pub header_list: Size,
    /// Size of the HPACK dynamic table.
    pub header_table: Size,
    /// Bytes queued on a connection whose peer does not read, before its streams have to wait.
    pub send_buffer: Size,
    /// Streams reset by the client whose requests are still being ended, in addition to the open ones.
    pub pending_resets: usize,
    /// Streams that we reset because of client errors, over the life of a connection.
    pub local_resets: usize,
    /// Frames that cost us work without progress (resets, pings, settings, empty frames, priorities) in one window,
    /// before the connection gets a GOAWAY.
    pub abuse_goaway: u32,
    /// Number of such frames before the connection is closed at once.
    pub abuse_close: u32,
    /// The window in which such frames are counted.
    pub abuse_window: HumanDuration,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: Size::kib(64),
            connection_window: Size::mib(1),
            frame: Size::kib(16),
            header_list: Size::kib(64),
            header_table: Size::kib(4),
            send_buffer: Size::kib(64),
            pending_resets: 20,
            local_resets: 100,
            abuse_goaway: 750,
            abuse_close: 1_000,
            abuse_window: HumanDuration::seconds(10),
        }
    }
}

/// Timeouts. Routes can override `connect`, `silence`, `websocket_idle` and `request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Timeout for the client's TLS handshake.
    pub tls_handshake: HumanDuration,
    /// Timeout for a request's head, from the connection or the first byte of a later request; beyond it, 408.
    pub head: HumanDuration,
    /// Timeout without progress of a request's body.
    pub body: HumanDuration,
    /// Idle timeout of a connection between two requests.
    pub keep_alive: HumanDuration,
    /// Idle timeout of a client's HTTP/2 connection without streams.
    pub http2_idle: HumanDuration,
    /// Interval of pings on an idle HTTP/2 connection of a client.
    pub http2_ping: HumanDuration,
    /// Timeout for the ACK of a ping.
    pub http2_ping_answer: HumanDuration,
    /// Age at which a client connection is shut down gracefully, ±10 %; unlimited when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_age: Option<HumanDuration>,
    /// Timeout for connecting to an endpoint, including TLS and attempts at other endpoints.
    pub connect: HumanDuration,
    /// Idle timeout of an endpoint, before the first byte and between the bytes of a response.
    pub silence: HumanDuration,
    /// Idle timeout of a WebSocket, both directions.
    pub websocket_idle: HumanDuration,
    /// Timeout for the whole request, first byte to last; unlimited when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HumanDuration>,
    /// Idle timeout of a pooled connection to an endpoint; less where the endpoint says so, or has closed one earlier.
    pub endpoint_idle: HumanDuration,
    /// Interval of pings on an idle HTTP/2 connection to an endpoint that has open streams; no pings when absent. An
    /// endpoint that does not reply gets no new streams until it does; its open streams remain subject to `silence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_ping: Option<HumanDuration>,
    /// Longest time that requests in flight on a removed release may continue.
    pub drain: HumanDuration,
    /// Longest time that the receipt of a change waits for every worker to apply it.
    pub converge: HumanDuration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tls_handshake: HumanDuration::seconds(10),
            head: HumanDuration::seconds(15),
            body: HumanDuration::seconds(60),
            keep_alive: HumanDuration::seconds(75),
            http2_idle: HumanDuration::seconds(60),
            http2_ping: HumanDuration::seconds(30),
            http2_ping_answer: HumanDuration::seconds(10),
            connection_age: None,
            connect: HumanDuration::seconds(3),
            silence: HumanDuration::seconds(600),
            websocket_idle: HumanDuration::seconds(3600),
            request: None,
            endpoint_idle: HumanDuration::seconds(4),
            endpoint_ping: None,
            drain: HumanDuration::seconds(900),
            converge: HumanDuration(std::time::Duration::from_millis(500)),
        }
    }
}
