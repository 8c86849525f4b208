//! Send side of a connection: heads at once, data within the windows and the limit of the send buffer.
//!
//! All output goes into one buffer, so frames of a hundred streams leave in one system call. There is no second queue:
//! what was written is in wire order.

use std::task::{Context, Poll};

use super::connection::Connection;
use super::frame::{FrameHead, flag, kind};
use super::hpack::Encoder;
use super::role::Role;
use super::settings::FIRST_WINDOW;
use super::stream::{Outbound, Stream};
use super::stream_api::{CANCELLED, StreamError, UNPROCESSED, gone};
use super::streams::Key;

/// Bound on the ids of streams that we open: all are below it.
const LAST_NUMBER: u32 = 0x7fff_ff00;
/// Amount of sent output at which it is removed from the buffer.
const COMPACTED: usize = 16 * 1_024;
/// Threshold for a short connection window: below it, streams wait for one another.
const SHORT: i64 = FIRST_WINDOW as i64 / 4;
/// Limit on buffered output for a peer that does not read, above which no stream is opened; a multiple of
/// `send_buffer_max`.
const MOST_HEADS: usize = 16;

// === impl Connection ===

impl Connection {
    /// Output to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.sending.bytes[self.sending.sent..]
    }

    /// Marks `n` bytes of it as sent.
    pub fn sent(&mut self, n: usize) {
        self.sending.sent += n;
        self.sending.left += n as u64;
        let sending = &mut self.sending;
        if sending.len() == 0 {
            sending.sent = 0;
            sending.bytes.clear();
        } else if sending.sent >= COMPACTED && sending.sent >= sending.len() {
            // A peer that never catches up uses no more memory than one that does.
            sending.bytes.drain(..sending.sent);
            sending.sent = 0;
        }
        if self.sending.len() <= self.own.send_buffer_max / 2 {
            self.wake_next_sender();
        }
    }

    /// Lends memory for output if there is none; unneeded memory is dropped.
    pub fn lend(&mut self, memory: impl FnOnce() -> Vec<u8>) {
        if self.sending.bytes.capacity() == 0 {
            self.sending.bytes = memory();
            self.sending.bytes.clear();
        }
    }

    /// Takes the memory back once all output is sent, so that an idle connection holds none.
    pub fn take_memory(&mut self) -> Option<Vec<u8>> {
        let is_spent = self.sending.bytes.is_empty() && self.sending.bytes.capacity() > 0;
        is_spent.then(|| std::mem::take(&mut self.sending.bytes))
    }

    /// Wakes the first stream that waits for window or space. After it has sent, the next one is woken.
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

    /// True if streams can be opened at all: the peer sent no GOAWAY, and ids are left.
    pub fn allows_more(&self) -> bool {
        self.refused_above.is_none() && self.broken().is_none() && self.next < LAST_NUMBER
    }

    /// Maximum number of concurrent streams.
    pub fn allowed(&self) -> usize {
        if self.allows_more() {
            self.peer.streams as usize
        } else {
            0
        }
    }

    /// True if a stream opened now makes progress: the peer accepts it, its head fits into the buffer, and the
    /// connection window is not short. If false, another connection is the better choice. The receive window is never
    /// short, since it reopens whenever data arrives.
    pub fn can_take_stream(&self) -> bool {
        let has_place = self.sending.len() <= MOST_HEADS * self.own.send_buffer_max;
        (self.open as usize) < self.allowed() && has_place && !self.is_short()
    }

    /// True if the connection window is short. Before the peer has acknowledged our SETTINGS the window means nothing:
    /// a peer that allows more than the initial window sends a `WINDOW_UPDATE` after its SETTINGS. It arrives within
    /// one round trip, sooner than a new connection could be opened.
    fn is_short(&self) -> bool {
        self.receiving.is_acknowledged && self.sending.window < SHORT
    }

    /// True if the peer supports extended CONNECT, by its SETTINGS (RFC 8441, section 3).
    pub fn takes_protocols(&self) -> bool {
        self.peer.connects
    }

    /// Longest field list that the peer accepts; it may end the connection over a longer one. A client's limit on
    /// responses is advisory, and the client enforces it.
    pub fn longest_list(&self) -> usize {
        match self.role {
            Role::Client => self.peer.header_list as usize,
            Role::Server => usize::MAX,
        }
    }

    /// Opens a stream with a head encoded by an [`Encoder`]; `is_over` if nothing follows it. The caller must call
    /// [`Connection::release`].
    ///
    /// # Errors
    /// If no stream can be opened now.
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
        // It was opened just above, so it accepts its head.
        self.send_head(key, block, is_over)?;
        Ok(key)
    }

    /// Sends a head or trailers, encoded by an [`Encoder`].
    ///
    /// # Errors
    /// If the stream has ended.
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
            // We use no dynamic table, and announce it once.
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

    /// Sends data and advances the slice; ready once all of it is buffered. `is_last` if nothing follows it.
    ///
    /// # Errors
    /// If the stream has ended.
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
            // If this stream was woken as the first in the queue, wake the next.
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

    /// Writes as much as is allowed now, but only one frame if other streams wait; true if that was all.
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

    /// Size of the next DATA frame of a stream.
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
