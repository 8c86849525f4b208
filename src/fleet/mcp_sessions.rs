//! Memory of MCP sessions: what it takes to begin one of them anew on another release.
//!
//! A server of the generation up to 2025-11-25 keeps a session in its own memory, and most clients do not begin a new one
//! when theirs is gone. So the proxy keeps the `initialize` request of each session, and the agreement that it led to,
//! in a table of bounded size; the oldest sessions leave first. A session is known by the id that its client holds.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::model::McpAgreement;

/// Number of parts with a lock of their own.
const PARTS: usize = 16;
/// Memory of an entry beside the bytes that it holds.
const ENTRY_SIZE: usize = 256;
/// Moves of a session that are followed from its first id on.
const MOST_MOVES: usize = 64;

/// Hash of a session's id. The hash is keyed, so that no client can choose ids that fall together.
type Key = u128;

/// The known sessions, shared by all workers.
#[derive(Debug)]
pub struct McpSessions {
    parts: [Mutex<Part>; PARTS],
    hashers: [RandomState; 2],
    most_bytes: usize,
    // Set with the first move: until then no request takes a lock.
    has_moved: AtomicBool,
}

#[derive(Debug, Default)]
struct Part {
    sessions: HashMap<Key, Entry>,
    // In the order of insertion.
    order: VecDeque<Key>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    session: McpSession,
    moved_to: Option<Arc<str>>,
    // Present while a request moves the session; it ends when its sender is dropped.
    moving: Option<watch::Receiver<()>>,
}

/// The start of a session.
#[derive(Debug, Clone)]
pub struct McpSession {
    /// Body of its `initialize` request.
    pub initialize: Bytes,
    /// The agreement with the server.
    pub agreement: Arc<McpAgreement>,
}

/// The state of a session that is to be moved.
#[derive(Debug)]
pub enum McpMove<'s> {
    /// It was moved already: the id that leads to its new place.
    Moved(Arc<str>),
    /// Another request moves it.
    Moving(McpMoving),
    /// The caller moves it now.
    Start(McpSession, McpMoveGuard<'s>),
    /// Its start is not known.
    Unknown,
}

/// A wait for the end of a move by another request.
#[derive(Debug)]
pub struct McpMoving(watch::Receiver<()>);

/// The right to move a session; others wait until it is dropped.
#[derive(Debug)]
pub struct McpMoveGuard<'s> {
    sessions: &'s McpSessions,
    key: Key,
    // Dropping it ends the wait of the others.
    _sender: watch::Sender<()>,
}

// === impl McpSessions ===

impl McpSessions {
    /// A table that holds about `most_bytes` at most.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            hashers: [RandomState::new(), RandomState::new()],
            most_bytes: most_bytes / PARTS,
            has_moved: AtomicBool::new(false),
        }
    }

    /// Keeps the start of the session that its client knows by `id`, and returns how many others that drove out.
    pub fn insert(&self, id: &[u8], session: McpSession) -> u64 {
        let key = self.key(id);
        let mut part = self.part(key);
        let size = session.size();
        if size > self.most_bytes {
            return 0;
        }
        part.remove(key);
        let mut evicted = 0;
        while part.bytes + size > self.most_bytes && part.evict_oldest() {
            evicted += 1;
        }
        part.bytes += size;
        part.order.push_back(key);
        part.sessions.insert(
            key,
            Entry {
                session,
                moved_to: None,
                moving: None,
            },
        );
        evicted
    }

    /// The id that leads to a session now, if it was moved since its client got `id`.
    pub fn current(&self, id: &[u8]) -> Option<Arc<str>> {
        if !self.has_moved.load(Ordering::Acquire) {
            return None;
        }
        let mut found: Option<Arc<str>> = None;
        for _ in 0..MOST_MOVES {
            let key = self.key(found.as_ref().map_or(id, |found| found.as_bytes()));
            let next = self
                .part(key)
                .sessions
                .get(&key)
                .and_then(|entry| entry.moved_to.clone());
            match next {
                Some(next) => found = Some(next),
                None => break,
            }
        }
        found
    }

    /// Begins to move the session that is known by `id`, or waits for a request that does so already.
    pub fn start_move(&self, id: &[u8]) -> McpMove<'_> {
        let key = self.key(id);
        let mut part = self.part(key);
        let Some(entry) = part.sessions.get_mut(&key) else {
            return McpMove::Unknown;
        };
        if let Some(moved_to) = &entry.moved_to {
            return McpMove::Moved(Arc::clone(moved_to));
        }
        // A sender that is gone has not moved it.
        if let Some(moving) = entry
            .moving
            .as_ref()
            .filter(|moving| moving.has_changed().is_ok())
        {
            return McpMove::Moving(McpMoving(moving.clone()));
        }
        let (sender, receiver) = watch::channel(());
        entry.moving = Some(receiver);
        let guard = McpMoveGuard {
            sessions: self,
            key,
            _sender: sender,
        };
        McpMove::Start(entry.session.clone(), guard)
    }

    /// Leads an id that a client holds to another one without the moves between them, if its session is known.
    pub fn shorten(&self, from: &[u8], to: &str) {
        self.lead(self.key(from), to);
    }

    fn lead(&self, from: Key, to: &str) {
        // A server may hand out an id twice, and an id that leads to itself would lead nowhere.
        if from == self.key(to.as_bytes()) {
            return;
        }
        if let Some(entry) = self.part(from).sessions.get_mut(&from) {
            entry.moved_to = Some(to.into());
        }
    }

    /// Number of known sessions.
    pub fn len(&self) -> usize {
        self.parts
            .iter()
            .map(|part| lock(part).sessions.len())
            .sum()
    }

    /// True if no session is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn key(&self, id: &[u8]) -> Key {
        let [high, low] = [0, 1].map(|half| u128::from(self.hashers[half].hash_one(id)));
        high << 64 | low
    }

    fn part(&self, key: Key) -> MutexGuard<'_, Part> {
        let part = usize::try_from(key % PARTS as Key).unwrap_or_default();
        lock(&self.parts[part])
    }
}

