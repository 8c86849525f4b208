//! HTTP/2 without I/O, for both sides of a proxy: bytes in, bytes out, and streams between them.
//!
//! It knows no route, no socket and no clock. Whoever drives a [`Connection`] reads into it and sends what it has to say;
//! whoever serves a stream takes its heads and data, and gives others back. What RFC 9113 lets a recipient be generous
//! with, it is not: what is malformed ends its stream, what is no HTTP/2 ends the connection, and what costs and brings
//! nothing is counted in a budget that ends it as well.
//!
//! - `frame`, `settings`: what is on the wire.
//! - [`hpack`]: how fields are written on it.
//! - `head`: what fields have to say before they are a head.
//! - `stream`, `streams`: one stream, and all of a connection.
//! - `resets`: streams that are over and may not be for the peer.
//! - `connection` with `recv` (what arrives: `recv_headers`, `recv_data`, `recv_control`) and `send` (what leaves);
//!   `goaway` ends it, `stream_api` is for whoever has a stream in hand.
//! - `abuse_budget`: what a peer may cost.

mod abuse_budget;
mod connection;
mod frame;
mod goaway;
mod head;
pub mod hpack;
mod recv;
mod recv_control;
mod recv_data;
mod recv_headers;
mod resets;
mod send;
mod settings;
mod stream;
mod stream_api;
mod streams;

#[cfg(test)]
mod tests;

pub use abuse_budget::BudgetLimits;
pub use connection::{Connection, ConnectionError, PREFACE, Role};
pub use frame::Code;
pub use head::{Fields, Head, RequestPseudo};
pub use settings::Settings;
pub use stream_api::{BodyEvent, StreamError};
pub use streams::Key;
