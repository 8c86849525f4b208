//! Wait for the next request head on a client's connection, for the HTTP/2 preface, or for its end.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::http1::{HeadScan, Preface, h2_preface};
use crate::message::{Reason, Rejection};
use crate::net::BufferSize;

use super::Connection;
use super::head_read::HeadRead;

impl Connection {
    /// Waits for the next request: first for its first byte, then for the rest of its head. If `was_tried`, the
    /// buffered bytes are known to be an incomplete head.
    pub(super) async fn next_head(&mut self, was_tried: bool) -> HeadRead {
        let timeouts = &self.worker.shared.settings.timeouts;
        let (head, idle) = (timeouts.head.0, timeouts.keep_alive.0);
        let mut scan = HeadScan::default();
        let mut has_begun = self.is_first;
        match (was_tried, has_begun) {
            (true, _) => {}
            (false, true) => self.deadline.set_from_now(head),
            // The end of the previous request has just read the clock.
            (false, false) => self.deadline.set_from(self.worker.timers.recent(), idle),
        }
        loop {
            if !was_tried && self.has_start() {
                return HeadRead::Start;
            }
            match self.scan(&mut scan) {
                Ok(None) => {}
                Ok(Some(arrived)) => return arrived,
                Err(rejection) => return HeadRead::Refused(rejection),
            }
            if self.received.is_some() && !has_begun {
                has_begun = true;
                self.deadline.set_from_now(head);
            }
            if !self.wait().await {
                let is_late = self.received.is_some() && self.deadline.is_expired();
                return if is_late {
                    HeadRead::Refused(Rejection::request(Reason::RequestTimeout))
                } else {
                    HeadRead::Closed
                };
            }
            if !self.read() {
                return HeadRead::Closed;
            }
        }
    }

    /// True if the buffered bytes can start an HTTP/1.1 request.
    fn has_start(&self) -> bool {
        self.received.as_ref().is_some_and(|buffer| {
            !self.is_first || matches!(h2_preface(buffer.data()), Preface::No)
        })
    }

    fn scan(&mut self, scan: &mut HeadScan) -> Result<Option<HeadRead>, Rejection> {
        let Some(buffer) = &mut self.received else {
            return Ok(None);
        };
        if self.is_first {
            match h2_preface(buffer.data()) {
                Preface::Yes => return Ok(Some(HeadRead::Http2)),
                Preface::Maybe => return Ok(None),
                Preface::No => {}
            }
        }
        let found = scan.request(buffer.data(), &self.worker.shared.settings.message)?;
        if found.is_none() && buffer.space().is_empty() {
            // An empty line before the request must not make its head look larger than the limit, which fits a buffer.
            if buffer.data().starts_with(b"\r\n") {
                buffer.consume(2);
                *scan = HeadScan::default();
            }
            buffer.compact();
            if buffer.space().is_empty() && !buffer.grow() {
                return Err(Rejection::request(Reason::HeadTooLarge));
            }
        }
        Ok(found.map(HeadRead::Head))
    }

    /// True once bytes can be read; false if the connection is to be closed.
    async fn wait(&self) -> bool {
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.stream.poll_readable(cx) {
                return Poll::Ready(result.is_ok());
            }
            if self.worker.closes_idle() && self.received.is_none() {
                return Poll::Ready(false);
            }
            self.deadline.poll_expired(cx).map(|()| false)
        })
        .await
    }

    /// Reads the available bytes; false when the client has closed the connection.
    fn read(&mut self) -> bool {
        let mut buffer = self
            .received
            .take()
            .unwrap_or_else(|| self.worker.buffers.take(BufferSize::Small));
        match self.stream.try_read(buffer.space()) {
            Ok(0) => return false,
            Ok(read) => buffer.filled(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        self.received = Some(buffer).filter(|buffer| !buffer.is_empty());
        true
    }
}
