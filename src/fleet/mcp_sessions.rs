//! Memory of MCP sessions: what it takes to begin one of them anew on another release.
//!
//! A server of the generation up to 2025-11-25 keeps a session in its own memory, and most clients do not begin a new one
//! when theirs is gone. So the proxy keeps the `initialize` request of each session, and the agreement that it led to,
//! in a table of bounded size; those that began or moved longest ago leave first. A session is known by the id that its
//! client holds, which leads to the id of its new place once it has moved.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

use super::keyed_hash::KeyedHash;
use crate::model::McpAgreement;

/// Number of parts with a lock of their own.
const PARTS: usize = 16;
/// Memory of an entry beside the bytes that it holds.
const ENTRY_SIZE: usize = 256;
/// Moves of a session that are followed from its first id on.
const MOST_MOVES: usize = 64;

/// Hash of a session's id.
type Key = u128;

/// The known sessions, shared by all workers.
#[derive(Debug)]
pub struct McpSessions {
    parts: [Mutex<Part>; PARTS],
    hash: KeyedHash,
    most_bytes: usize,
    // Set with the first move: until then no request takes a lock.
    has_moved: AtomicBool,
}

#[derive(Debug, Default)]
struct Part {
    entries: HashMap<Key, Entry>,
    // In the order of insertion.
    order: VecDeque<Key>,
    bytes: usize,
}

#[derive(Debug)]
enum Entry {
    /// The session is where its id says.
    Here {
        session: McpSession,
        /// Present while a request moves the session; it ends when its sender is dropped.
        moving: Option<watch::Receiver<()>>,
    },
    /// The session goes on under this id.
    Moved(Arc<str>),
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
            hash: KeyedHash::default(),
            most_bytes: most_bytes / PARTS,
            has_moved: AtomicBool::new(false),
        }
    }

    /// Keeps the start of the session that its client knows by `id`, and returns how many others that drove out.
    pub fn insert(&self, id: &[u8], session: McpSession) -> u64 {
        let key = self.key(id);
        let entry = Entry::Here {
            session,
            moving: None,
        };
        self.part(key).put(key, entry, self.most_bytes)
    }

    /// The id that leads to a session now, if it was moved since its client got `id`.
    pub fn current(&self, id: &[u8]) -> Option<Arc<str>> {
        if !self.has_moved.load(Ordering::Acquire) {
            return None;
        }
        let mut found: Option<Arc<str>> = None;
        for _ in 0..MOST_MOVES {
            let key = self.key(found.as_ref().map_or(id, |found| found.as_bytes()));
            let next = match self.part(key).entries.get(&key) {
                Some(Entry::Moved(to)) => Some(Arc::clone(to)),
                _ => None,
            };
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
        let (session, moving) = match part.entries.get_mut(&key) {
            None => return McpMove::Unknown,
            Some(Entry::Moved(to)) => return McpMove::Moved(Arc::clone(to)),
            Some(Entry::Here { session, moving }) => (session, moving),
        };
        // A sender that is gone has not moved it.
        if let Some(moving) = moving.as_ref().filter(|one| one.has_changed().is_ok()) {
            return McpMove::Moving(McpMoving(moving.clone()));
        }
        let (sender, receiver) = watch::channel(());
        *moving = Some(receiver);
        let guard = McpMoveGuard {
            sessions: self,
            key,
            _sender: sender,
        };
        McpMove::Start(session.clone(), guard)
    }

    /// Leads an id to the one that its session goes on under, and returns how many others that drove out.
    fn lead(&self, from: Key, to: &str) -> u64 {
        // A server may hand out an id twice, and an id that leads to itself would lead nowhere.
        if from == self.key(to.as_bytes()) {
            return 0;
        }
        let entry = Entry::Moved(to.into());
        self.part(from).put(from, entry, self.most_bytes)
    }

    fn key(&self, id: &[u8]) -> Key {
        self.hash.hash(id)
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
    /// Makes an entry the latest one, and returns how many others that drove out.
    fn put(&mut self, key: Key, entry: Entry, most_bytes: usize) -> u64 {
        self.remove(key);
        let size = entry.size();
        if size > most_bytes {
            return 0;
        }
        let mut evicted = 0;
        while self.bytes + size > most_bytes && self.evict_oldest() {
            evicted += 1;
        }
        self.bytes += size;
        self.order.push_back(key);
        self.entries.insert(key, entry);
        evicted
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.size();
            self.order.retain(|other| *other != key);
        }
    }

    /// False if there is none.
    fn evict_oldest(&mut self) -> bool {
        let oldest = self.order.pop_front();
        let entry = oldest.and_then(|key| self.entries.remove(&key));
        if let Some(entry) = &entry {
            self.bytes -= entry.size();
        }
        entry.is_some()
    }
}

