//! The data plane: from a client's connection to an endpoint's and back.
//!
//! Each worker is a single-threaded runtime with its own listeners, pools, buffers and timers ([`Worker`]). A request
//! is served in the task of its client's connection: its head is validated, a release and an endpoint are selected and
//! the head is encoded in one synchronous section, which ends in the first write to the endpoint; that is its commit.
//! Then both bodies are relayed as slices of pooled buffers, without a task, a channel or a header map in between.
//!
//! | file | content |
//! |---|---|
//! | `serve`, `connection`, `lingering_close` | a client's connection: preface, one request after the other, close |
//! | `request`, `stage`, `outcome` | the life of a request: the loop, its stages, its end. Start here |
//! | `prepare`, `select`, `route_match`, `decide`, `session`, `pins`, `forward`, `header_fields`, `header_values`, `taken_fields` | the synchronous section: select, rewrite, encode |
//! | `admit`, `guards`, `guarded` | what a request has to pass before that: rate limit, credentials, origin, length |
//! | `agent_ids`, `body_form`, `peek`, `learn` | ids of tasks in the messages of MCP and A2A |
//! | `card_request`, `agent_card`, `card_log` | agent cards of A2A that name the proxy instead of an endpoint |
//! | `waiting`, `queue_position`, `pause` | the waits before the commit: for a connection, a permit, an endpoint with room, the end of a pause |
//! | `observe` | what an attempt says about its endpoint |
//! | `answer_coding`, `compressors`, `relay_compressed` | answers that are compressed on their way |
//! | `relay`, `response_head`, `answer_note`, `relay_body`, `event_stream`, `upload`, `io` | both bodies of a committed request, whatever protocols both sides speak |
//! | `attempts`, `retry`, `retry_body`, `retry_memory` | retries, the body that they need, and the memory for it |
//! | `http1_client`, `http1_upstream`, `http1_body`, `timed_stream` | both sides over HTTP/1.1 |
//! | `h2`, `grpc` | both sides over HTTP/2, and the needs of gRPC |
//! | `tunnel` | WebSockets after their 101 |
//! | `pool`, `connect`, `upstream_tls` | connections to endpoints |
//! | `request_context`, `record`, `log_fields`, `log_line`, `span_context`, `span_record`, `error`, `error_reason`, `error_form`, `rpc_id`, `problem`, `refused_head`, `misdirected`, `date` | the end of a request: statistics, access log, spans, responses of our own |
//! | `route_answer`, `answer_choice`, `requested_url` | redirects, fixed responses and maintenance, which need no endpoint |
//! | `mcp_start`, `mcp_session`, `session_move`, `internal_request` | MCP sessions that are begun anew, and requests of our own |
//! | `worker`, `work_list`, `work_class`, `shared`, `settings` | what workers have and share |

mod acme_challenge;
mod admission;
mod admit;
mod agent_card;
mod agent_ids;
mod answer_choice;
mod answer_coding;
mod answer_note;
mod attempts;
mod body_form;
mod budget;
mod card_log;
mod card_request;
mod client_watch;
mod compressors;
mod connect;
mod connection;
mod connection_refusal;
mod date;
mod decide;
mod error;
mod error_form;
mod error_reason;
mod event_stream;
mod fair_queue;
mod flag_fields;
mod forward;
mod grpc;
mod guarded;
mod guards;
mod h2;
mod header_fields;
mod header_values;
mod http1_body;
mod http1_client;
mod http1_upstream;
mod internal_request;
mod io;
mod learn;
mod lingering_close;
mod log_fields;
mod log_line;
mod log_sampler;
mod mcp_session;
mod mcp_start;
mod mirror;
mod mirror_choice;
mod misdirected;
mod observe;
mod outcome;
mod pause;
mod peek;
mod pins;
mod poll_again;
mod pool;
mod prepare;
mod problem;
mod queue_position;
mod record;
mod refused_head;
mod relay;
mod relay_body;
mod relay_compressed;
mod request;
mod request_context;
mod request_view;
mod requested_url;
mod response_head;
mod retry;
mod retry_body;
mod retry_memory;
mod route_answer;
mod route_cache;
mod route_match;
mod rpc_id;
mod select;
mod serve;
mod session;
mod session_move;
mod settings;
mod shared;
mod span_context;
mod span_record;
mod stage;
mod taken_fields;
mod timed_stream;
mod tunnel;
mod tunnel_end;
mod upload;
mod upstream_tls;
mod waiting;
mod websocket;
mod work_class;
mod work_list;
mod worker;

pub use self::{
    error_reason::ErrorReason,
    serve::{listen, start_connection},
    settings::{ListenerSettings, PeerInfo, ProxySettings, TraceSampling},
    shared::Shared,
    worker::Worker,
};
