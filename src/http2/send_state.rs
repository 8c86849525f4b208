//! State of the send side of a connection.

use std::collections::VecDeque;

use super::settings::FIRST_WINDOW;
use super::streams::Key;

/// Initial buffer capacity if no memory was lent.
const FIRST: usize = 4 * 1_024;

/// State of the send side.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    /// Bytes sent since the connection began.
    pub(super) left: u64,
    /// Connection window: data that we may still send, over all streams.
    pub(super) window: i64,
    /// Streams that wait for that window, or for space in the buffer.
    pub(super) send_queue: VecDeque<Key>,
    pub(super) has_block: bool,
}

// === impl Sending ===

impl Default for Sending {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            sent: 0,
            left: 0,
            window: i64::from(FIRST_WINDOW),
            send_queue: VecDeque::new(),
            has_block: false,
        }
    }
}

impl Sending {
    /// The buffer to write into.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST);
        }
        &mut self.bytes
    }

    /// Number of buffered bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Number of bytes sent since the connection began.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}
