//! The loop by which a node follows its fleet: what the store has is taken up in order, what was rolled back here is
//! published, and the node says how far it is.

use std::{sync::Arc, time::Duration};

use super::{
    ControlError, Controller, metrics,
    shared::Node,
    shared_live::Occasion,
    shared_publish::MOST_OVERTAKEN,
    shared_report::{Failure, author},
    shared_state::{LOOK, parts_between},
    swap::AppliedSwap,
};
use crate::{
    api::FleetState,
    model::{Revision, TableState},
    shared_table::{ChangeKind, Head, SharedRevision, SharedStore, StoreError, decode_table},
    table::Leave,
    telemetry::ErrorChain,
};

/// Pause after the first failure, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Number of revisions that are read at once.
const PAGE: u64 = 64;
/// Longest time that a start waits for the store.
const FIRST: Duration = Duration::from_secs(5);

/// Revisions that a node which starts or lags has to read.
struct Missing {
    /// A whole table to begin with, and its number.
    whole: Option<(u64, Vec<u8>)>,
    revisions: Vec<(u64, Vec<u8>)>,
}

impl Controller {
    /// Makes this a node of a fleet, which shares its table by a store. Before the first change.
    pub fn join_fleet(&self, name: String, store: Arc<dyn SharedStore>) {
        let live = self.table.load().revision();
        let record = {
            let index = self.log.index();
            index.get(live).map(|kept| Arc::clone(&kept.record))
        };
        let mark = record.as_ref().and_then(|record| record.shared.as_ref());
        let lease = self.settings.fleet_lease;
        self.shared.join(Node { name, store }, lease, mark);
    }

    /// Takes up what the fleet has before a start goes on, within a limit: without the store it goes on with what was live.
    pub async fn follow_fleet_first(&self) {
        if self.shared.node().is_none() {
            return;
        }
        let followed = tokio::time::timeout(FIRST, self.follow_fleet_once());
        if !followed.await.unwrap_or(false) {
            let reason = self.shared.state().reason.clone().unwrap_or_default();
            tracing::warn!(%reason, "the start goes on without the fleet: what was live here last is served");
        }
        self.shared.begin();
    }

    async fn follow_fleet_once(&self) -> bool {
        let is_current = self.catch_up().await;
        if is_current {
            self.share_work_once().await;
        }
        is_current
    }

