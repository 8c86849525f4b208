//! HTTP/2 on both sides: the engine of [`crate::http2`] with sockets, clocks and requests around it.
//!
//! | file | what |
//! |---|---|
//! | `link`, `settings` | a connection, on either side |
//! | `hold`, `head`, `incoming`, `patience` | a stream, its heads and bodies, on either side |
//! | `server`, `keepalive`, `stream`, `client_stream` | a client's connection and its streams |
//! | `upstream`, `upstream_driver`, `endpoint_ping`, `handover` | connections to endpoints |
//! | `upstream_head`, `upstream_stream` | their streams |

mod client_stream;
mod endpoint_ping;
mod handover;
mod head;
mod hold;
mod incoming;
mod keepalive;
mod link;
mod patience;
mod server;
mod settings;
mod stream;
mod upstream;
mod upstream_driver;
mod upstream_head;
mod upstream_stream;

pub(super) use self::{
    hold::Hold,
    server::serve,
    upstream::{Place, Upstreams, place},
    upstream_head::{Start, start},
    upstream_stream::converse,
};
