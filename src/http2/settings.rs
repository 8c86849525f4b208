//! Settings of both sides (RFC 9113, section 6.5).

use super::frame::{Code, FrameHead, flag, kind, word};

/// Initial window of a stream and of a connection.
pub(super) const FIRST_WINDOW: u32 = 65_535;
/// Largest window.
pub(super) const MOST_WINDOW: i64 = 0x7fff_ffff;
const FIRST_FRAME: u32 = 16_384;
const MOST_FRAME: u32 = 0x00ff_ffff;

mod id {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// Our limits, announced and internal. Those on streams that the peer opens do not apply to a client.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Maximum number of concurrent streams of the peer.
    pub streams: u32,
    /// Maximum number of streams that the peer has reset and that still have a handler, in addition to those.
    pub pending_resets: usize,
    /// Maximum number of streams that we reset because of errors of the peer.
    pub local_resets: usize,
    /// Stream window: bytes of a body ahead of its reader.
    pub stream_window: u32,
    /// Connection window: bytes of all bodies on their way. Received data counts against its stream alone.
    pub connection_window: u32,
    /// Maximum frame size.
    pub frame: u32,
    /// Maximum size of a field list.
    pub header_list: u32,
    /// Maximum number of informational heads of one response.
    pub informational: usize,
    /// Maximum size of trailers.
    pub trailers: usize,
    /// Maximum number of fields in a list.
    pub fields: usize,
    /// Size of the HPACK table.
    pub header_table: u32,
    /// Limit on buffered output at which a body has to wait.
    pub send_buffer_max: usize,
}

/// The peer's settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerSettings {
    pub(super) streams: u32,
    pub(super) window: u32,
    pub(super) frame: u32,
    pub(super) header_list: u32,
    /// Supports extended CONNECT (RFC 8441).
    pub(super) connects: bool,
}

// === impl Settings ===

impl Settings {
    /// Writes the SETTINGS frame. A client disables push; a server enables extended CONNECT.
    pub(super) fn write(&self, is_client: bool, out: &mut Vec<u8>) {
        let all = [
            (id::HEADER_TABLE_SIZE, self.header_table),
            (id::ENABLE_PUSH, 0),
            (id::MAX_CONCURRENT_STREAMS, self.streams),
            (id::INITIAL_WINDOW_SIZE, self.stream_window),
            (id::MAX_FRAME_SIZE, self.frame),
            (id::MAX_HEADER_LIST_SIZE, self.header_list),
            (id::ENABLE_CONNECT_PROTOCOL, 1),
        ];
        // Only a client may send ENABLE_PUSH, and streams are never opened towards it.
        let skipped: &[u16] = if is_client {
            &[id::MAX_CONCURRENT_STREAMS, id::ENABLE_CONNECT_PROTOCOL]
        } else {
            &[id::ENABLE_PUSH]
        };
        FrameHead {
            length: if is_client { 5 * 6 } else { 6 * 6 },
            kind: kind::SETTINGS,
            flags: flag::NONE,
            stream: 0,
        }
        .write(out);
        for (id, value) in all.into_iter().filter(|(id, _)| !skipped.contains(id)) {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

// === impl PeerSettings ===

impl PeerSettings {
    /// Defaults before the peer's SETTINGS. `streams` is small for a client, so that none is refused.
    pub(super) fn new(streams: u32) -> Self {
        Self {
            streams,
            window: FIRST_WINDOW,
            frame: FIRST_FRAME,
            header_list: u32::MAX,
            connects: false,
        }
    }

    /// Applies a SETTINGS payload. `is_first` for the first one: limits that it does not set become unlimited.
    pub(super) fn read(&mut self, payload: &[u8], is_first: bool) -> Result<(), Code> {
        if is_first {
            self.streams = u32::MAX;
        }
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Code::FRAME_SIZE_ERROR);
        };
        for setting in settings {
            self.set(
                u16::from_be_bytes([setting[0], setting[1]]),
                word(&setting[2..]),
            )?;
        }
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32) -> Result<(), Code> {
        match id {
            id::ENABLE_PUSH if value > 1 => return Err(Code::PROTOCOL_ERROR),
            id::MAX_CONCURRENT_STREAMS => self.streams = value,
            id::INITIAL_WINDOW_SIZE if i64::from(value) > MOST_WINDOW => {
                return Err(Code::FLOW_CONTROL_ERROR);
            }
            id::INITIAL_WINDOW_SIZE => self.window = value,
            id::MAX_FRAME_SIZE if !(FIRST_FRAME..=MOST_FRAME).contains(&value) => {
                return Err(Code::PROTOCOL_ERROR);
            }
            id::MAX_FRAME_SIZE => self.frame = value,
            id::MAX_HEADER_LIST_SIZE => self.header_list = value,
            // RFC 8441, section 3: one or zero, and never back to zero.
            id::ENABLE_CONNECT_PROTOCOL if value > 1 || self.connects && value == 0 => {
                return Err(Code::PROTOCOL_ERROR);
            }
            id::ENABLE_CONNECT_PROTOCOL => self.connects = value == 1,
            // Our heads use no table; unknown settings are ignored.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(u16, u32)]) -> Result<PeerSettings, Code> {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let mut peer = PeerSettings::new(100);
        peer.read(&payload, true).map(|()| peer)
    }

    #[test]
    fn what_is_set_is_taken_over_and_what_is_unknown_is_not() {
        let peer = read(&[
            (3, 7),
            (4, 1_000),
            (5, 20_000),
            (0xff, 1),
            (1, 0),
            (2, 1),
            (6, 8),
        ])
        .unwrap();
        assert_eq!((peer.streams, peer.window, peer.frame), (7, 1_000, 20_000));
        assert_eq!(peer.header_list, 8);
        let peer = read(&[]).unwrap();
        assert_eq!((peer.streams, peer.header_list), (u32::MAX, u32::MAX));
        assert!(!peer.connects && !read(&[(8, 0)]).unwrap().connects);
        assert!(read(&[(8, 1)]).unwrap().connects);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for (id, value, code) in [
            (2, 2, Code::PROTOCOL_ERROR),
            (4, 0x8000_0000, Code::FLOW_CONTROL_ERROR),
            (5, 16_383, Code::PROTOCOL_ERROR),
            (5, 0x0100_0000, Code::PROTOCOL_ERROR),
            (8, 2, Code::PROTOCOL_ERROR),
        ] {
            assert_eq!(read(&[(id, value)]).unwrap_err(), code, "{id} {value}");
        }
        assert!(read(&[(8, 1), (8, 0)]).is_err());
        let cut = PeerSettings::new(1).read(&[0; 5], true);
        assert_eq!(cut, Err(Code::FRAME_SIZE_ERROR));
    }
}
