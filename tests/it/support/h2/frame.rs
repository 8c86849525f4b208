//! Frames as bytes (RFC 9113, section 4.1). Nothing is validated: a wrong frame is as easy to build as a right one.

use super::hpack::block;

/// The client's connection preface.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// `ACK` of `SETTINGS` and `PING`.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 32;

/// A received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl RawFrame {
    pub(crate) fn new(head: &[u8; 9], payload: Vec<u8>) -> Self {
        Self {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff,
            payload,
        }
    }

    /// Splits the first frame off; `None` if it is incomplete.
    pub(crate) fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        let (payload, rest) = rest.split_at_checked(payload_length(head))?;
        Some((Self::new(head, payload.to_vec()), rest))
    }
}

/// The length of a frame's payload.
pub(crate) fn payload_length(head: &[u8; 9]) -> usize {
    u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize
}

/// Any frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request or trailers in one frame.
pub(crate) fn head(stream: u32, fields: &[(&str, &str)], more: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | more, stream, &block(fields))
}

/// Data in one frame.
pub(crate) fn data(stream: u32, bytes: impl AsRef<[u8]>, flags: u8) -> Vec<u8> {
    frame(DATA, flags, stream, bytes.as_ref())
}

/// Settings.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// The reset of a stream.
pub(crate) fn rst(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A larger window.
pub(crate) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// A ping.
pub(crate) fn ping(flags: u8) -> Vec<u8> {
    frame(PING, flags, 0, b"pingpong")
}

/// The fields of a GET of `path`.
pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a.example"),
    ]
}

/// The fields of a POST, and these.
pub(crate) fn post<'f>(fields: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let start = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/x"),
        (":authority", "a.example"),
    ];
    [&start, fields].concat()
}

/// The pseudo-fields of a request.
pub(crate) fn pseudo<'f>(method: &'f str, path: &'f str) -> Vec<(&'f str, &'f str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "agents.test"),
        (":path", path),
    ]
}
