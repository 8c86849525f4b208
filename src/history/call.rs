//! Calls down a lane to the keeper, each of which waits for its answer.
//!
//! While an answer is late, what must not be lost with this process is sent ahead of its own call: the keeper does all
//! that it was sent, whatever becomes of whoever sent it, and doing it again later changes nothing.

use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::ipc::{self, Encoder};

/// An answer that takes longer is late.
const LATE: Duration = Duration::from_millis(20);

/// One way to the keeper, used by one thread.
#[derive(Debug, Default)]
pub(super) struct Channel {
    // Locked while a message is sent, so that what is handed over at the end begins where a message may begin.
    end: Mutex<Option<End>>,
    came: Condvar,
}

/// The proxy's end of an open lane.
#[derive(Debug)]
pub(super) struct End {
    pub(super) stream: Arc<UnixStream>,
    // Answers that come before that of the next call, and that nobody waits for.
    ahead: usize,
    // How long an answer may take; for ever when absent.
    limit: Option<Duration>,
}

/// Sends what is ready to be sent ahead, as long as it is taken.
pub(super) type Ahead<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&Encoder) -> bool);

/// Why a call has no answer.
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

    /// How long an answer may take; for ever when absent.
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

    /// Ends the lane: the keeper reads what was sent, and then its end.
    pub(super) fn close(&self) -> Option<Arc<UnixStream>> {
        let End { stream, .. } = self.end().take()?;
        // It fails when the other end is gone, which is as good.
        drop(stream.shutdown(Shutdown::Both));
        Some(stream)
    }

    pub(super) fn call(&self, message: &Encoder, ahead: Ahead<'_>) -> Result<Vec<u8>, NoReply> {
        let (stream, before, limit) = {
            let mut place = self.end();
            let end = place
                .as_mut()
                .ok_or_else(|| NoReply::NotSent(io::ErrorKind::NotConnected.into()))?;
            if let Err(error) = ipc::send(&end.stream, message) {
                // What arrived of it stays half a message, and is never read as one.
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
        // The last of them is that of this call.
        let answers = (0..=before).try_fold(Vec::new(), |_, _| self.answer(&stream, limit, ahead));
        answers.map_err(|error| {
            let followed = self.end().as_ref().is_some_and(|end| end.ahead > 0);
            self.close();
            match error.kind() {
                // It ended with some of the message unread, so it did nothing about it; unless what is unread came later.
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

    /// Sends a message whose answer nobody waits for; `false` when there is no room for it now.
    fn send_ahead(&self, message: &Encoder) -> bool {
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
                tracing::warn!(%error, "the keeper of the history cannot be told what to write");
                drop(end.stream.shutdown(Shutdown::Both));
                false
            }
        }
    }
}

/// For calls that nothing is sent ahead of.
pub(super) fn nothing_ahead(_send: &mut dyn FnMut(&Encoder) -> bool) {}
