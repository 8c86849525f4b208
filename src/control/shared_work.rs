//! The loop by which the nodes of a fleet share their work: one leads, each tells the others of its rollouts and of what it
//! puts in quarantine, and the leader takes over the rollouts of nodes that are gone.

use std::time::Duration;

use super::{
    Controller, metrics, rollout_document::FOLDER as ROLLOUTS, shared::Node,
    shared_leader::FOLDER as LEADER, shared_quarantine::FOLDER as QUARANTINE,
    shared_report::Failure,
};
use crate::api::FleetState;

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(3);
/// Shortest time between two looks, and the pause without the store.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// Versions of the store at which its folders were read.
#[derive(Debug, Clone, Copy)]
struct Seen {
    leader: u64,
    rollouts: u64,
    quarantine: u64,
}

impl Controller {
    /// Shares the work of the fleet for as long as it is polled.
    pub(super) async fn run_shared_work(&self) {
        let Some(node) = self.shared.node() else {
            return;
        };
        self.shared.begun().await;
        let mut seen = None;
        loop {
            seen = self.share_work(node, seen).await;
            metrics::set_fleet_leader(self.leads());
            let Some(Seen {
                leader,
                rollouts,
                quarantine,
            }) = seen
            else {
                tokio::time::sleep(PAUSES.1).await;
                continue;
            };
            tokio::time::sleep(PAUSES.0).await;
            tokio::select! {
                changed = node.store.documents_changed(ROLLOUTS, rollouts) => {
                    drop(changed);
                    seen = None;
                }
                changed = node.store.documents_changed(QUARANTINE, quarantine) => {
                    drop(changed);
                    seen = None;
                }
                () = self.quarantine.changed() => seen = None,
                changed = node.store.documents_changed(LEADER, leader) => drop(changed),
                () = self.rollouts.looked.notified() => {}
                () = tokio::time::sleep(self.next_look()) => {}
            }
        }
    }

    /// Time until the next look: the leader of a fleet with rollouts looks more often for nodes that are gone.
    fn next_look(&self) -> Duration {
        let mut elsewhere = self.rollouts.elsewhere().into_iter();
        let is_running = elsewhere.any(|entry| !entry.record().machine.has_ended());
        if is_running && self.leads() {
            PAUSES.1
        } else {
            LOOK
        }
    }

    /// Takes part once.
    pub(super) async fn share_work_once(&self) {
        if let Some(node) = self.shared.node() {
            self.share_work(node, None).await;
        }
    }

    /// Takes part once; rollouts and quarantine are read anew unless it is known that they were. `None` without the store.
    async fn share_work(&self, node: &Node, seen: Option<Seen>) -> Option<Seen> {
        let _one_at_a_time = self.shared.working.lock().await;
        let is_following = self.shared.state().standing == FleetState::Following;
        if !is_following || self.log.history.is_released() {
            return None;
        }
        match self.try_share_work(node, seen).await {
            Ok(seen) => Some(seen),
            Err(Failure::Store(error)) => {
                tracing::debug!(%error, "the work of the fleet is shared again with the next look");
                None
            }
            Err(Failure::Stopped(reason)) => {
                tracing::warn!(reason, "the work of the fleet cannot be shared");
                None
            }
            Err(Failure::Again) => None,
        }
    }

    async fn try_share_work(&self, node: &Node, seen: Option<Seen>) -> Result<Seen, Failure> {
        let leader = self.elect(node).await?;
        self.tell_rollouts(node).await;
        let (quarantine, rollouts) = match seen {
            Some(seen) => (seen.quarantine, seen.rollouts),
            // Before the rollouts: what one of them was taken back with is known by the time it is listed.
            None => (
                self.share_quarantine(node).await?,
                self.follow_rollouts(node).await?,
            ),
        };
        if self.leads() {
            self.take_over_gone(node).await?;
        }
        Ok(Seen {
            leader,
            rollouts,
            quarantine,
        })
    }
}
