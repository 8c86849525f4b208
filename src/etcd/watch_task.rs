//! Task of a watch: one stream after the other, until there is something that only its owner can settle.

use std::time::Duration;

use tokio::{
    sync::mpsc::Sender,
    time::{sleep, timeout},
};

use super::{
    client::EtcdClient,
    error::EtcdError,
    key_range::KeyRange,
    watch_stream::WatchStream,
    wire::{StoreState, WatchCursor, WatchEvent, WatchStep},
};
use crate::net::backoff;

/// Pause after the first failure, at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Message of a watch.
#[derive(Debug)]
pub enum WatchMessage {
    /// Changes of whole revisions, in order.
    Events {
        /// The store as the member knew it.
        store: StoreState,
        /// The changes.
        events: Vec<WatchEvent>,
    },
    /// Sign of life of a member with a leader. It says nothing about changes up to the revision that it has.
    Progress(StoreState),
    /// The revision is not there any more: read the keys anew, then [`restart`](super::Watch::restart).
    Compacted {
        /// The first revision that is.
        at: u64,
    },
    /// Another store, or an older state of it: read the keys anew, then [`restart`](super::Watch::restart).
    StoreReplaced {
        /// The latest revision that the watch knew.
        seen: u64,
        /// The revision that the store has.
        now: u64,
    },
    /// The stream has ended; another one begins after a pause.
    Interrupted(EtcdError),
}

/// Reason why the task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchEnd {
    Compacted {
        at: u64,
    },
    StoreReplaced {
        seen: u64,
        now: u64,
    },
    /// Its owner is gone.
    Dropped,
}

pub(super) struct WatchTask {
    pub(super) client: EtcdClient,
    pub(super) keys: KeyRange,
    pub(super) cursor: WatchCursor,
    pub(super) messages: Sender<WatchMessage>,
}

impl From<WatchEnd> for WatchMessage {
    fn from(end: WatchEnd) -> Self {
        match end {
            WatchEnd::Compacted { at } => Self::Compacted { at },
            WatchEnd::StoreReplaced { seen, now } => Self::StoreReplaced { seen, now },
            WatchEnd::Dropped => {
                Self::Interrupted(EtcdError::Cancelled("its task has ended".to_owned()))
            }
        }
    }
}

impl WatchTask {
    pub(super) async fn run(mut self) {
        let mut failed = 0;
        loop {
            let member = self.client.preferred();
            match self.stream(member, &mut failed).await {
                Ok(end) => {
                    // The owner may be gone.
                    let _ = self.messages.send(end.into()).await;
                    return;
                }
                Err(error) => {
                    self.client.leave(member);
                    failed += 1;
                    if self
                        .messages
                        .send(WatchMessage::Interrupted(error))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            sleep(backoff(FIRST_PAUSE, LONGEST_PAUSE, failed, rand::random())).await;
        }
    }

    /// Reads one stream to its end. `failed` becomes 0 when the watch has begun.
    async fn stream(&mut self, member: usize, failed: &mut u32) -> Result<WatchEnd, EtcdError> {
        self.cursor.begin_again();
        let from = self.cursor.next_revision();
        let mut stream = WatchStream::open(&self.client.members, member, &self.keys, from).await?;
        loop {
            let answer = self.alive(&mut stream).await?;
            let message = match self.cursor.take(answer)? {
                WatchStep::Created(store) => {
                    if let Some(end) = self.created(store).await? {
                        return Ok(end);
                    }
                    *failed = 0;
                    WatchMessage::Progress(store)
                }
                WatchStep::Events(store, events) => WatchMessage::Events { store, events },
                WatchStep::Progress(store) => WatchMessage::Progress(store),
                WatchStep::Compacted { at } => return Ok(WatchEnd::Compacted { at }),
                WatchStep::Cancelled(refusal) => {
                    return Err(self.cancelled(&stream, refusal.into()));
                }
            };
            // All events of a fragment may wait for the next one.
            if matches!(&message, WatchMessage::Events { events, .. } if events.is_empty()) {
                continue;
            }
            if self.messages.send(message).await.is_err() {
                return Ok(WatchEnd::Dropped);
            }
        }
    }

    /// The next message of a member that shows that it is alive.
    async fn alive(&self, stream: &mut WatchStream) -> Result<super::wire::WatchAnswer, EtcdError> {
        let silence = self.client.members.settings.silence;
        if let Ok(answer) = timeout(silence / 2, stream.next()).await {
            return answer;
        }
        stream.ask_for_progress();
        let answer = timeout(silence / 2, stream.next()).await;
        answer.unwrap_or(Err(EtcdError::Silent(silence)))
    }

    /// Compares the store with what is known of it. A member that lags shows a smaller revision as well, so the leader
    /// decides.
    async fn created(&mut self, store: StoreState) -> Result<Option<WatchEnd>, EtcdError> {
        let mut store = store;
        if self.cursor.is_behind(&store) {
            store = self.client.get(self.keys.start()).await?.store;
        }
        if self.cursor.is_behind(&store) {
            return Ok(Some(WatchEnd::StoreReplaced {
                seen: self.cursor.seen(),
                now: store.revision,
            }));
        }
        self.cursor.is_the_same(&store);
        Ok(None)
    }

    fn cancelled(&self, stream: &WatchStream, error: EtcdError) -> EtcdError {
        match error {
            EtcdError::Unauthenticated(_) => {
                self.client.members.forget(stream.token.as_ref());
                error
            }
            EtcdError::Unavailable(reason) => EtcdError::Cancelled(reason),
            error => error,
        }
    }
}
