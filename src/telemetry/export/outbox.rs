//! Bounded queue of requests for a collector. When it is full the oldest one goes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Most requests that wait.
const MOST_BATCHES: usize = 64;
/// Most bytes that wait.
const MOST_BYTES: usize = 8 << 20;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// The encoded message.
    pub(super) body: Bytes,
    /// Number of points, spans or log records in it.
    pub(super) values: u64,
}

/// Requests that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    bytes: usize,
    is_closed: bool,
}

impl Outbox {
    /// Adds a request; returns the number of values in those that had to go for it.
    pub(super) fn push(&self, batch: Batch) -> u64 {
        let mut waiting = self.lock();
        let mut lost = 0;
        waiting.bytes += batch.body.len();
        waiting.batches.push_back(batch);
        while waiting.batches.len() > MOST_BATCHES
            || waiting.bytes > MOST_BYTES && waiting.batches.len() > 1
        {
            lost += waiting.pop().map_or(0, |oldest| oldest.values);
        }
        drop(waiting);
        self.changed.notify_waiters();
        lost
    }

    /// The oldest request, once there is one; `None` once there are no more and none will come.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            let changed = self.changed.notified();
            {
                let mut waiting = self.lock();
                let batch = waiting.pop();
                if batch.is_some() || waiting.is_closed {
                    return batch;
                }
            }
            changed.await;
        }
    }

    /// Takes no more requests.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_waiters();
    }

    /// True if it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Completes when it is closed.
    pub(super) async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// Takes everything out; returns the number of values.
    pub(super) fn clear(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.bytes = 0;
        waiting.batches.drain(..).map(|batch| batch.values).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.body.len();
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(length: usize, values: u64) -> Batch {
        let body = vec![0; length].into();
        Batch { body, values }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_and_says_how_much_that_was() {
        let outbox = Outbox::default();
        for number in 0..MOST_BATCHES as u64 {
            assert_eq!(outbox.push(batch(1, number + 1)), 0);
        }
        assert_eq!(outbox.push(batch(1, 100)), 1);
        assert_eq!(outbox.next().await.unwrap().values, 2);
        let large = Outbox::default();
        assert_eq!(large.push(batch(MOST_BYTES, 7)), 0);
        assert_eq!(large.push(batch(2, 3)), 7);
        assert_eq!(large.push(batch(MOST_BYTES - 2, 4)), 0);
        assert_eq!(large.clear(), 7);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_it_has_and_ends() {
        let outbox = Outbox::default();
        outbox.push(batch(1, 1));
        outbox.close();
        outbox.closed().await;
        assert_eq!(outbox.next().await.map(|batch| batch.values), Some(1));
        assert!(outbox.next().await.is_none());
    }

    #[tokio::test]
    async fn who_waits_gets_what_comes() {
        let outbox = Outbox::default();
        let (got, _) = tokio::join!(outbox.next(), async { outbox.push(batch(1, 9)) });
        assert_eq!(got.map(|batch| batch.values), Some(9));
    }
}
