//! Streams of MCP sessions: the channel on which a server sends requests and notifications of its own, a GET.
//!
//! It is of use only as long as the session is on that server. So whoever relays one is told when its session has moved,
//! and ends it; the client opens another one, which goes where the session is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The open streams, shared by all workers, by the id that leads to their session.
#[derive(Debug, Default)]
pub struct McpStreams(Mutex<HashMap<Box<[u8]>, watch::Sender<()>>>);

/// An open stream, until it is dropped.
#[derive(Debug)]
pub struct McpStream {
    streams: Arc<McpStreams>,
    id: Box<[u8]>,
    // Its sender is dropped when the session moves.
    moved: watch::Receiver<()>,
}

// === impl McpStreams ===

impl McpStreams {
    /// Adds a stream of the session that is known by `id`.
    pub fn open(self: &Arc<Self>, id: &[u8]) -> McpStream {
        let mut open = self.lock();
        let sender = open
            .entry(id.into())
            .or_insert_with(|| watch::channel(()).0);
        McpStream {
            moved: sender.subscribe(),
            streams: Arc::clone(self),
            id: id.into(),
        }
    }

    /// Ends the streams of a session that has moved away from `id`.
    pub fn end(&self, id: &[u8]) {
        self.lock().remove(id);
    }

    // Safe to ignore poisoning: no step under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl McpStream ===

impl McpStream {
    /// Returns when its session has moved.
    pub async fn ended(&self) {
        let mut moved = self.moved.clone();
        while moved.changed().await.is_ok() {}
    }
}

impl Drop for McpStream {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        // The session may have come back to the id meanwhile: then the entry is that of later streams.
        let is_own = |sender: &mut watch::Sender<()>| self.moved.same_channel(&sender.subscribe());
        if open.get_mut(&self.id).is_some_and(is_own) && open[&self.id].receiver_count() == 1 {
            open.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_end_with_the_move_of_their_session_and_leave_nothing() {
        let streams = Arc::new(McpStreams::default());
        let (one, two, other) = (streams.open(b"a"), streams.open(b"a"), streams.open(b"b"));
        let has_ended = |stream: &McpStream| stream.moved.has_changed().is_err();
        streams.end(b"a");
        one.ended().await;
        two.ended().await;
        assert!(!has_ended(&other));
        let later = streams.open(b"a");
        drop((one, two));
        assert!(!has_ended(&later), "earlier streams do not end it");
        assert_eq!(streams.lock().len(), 2);
        let beside = streams.open(b"a");
        drop(later);
        assert_eq!(streams.lock().len(), 2, "one of two is left");
        drop((beside, other));
        assert_eq!(streams.lock().len(), 0);
    }
}
