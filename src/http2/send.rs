//! What leaves a connection: heads at once, data as far as the windows and the place on the way out allow.
//!
//! Everything is written into one run of bytes, so a stream's token and a hundred other streams' leave in one system
//! call, and nothing is queued in between: what was written has a place on the wire already.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::connection::{Connection, Role};
use super::frame::{FrameHead, flag, kind};
use super::hpack::Encoder;
use super::settings::FIRST_WINDOW;
use super::stream::{Outbound, Stream};
use super::stream_api::{CANCELLED, StreamError, UNPROCESSED, gone};
use super::streams::Key;

/// No stream of ours has this number or a higher one.
const LAST_NUMBER: u32 = 0x7fff_ff00;
/// What was sent is taken out of the way once there is so much of it.
const COMPACTED: usize = 16 * 1_024;
/// A connection whose window has less left than this is short of it: streams of the others wait there for one another.
const SHORT: i64 = FIRST_WINDOW as i64 / 4;
/// What may wait for a peer that does not read before no stream is opened any more, as a multiple of what bodies may gather.
const MOST_HEADS: usize = 16;
/// What is asked for when something is to leave and nothing was lent.
const FIRST: usize = 4 * 1_024;

/// What is on its way out.
#[derive(Debug)]
pub(super) struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that have left since the connection began.
    left: u64,
    /// What we may still send, of all streams together.
    pub(super) window: i64,
    /// Streams that wait for that window, or for place.
    pub(super) send_queue: VecDeque<Key>,
    has_block: bool,
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
    /// Where to write.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST);
        }
        &mut self.bytes
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// How much has left since the connection began.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

// === impl Connection ===

