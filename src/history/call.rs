//! Calls to the writer process over a channel; each waits for its reply.
//!
//! While a reply is late, records that must survive this process are sent ahead of their own calls: the writer process
//! does all that it was sent, even if this process ends, and repeating a write changes nothing.

use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::ipc::{self, Message};

/// Time after which a reply is late.
const LATE: Duration = Duration::from_millis(20);

/// Channel to the writer process, used by one thread.
#[derive(Debug, Default)]
pub(super) struct Channel {
    // Locked while a message is sent, so that the final transfer starts at a message boundary.
    end: Mutex<Option<End>>,
    came: Condvar,
}

/// This process's end of an open channel.
#[derive(Debug)]
pub(super) struct End {
    pub(super) stream: Arc<UnixStream>,
    // Replies to messages sent ahead, which come before the reply to the next call and are ignored.
    ahead: usize,
    // Timeout for a reply; none if absent.
    limit: Option<Duration>,
}

/// Sends ahead all messages that are ready, while there is room.
pub(super) type Ahead<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&Message) -> bool);

/// Reason why a call got no reply.
pub(super) enum NoReply {
    Lost(io::Error),
    NotSent(io::Error),
}

impl Channel {
    pub(super) fn end(&self) -> MutexGuard<'_, Option<End>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, stream: UnixStream) {
        *self.end() = Some(End {
            stream: Arc::new(stream),
            ahead: 0,
            limit: None,
        });
        self.came.notify_all();
    }

    pub(super) fn is_open(&self) -> bool {
        self.end().is_some()
    }

    /// Sets the timeout for replies; none if absent.
    pub(super) fn wait_at_most(&self, limit: Option<Duration>) {
        if let Some(end) = self.end().as_mut() {
            end.limit = limit;
        }
    }

    pub(super) fn wait_open(&self, limit: Duration) {
        let end = self.end();
        let waited = self
            .came
            .wait_timeout_while(end, limit, |end| end.is_none());
        drop(waited);
    }

    /// Closes the channel: the writer process reads what was sent, and then the end of the stream.
    pub(super) fn close(&self) -> Option<Arc<UnixStream>> {
        let End { stream, .. } = self.end().take()?;
        // It fails if the peer is gone, which is fine.
        drop(stream.shutdown(Shutdown::Both));
        Some(stream)
    }

    pub(super) fn call(&self, message: &Message, ahead: Ahead<'_>) -> Result<Vec<u8>, NoReply> {
        let (stream, before, limit) = {
            let mut place = self.end();
            let end = place
                .as_mut()
                .ok_or_else(|| NoReply::NotSent(io::ErrorKind::NotConnected.into()))?;
            if let Err(error) = ipc::send(&end.stream, message) {
                // The part that arrived stays an incomplete message, which is never processed.
                drop(end.stream.shutdown(Shutdown::Both));
                *place = None;
                return Err(NoReply::NotSent(error));
            }
            (
                Arc::clone(&end.stream),
                std::mem::take(&mut end.ahead),
                end.limit,
            )
        };
        // The last reply belongs to this call.
        let answers = (0..=before).try_fold(Vec::new(), |_, _| self.answer(&stream, limit, ahead));
        answers.map_err(|error| {
            let followed = self.end().as_ref().is_some_and(|end| end.ahead > 0);
            self.close();
            match error.kind() {
                // The peer closed with part of the message unread, so it did not process it; unless the unread part
                // was sent later.
                io::ErrorKind::ConnectionReset if !followed => NoReply::NotSent(error),
                _ => NoReply::Lost(error),
            }
        })
    }

    fn answer(
        &self,
        stream: &UnixStream,
        limit: Option<Duration>,
        ahead: Ahead<'_>,
    ) -> io::Result<Vec<u8>> {
        let begin = Instant::now();
        while !ipc::is_readable(stream, LATE)? {
            if limit.is_some_and(|limit| begin.elapsed() > limit) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            ahead(&mut |message| self.send_ahead(message));
        }
        ipc::receive(stream)
    }

    /// Sends a message whose reply is ignored; `false` if there is no room for it now.
    fn send_ahead(&self, message: &Message) -> bool {
        let mut place = self.end();
        let Some(end) = place.as_mut() else {
            return false;
        };
        match ipc::send_if_room(&end.stream, message) {
            Ok(sent) => {
                end.ahead += usize::from(sent);
                sent
            }
            Err(error) => {
                tracing::warn!(%error, "the history writer process cannot receive a write");
                drop(end.stream.shutdown(Shutdown::Both));
                false
            }
        }
    }
}

/// For calls without messages to send ahead.
pub(super) fn nothing_ahead(_send: &mut dyn FnMut(&Message) -> bool) {}
