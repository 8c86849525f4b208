//! One connection of HTTP/2, of either role, without I/O: bytes in, bytes out, streams between.
//!
//! Whoever owns the socket hands over what was read ([`Connection::receive`]) and sends what [`Connection::outgoing`]
//! has. Whoever serves a stream holds its [`Key`] and takes and gives heads and data by it; one task at a time, which is
//! woken when something happened to its stream.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use thiserror::Error;

use super::abuse_budget::{Budget, BudgetLimits, Verdict};
use super::frame::{Code, FrameHead, flag, kind};
use super::goaway::GoAwayState;
use super::head::Head;
use super::hpack::Decoder;
use super::recv::Receiving;
use super::resets::Resets;
use super::send::Sending;
use super::settings::{FIRST_WINDOW, PeerSettings, Settings};
use super::stream::Inbound;
use super::streams::{Key, Streams};
use crate::message::Reason;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What may wait on its way out while the peer asks for replies, as a multiple of what bodies may gather.
const MOST_BACKLOG: usize = 32;
/// Streams that a client opens before the server has said how many it takes: few, so that none is refused.
const FIRST_STREAMS: u32 = 100;

/// Which side we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We open streams.
    Client,
    /// The peer does.
    Server,
}

/// The connection is broken: what is on its way out, a goodbye with this code, is all that may still be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("HTTP/2: {code}: {why}")]
pub struct ConnectionError {
    /// What the peer is told.
    pub code: Code,
    /// What happened.
    pub why: &'static str,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) own: Settings,
    pub(super) peer: PeerSettings,
    pub(super) streams: Streams,
    /// Streams of the peer that nobody has taken up yet.
    pub(super) accepted: VecDeque<Key>,
    /// Streams that are open, on the wire.
    pub(super) open: u32,
    /// The highest number of a stream of the peer that was taken up.
    pub(super) last: u32,
    /// The highest number that the peer has used; higher than `last` once it was told to go.
    pub(super) highest: u32,
    /// The number of the next stream that we open.
    pub(super) next: u32,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    pub(super) leaving: GoAwayState,
    /// The streams above this number were not looked at by the peer, which is going.
    pub(super) refused_above: Option<u32>,
    pub(super) resets: Resets,
    budget: Budget,
    now_ms: u64,
    broken: Option<ConnectionError>,
    driver: Option<Waker>,
}

// === impl Connection ===

impl Connection {
    /// A connection on which nothing was said yet. A client's preface is received like anything else.
    pub fn new(role: Role, own: Settings, budget: BudgetLimits) -> Self {
        let mut connection = Self {
            role,
            own,
            peer: PeerSettings::new(FIRST_STREAMS),
            streams: Streams::default(),
            accepted: VecDeque::new(),
            open: 0,
            last: 0,
            highest: 0,
            next: 1,
            receiving: Receiving::new(role, Decoder::new(own.header_table)),
            sending: Sending::default(),
            leaving: GoAwayState::No,
            refused_above: None,
            resets: Resets::default(),
            budget: Budget::new(budget),
            now_ms: 0,
            broken: None,
            driver: None,
        };
        connection.send_preface();
        connection
    }

    fn send_preface(&mut self) {
        let is_client = self.role == Role::Client;
        let out = self.sending.out();
        if is_client {
            out.extend_from_slice(PREFACE);
        }
        self.own.write(is_client, out);
        self.receiving.window = i64::from(self.own.connection_window.max(FIRST_WINDOW));
        let more = self.own.connection_window.saturating_sub(FIRST_WINDOW);
        if more > 0 {
            self.write_window(0, more);
        }
    }

