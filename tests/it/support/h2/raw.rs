//! A connection of HTTP/2 that sends and reads single frames, right or wrong.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{
    frame::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RawFrame, SETTINGS, frame,
        payload_length,
    },
    hpack,
};
use crate::support::TIMEOUT;

/// A connection of raw frames.
pub(crate) struct RawH2 {
    stream: TcpStream,
}

impl RawH2 {
    /// Sends the preface and empty settings.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut raw = Self { stream };
        raw.bytes(PREFACE);
        raw.frame(SETTINGS, 0, 0, b"");
        raw
    }

    /// The server side: waits for the preface, and sends settings.
    pub(crate) fn accept(stream: TcpStream, settings: &[u8]) -> Option<Self> {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        let mut raw = Self { stream };
        let mut preface = [0; 24];
        raw.stream.read_exact(&mut preface).ok()?;
        raw.frame(SETTINGS, 0, 0, settings).then_some(raw)
    }

    /// Sets the timeout for the next frame.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).unwrap();
    }

    /// The id of the next stream that the peer opens; `None` if it has closed.
    pub(crate) fn asked(&mut self) -> Option<u32> {
        self.until(|frame| frame.kind == HEADERS)
            .map(|frame| frame.stream)
    }

    /// Responds on a stream with 200 and a body.
    pub(crate) fn answer(&mut self, stream: u32, body: &[u8]) -> bool {
        self.head(stream, 0, &[(":status", "200")]) && self.frame(DATA, END_STREAM, stream, body)
    }

    /// Sends GOAWAY: streams above `last` were not processed.
    pub(crate) fn goaway(&mut self, last: u32) -> bool {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend_from_slice(&[0; 4]);
        self.frame(GOAWAY, 0, 0, &payload)
    }

    /// Sends bytes; false if the peer has closed.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a frame; false if the peer has closed.
    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.bytes(&frame(kind, flags, stream, payload))
    }

    /// Sends a request's head, as it is.
    pub(crate) fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> bool {
        self.frame(HEADERS, flags | END_HEADERS, stream, &hpack::block(fields))
    }

    /// The next frame; `None` if the peer has closed.
    pub(crate) fn next(&mut self) -> Option<RawFrame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; payload_length(&head)];
        self.stream.read_exact(&mut payload).ok()?;
        Some(RawFrame::new(&head, payload))
    }

    /// Reads until a frame that `wanted` accepts; `None` if the peer closes before.
    pub(crate) fn until(&mut self, wanted: impl Fn(&RawFrame) -> bool) -> Option<RawFrame> {
        loop {
            let frame = self.next()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// Reads frames until the peer closes.
    pub(crate) fn rest(&mut self) -> Vec<RawFrame> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
