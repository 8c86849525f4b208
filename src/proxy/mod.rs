//! The data plane: from a client's connection to an endpoint's and back.
//!
//! Each worker is a single-threaded runtime with its own listeners, pools, buffers and timers ([`Worker`]). A request
//! is served in the task of its client's connection: its head is judged, a release and an endpoint are selected and the
//! head is encoded in one synchronous section, which ends in the first write to the endpoint; that is its commit. Then
//! body and answer are relayed as slices of pooled buffers, without a task, a channel or a header map in between.
//!
//! | file | what |
//! |---|---|
//! | `serve`, `connection`, `lingering_close` | a client's connection: greeting, one request after the other, the end |
//! | `prepare`, `select`, `forward` | the synchronous section: select, rewrite, encode |
//! | `request`, `relay`, `upload`, `io` | one request, whatever both sides speak |
//! | `retry`, `retry_body`, `retry_memory` | what is sent again, the body that it needs, and the memory for that |
//! | `http1_client`, `http1_upstream`, `http1_body`, `timed_stream` | both sides over HTTP/1.1 |
//! | `h2`, `grpc` | both sides over HTTP/2, and what gRPC wants of them |
//! | `tunnel` | WebSockets after their 101 |
//! | `pool`, `connect`, `upstream_tls` | connections to endpoints |
//! | `request_context`, `error`, `problem`, `refused_head`, `date` | how a request ends: statistics, access log, answers of our own |
//! | `worker`, `settings` | what workers have and share |

mod admission;
mod budget;
mod client_watch;
mod connect;
mod connection;
mod connection_refusal;
mod date;
mod error;
mod fair_queue;
mod forward;
mod grpc;
mod h2;
mod http1_body;
mod http1_client;
mod http1_upstream;
mod io;
mod lingering_close;
mod pool;
mod prepare;
mod problem;
mod refused_head;
mod relay;
mod request;
mod request_context;
mod request_view;
mod retry;
mod retry_body;
mod retry_memory;
mod route_cache;
mod select;
mod serve;
mod settings;
mod timed_stream;
mod tunnel;
mod tunnel_end;
mod upload;
mod upstream_tls;
mod websocket;
mod worker;

pub use self::{
    error::Reason,
    serve::{listen, start_connection},
    settings::{ListenerSettings, PeerInfo, ProxySettings},
    worker::{Shared, Worker},
};
