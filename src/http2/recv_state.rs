//! State of the receive side of a connection.

use super::hpack::Decoder;
use super::role::Role;
use super::settings::FIRST_WINDOW;

/// Initial credit for frames that reply to our data: window updates of a peer at the start of a connection.
const FIRST_CREDIT: u32 = 256;
const MOST_CREDIT: u32 = 4_096;

/// State of the receive side.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) stage: Stage,
    pub(super) block: Option<Block>,
    pub(super) decoder: Decoder,
    pub(super) has_settings: bool,
    /// The peer has acknowledged our SETTINGS.
    pub(super) is_acknowledged: bool,
    /// Connection window: data that the peer may still send, over all streams.
    pub(super) window: i64,
    /// Received data not yet returned to that window.
    pub(super) unclaimed: u32,
    /// Free PINGs and `WINDOW_UPDATE`s: those that reply to our data cost nothing.
    credit: u32,
}

#[derive(Debug)]
pub(super) enum Stage {
    Preface,
    Frame,
    Data(Data),
    Skip(u32),
}

/// A DATA frame that has arrived in part.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Data {
    pub(super) id: u32,
    /// Its stream has a reader.
    pub(super) is_wanted: bool,
    /// The pad length is still to come.
    pub(super) is_padded: bool,
    pub(super) is_last: bool,
    pub(super) is_filled: bool,
    pub(super) left: u32,
    pub(super) padding: u32,
}

/// A header block in several frames.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) id: u32,
    pub(super) is_last: bool,
    /// Its stream depends on itself.
    pub(super) is_circular: bool,
    pub(super) bytes: Vec<u8>,
}

// === impl Receiving ===

impl Receiving {
    pub(super) fn new(role: Role, decoder: Decoder) -> Self {
        Self {
            stage: match role {
                Role::Server => Stage::Preface,
                Role::Client => Stage::Frame,
            },
            block: None,
            decoder,
            has_settings: false,
            is_acknowledged: false,
            window: i64::from(FIRST_WINDOW),
            unclaimed: 0,
            credit: FIRST_CREDIT,
        }
    }

    /// Adds credit for sent data: its reader may reply with two frames.
    pub(super) fn earn(&mut self) {
        self.credit = (self.credit + 2).min(MOST_CREDIT);
    }

    /// Cost of a frame that replies to data: 0 while there is credit.
    pub(super) fn charge(&mut self) -> u32 {
        let was = self.credit;
        self.credit = was.saturating_sub(1);
        u32::from(was == 0)
    }
}
