//! Place of a watch in the revisions of the store, through all streams that it reads one after the other.
//!
//! A revision counts as read when all of its events have come: the events of one may be in several messages, of which all
//! but the last are marked as fragments. Silence and progress move nothing: etcd before 3.4.25 and 3.5.8 answers a request
//! for progress with a revision whose events may still be on their way.

use std::mem;

use super::{
    error::WireError,
    refusal::Refusal,
    store::StoreState,
    watch_answer::{WatchAnswer, WatchEvent},
};

/// Place of a watch.
#[derive(Debug)]
pub struct WatchCursor {
    /// First revision that has not been read as a whole; 0 for the next one.
    next: u64,
    /// Events of a revision that may have more of them.
    held: Vec<WatchEvent>,
    /// Latest revision that the store is known to have had.
    seen: u64,
    /// The cluster, once it is known.
    cluster: Option<u64>,
    /// Most bytes of the events of one revision.
    largest: usize,
}

/// Meaning of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchStep {
    /// The watch has begun.
    Created(StoreState),
    /// Events of whole revisions, in order; none if a revision is not whole yet.
    Events(StoreState, Vec<WatchEvent>),
    /// The member is alive.
    Progress(StoreState),
    /// The revision is not there any more.
    Compacted {
        /// The first revision that is.
        at: u64,
    },
    /// etcd has ended the watch. Its stream may stay open, and silent.
    Cancelled(Refusal),
}

impl WatchCursor {
    /// The place before a revision; 0 stands for the next one. `largest` bounds what is held of one revision.
    pub const fn before(revision: u64, largest: usize) -> Self {
        Self {
            next: revision,
            held: Vec::new(),
            seen: revision.saturating_sub(1),
            cluster: None,
            largest,
        }
    }

    /// First revision that is still to be read; 0 for the next one.
    pub const fn next_revision(&self) -> u64 {
        self.next
    }

    /// Latest revision that the store is known to have had.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Another stream follows, from [`Self::next_revision`] on.
    pub fn begin_again(&mut self) {
        self.held.clear();
    }

    /// True if this may be another store, or an older state of it: a member that lags shows a smaller revision as well.
    pub fn is_behind(&self, store: &StoreState) -> bool {
        self.is_another_cluster(store) || store.revision < self.seen
    }

    /// True if this is another cluster.
    pub fn is_another_cluster(&self, store: &StoreState) -> bool {
        self.cluster.is_some_and(|cluster| cluster != store.cluster)
    }

