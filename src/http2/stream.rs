//! One stream: what arrived and was not taken yet, what may still be sent, and who waits for either.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::frame::Code;
use super::head::Head;
use crate::message::Reason;

/// Heads of one answer that wait for their reader. Informational ones beyond that are dropped, as anybody may do with them.
const MOST_HEADS: usize = 4;

/// A stream. Its number is given once; its place in the connection is used again.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Heads that arrived and were not taken.
    pub(super) heads: VecDeque<Head>,
    /// How many informational ones have come.
    informational: usize,
    /// Data that arrived and was not taken.
    pub(super) data: Vec<u8>,
    /// How much was taken and is not said to be read yet.
    pub(super) unacked: usize,
    pub(super) trailers: Option<Head>,
    /// What the peer may still send.
    pub(super) receive_window: i64,
    /// What was taken and not given back to the peer's window yet.
    pub(super) pending_credit: u32,
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
    /// The peer has reset it, and so may send nothing more on it.
    pub(super) is_reset: bool,
    /// Bytes of the connection in front of its first one, for a stream that we opened.
    pub(super) starts_at: u64,
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
    /// We broke it off, because what came of it is no message.
    Invalid(Reason),
    /// The connection ended, and nobody has said anything about the stream.
    Lost,
    /// The peer has said that it did not look at it, or never got a byte of it.
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

    /// Whether neither side may say anything more on it.
    pub(super) fn is_closed(&self) -> bool {
        match self.inbound {
            Inbound::Open => false,
            Inbound::Ended => self.outbound != Outbound::Open,
            Inbound::Broken(_) | Inbound::Invalid(_) | Inbound::Lost | Inbound::Unprocessed => true,
        }
    }

    /// Whether it was broken off.
    pub(super) fn is_broken(&self) -> bool {
        self.outbound == Outbound::Broken || self.is_inbound_broken()
    }

    /// Whether what has not come yet will never come.
    pub(super) fn is_inbound_broken(&self) -> bool {
        !matches!(self.inbound, Inbound::Open | Inbound::Ended)
    }

    /// Breaks it off. A direction that came to its end stays what it is.
    pub(super) fn end_by_peer(&mut self, how: Inbound) {
        if self.inbound == Inbound::Open {
            self.inbound = how;
        }
        if self.outbound == Outbound::Open || self.inbound == Inbound::Ended {
            self.outbound = Outbound::Broken;
        }
        self.wants_to_send = false;
    }

    /// Breaks it off because of what is wrong with it: nothing of it counts any more, not even what was whole.
    pub(super) fn fail(&mut self, how: Inbound) {
        self.inbound = how;
        self.is_reset = false;
        self.outbound = Outbound::Broken;
        self.data = Vec::new();
        self.wants_to_send = false;
    }

    /// Takes a head of an answer.
    ///
    /// # Errors
    /// When it cannot be one.
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
