//! State of one stream: received data that was not taken yet, what may still be sent, and its waker.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::frame::Code;
use super::head::Head;
use crate::message::Reason;

/// Number of unread heads of one response. Further informational ones are dropped, as any intermediary may do.
const MOST_HEADS: usize = 4;

/// A stream. Its id is never reused; its slot in the connection is.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Received heads, not taken yet.
    pub(super) heads: VecDeque<Head>,
    /// Number of informational heads received.
    informational: usize,
    /// Received data, not taken yet.
    pub(super) data: Vec<u8>,
    /// Bytes taken by the handler and not yet released.
    pub(super) unacked: usize,
    pub(super) trailers: Option<Head>,
    /// Window: data that the peer may still send.
    pub(super) receive_window: i64,
    /// Released bytes not yet returned to the peer's window.
    pub(super) pending_credit: u32,
    /// Rest of the announced body length.
    pub(super) expected: Option<u64>,
    /// Bytes of the body received.
    pub(super) received: u64,
    /// The final head of a response has arrived; what follows is trailers.
    pub(super) has_final_head: bool,
    /// Window: data that we may still send.
    pub(super) send_window: i64,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// Waits for the peer's window, or for space in the send buffer.
    pub(super) wants_to_send: bool,
    /// Is in the send queue.
    pub(super) is_in_line: bool,
    /// Has a handler, or is about to get one.
    pub(super) is_held: bool,
    /// Counts as open.
    pub(super) is_counted: bool,
    /// Reset by the peer, which must send nothing more on it.
    pub(super) is_reset: bool,
    /// Offset in the connection's output of its first byte, for a stream that we opened.
    pub(super) starts_at: u64,
    waker: Option<Waker>,
}

/// State of the peer's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    Open,
    /// Ended regularly.
    Ended,
    /// Reset, by either side.
    Broken(Code),
    /// Reset by us, because the message is malformed.
    Invalid(Reason),
    /// The connection ended without a statement about the stream.
    Lost,
    /// The peer said that it did not process the stream, or never received a byte of it.
    Unprocessed,
}

/// State of our direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outbound {
    Open,
    /// Ended regularly.
    Ended,
    /// Reset, by either side.
    Broken,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(id: u32, receive_window: i64, send_window: i64) -> Self {
        Self {
            id,
            heads: VecDeque::new(),
            informational: 0,
            data: Vec::new(),
            unacked: 0,
            trailers: None,
            receive_window,
            pending_credit: 0,
            expected: None,
            received: 0,
            has_final_head: false,
            send_window,
            inbound: Inbound::Open,
            outbound: Outbound::Open,
            wants_to_send: false,
            is_in_line: false,
            is_held: true,
            is_counted: true,
            is_reset: false,
            starts_at: 0,
            waker: None,
        }
    }

    /// True if both directions have ended.
    pub(super) fn is_closed(&self) -> bool {
        match self.inbound {
            Inbound::Open => false,
            Inbound::Ended => self.outbound != Outbound::Open,
            Inbound::Broken(_) | Inbound::Invalid(_) | Inbound::Lost | Inbound::Unprocessed => true,
        }
    }

    /// True if it was reset or failed.
    pub(super) fn is_broken(&self) -> bool {
        self.outbound == Outbound::Broken || self.is_inbound_broken()
    }

    /// True if the rest of the peer's direction will never arrive.
    pub(super) fn is_inbound_broken(&self) -> bool {
        !matches!(self.inbound, Inbound::Open | Inbound::Ended)
    }

    /// Ends the stream early. A direction that ended regularly keeps its state.
    pub(super) fn end_by_peer(&mut self, how: Inbound) {
        if self.inbound == Inbound::Open {
            self.inbound = how;
        }
        if self.outbound == Outbound::Open || self.inbound == Inbound::Ended {
            self.outbound = Outbound::Broken;
        }
        self.wants_to_send = false;
    }

    /// Fails the stream because of an error in it: even a complete direction counts no more.
    pub(super) fn fail(&mut self, how: Inbound) {
        self.inbound = how;
        self.is_reset = false;
        self.outbound = Outbound::Broken;
        self.data = Vec::new();
        self.wants_to_send = false;
    }

    /// Adds a head of a response.
    ///
    /// # Errors
    /// If it is not valid here.
    pub(super) fn add_head(&mut self, head: Head, most_informational: usize) -> Result<(), Reason> {
        let is_final = head.status() >= 200;
        if !is_final && head.is_last() {
            return Err(Reason::CutBody);
        }
        self.has_final_head = is_final;
        self.informational += usize::from(!is_final);
        if self.informational > most_informational {
            return Err(Reason::TooManyInformational);
        }
        if is_final || self.heads.len() < MOST_HEADS {
            self.heads.push_back(head);
        }
        Ok(())
    }

    /// Counts received data; false if it exceeds the announced length.
    pub(super) fn count(&mut self, n: usize) -> bool {
        let n = n as u64;
        self.received += n;
        match &mut self.expected {
            Some(expected) if *expected < n => return false,
            Some(expected) => *expected -= n,
            None => {}
        }
        true
    }

    /// Sets the announced length of the body; false if it is already violated.
    pub(super) fn expect(&mut self, length: u64) -> bool {
        let left = length.checked_sub(self.received);
        self.expected = left;
        left.is_some_and(|left| left == 0 || self.inbound != Inbound::Ended)
    }

    /// Registers the waker of the stream's single handler task.
    pub(super) fn register_waker(&mut self, cx: &Context<'_>) {
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
