//! Sans-I/O HTTP/2 for both sides of a proxy: bytes in, bytes out, and streams between them.
//!
//! It knows no route, socket or clock. The driver of a [`Connection`] feeds what it read and sends its output; the
//! handler of a stream receives and sends heads and data. It does not use the leniency that RFC 9113 allows: a
//! malformed message ends its stream, invalid HTTP/2 ends the connection, and frames that cost work and carry nothing
//! are charged to a budget that ends the connection too.
//!
//! - `frame`, `settings`: the wire format.
//! - [`hpack`]: header compression.
//! - `head`: validation of pseudo-fields.
//! - `stream`, `streams`: one stream, and all streams of a connection.
//! - `resets`: streams that we reset and whose frames may still arrive.
//! - `connection` with `recv` (input: `recv_headers`, `recv_data`, `recv_control`) and `send` (output);
//!   `goaway` ends it, `stream_api` is for the handlers of streams.
//! - `abuse_budget`: limit on the cost of a peer.

mod abuse_budget;
mod connection;
mod connection_error;
mod frame;
mod goaway;
mod goaway_state;
mod head;
pub mod hpack;
mod recv;
mod recv_control;
mod recv_data;
mod recv_headers;
mod recv_state;
mod resets;
mod role;
mod send;
mod send_state;
mod settings;
mod stream;
mod stream_api;
mod streams;

#[cfg(test)]
mod tests;

pub use abuse_budget::BudgetLimits;
pub use connection::{Connection, PREFACE};
pub use connection_error::ConnectionError;
pub use frame::Code;
pub use head::{Fields, Head, RequestPseudo};
pub use role::Role;
pub use settings::Settings;
pub use stream_api::{BodyEvent, StreamError};
pub use streams::Key;