    /// Takes bytes that were read; says how many of them. The rest is to be handed over again, with what comes behind it.
    ///
    /// # Errors
    /// When the connection is broken, by now or before.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) -> Result<usize, ConnectionError> {
        self.now_ms = now_ms;
        let mut rest = bytes;
        loop {
            if let Some(broken) = self.broken {
                return Err(broken);
            }
            if self.is_full() {
                break;
            }
            match self.step(&mut rest) {
                Ok(true) => {}
                Ok(false) => break,
                Err(broken) => self.fail(broken),
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Whether so much waits to be sent that nothing more is received before some of it has left: heads of answers and
    /// replies to what the client sends come on top of the bodies.
    ///
    /// Answers of a server go on being read, since it may well read nothing before it has written them. What we have to say
    /// meanwhile is bounded without that: no stream is opened ([`Connection::can_take_stream`]), windows open as often as
    /// something has come, and a server that asks for replies that it does not read is let go.
    pub fn is_full(&self) -> bool {
        self.role == Role::Server && self.sending.len() > 2 * self.own.send_buffer_max
    }

    /// Whether replies may be written for the peer: to one that makes us write them, and does not read, nothing is said.
    pub(super) fn check_backlog(&self) -> Result<(), ConnectionError> {
        if self.sending.len() > MOST_BACKLOG * self.own.send_buffer_max {
            let code = Code::ENHANCE_YOUR_CALM;
            let why = "replies are asked for and not read";
            return Err(ConnectionError { code, why });
        }
        Ok(())
    }

    /// A stream that the peer has opened, with its head; it is to be let go by [`Connection::release`].
    pub fn accept(&mut self) -> Option<(Key, Head)> {
        loop {
            let key = self.accepted.pop_front()?;
            let stream = self.streams.get_mut(key)?;
            let head = stream.heads.pop_front();
            // One that the client has taken back already concerns nobody.
            if let Some(head) = head.filter(|_| !stream.is_broken()) {
                return Some((key, head));
            }
            self.release(key, Code::CANCEL);
        }
    }

    /// Whether the peer's settings have come.
    pub fn is_greeted(&self) -> bool {
        self.receiving.has_settings
    }

    /// Whether nobody has a stream in hand.
    pub fn is_idle(&self) -> bool {
        self.streams.len() == 0
    }

    /// Ends the connection, whatever is open.
    pub fn close(&mut self, code: Code) {
        let why = "closed by us";
        self.fail(ConnectionError { code, why });
    }

    /// Breaks all streams off: nothing will be received any more.
    pub fn lost(&mut self) {
        let (role, left) = (self.role, self.sending.left());
        for stream in self.streams.iter_mut() {
            // What we have asked for in bytes that never left was asked of nobody.
            let is_unsent = role == Role::Client && stream.starts_at >= left;
            stream.end_by_peer(if is_unsent {
                Inbound::Unprocessed
            } else {
                Inbound::Lost
            });
            stream.wake();
        }
        if self.broken.is_none() {
            self.broken = Some(ConnectionError {
                code: Code::NO_ERROR,
                why: "the peer closed the connection",
            });
        }
    }

    /// Why it is broken, if it is.
    pub fn broken(&self) -> Option<ConnectionError> {
        self.broken
    }

    /// Remembers whom to wake, once, when somebody has written to the connection. Not needed where its streams are served
    /// by the task that sends.
    pub fn register_waker(&mut self, cx: &Context<'_>) {
        self.driver = Some(cx.waker().clone());
    }

    /// Whoever sends is about to, and need not be woken.
    pub fn clear_waker(&mut self) {
        self.driver = None;
    }

    /// Wakes whoever sends what was written.
    pub(super) fn notify(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn fail(&mut self, broken: ConnectionError) {
        if self.broken.is_none() {
            self.broken = Some(broken);
            self.write_goaway(self.last, broken.code);
            for stream in self.streams.iter_mut() {
                stream.end_by_peer(Inbound::Broken(broken.code));
                stream.wake();
            }
        }
    }

    /// Spends of the budget of what costs us and brings nothing.
    pub(super) fn spend(&mut self, cost: u32) -> Result<(), ConnectionError> {
        match self.budget.spend(self.now_ms, cost) {
            Verdict::Ok => {}
            Verdict::GoAway => self.graceful_shutdown(),
            Verdict::CloseNow => {
                return Err(ConnectionError {
                    code: Code::ENHANCE_YOUR_CALM,
                    why: "too many frames that bring nothing",
                });
            }
        }
        Ok(())
    }

    /// Ends a stream of which nobody may have heard yet.
    ///
    /// # Errors
    /// When the peer has made us do that too often.
    pub(super) fn reset_counted(&mut self, id: u32, code: Code) -> Result<(), ConnectionError> {
        self.reset_stream(id, code, Inbound::Broken(code))
    }

    /// Ends a stream because what came of it is no message.
    ///
    /// # Errors
    /// When the peer has made us do that too often.
    pub(super) fn reject(&mut self, id: u32, why: Reason) -> Result<(), ConnectionError> {
        self.reset_stream(id, Code::PROTOCOL_ERROR, Inbound::Invalid(why))
    }

    /// Ends a stream, whatever of it was whole.
    fn reset_stream(&mut self, id: u32, code: Code, how: Inbound) -> Result<(), ConnectionError> {
        self.write_reset(id, code);
        if !self.is_unopened(id) {
            self.resets.remember_reset(id);
        }
        if let Some(key) = self.streams.find(id) {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.fail(how);
                stream.wake();
            }
            self.reap(key);
        }
        if !code.is_provoked() || self.role == Role::Client {
            return Ok(());
        }
        // One that asks for more than it may have made no mistake.
        self.resets.mistakes += usize::from(code != Code::REFUSED_STREAM);
        if self.resets.mistakes > self.own.local_resets {
            return Err(ConnectionError {
                code: Code::ENHANCE_YOUR_CALM,
                why: "too many streams had to be broken off",
            });
        }
        self.spend(1)
    }

    /// Breaks a stream off and tells whoever has it in hand.
    pub(super) fn end_by_peer(&mut self, key: Key, how: Inbound) {
        let is_server = self.role == Role::Server;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.end_by_peer(how);
            if is_server && stream.is_inbound_broken() {
                // Nobody reads the rest of a request that was taken back. What has come of an answer is passed on.
                stream.data = Vec::new();
            }
            stream.wake();
        }
        self.reap(key);
    }

    /// Takes a stream that is over out of the count, and out of the books once nobody has it in hand.
    pub(super) fn reap(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if !stream.is_closed() {
            return;
        }
        if std::mem::replace(&mut stream.is_counted, false) {
            self.open -= 1;
        }
        if !stream.is_held {
            if stream.is_in_line {
                self.sending.send_queue.retain(|other| *other != key);
            }
            self.streams.remove(key);
        }
    }

    /// Whether nobody has opened this stream yet.
    pub(super) fn is_unopened(&self, id: u32) -> bool {
        match self.role {
            Role::Server => id > self.highest || id.is_multiple_of(2),
            Role::Client => id >= self.next || id.is_multiple_of(2),
        }
    }

    fn write_reset(&mut self, id: u32, code: Code) {
        self.write_word(kind::RST_STREAM, id, code.0);
    }

    pub(super) fn write_window(&mut self, id: u32, more: u32) {
        self.write_word(kind::WINDOW_UPDATE, id, more);
    }

    fn write_word(&mut self, kind: u8, stream: u32, word: u32) {
        let out = self.sending.out();
        FrameHead {
            length: 4,
            kind,
            flags: flag::NONE,
            stream,
        }
        .write(out);
        out.extend_from_slice(&word.to_be_bytes());
        self.notify();
    }
}
