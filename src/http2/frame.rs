//! Frames: headers, types, flags and error codes (RFC 9113, sections 4, 6 and 7).

use std::fmt;

/// Length of a frame header.
pub(super) const HEAD: usize = 9;

/// Frame types.
pub(super) mod kind {
    pub(in crate::http2) const DATA: u8 = 0;
    pub(in crate::http2) const HEADERS: u8 = 1;
    pub(in crate::http2) const PRIORITY: u8 = 2;
    pub(in crate::http2) const RST_STREAM: u8 = 3;
    pub(in crate::http2) const SETTINGS: u8 = 4;
    pub(in crate::http2) const PING: u8 = 6;
    pub(in crate::http2) const GOAWAY: u8 = 7;
    pub(in crate::http2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::http2) const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub(super) mod flag {
    pub(in crate::http2) const NONE: u8 = 0;
    pub(in crate::http2) const ACK: u8 = 1;
    pub(in crate::http2) const END_STREAM: u8 = 1;
    pub(in crate::http2) const END_HEADERS: u8 = 4;
    pub(in crate::http2) const PADDED: u8 = 8;
    pub(in crate::http2) const PRIORITY: u8 = 0x20;
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Stream id; 0 is the connection itself.
    pub(super) stream: u32,
}

/// Error code of a stream or a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

// === impl FrameHead ===

impl FrameHead {
    /// Parses the header at the start of `bytes`; `None` if it is incomplete.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        Some(Self {
            length: u32::from_be_bytes([0, head[0], head[1], head[2]]),
            kind: head[3],
            flags: head[4],
            // The highest bit is reserved.
            stream: word(&head[5..]) & 0x7fff_ffff,
        })
    }

    /// Appends the header to `out`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let [_, length @ ..] = self.length.to_be_bytes();
        let stream = self.stream.to_be_bytes();
        let mut head = [0; HEAD];
        head[..3].copy_from_slice(&length);
        head[3] = self.kind;
        head[4] = self.flags;
        head[5..].copy_from_slice(&stream);
        out.extend_from_slice(&head);
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Decodes a big-endian number from the first four bytes. The caller checks that there are four.
pub(super) fn word(bytes: &[u8]) -> u32 {
    let word = bytes.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(word)
}

// === impl Code ===

impl Code {
    /// No error.
    pub const NO_ERROR: Self = Self(0);
    /// Protocol violation.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Internal error on our side.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More data than the window allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// Frame on a closed stream.
    pub const STREAM_CLOSED: Self = Self(5);
    /// Frame size that is invalid for its type.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// The stream was not processed.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The stream is no longer needed.
    pub const CANCEL: Self = Self(8);
    /// Compression state is lost.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// Excessive load without payload.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);

    /// True if the peer has caused a reset with this code.
    pub(super) fn is_provoked(self) -> bool {
        [
            Self::PROTOCOL_ERROR,
            Self::FLOW_CONTROL_ERROR,
            Self::STREAM_CLOSED,
            Self::FRAME_SIZE_ERROR,
            Self::REFUSED_STREAM,
            Self::ENHANCE_YOUR_CALM,
        ]
        .contains(&self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = FrameHead {
            length: 0x0001_0203,
            kind: kind::HEADERS,
            flags: flag::END_HEADERS | flag::END_STREAM,
            stream: 0x7fff_fffd,
        };
        let mut bytes = Vec::new();
        head.write(&mut bytes);
        assert_eq!(FrameHead::parse(&bytes), Some(head));
        bytes[5] |= 0x80;
        assert_eq!(FrameHead::parse(&bytes), Some(head), "a bit is reserved");
        assert_eq!(FrameHead::parse(&bytes[..8]), None);
    }

    #[test]
    fn codes_have_names() {
        assert_eq!(Code::ENHANCE_YOUR_CALM.to_string(), "ENHANCE_YOUR_CALM");
        assert_eq!(Code(99).to_string(), "error 99");
        assert!(Code::REFUSED_STREAM.is_provoked() && !Code::CANCEL.is_provoked());
    }
}
