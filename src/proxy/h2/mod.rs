//! HTTP/2 on both sides: the engine of [`crate::http2`] with sockets, clocks and requests around it.
//!
//! | file | content |
//! |---|---|
//! | `connection_io`, `settings` | a connection, on either side |
//! | `stream_handle`, `head`, `recv_body`, `timeout` | a stream, its heads and bodies, on either side |
//! | `server`, `keepalive`, `stream`, `client_stream` | a client's connection and its streams |
//! | `upstream`, `endpoint_pool`, `pooled_connection`, `upstream_driver`, `endpoint_ping`, `handover` | connections to endpoints |
//! | `upstream_head`, `upstream_stream` | their streams |

mod client_stream;
mod connection_io;
mod endpoint_ping;
mod endpoint_pool;
mod handover;
mod head;
mod keepalive;
mod pooled_connection;
mod recv_body;
mod server;
mod settings;
mod stream;
mod stream_handle;
mod timeout;
mod upstream;
mod upstream_driver;
mod upstream_head;
mod upstream_stream;

pub(super) use self::{
    endpoint_pool::Upstreams,
    pooled_connection::PooledStream,
    server::serve,
    stream_handle::StreamHandle,
    upstream::acquire_stream,
    upstream_head::{Start, start},
    upstream_stream::{Sent, send_request},
};
