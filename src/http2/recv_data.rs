//! Receiving DATA within the windows, and reopening the windows.
//!
//! A stream's window reopens when its data was read, the connection's when data has arrived. So data that a slow
//! reader does not take counts against its own stream only, and no stream can starve the others. The memory of a
//! connection is bounded by its streams and the window of each.

use super::connection::Connection;
use super::connection_error::{ConnectionError, broken, protocol, size};
use super::frame::{Code, FrameHead, flag};
use super::recv_state::{Data, Stage};
use super::role::Role;
use super::stream::Inbound;
use super::streams::Key;
use crate::message::Reason;

// === impl Connection ===

impl Connection {
    pub(super) fn begin_data(&mut self, head: FrameHead) -> Result<(), ConnectionError> {
        let id = head.stream;
        if id == 0 || self.is_unopened(id) {
            return Err(protocol("DATA on an idle stream"));
        }
        if head.has(flag::PADDED) && head.length == 0 {
            return Err(size("missing pad length"));
        }
        self.receiving.window -= i64::from(head.length);
        if self.receiving.window < 0 {
            return Err(broken(
                Code::FLOW_CONTROL_ERROR,
                "DATA exceeds the connection window",
            ));
        }
        self.release_connection_capacity(head.length);
        let is_wanted = self.admit_data(id, head.length)?;
        self.receiving.stage = Stage::Data(Data {
            id,
            is_wanted,
            is_padded: head.has(flag::PADDED),
            is_last: head.has(flag::END_STREAM),
            is_filled: false,
            left: head.length,
            padding: 0,
        });
        Ok(())
    }

    /// True if the stream accepts a DATA frame of this length.
    fn admit_data(&mut self, id: u32, length: u32) -> Result<bool, ConnectionError> {
        let Some(stream) = self.streams.by_id(id) else {
            return self.data_on_closed_stream(id);
        };
        if stream.is_inbound_broken() {
            // The frame may have been sent before our reset arrived, but not after the peer's own
            // reset (RFC 9113, section 5.1).
            if stream.is_reset {
                self.reset_counted(id, Code::STREAM_CLOSED)?;
            }
            return Ok(false);
        }
        let is_early = self.role == Role::Client && !stream.has_final_head;
        stream.receive_window -= i64::from(length);
        if is_early {
            self.reject(id, Reason::InvalidStartLine)?;
            return Ok(false);
        }
        let code = if stream.inbound == Inbound::Ended {
            Code::STREAM_CLOSED
        } else if length > 0 && stream.receive_window < 0 {
            Code::FLOW_CONTROL_ERROR
        } else {
            return Ok(true);
        };
        self.reset_counted(id, code)?;
        Ok(false)
    }

    /// Handles DATA on a closed stream: it may have been sent before our reset arrived.
    fn data_on_closed_stream(&mut self, id: u32) -> Result<bool, ConnectionError> {
        if !self.resets.may_have(id) {
            self.reset_counted(id, Code::STREAM_CLOSED)?;
        }
        Ok(false)
    }

    pub(super) fn read_data(&mut self, rest: &mut &[u8]) -> Result<bool, ConnectionError> {
        let Stage::Data(data) = &mut self.receiving.stage else {
            return Ok(true);
        };
        if data.is_padded {
            let Some((padding, after)) = rest.split_first() else {
                return Ok(false);
            };
            *rest = after;
            data.is_padded = false;
            data.left -= 1;
            data.padding = u32::from(*padding);
            if data.padding > data.left {
                return Err(protocol("padding exceeds the frame"));
            }
            let (id, unused) = (data.id, data.padding + 1);
            let is_wanted = data.is_wanted;
            self.take_padding(id, unused, is_wanted);
            return Ok(true);
        }
        let n = rest.len().min((data.left - data.padding) as usize);
        if n > 0 {
            let (bytes, after) = rest.split_at(n);
            *rest = after;
            data.left -= u32::try_from(n).expect("no more than `left`");
            data.is_filled = true;
            let id = data.id;
            let is_wanted = data.is_wanted;
            return self.deliver(id, bytes, is_wanted).map(|()| true);
        }
        if data.left > data.padding {
            return Ok(false);
        }
        let (padding, end) = (data.left, (data.id, data.is_last, data.is_filled));
        self.receiving.stage = match padding {
            0 => Stage::Frame,
            left => Stage::Skip(left),
        };
        let (id, is_last, is_filled) = end;
        if is_last {
            self.end_inbound(id)?;
        } else if !is_filled && self.role == Role::Server {
            self.spend(1)?;
        }
        Ok(true)
    }

    fn deliver(&mut self, id: u32, bytes: &[u8], is_wanted: bool) -> Result<(), ConnectionError> {
        let stream = self.streams.by_id(id).filter(|_| is_wanted);
        let Some(stream) = stream.filter(|stream| stream.inbound == Inbound::Open) else {
            return Ok(());
        };
        if !stream.count(bytes.len()) {
            return self.reject(id, Reason::LengthMismatch);
        }
        stream.data.extend_from_slice(bytes);
        stream.wake();
        Ok(())
    }

    /// Skips padding. It counts in the window and has no reader.
    fn take_padding(&mut self, id: u32, n: u32, is_wanted: bool) {
        if let Some(key) = self.streams.find(id).filter(|_| is_wanted) {
            self.release_stream_capacity(key, n as usize);
        }
    }

    /// Returns read data of a stream to its window.
    pub fn release_capacity(&mut self, key: Key, n: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            let n = n.min(stream.unacked);
            stream.unacked -= n;
            self.release_stream_capacity(key, n);
        }
    }

    fn release_stream_capacity(&mut self, key: Key, n: usize) {
        let window = self.own.stream_window;
        if let Some(stream) = self.streams.get_mut(key)
            && stream.inbound == Inbound::Open
        {
            stream.pending_credit = stream.pending_credit.saturating_add(count(n));
            if stream.pending_credit > 0 && stream.pending_credit >= window / 2 {
                let (id, more) = (stream.id, std::mem::take(&mut stream.pending_credit));
                stream.receive_window += i64::from(more);
                self.write_window(id, more);
            }
        }
    }

    /// Reopens the connection window for a received frame, whatever becomes of it: at the latest when half of the
    /// window is left.
    fn release_connection_capacity(&mut self, n: u32) {
        let unclaimed = self.receiving.unclaimed.saturating_add(n);
        self.receiving.unclaimed = unclaimed;
        if unclaimed > 0 && unclaimed >= self.own.connection_window / 2 {
            self.receiving.unclaimed = 0;
            self.receiving.window += i64::from(unclaimed);
            self.write_window(0, unclaimed);
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