impl Connection {
    /// What is to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.sending.bytes[self.sending.sent..]
    }

    /// Says that `n` bytes of it were sent.
    pub fn sent(&mut self, n: usize) {
        self.sending.sent += n;
        self.sending.left += n as u64;
        let sending = &mut self.sending;
        if sending.len() == 0 {
            sending.sent = 0;
            sending.bytes.clear();
        } else if sending.sent >= COMPACTED && sending.sent >= sending.len() {
            // One that never catches up takes no more memory than one that does.
            sending.bytes.drain(..sending.sent);
            sending.sent = 0;
        }
        if self.sending.len() <= self.own.send_buffer_max / 2 {
            self.wake_next_sender();
        }
    }

    /// Lends memory to write into, if there is none; what is not needed is dropped.
    pub fn lend(&mut self, memory: impl FnOnce() -> Vec<u8>) {
        if self.sending.bytes.capacity() == 0 {
            self.sending.bytes = memory();
            self.sending.bytes.clear();
        }
    }

    /// Takes the memory back once everything has left, so that a connection that has nothing to say holds none.
    pub fn take_memory(&mut self) -> Option<Vec<u8>> {
        let is_spent = self.sending.bytes.is_empty() && self.sending.bytes.capacity() > 0;
        is_spent.then(|| std::mem::take(&mut self.sending.bytes))
    }

    /// Lets the first of those that wait for window or place try again. When it has had its turn, the next one is let.
    pub(super) fn wake_next_sender(&mut self) {
        while self.sending.window > 0 && self.sending.len() < self.own.send_buffer_max {
            let Some(key) = self.sending.send_queue.pop_front() else {
                return;
            };
            if let Some(stream) = self.streams.get_mut(key)
                && std::mem::take(&mut stream.is_in_line)
                && stream.wants_to_send
            {
                stream.wake();
                return;
            }
        }
    }

    /// Whether streams may be opened at all: the peer is not going, and there are numbers left.
    pub fn allows_more(&self) -> bool {
        self.refused_above.is_none() && self.broken().is_none() && self.next < LAST_NUMBER
    }

    /// Streams that may be open at once.
    pub fn allowed(&self) -> usize {
        if self.allows_more() {
            self.peer.streams as usize
        } else {
            0
        }
    }

    /// Whether a stream that is opened now gets on: the peer takes it, there is place for its head, and what is left of the
    /// connection's window is not what others wait for. If not, another connection is the better one. The peer's side of
    /// the window is never short, since it opens whenever something has come.
    pub fn can_take_stream(&self) -> bool {
        let has_place = self.sending.len() <= MOST_HEADS * self.own.send_buffer_max;
        (self.open as usize) < self.allowed() && has_place && !self.is_short()
    }

    /// The window says nothing before the peer has acknowledged our settings: one that allows more than a connection begins
    /// with says so in a frame of its own, after its settings. That frame is a round trip away at most, which is less than
    /// another connection takes.
    fn is_short(&self) -> bool {
        self.receiving.is_acknowledged && self.sending.window < SHORT
    }

    /// Whether the peer takes CONNECT with a `:protocol`: it has said so in its settings (RFC 8441, section 3).
    pub fn takes_protocols(&self) -> bool {
        self.peer.connects
    }

    /// The longest list of fields that the peer takes, of which it may end the connection if it is longer. What clients say
    /// about answers is advice, and theirs to judge.
    pub fn longest_list(&self) -> usize {
        match self.role {
            Role::Client => self.peer.header_list as usize,
            Role::Server => usize::MAX,
        }
    }

    /// Opens a stream with a head that an [`Encoder`] has written; `is_over` if the head is all there is. It is to be let go by
    /// [`Connection::release`].
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn open(&mut self, block: &[u8], is_over: bool) -> Result<Key, StreamError> {
        debug_assert_eq!(self.role, Role::Client);
        if self.open as usize >= self.allowed() {
            return Err(UNPROCESSED);
        }
        let id = self.next;
        self.next += 2;
        self.open += 1;
        let mut stream = Stream::new(id, self.first_window(), i64::from(self.peer.window));
        stream.starts_at = self.sending.left + self.sending.len() as u64;
        let key = self.streams.insert(stream);
        // It was opened a line above, so it takes its head.
        self.send_head(key, block, is_over)?;
        Ok(key)
    }

    /// Sends a head or trailers, which were encoded by an [`Encoder`].
    ///
    /// # Errors
    /// When the stream is gone.
    pub fn send_head(&mut self, key: Key, block: &[u8], is_over: bool) -> Result<(), StreamError> {
        let stream = self.streams.get_mut(key).ok_or(CANCELLED)?;
        if stream.outbound != Outbound::Open {
            return Err(gone(stream));
        }
        let id = stream.id;
        if is_over {
            stream.outbound = Outbound::Ended;
        }
        self.write_block(id, block, is_over);
        self.reap(key);
        Ok(())
    }

    fn write_block(&mut self, id: u32, block: &[u8], is_over: bool) {
        let most = self.peer.frame as usize;
        let is_first = !std::mem::replace(&mut self.sending.has_block, true);
        let out = self.sending.out();
        let first = block.len().min(most - 1);
        let (part, mut rest) = block.split_at(first);
        let extra = usize::from(is_first);
        FrameHead {
            length: length(part.len() + extra),
            kind: kind::HEADERS,
            flags: flags(is_over, rest.is_empty()),
            stream: id,
        }
        .write(out);
        if is_first {
            // We keep no table, and say so once.
            Encoder::new(out).table_size_zero();
        }
        out.extend_from_slice(part);
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(most));
            rest = after;
            FrameHead {
                length: length(part.len()),
                kind: kind::CONTINUATION,
                flags: flags(false, rest.is_empty()),
                stream: id,
            }
            .write(out);
            out.extend_from_slice(part);
        }
        self.notify();
    }

    /// Sends data, which is advanced; ready once all of it was written. `is_last` if nothing follows it.
    ///
    /// # Errors
    /// When the stream is gone.
    pub fn poll_send(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        data: &mut &[u8],
        is_last: bool,
    ) -> Poll<Result<(), StreamError>> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Poll::Ready(Err(CANCELLED));
        };
        if stream.outbound != Outbound::Open {
            let gone = gone(stream);
            // If it was its turn, it is the next one's now.
            self.wake_next_sender();
            return Poll::Ready(Err(gone));
        }
        stream.wants_to_send = false;
        let is_written = self.write_some(key, data, is_last);
        if !is_written {
            self.wait_to_send(key, cx);
        }
        self.wake_next_sender();
        if is_written {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Writes as much as may go now, but only one frame if others wait; whether that was all.
    fn write_some(&mut self, key: Key, data: &mut &[u8], is_last: bool) -> bool {
        while !data.is_empty() || is_last {
            let n = self.room_for(key, data.len());
            if n == 0 && !data.is_empty() {
                return false;
            }
            let (part, rest) = data.split_at(n);
            *data = rest;
            let is_end = is_last && rest.is_empty();
            self.write_data(key, part, is_end);
            if is_end {
                return true;
            }
            if !rest.is_empty() && !self.sending.send_queue.is_empty() {
                return false;
            }
        }
        true
    }

    /// How much of a stream's data may go in one frame now.
    fn room_for(&self, key: Key, wanted: usize) -> usize {
        let stream = self.streams.get(key);
        let stream_window = stream.map_or(0, |stream| stream.send_window);
        let window = stream_window.min(self.sending.window).max(0);
        let place_left = self.own.send_buffer_max.saturating_sub(self.sending.len());
        wanted
            .min(self.peer.frame as usize)
            .min(place_left)
            .min(usize::try_from(window).unwrap_or(usize::MAX))
    }

    fn wait_to_send(&mut self, key: Key, cx: &Context<'_>) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.wants_to_send = true;
            stream.register_waker(cx);
            let is_held_up_by_others = stream.send_window > 0;
            if is_held_up_by_others && !std::mem::replace(&mut stream.is_in_line, true) {
                self.sending.send_queue.push_back(key);
            }
        }
    }

    fn write_data(&mut self, key: Key, data: &[u8], is_end: bool) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let n = i64::from(length(data.len()));
        stream.send_window -= n;
        self.sending.window -= n;
        if is_end {
            stream.outbound = Outbound::Ended;
        }
        let out = self.sending.out();
        FrameHead {
            length: length(data.len()),
            kind: kind::DATA,
            flags: if is_end { flag::END_STREAM } else { flag::NONE },
            stream: stream.id,
        }
        .write(out);
        out.extend_from_slice(data);
        self.receiving.earn();
        self.notify();
        if is_end {
            self.reap(key);
        }
    }
}

fn length(n: usize) -> u32 {
    u32::try_from(n).expect("a frame is smaller than 16 MiB")
}

fn flags(is_over: bool, is_whole: bool) -> u8 {
    let over = if is_over {
        flag::END_STREAM
    } else {
        flag::NONE
    };
    let whole = if is_whole {
        flag::END_HEADERS
    } else {
        flag::NONE
    };
    over | whole
}