    /// Follows the fleet for as long as it is polled. Cancelling it loses nothing.
    pub(super) async fn run_fleet(&self) {
        let Some(node) = self.shared.node() else {
            return;
        };
        self.shared.begun().await;
        let (mut failed, mut appended) = (0, Vec::new());
        loop {
            let is_current = self.take_appended(node, appended).await || self.catch_up().await;
            metrics::set_fleet(&self.shared.state());
            self.shared.tell();
            appended = Vec::new();
            if is_current {
                failed = 0;
                tokio::select! {
                    changed = node.store.changed() => appended = changed.unwrap_or_default(),
                    () = self.shared.woken() => {}
                    () = self.until_taken_up() => {}
                    () = self.read_awaited(node) => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            } else {
                failed += 1;
                tokio::time::sleep(pause(failed, rand::random())).await;
            }
        }
    }

    /// Takes up all that the store has and publishes what was rolled back here; `false` if the node does not follow.
    pub(super) async fn catch_up(&self) -> bool {
        let Some(node) = self.shared.node() else {
            return false;
        };
        if self.shared.state().standing == FleetState::Stopped {
            return false;
        }
        if self.log.history.is_released() {
            // Another process is this node now; what this one serves still, it serves as it is.
            return true;
        }
        for _ in 0..MOST_OVERTAKEN {
            match self.follow_fleet(node).await {
                Ok(()) => return true,
                Err(Failure::Again) => {}
                Err(Failure::Store(StoreError { reason, .. })) => {
                    self.shared.state().stop(FleetState::Alone, reason);
                    return false;
                }
                Err(Failure::Stopped(reason)) => {
                    self.shared.state().stop(FleetState::Stopped, reason);
                    return false;
                }
            }
        }
        let reason = "other nodes were faster each time, or the store has not all of its revisions";
        self.shared
            .state()
            .stop(FleetState::Alone, reason.to_owned());
        false
    }

    /// Takes up what other nodes were faster with, so that a change can be tried again.
    ///
    /// # Errors
    /// The same error, if it is another one or if that was done often enough.
    pub(super) async fn take_up_first(
        &self,
        error: ControlError,
        times: &mut usize,
    ) -> Result<(), ControlError> {
        if !matches!(error, ControlError::Overtaken) || *times == MOST_OVERTAKEN {
            return Err(error);
        }
        *times += 1;
        if !self.take_up_news().await {
            self.catch_up().await;
        }
        Ok(())
    }

    /// Takes up what the store has, and nothing else: each further call of the store would give others the time to be faster
    /// again. `false` if that is not enough to go on.
    async fn take_up_news(&self) -> bool {
        let Some(node) = self.shared.node() else {
            return false;
        };
        let (seen, unverified) = {
            let state = self.shared.state();
            (state.revision, state.unverified())
        };
        let Ok(head) = node.store.head().await else {
            return false;
        };
        let is_later = unverified.is_none() && head.last > seen;
        let is_current = is_later && self.read_fleet(node, head).await.is_ok();
        self.shared.wake();
        is_current
    }

    async fn follow_fleet(&self, node: &Node) -> Result<(), Failure> {
        // Before the head: this node may append a revision while that is read.
        let (seen, unverified) = {
            let state = self.shared.state();
            (state.revision, state.unverified())
        };
        let head = node.store.head().await?;
        self.shared.state().answered();
        if head.last < seen {
            return Err(Failure::Stopped(format!(
                "the store has revision {}, and this node has taken up {seen}: it is another store, or was restored to an older state",
                head.last
            )));
        }
        if let Some(id) = unverified {
            verify(node, seen, &id).await?;
        }
        if head.last == 0 {
            self.found(node).await?;
        } else {
            self.read_fleet(node, head).await?;
            self.bring_rest().await?;
        }
        self.shared.state().follow_again();
        let published = self.publish_rollbacks(node).await;
        self.report_to_fleet(node).await?;
        published
    }

    /// Reads what the store has for a node that has stopped, and makes nothing of it live: what is live here is to go on top
    /// of it.
    ///
    /// # Errors
    /// When the store does not answer, or has what this version cannot read.
    pub(super) async fn read_anew(&self, node: &Node) -> Result<(), ControlError> {
        let head = node.store.head().await?;
        self.shared.state().forget(head.last);
        self.read_fleet(node, head).await?;
        Ok(())
    }

    async fn read_fleet(&self, node: &Node, head: Head) -> Result<(), Failure> {
        let missing = self.missing(node, head).await?;
        let _lock = self.publish_lock().await.map_err(|_| Failure::Again)?;
        self.take_whole(missing.whole)?;
        for (number, bytes) in missing.revisions {
            self.take_revision(number, &bytes).await?;
        }
        Ok(())
    }

    /// Gives an empty store the table of this node, if it has one.
    async fn found(&self, node: &Node) -> Result<(), Failure> {
        let _lock = self.publish_lock().await.map_err(|_| Failure::Again)?;
        if self.shared.state().revision > 0 {
            return Ok(());
        }
        if self.table.load().revision() == Revision(0) {
            self.shared.state().table = Some(TableState::default());
            return Ok(());
        }
        let by = author("the table of the first node".to_owned());
        let draft = self.draft_of_state(node, by, self.table.load().state());
        let committed = self.commit(node, draft).await;
        committed.map_err(Failure::from)
    }

    /// Reads what this node does not have. No lock is held: a large table takes a while.
    async fn missing(&self, node: &Node, head: Head) -> Result<Missing, Failure> {
        let read = {
            let state = self.shared.state();
            state.table.is_some().then_some(state.read)
        };
        let mut whole = None;
        if read.is_none() && head.whole == 0 {
            self.shared.state().begin_empty();
        } else if read.is_none() {
            let table = node.store.table(head.whole).await?;
            whole = Some((head.whole, table.ok_or(Failure::Again)?));
        }
        let mut from = read.unwrap_or(head.whole) + 1;
        let mut revisions: Vec<(u64, Vec<u8>)> = Vec::new();
        while from <= head.last {
            let to = head.last.min(from + PAGE - 1);
            let page = node.store.revisions(from, to).await?;
            let is_whole = page.len() as u64 == to - from + 1;
            if !is_whole {
                // They were removed: this node was away for long, and begins with a whole table.
                self.shared.state().table = None;
                return Err(Failure::Again);
            }
            revisions.extend(page);
            from = to + 1;
        }
        Ok(Missing { whole, revisions })
    }

    /// Begins with a whole table: at a start, and after a stretch that the store does not have any more.
    fn take_whole(&self, whole: Option<(u64, Vec<u8>)>) -> Result<(), Failure> {
        let Some((number, bytes)) = whole else {
            return Ok(());
        };
        let live = self.table.load().state();
        let table = decode_table(&bytes, &live);
        let table = table.map_err(|error| unreadable(number, &error))?;
        {
            let mut state = self.shared.state();
            if state.table.is_some() && state.read >= number {
                return Ok(());
            }
            if number > state.revision {
                let parts = parts_between(&live, &table);
                if state.revision > 0 {
                    state.rollbacks.follow_unknown(&parts);
                }
                (state.revision, state.id) = (number, None);
            }
            state.begin_whole(number, table);
        }
        Ok(())
    }

    /// Makes live what is not, where no single revision is the reason: after a whole table, or a failure.
    pub(super) async fn bring_rest(&self) -> Result<(), Failure> {
        let _lock = self.publish_lock().await.map_err(|_| Failure::Again)?;
        let occasion = Occasion {
            by: author("what the fleet has".to_owned()),
            kind: ChangeKind::Human,
            leave: Leave::SPLIT,
            asked: None,
            offered: Vec::new(),
        };
        self.bring(&occasion).await;
        Ok(())
    }

    pub(super) async fn take_revision(&self, number: u64, bytes: &[u8]) -> Result<(), Failure> {
        let revision = SharedRevision::decode(bytes).map_err(|error| unreadable(number, &error))?;
        let is_news = {
            let mut state = self.shared.state();
            if number <= state.read {
                return Ok(());
            }
            let is_news = number > state.revision;
            if let Err(reason) = state.take(number, &revision) {
                let reason = format!("revision {number} of the fleet cannot be taken up: {reason}");
                if is_news {
                    return Err(Failure::Stopped(reason));
                }
                // This node has taken it up before, so it was read wrongly.
                tracing::warn!(reason, "what the store has is read anew");
                state.table = None;
                return Err(Failure::Store(StoreError {
                    reason,
                    is_unknown: false,
                }));
            }
            is_news
        };
        if is_news {
            self.bring(&Occasion::of(&revision)).await;
        }
        Ok(())
    }

    /// Makes live what the fleet has. What cannot be live here is said, and the rest followed.
    async fn bring(&self, occasion: &Occasion) {
        let brought = self.bring_live(occasion).await;
        let blocked = brought.as_ref().err();
        // Problems of a table have a line each; a reason is one.
        let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let blocked = blocked.map(|error| line(ErrorChain(error).to_string()));
        self.shared.state().block(blocked);
        if let Ok(Some(swap)) = brought {
            self.finish(swap).await;
        }
    }

    pub(super) async fn finish(&self, swap: AppliedSwap<'_>) {
        let convergence = self.converge(&swap).await;
        drop(self.receipts().of_swap(swap, convergence));
    }
}

/// Checks that the store has the revision that this node has taken up, and not another one of that number.
async fn verify(node: &Node, number: u64, id: &str) -> Result<(), Failure> {
    let found = node.store.revisions(number, number).await?;
    // Of one that is not kept any more nothing can be said.
    let Some((_, bytes)) = found.first() else {
        return Ok(());
    };
    let revision = SharedRevision::decode(bytes).map_err(|error| unreadable(number, &error))?;
    if revision.id == id {
        return Ok(());
    }
    Err(Failure::Stopped(format!(
        "revision {number} of the store is not the one that this node has taken up: it is another store, or was restored to an older state"
    )))
}

/// A revision that this version does not understand: it follows no further, rather than half.
fn unreadable(number: u64, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Stopped(format!(
        "revision {number} of the fleet cannot be read: {}",
        ErrorChain(error)
    ))
}

/// The pause after so many failures in a row: between half and all of a time that doubles, so that the nodes of a fleet do
/// not all come at once.
pub(super) fn pause(failed: u32, random: f64) -> Duration {
    let (first, longest) = PAUSES;
    let doubled = first.saturating_mul(1 << failed.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_spread() {
        assert_eq!(pause(1, 0.0), Duration::from_millis(50));
        assert_eq!(pause(1, 1.0), Duration::from_millis(100));
        assert_eq!(pause(3, 1.0), Duration::from_millis(400));
        assert_eq!(pause(100, 1.0), Duration::from_secs(2));
    }
}
