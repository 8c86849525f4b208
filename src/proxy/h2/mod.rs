//! HTTP/2 on both sides, on the `h2` library: connections, streams, and what keeps them in bounds.
//!
//! The library frames, compresses and does the accounts of flow control. What it does not do is done here: writes are
//! gathered ([`wire`]), frames that cost and bring nothing are counted ([`meter`], [`budget`]), heads are judged by the
//! rules that HTTP/1.1 is judged by ([`head`]), streams are counted against what an endpoint allows ([`upstream`]).
//!
//! | file | what |
//! |---|---|
//! | `wire`, `meter`, `budget`, `fragment`, `settings`, `keepalive` | a connection, on either side |
//! | `head`, `receiver`, `sender`, `patience` | heads and bodies, on either side |
//! | `server`, `stream`, `client_stream` | a client's connection and its streams |
//! | `upstream`, `upstream_head`, `upstream_stream` | connections to endpoints and their streams |

mod budget;
mod client_stream;
mod fragment;
mod head;
mod keepalive;
mod meter;
mod patience;
mod receiver;
mod sender;
mod server;
mod settings;
mod stream;
mod upstream;
mod upstream_head;
mod upstream_stream;
mod wire;

pub(super) use self::{
    head::{FieldList, Fields},
    server::serve,
    upstream::{Place, Upstreams, place},
    upstream_head::{Start, start},
    upstream_stream::converse,
};
