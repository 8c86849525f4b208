//! Watch of keys, for its owner.

use std::{fmt, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    client::EtcdClient,
    key_range::KeyRange,
    watch_task::{WatchEnd, WatchMessage, WatchTask},
    wire::WatchCursor,
};

/// Pause before the end of a watch is said once more.
const REPEAT: Duration = Duration::from_secs(1);

/// Watch of keys. It ends when this is dropped.
pub struct Watch {
    client: EtcdClient,
    keys: KeyRange,
    from: u64,
    running: Option<Running>,
    ended: WatchEnd,
}

struct Running {
    messages: mpsc::Receiver<WatchMessage>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl EtcdClient {
    /// Watch of keys from a revision on; 0 stands for the next one. Nothing is sent before [`Watch::next`].
    pub fn watch(&self, keys: KeyRange, from: u64) -> Watch {
        Watch {
            client: self.clone(),
            keys,
            from,
            running: None,
            ended: WatchEnd::Dropped,
        }
    }
}

impl Watch {
    /// The next message. Cancel-safe. After [`WatchMessage::Compacted`] and [`WatchMessage::StoreReplaced`] it says the
    /// same, with a pause before it, until [`Self::restart`].
    pub async fn next(&mut self) -> WatchMessage {
        let running = self
            .running
            .get_or_insert_with(|| Running::start(&self.client, &self.keys, self.from));
        let Some(message) = running.messages.recv().await else {
            sleep(REPEAT).await;
            return self.ended.into();
        };
        match message {
            WatchMessage::Compacted { at } => self.ended = WatchEnd::Compacted { at },
            WatchMessage::StoreReplaced { seen, now } => {
                self.ended = WatchEnd::StoreReplaced { seen, now };
            }
            _ => {}
        }
        message
    }

    /// Begins again from a revision on, as of a store of which nothing is known.
    pub fn restart(&mut self, from: u64) {
        self.running = None;
        self.from = from;
        self.ended = WatchEnd::Dropped;
    }
}

impl Running {
    fn start(client: &EtcdClient, keys: &KeyRange, from: u64) -> Self {
        // The next one is made while its owner handles one; more would only take memory.
        let (sender, messages) = mpsc::channel(1);
        let task = WatchTask {
            client: client.clone(),
            keys: keys.clone(),
            cursor: WatchCursor::before(from, client.members.settings.largest_answer),
            messages: sender,
        };
        Self {
            messages,
            task: tokio::spawn(task.run()),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Watch");
        shown
            .field("keys", &self.keys)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}
