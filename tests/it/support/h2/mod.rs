//! HTTP/2 for tests: a client and an endpoint by the `h2` library for behaviour, and a codec of our own for frames that no
//! sound peer sends.

mod client;
pub(crate) mod frame;
pub(crate) mod hpack;
mod huffman;
mod origin;
mod raw;

pub(crate) use client::{H2Client, H2Response, block, read, read_body, request, send};
pub(crate) use frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    RawFrame, SETTINGS, WINDOW_UPDATE, frame, pseudo,
};
pub(crate) use hpack::block as header_block;
pub(crate) use origin::{H2Origin, echo};
pub(crate) use raw::RawH2;
