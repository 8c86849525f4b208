//! Control frames, of streams and of the connection.

use super::connection::Connection;
use super::connection_error::{ConnectionError, broken, protocol, size};
use super::frame::{Code, FrameHead, flag, kind, word};
use super::role::Role;
use super::settings::{FIRST_WINDOW, MOST_WINDOW};
use super::stream::{Inbound, Outbound};

// === impl Connection ===

impl Connection {
    pub(super) fn read_priority(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        if head.stream == 0 {
            return Err(protocol("PRIORITY on stream 0"));
        }
        self.validate_priority(head.stream, word(payload) & 0x7fff_ffff == head.stream)
    }

    pub(super) fn read_reset(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        if head.stream == 0 || self.is_unopened(head.stream) {
            return Err(protocol("RST_STREAM on an idle stream"));
        }
        let code = Code(word(payload));
        let how = if code == Code::REFUSED_STREAM {
            Inbound::Unprocessed
        } else {
            Inbound::Broken(code)
        };
        if let Some(key) = self.streams.find(head.stream) {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.is_reset = true;
            }
            self.end_by_peer(key, how);
        }
        Ok(())
    }

    pub(super) fn read_settings(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        if head.stream != 0 {
            return Err(protocol("SETTINGS on a stream"));
        }
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(size("SETTINGS ACK with a payload"));
            }
            self.acknowledged();
            return Ok(());
        }
        self.check_backlog()?;
        let before = self.peer.window;
        let is_first = !std::mem::replace(&mut self.receiving.has_settings, true);
        self.peer
            .read(payload, is_first)
            .map_err(|code| broken(code, "invalid SETTINGS"))?;
        let change = i64::from(self.peer.window) - i64::from(before);
        for stream in self.streams.iter_mut() {
            stream.send_window += change;
            if stream.send_window > MOST_WINDOW {
                return Err(broken(
                    Code::FLOW_CONTROL_ERROR,
                    "a flow control window is too large",
                ));
            }
            if stream.wants_to_send {
                stream.wake();
            }
        }
        FrameHead {
            length: 0,
            kind: kind::SETTINGS,
            flags: flag::ACK,
            stream: 0,
        }
        .write(self.sending.out());
        self.notify();
        Ok(())
    }

    /// Handles the SETTINGS ack: from here on the peer knows the initial window of streams.
    fn acknowledged(&mut self) {
        if !std::mem::replace(&mut self.receiving.is_acknowledged, true) {
            let change = i64::from(self.own.stream_window) - i64::from(FIRST_WINDOW);
            for stream in self.streams.iter_mut() {
                stream.receive_window += change;
            }
        }
    }

    /// Initial receive window of a stream that we open.
    pub(super) fn first_window(&self) -> i64 {
        i64::from(if self.receiving.is_acknowledged {
            self.own.stream_window
        } else {
            FIRST_WINDOW
        })
    }

    pub(super) fn read_ping(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        if head.stream != 0 {
            return Err(protocol("PING on a stream"));
        }
        if head.has(flag::ACK) {
            self.pong(payload);
        } else if let Some(payload) = payload.first_chunk() {
            self.check_backlog()?;
            self.write_ping(flag::ACK, *payload);
        }
        Ok(())
    }

    pub(super) fn read_goaway(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        if head.stream != 0 {
            return Err(protocol("GOAWAY on a stream"));
        }
        if self.role == Role::Server {
            // It refers to streams that we open, and a server opens none; streams in flight finish.
            return Ok(());
        }
        let last = word(payload) & 0x7fff_ffff;
        let last = self.refused_above.map_or(last, |before| before.min(last));
        self.refused_above = Some(last);
        for stream in self.streams.iter_mut().filter(|stream| stream.id > last) {
            stream.end_by_peer(Inbound::Unprocessed);
            stream.wake();
        }
        Ok(())
    }

    pub(super) fn read_window(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        let more = i64::from(word(payload) & 0x7fff_ffff);
        if head.stream == 0 {
            return self.open_window(more);
        }
        if self.is_unopened(head.stream) {
            return Err(protocol("WINDOW_UPDATE on an idle stream"));
        }
        let key = self.streams.find(head.stream);
        let Some(stream) = key.and_then(|key| self.streams.get_mut(key)) else {
            return Ok(());
        };
        if stream.is_closed() || stream.outbound != Outbound::Open && more > 0 {
            return Ok(());
        }
        stream.send_window += more;
        if stream.send_window > MOST_WINDOW {
            return self.reset_counted(head.stream, Code::FLOW_CONTROL_ERROR);
        }
        if more == 0 {
            return self.reset_counted(head.stream, Code::PROTOCOL_ERROR);
        }
        if stream.wants_to_send {
            stream.wake();
        }
        Ok(())
    }

    fn open_window(&mut self, more: i64) -> Result<(), ConnectionError> {
        if more == 0 {
            return Err(protocol("WINDOW_UPDATE of 0"));
        }
        self.sending.window += more;
        if self.sending.window > MOST_WINDOW {
            return Err(broken(
                Code::FLOW_CONTROL_ERROR,
                "a flow control window is too large",
            ));
        }
        self.wake_next_sender();
        Ok(())
    }
}