// === impl Entry ===

impl Entry {
    fn size(&self) -> usize {
        ENTRY_SIZE
            + match self {
                Self::Here { session, .. } => session.size(),
                Self::Moved(to) => to.len(),
            }
    }
}

// === impl McpSession ===

impl McpSession {
    fn size(&self) -> usize {
        self.initialize.len() + self.agreement.size()
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
    /// Notes that the session goes on under `id`, with this agreement, and leads the id that its client holds straight to
    /// it. Returns how many others that drove out.
    pub fn moved(self, known_as: &[u8], id: &str, session: McpSession) -> u64 {
        let sessions = self.sessions;
        // The ids that lead there are made the latest first, so that the new one does not drive them out.
        let evicted = sessions.lead(sessions.key(known_as), id)
            + sessions.lead(self.key, id)
            + sessions.insert(id.as_bytes(), session);
        sessions.has_moved.store(true, Ordering::Release);
        evicted
    }
}

impl Drop for McpMoveGuard<'_> {
    fn drop(&mut self) {
        let mut part = self.sessions.part(self.key);
        if let Some(Entry::Here { moving, .. }) = part.entries.get_mut(&self.key) {
            *moving = None;
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

    fn len_of(sessions: &McpSessions) -> usize {
        let parts = sessions.parts.iter();
        parts.map(|part| lock(part).entries.len()).sum()
    }

    fn bytes_of(sessions: &McpSessions) -> usize {
        sessions.parts.iter().map(|part| lock(part).bytes).sum()
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
            guard.moved(from.as_bytes(), to, session);
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
            guard.moved(b"0", to, session);
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

    #[test]
    fn a_move_drives_out_neither_the_id_that_its_client_holds_nor_the_new_one() {
        let sessions = McpSessions::new(PARTS * 4_096);
        let mut moved = 0;
        for number in 0..300 {
            let id = |place: &str| format!("{place}-{number}");
            sessions.insert(id("client").as_bytes(), session(700));
            // Others, until the session is the oldest of its part.
            let key = sessions.key(id("client").as_bytes());
            for other in 0.. {
                if sessions.part(key).order.front() == Some(&key) {
                    break;
                }
                sessions.insert(format!("other-{number}-{other}").as_bytes(), session(700));
            }
            let McpMove::Start(start, guard) = sessions.start_move(id("client").as_bytes()) else {
                continue;
            };
            guard.moved(id("client").as_bytes(), &id("new"), start);
            let current = sessions.current(id("client").as_bytes());
            assert_eq!(current, Some(id("new").into()));
            assert!(matches!(
                sessions.start_move(id("new").as_bytes()),
                McpMove::Start(..)
            ));
            moved += 1;
        }
        assert_eq!(moved, 300);
    }

    #[test]
    fn a_session_that_has_moved_keeps_its_start_once() {
        let sessions = McpSessions::new(1 << 20);
        sessions.insert(b"a", session(9_000));
        let McpMove::Start(start, guard) = sessions.start_move(b"a") else {
            panic!("nothing moves it yet");
        };
        guard.moved(b"a", "b", start);
        assert!(bytes_of(&sessions) < 10_000);
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
        assert_eq!(evicted + len_of(&sessions) as u64, 1_000);
        for part in &sessions.parts {
            let part = lock(part);
            assert!(part.bytes <= 4_096 && part.order.len() == part.entries.len());
            let sizes = part.entries.values().map(Entry::size);
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
        let size = ENTRY_SIZE + session(20).size();
        assert_eq!((len_of(&sessions), bytes_of(&sessions)), (1, size));
    }
}
