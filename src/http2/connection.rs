//! Sans-I/O HTTP/2 connection, client or server: bytes in, bytes out, streams between.
//!
//! The owner of the socket passes in what it read ([`Connection::receive`]) and sends [`Connection::outgoing`].
//! The handler of a stream holds its [`Key`], and reads and writes heads and data with it.
//! Each stream has one handler task, which is woken by events of its stream.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::abuse_budget::{Budget, BudgetLimits, Verdict};
use super::connection_error::ConnectionError;
use super::frame::{Code, FrameHead, flag, kind};
use super::goaway_state::GoAwayState;
use super::head::Head;
use super::hpack::Decoder;
use super::recv_state::Receiving;
use super::resets::Resets;
use super::role::Role;
use super::send_state::Sending;
use super::settings::{FIRST_WINDOW, PeerSettings, Settings};
use super::stream::Inbound;
use super::streams::{Key, Streams};
use crate::message::Reason;

/// Connection preface of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Limit on buffered output while the peer causes replies, as a multiple of `send_buffer_max`.
const MOST_BACKLOG: usize = 32;
/// Streams that a client opens before the server's SETTINGS arrive: few, so that none is refused.
const FIRST_STREAMS: u32 = 100;

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) own: Settings,
    pub(super) peer: PeerSettings,
    pub(super) streams: Streams,
    /// Streams opened by the peer that no handler has accepted yet.
    pub(super) accepted: VecDeque<Key>,
    /// Number of open streams on the wire.
    pub(super) open: u32,
    /// Highest accepted stream id of the peer.
    pub(super) last: u32,
    /// Highest stream id that the peer has used; above `last` once a GOAWAY was sent.
    pub(super) highest: u32,
    /// Id of the next stream that we open.
    pub(super) next: u32,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    pub(super) leaving: GoAwayState,
    /// The peer's GOAWAY: it did not process streams above this id.
    pub(super) refused_above: Option<u32>,
    pub(super) resets: Resets,
    budget: Budget,
    now_ms: u64,
    broken: Option<ConnectionError>,
    driver: Option<Waker>,
}

// === impl Connection ===

impl Connection {
    /// Creates a connection before its first byte. A client's preface is received like any other bytes.
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

    /// Processes received bytes and returns how many were consumed. The rest must be passed in
    /// again, followed by new bytes.
    ///
    /// # Errors
    /// If the connection is broken, now or earlier.
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

    /// True if so much output is buffered that nothing is received until some of it is sent. Response heads and
    /// replies to control frames come on top of the bodies.
    ///
    /// A client keeps on receiving, since a server may read nothing before it has written its responses. Its own
    /// output is bounded without that: no stream is opened ([`Connection::can_take_stream`]), window updates are sent
    /// only for what has arrived, and a server that causes replies and does not read them is disconnected.
    pub fn is_full(&self) -> bool {
        self.role == Role::Server && self.sending.len() > 2 * self.own.send_buffer_max
    }

    /// Checks that replies may still be buffered. A peer that causes replies and does not read them is disconnected.
    pub(super) fn check_backlog(&self) -> Result<(), ConnectionError> {
        if self.sending.len() > MOST_BACKLOG * self.own.send_buffer_max {
            let code = Code::ENHANCE_YOUR_CALM;
            let why = "too many unread replies";
            return Err(ConnectionError { code, why });
        }
        Ok(())
    }

    /// Takes the next stream opened by the peer, with its head. The caller must call [`Connection::release`].
    pub fn accept(&mut self) -> Option<(Key, Head)> {
        loop {
            let key = self.accepted.pop_front()?;
            let stream = self.streams.get_mut(key)?;
            let head = stream.heads.pop_front();
            // A stream that the client has already reset needs no handler.
            if let Some(head) = head.filter(|_| !stream.is_broken()) {
                return Some((key, head));
            }
            self.release(key, Code::CANCEL);
        }
    }

    /// True once the peer's SETTINGS have arrived.
    pub fn is_greeted(&self) -> bool {
        self.receiving.has_settings
    }

    /// True if no stream has a handler.
    pub fn is_idle(&self) -> bool {
        self.streams.len() == 0
    }

    /// Closes the connection with `code`, whatever is open.
    pub fn close(&mut self, code: Code) {
        let why = "closed by us";
        self.fail(ConnectionError { code, why });
    }

    /// Ends all streams: nothing more will be received.
    pub fn lost(&mut self) {
        let (role, left) = (self.role, self.sending.left());
        for stream in self.streams.iter_mut() {
            // A request whose bytes were never sent was not processed.
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

    /// The error that broke the connection, if any.
    pub fn broken(&self) -> Option<ConnectionError> {
        self.broken
    }

    /// Registers a waker to be called once, at the next write to the connection. Not needed if its streams are
    /// served by the task that sends.
    pub fn register_waker(&mut self, cx: &Context<'_>) {
        self.driver = Some(cx.waker().clone());
    }

    /// Clears the waker: the sender is about to send.
    pub fn clear_waker(&mut self) {
        self.driver = None;
    }

    /// Wakes the sender.
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

    /// Charges the abuse budget.
    pub(super) fn spend(&mut self, cost: u32) -> Result<(), ConnectionError> {
        match self.budget.spend(self.now_ms, cost) {
            Verdict::Ok => {}
            Verdict::GoAway => self.graceful_shutdown(),
            Verdict::CloseNow => {
                return Err(ConnectionError {
                    code: Code::ENHANCE_YOUR_CALM,
                    why: "too many frames without progress",
                });
            }
        }
        Ok(())
    }

    /// Resets a stream that may not have a handler yet.
    ///
    /// # Errors
    /// If the peer has caused too many resets.
    pub(super) fn reset_counted(&mut self, id: u32, code: Code) -> Result<(), ConnectionError> {
        self.reset_stream(id, code, Inbound::Broken(code))
    }

    /// Resets a stream whose message is malformed.
    ///
    /// # Errors
    /// If the peer has caused too many resets.
    pub(super) fn reject(&mut self, id: u32, why: Reason) -> Result<(), ConnectionError> {
        self.reset_stream(id, Code::PROTOCOL_ERROR, Inbound::Invalid(why))
    }

    /// Resets a stream, even in a direction that was complete.
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
        // REFUSED_STREAM means too many streams, which is no error of the peer.
        self.resets.mistakes += usize::from(code != Code::REFUSED_STREAM);
        if self.resets.mistakes > self.own.local_resets {
            return Err(ConnectionError {
                code: Code::ENHANCE_YOUR_CALM,
                why: "too many streams had to be reset",
            });
        }
        self.spend(1)
    }

    /// Ends a stream and wakes its handler.
    pub(super) fn end_by_peer(&mut self, key: Key, how: Inbound) {
        let is_server = self.role == Role::Server;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.end_by_peer(how);
            if is_server && stream.is_inbound_broken() {
                // The rest of a cancelled request is dropped. Received parts of a response are still delivered.
                stream.data = Vec::new();
            }
            stream.wake();
        }
        self.reap(key);
    }

    /// Decrements the open count of a closed stream; removes the stream once it has no handler.
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

    /// True if this stream was never opened.
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
