//! The data plane: from a client's connection to an endpoint's and back.
//!
//! Each worker is a single-threaded runtime with its own listeners, pools, buffers and timers ([`Worker`]). A request
//! is served in the task of its client's connection: its head is judged, a release and an endpoint are selected and the
//! head is encoded in one synchronous section, which ends in the first write to the endpoint; that is its commit. Then
//! body and answer are relayed as slices of pooled buffers, without a task, a channel or a header map in between.
//!
//! | file | what |
//! |---|---|
//! | `serve`, `connection`, `farewell` | a client's connection: greeting, one request after the other, the end |
//! | `begin`, `select`, `forward` | the synchronous section: select, rewrite, encode |
//! | `exchange`, `drive`, `upload`, `seam` | one request, whatever both sides speak |
//! | `retry`, `kept_body`, `kept_room` | what is sent again, the body that it needs, and the memory for that |
//! | `http1_client`, `http1_upstream`, `http1_body`, `channel` | both sides over HTTP/1.1 |
//! | `h2`, `grpc` | both sides over HTTP/2, and what gRPC wants of them |
//! | `tunnel` | WebSockets after their 101 |
//! | `pool`, `connect`, `upstream_tls` | connections to endpoints |
//! | `ticket`, `error`, `problem`, `refused`, `date` | how a request ends: statistics, access log, answers of our own |
//! | `worker`, `settings` | what workers have and share |

mod admission;
mod begin;
mod budget;
mod channel;
mod connect;
mod connection;
mod connection_refusal;
mod date;
mod drive;
mod error;
mod exchange;
mod farewell;
mod forward;
mod grpc;
mod h2;
mod held;
mod http1_body;
mod http1_client;
mod http1_upstream;
mod kept_body;
mod kept_room;
mod lookout;
mod pool;
mod problem;
mod refused;
mod retry;
mod seam;
mod select;
mod serve;
mod settings;
mod ticket;
mod tunnel;
mod tunnel_end;
mod turns;
mod upload;
mod upstream_tls;
mod view;
mod websocket;
mod worker;

pub use self::{
    error::Reason,
    serve::{listen, start_connection},
    settings::{ListenerSettings, PeerInfo, ProxySettings},
    worker::{Shared, Worker},
};
