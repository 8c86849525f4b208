//! Sockets and their parts: streams, TLS, buffers, timers, dialing, listening.
//!
//! A leaf: it does not know routes, releases or messages.
//! Everything here is made for workers that are single-threaded runtimes: methods take `&self`, so that one task can
//! drive both directions of a connection at once, and nothing is held while a connection is idle.
//! Only the files `http_…` belong to the control plane.
//! Readiness comes first, then a buffer from the pool, then one non-blocking read or write.

mod accept;
mod backoff;
mod buffer;
mod dial;
mod error;
mod fd_limit;
mod hosts;
mod http_answer;
mod http_body;
mod http_challenges;
mod http_connection;
mod http_exchange;
mod http_get;
mod http_post;
mod issued_certificates;
mod lines;
mod listen;
mod proxy_header;
mod rate_limit;
mod stream;
mod tcp;
mod ticketer;
mod timer;
mod tls_client;
mod tls_files;
mod tls_refusal;
mod tls_server;
mod tls_stream;
mod tls_verifier;

pub use accept::{Accepted, Acceptor, ConnectionLimits, ConnectionPermit};
pub use backoff::backoff;
pub use buffer::{Buffer, BufferPool, BufferSize};
pub use dial::{Dialed, dial, dial_tls};
pub use error::NetError;
pub use fd_limit::{DescriptorLimit, raise_descriptor_limit};
pub use hosts::Hosts;
pub use http_answer::HttpAnswer;
pub use http_body::RequestBody;
pub use http_challenges::HttpChallenges;
pub use http_connection::HttpError;
pub use http_exchange::{Exchange, exchange};
pub use http_get::{Get, get};
pub use http_post::{Post, post};
pub use issued_certificates::{IssuedCertificate, IssuedCertificates};
pub use lines::{Lines, LongLine};
pub use listen::{BoundListener, adopt_listener, bind_listener};
pub use proxy_header::{ProxiedAddresses, ProxyHeaderError, parse_proxy_header, read_proxy_header};
pub use rate_limit::{RateLimit, Rates, client_network};
pub use stream::{Eof, Stream};
pub use ticketer::TicketKey;
pub use timer::{Deadline, LazyDeadline, Tick, Timers};
pub use tls_client::{ClientTls, ClientTlsSettings};
pub use tls_files::CertificateFiles;
pub use tls_refusal::TlsRefusal;
pub use tls_server::{ClientCertificates, ServerTls, ServerTlsSettings};
pub use tls_stream::TlsStream;