    /// The store is the same, with this state.
    pub fn is_the_same(&mut self, store: &StoreState) {
        self.cluster = Some(store.cluster);
        self.seen = self.seen.max(store.revision);
        if self.next == 0 {
            self.next = store.revision.saturating_add(1);
        }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// If revisions come in disorder, or one has too many bytes.
    pub fn take(&mut self, answer: WatchAnswer) -> Result<WatchStep, WireError> {
        let store = answer.header;
        // First of all: a refused watch is created and cancelled by one message.
        if answer.canceled {
            return Ok(match answer.compact_revision {
                0 => WatchStep::Cancelled(answer.refusal()),
                at => WatchStep::Compacted { at },
            });
        }
        if answer.created {
            return Ok(WatchStep::Created(store));
        }
        if answer.is_silent() {
            return Ok(WatchStep::Progress(store));
        }
        self.seen = self.seen.max(store.revision);
        let is_whole = !answer.fragment;
        let events = self.add(answer.events())?;
        Ok(WatchStep::Events(store, self.whole(events, is_whole)?))
    }

    /// All events that are not delivered yet, in order.
    fn add(&mut self, new: impl Iterator<Item = WatchEvent>) -> Result<Vec<WatchEvent>, WireError> {
        let mut events = mem::take(&mut self.held);
        for event in new.filter(|event| event.revision() >= self.next) {
            let last = events.last().map_or(0, WatchEvent::revision);
            if event.revision() < last {
                return Err(disorder("the revisions of a watch are not in order"));
            }
            events.push(event);
        }
        Ok(events)
    }

    /// The events of whole revisions; the others are held.
    fn whole(
        &mut self,
        mut events: Vec<WatchEvent>,
        is_whole: bool,
    ) -> Result<Vec<WatchEvent>, WireError> {
        let Some(last) = events.last().map(WatchEvent::revision) else {
            return Ok(events);
        };
        if is_whole {
            self.next = last
                .checked_add(1)
                .ok_or_else(|| disorder("a revision is too large"))?;
            return Ok(events);
        }
        let begin = events.partition_point(|event| event.revision() < last);
        self.held = events.split_off(begin);
        self.next = last;
        if self.held.iter().map(WatchEvent::bytes).sum::<usize>() > self.largest {
            return Err(WireError::Large(self.largest));
        }
        Ok(events)
    }
}

fn disorder(message: &str) -> WireError {
    WireError::Malformed(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::wire::{GrpcCode, StreamReader};

    fn cursor() -> WatchCursor {
        WatchCursor::before(5, 100)
    }

    fn take(cursor: &mut WatchCursor, result: &str) -> Result<WatchStep, WireError> {
        let mut reader = StreamReader::up_to(10_000);
        reader
            .add(format!("{{\"result\":{result}}}\n").as_bytes())
            .unwrap();
        cursor.take(reader.take()?.unwrap())
    }

    /// Revisions of the events of a message, which has a put of each of these.
    fn events(cursor: &mut WatchCursor, revisions: &[u64], fragment: bool) -> Vec<u64> {
        let events: Vec<_> = revisions
            .iter()
            .map(|revision| format!(r#"{{"kv":{{"key":"azE=","mod_revision":"{revision}"}}}}"#))
            .collect();
        let text = format!(
            r#"{{"header":{{"revision":"50"}},"fragment":{fragment},"events":[{}]}}"#,
            events.join(",")
        );
        let Ok(WatchStep::Events(_, events)) = take(cursor, &text) else {
            panic!("events are events");
        };
        events.iter().map(WatchEvent::revision).collect()
    }

    #[test]
    fn a_revision_counts_once_all_of_its_events_have_come() {
        let mut cursor = cursor();
        assert_eq!(events(&mut cursor, &[5, 6, 6], true), [5]);
        assert_eq!(cursor.next_revision(), 6);
        assert!(events(&mut cursor, &[6], true).is_empty());
        assert_eq!(events(&mut cursor, &[6, 7], false), [6, 6, 6, 6, 7]);
        assert_eq!(cursor.next_revision(), 8);
    }

    #[test]
    fn a_stream_that_breaks_amid_a_revision_begins_with_that() {
        let mut cursor = cursor();
        assert_eq!(events(&mut cursor, &[5, 6], true), [5]);
        cursor.begin_again();
        assert_eq!(events(&mut cursor, &[5, 6, 6], false), [6, 6]);
        assert_eq!(cursor.next_revision(), 7);
    }

    #[test]
    fn of_one_revision_not_more_is_held_than_it_may_have() {
        let mut cursor = cursor();
        for _ in 0..50 {
            assert!(events(&mut cursor, &[5], true).is_empty());
        }
        let more = r#"{"fragment":true,"events":[{"kv":{"key":"azE=","mod_revision":"5"}}]}"#;
        assert_eq!(take(&mut cursor, more), Err(WireError::Large(100)));
    }

    #[test]
    fn progress_and_silence_move_nothing() {
        let mut cursor = cursor();
        let progress = take(
            &mut cursor,
            r#"{"header":{"revision":"50"},"watch_id":"-1"}"#,
        );
        assert!(matches!(progress, Ok(WatchStep::Progress(_))));
        assert_eq!((cursor.next_revision(), cursor.seen()), (5, 4));
    }

    #[test]
    fn a_compacted_revision_is_told_without_a_reason_and_without_a_revision() {
        let text = r#"{"header":{"cluster_id":"9"},"canceled":true,"compact_revision":"7"}"#;
        assert_eq!(
            take(&mut cursor(), text),
            Ok(WatchStep::Compacted { at: 7 })
        );
    }

    #[test]
    fn a_refused_watch_is_created_and_cancelled_at_once() {
        let text = r#"{"header":{"revision":"7"},"watch_id":"-1","created":true,"canceled":true,
            "cancel_reason":"rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"}"#;
        let Ok(WatchStep::Cancelled(refusal)) = take(&mut cursor(), &text.replace('\n', "")) else {
            panic!("cancelled comes first");
        };
        assert_eq!(refusal.code, GrpcCode::Unauthenticated);
    }

    #[test]
    fn a_deletion_and_a_write_are_told_apart() {
        let text = r#"{"header":{"revision":"7"},"events":[{"type":"PUT","kv":{"key":"azE=","mod_revision":"6"}},
            {"type":"DELETE","kv":{"key":"azE=","mod_revision":"7"}}]}"#;
        let Ok(WatchStep::Events(_, events)) = take(&mut cursor(), &text.replace('\n', "")) else {
            panic!("events are events");
        };
        let deleted = WatchEvent::Deleted {
            key: b"k1".to_vec(),
            mod_revision: 7,
        };
        assert!(matches!(&events[0], WatchEvent::Put(_)));
        assert_eq!(events[1], deleted);
    }

    #[test]
    fn an_older_or_another_store_is_behind() {
        let store = |cluster, revision| StoreState {
            cluster,
            revision,
            ..StoreState::default()
        };
        let mut cursor = cursor();
        assert!(!cursor.is_behind(&store(1, 4)) && cursor.is_behind(&store(1, 3)));
        cursor.is_the_same(&store(1, 9));
        assert!(cursor.is_behind(&store(1, 8)) && cursor.is_behind(&store(2, 10)));
        assert!(!cursor.is_behind(&store(1, 9)));
    }

    #[test]
    fn a_watch_of_what_comes_next_keeps_its_place() {
        let mut cursor = WatchCursor::before(0, 100);
        cursor.is_the_same(&StoreState {
            revision: 9,
            ..StoreState::default()
        });
        assert_eq!(cursor.next_revision(), 10);
    }
}
