//! One stream: what arrived and was not taken yet, what may still be sent, and who waits for either.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::frame::Code;
use super::head::Head;

/// A stream. Its number is given once; its place in the connection is used again.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Heads that arrived and were not taken.
    pub(super) heads: VecDeque<Head>,
    /// Data that arrived and was not taken.
    pub(super) data: Vec<u8>,
    /// How much was taken and is not said to be read yet.
    pub(super) lent: usize,
    pub(super) trailers: Option<Head>,
    /// What the peer may still send.
    pub(super) receive_window: i64,
    /// What was taken and not given back to the peer's window yet.
    pub(super) unclaimed: u32,
    /// How much of the body was announced and has not come.
    pub(super) expected: Option<u64>,
    /// How much of the body has come.
    pub(super) received: u64,
    /// The final head of an answer has come; what follows is trailers.
    pub(super) has_final_head: bool,
    /// What we may still send.
    pub(super) send_window: i64,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// It waits for the peer's window, or for place on the way out.
    pub(super) wants_to_send: bool,
    /// It stands in the line of those that wait.
    pub(super) is_in_line: bool,
    /// Somebody has it in hand, or is about to.
    pub(super) is_held: bool,
    /// It counts among those that are open.
    pub(super) is_counted: bool,
    waker: Option<Waker>,
}

/// How the peer's direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    Open,
    /// It came to its end.
    Ended,
    /// It was broken off, by either side.
    Broken(Code),
    /// The peer has said that it did not look at it.
    Unprocessed,
}

/// How our direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outbound {
    Open,
    /// It came to its end.
    Ended,
    /// It was broken off, by either side.
    Broken,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(id: u32, receive_window: i64, send_window: i64) -> Self {
        Self {
            id,
            heads: VecDeque::new(),
            data: Vec::new(),
            lent: 0,
            trailers: None,
            receive_window,
            unclaimed: 0,
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
            waker: None,
        }
    }

    /// Whether neither side may say anything more on it.
    pub(super) fn is_closed(&self) -> bool {
        match self.inbound {
            Inbound::Open => false,
            Inbound::Ended => self.outbound != Outbound::Open,
            Inbound::Broken(_) | Inbound::Unprocessed => true,
        }
    }

    /// Whether it was broken off.
    pub(super) fn is_broken(&self) -> bool {
        self.outbound == Outbound::Broken || self.is_inbound_broken()
    }

    /// Whether what has not come yet will never come.
    pub(super) fn is_inbound_broken(&self) -> bool {
        matches!(self.inbound, Inbound::Broken(_) | Inbound::Unprocessed)
    }

    /// Breaks it off. A direction that came to its end stays what it is.
    pub(super) fn break_off(&mut self, how: Inbound) {
        if self.inbound == Inbound::Open {
            self.inbound = how;
        }
        if self.outbound == Outbound::Open || self.inbound == Inbound::Ended {
            self.outbound = Outbound::Broken;
        }
        self.wants_to_send = false;
    }

    /// Breaks it off because of what is wrong with it: nothing of it counts any more, not even what was whole.
    pub(super) fn condemn(&mut self, code: Code) {
        self.inbound = Inbound::Broken(code);
        self.outbound = Outbound::Broken;
        self.data = Vec::new();
        self.wants_to_send = false;
    }

    /// Takes note of data; false if it is more than was announced.
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

    /// The body shall have this length; false if it has already turned out not to.
    pub(super) fn expect(&mut self, length: u64) -> bool {
        let left = length.checked_sub(self.received);
        self.expected = left;
        left.is_some_and(|left| left == 0 || self.inbound != Inbound::Ended)
    }

    /// Remembers whom to wake: whoever has the stream in hand is one task.
    pub(super) fn listen(&mut self, cx: &Context<'_>) {
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