// Safe to ignore poisoning: no step under the lock can panic halfway.
fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Part ===

impl Part {
    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.sessions.remove(&key) {
            self.bytes -= entry.session.size();
            self.order.retain(|other| *other != key);
        }
    }

    /// False if there is none.
    fn evict_oldest(&mut self) -> bool {
        let oldest = self.order.pop_front();
        let entry = oldest.and_then(|key| self.sessions.remove(&key));
        if let Some(entry) = &entry {
            self.bytes -= entry.session.size();
        }
        entry.is_some()
    }
}

// === impl McpSession ===

impl McpSession {
    fn size(&self) -> usize {
        ENTRY_SIZE + self.initialize.len() + self.agreement.size()
    }
}

// === impl McpMoving ===

impl McpMoving {
    /// Returns when the move has ended, well or not.
    pub async fn ended(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

// === impl McpMoveGuard ===

impl McpMoveGuard<'_> {
    /// Notes that the session goes on under `id`, with this agreement, and returns how many others that drove out.
    pub fn moved(self, id: &str, session: McpSession) -> u64 {
        let evicted = self.sessions.insert(id.as_bytes(), session);
        self.sessions.lead(self.key, id);
        self.sessions.has_moved.store(true, Ordering::Release);
        evicted
    }
}

impl Drop for McpMoveGuard<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.sessions.part(self.key).sessions.get_mut(&self.key) {
            entry.moving = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(size: usize) -> McpSession {
        let body = br#"{"result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
        McpSession {
            initialize: vec![b'x'; size].into(),
            agreement: Arc::new(McpAgreement::parse(body).unwrap()),
        }
    }

    #[test]
    fn a_session_is_followed_over_all_its_moves() {
        let sessions = McpSessions::new(1 << 20);
        sessions.insert(b"a", session(10));
        assert_eq!(sessions.current(b"a"), None);
        for (from, to) in [("a", "b"), ("b", "c")] {
            let McpMove::Start(session, guard) = sessions.start_move(from.as_bytes()) else {
                panic!("nothing moves it yet");
            };
            guard.moved(to, session);
        }
        assert_eq!(sessions.current(b"a").as_deref(), Some("c"));
        assert_eq!(sessions.current(b"b").as_deref(), Some("c"));
        assert_eq!(sessions.current(b"c"), None);
        assert!(matches!(sessions.start_move(b"a"), McpMove::Moved(to) if &*to == "b"));
        assert!(matches!(sessions.start_move(b"x"), McpMove::Unknown));
    }

    #[test]
    fn a_session_may_move_any_number_of_times_and_to_an_id_that_it_had() {
        let sessions = McpSessions::new(1 << 20);
        sessions.insert(b"0", session(10));
        let moved = |from: &str, to: &str| {
            let McpMove::Start(session, guard) = sessions.start_move(from.as_bytes()) else {
                panic!("nothing moves it yet");
            };
            guard.moved(to, session);
            sessions.shorten(b"0", to);
        };
        for number in 0..200 {
            moved(&number.to_string(), &(number + 1).to_string());
        }
        assert_eq!(sessions.current(b"0").as_deref(), Some("200"));
        moved("200", "200");
        moved("200", "0");
        assert_eq!(sessions.current(b"0"), None);
        assert!(matches!(sessions.start_move(b"0"), McpMove::Start(..)));
    }

    #[tokio::test]
    async fn one_request_moves_a_session_and_the_others_wait_for_it() {
        let sessions = McpSessions::new(1 << 20);
        sessions.insert(b"a", session(10));
        let McpMove::Start(_, guard) = sessions.start_move(b"a") else {
            panic!("nothing moves it yet");
        };
        let McpMove::Moving(waiting) = sessions.start_move(b"a") else {
            panic!("it is being moved");
        };
        let mut waiting = Box::pin(waiting.ended());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        // It failed: the next one tries.
        drop(guard);
        waiting.await;
        assert!(matches!(sessions.start_move(b"a"), McpMove::Start(..)));
    }

    #[test]
    fn the_table_is_bounded_by_bytes_and_the_oldest_leave_first() {
        let sessions = McpSessions::new(PARTS * 4_096);
        let insert = |number: u32| sessions.insert(&number.to_le_bytes(), session(700));
        let evicted: u64 = (0..1_000).map(insert).sum();
        assert_eq!(evicted + sessions.len() as u64, 1_000);
        for part in &sessions.parts {
            let part = lock(part);
            assert!(part.bytes <= 4_096 && part.order.len() == part.sessions.len());
            let sizes = part.sessions.values().map(|entry| entry.session.size());
            assert_eq!(part.bytes, sizes.sum::<usize>());
        }
        assert!(matches!(
            sessions.start_move(&999_u32.to_le_bytes()),
            McpMove::Start(..)
        ));
        assert!(matches!(
            sessions.start_move(&0_u32.to_le_bytes()),
            McpMove::Unknown
        ));
        sessions.insert(b"large", session(5_000));
        assert!(matches!(sessions.start_move(b"large"), McpMove::Unknown));
    }

    #[test]
    fn an_id_that_is_inserted_again_counts_once() {
        let sessions = McpSessions::new(1 << 20);
        for size in [10, 500, 20] {
            sessions.insert(b"a", session(size));
        }
        let bytes: usize = sessions.parts.iter().map(|part| lock(part).bytes).sum();
        assert_eq!((sessions.len(), bytes), (1, session(20).size()));
    }
}
