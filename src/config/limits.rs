//! Limits and time limits: what the edge withstands. Every one has a key and a default that is safe on the internet.

use serde::{Deserialize, Serialize};

use super::Size;
use crate::model::HumanDuration;

/// The sizes of the buffers that connections read into, in bytes.
pub const BUFFER_SIZES: [usize; 3] = [16 * 1024, 64 * 1024, 256 * 1024];

/// How much of anything a client or an endpoint can make us hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A request's head in all; beyond it, 431. At most 256 KiB, as for an answer's.
    pub head: Size,
    /// Fields in a request's head; beyond it, 431.
    pub head_fields: usize,
    /// The request target; beyond it, 414.
    pub target: Size,
    /// The method.
    pub method: Size,
    /// A response's head in all; beyond it, 502.
    pub response_head: Size,
    /// Fields in a response's head; beyond it, 502.
    pub response_head_fields: usize,
    /// Trailers of one message.
    pub trailers: Size,
    /// Chunk extensions of one body, which are read and thrown away.
    pub chunk_extensions: Size,
    /// Interim (1xx) answers to one request; beyond it, 502.
    pub interim_responses: usize,
    /// What we buffer of a body per direction while the reader is slower than the writer: a body is read into buffers of
    /// 16, 64 or 256 KiB, none larger than this. Over HTTP/2 the windows hold as well.
    pub buffer: Size,
    /// Client connections in all; lowered to (file descriptors − 256) / 2 where that is less.
    pub connections: usize,
    /// Connections to endpoints in all, idle ones included; lowered to what file descriptors leave. No release takes more
    /// of them than leaves a fifth to the others.
    pub upstream_connections: usize,
    /// Requests in flight in all; beyond it, 503 with `Retry-After`.
    pub requests: usize,
    /// Idle connections kept to one endpoint, over all workers.
    pub idle_per_endpoint: usize,
    /// How many other endpoints of the same release are tried when a connection cannot be made.
    pub retries: u32,
    /// What is kept of a request's body until its answer begins, so that it can be sent again if an endpoint did not look
    /// at it; a longer body is sent once, and so is every body while its worker keeps 16 MiB of others. Nothing is kept if
    /// it is 0.
    pub retry_body: Size,
    /// Limits of HTTP/2.
    pub http2: Http2Limits,
}

impl Default for Limits {
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
    /// Streams at a time.
    pub streams: u32,
    /// Flow control window of a stream: what a body may be ahead of its reader. A connection holds no more than this for
    /// each of its streams.
    pub stream_window: Size,
    /// Flow control window of the connection: what may be on its way to us, of all its streams together.
    pub connection_window: Size,
    /// The largest frame that we take.
    pub frame: Size,
    /// A decoded list of header fields.
    pub header_list: Size,
    /// The table of the header compression.
    pub header_table: Size,
    /// What waits on a connection whose peer does not read, before its streams wait too.
    pub send_buffer: Size,
    /// Streams that the client has reset and whose requests are still being ended, beside those that are open.
    pub pending_resets: usize,
    /// Streams that we had to reset because of the client's mistakes, in the life of a connection.
    pub local_resets: usize,
    /// Frames that cost us and bring nothing (resets, pings, settings, empty frames, priorities) in one window until
    /// the connection is told to go away.
    pub abuse_goaway: u32,
    /// The same until the connection is closed at once.
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

/// How long anything may take. Routes may set `connect`, `silence`, `websocket_idle` and `request` for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// The client's TLS handshake.
    pub tls_handshake: HumanDuration,
    /// From the connection, or the first byte of a later request, to the end of the request's head; beyond it, 408.
    pub head: HumanDuration,
    /// Without any progress of a request's body.
    pub body: HumanDuration,
    /// A connection between two requests.
    pub keep_alive: HumanDuration,
    /// A client's HTTP/2 connection without streams.
    pub http2_idle: HumanDuration,
    /// Time between pings on a client's quiet HTTP/2 connection.
    pub http2_ping: HumanDuration,
    /// How long the answer to a ping may take.
    pub http2_ping_answer: HumanDuration,
    /// The age at which a client connection is asked to go, give or take a tenth; never when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_age: Option<HumanDuration>,
    /// Connecting to an endpoint, TLS and tries of other endpoints included.
    pub connect: HumanDuration,
    /// Silence of an endpoint before the first byte and between bytes of an answer.
    pub silence: HumanDuration,
    /// Silence of a WebSocket in both directions.
    pub websocket_idle: HumanDuration,
    /// The whole request, first byte to last; without a limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HumanDuration>,
    /// An idle connection to an endpoint; less where the endpoint says so.
    pub endpoint_idle: HumanDuration,
    /// Time between pings on a quiet HTTP/2 connection to an endpoint that has streams open; no pings when absent. An
    /// endpoint that does not answer gets no new streams until it does; those that it has are held to `silence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_ping: Option<HumanDuration>,
    /// How long what is in flight on a release that left the table may go on.
    pub drain: HumanDuration,
    /// How long the receipt of a change waits for every worker to take it up.
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
