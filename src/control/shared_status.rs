//! The fleet as this node knows it, and the end of its disputes.

use std::sync::Arc;

use super::{
    ControlError, Controller, shared::Node, shared_in_flight::sum, shared_live::Occasion,
    shared_publish::MOST_OVERTAKEN,
};
use crate::{
    api::{FleetNode, FleetSide, FleetState, FleetStatus},
    model::{Author, LocalRollback},
    shared_table::{ChangeKind, LocalRollbacks, SharedDocuments},
    table::Leave,
};

/// Number of nodes, and of rollbacks, in the status of a proxy.
const MOST_IN_BRIEF: usize = 50;

impl Controller {
    /// Name of this node, and the documents of its fleet; none on a proxy of its own.
    pub fn shared_documents(&self) -> Option<(String, Arc<dyn SharedDocuments>)> {
        let node = self.shared.node()?;
        Some((node.name.clone(), Arc::clone(&node.store) as _))
    }

    /// This node of the fleet, and what all nodes have taken up.
    pub fn fleet_status(&self) -> FleetStatus {
        let Some(node) = self.shared.node() else {
            return FleetStatus::default();
        };
        let leader = self.fleet_leader();
        let state = self.shared.state();
        FleetStatus {
            state: state.standing,
            reason: state.reason.clone().or_else(|| state.blocked.clone()),
            node: Some(node.name.clone()),
            revision: state.revision,
            last_contact: state.contact,
            rollbacks: state.rollbacks.all().to_vec(),
            leader,
            nodes: state.nodes.clone(),
            node_count: state.nodes.len(),
            nodes_read_at: state.nodes_read_at,
            in_flight: sum(&state.nodes),
            gone: state.gone.clone(),
            peers: self.offers.shown(state.rollbacks.all()),
        }
    }

    /// True if this is a node of a fleet.
    pub fn is_node(&self) -> bool {
        self.shared.node().is_some()
    }

    /// The same with few nodes, those that need attention first; none on a proxy of its own.
    pub(super) fn fleet_in_brief(&self) -> Option<FleetStatus> {
        self.shared.node()?;
        let mut status = self.fleet_status();
        let needs_none = |node: &FleetNode| {
            node.reason.is_none() && node.disputed == 0 && node.revision >= status.revision
        };
        status.nodes.sort_by_cached_key(needs_none);
        status.nodes.truncate(MOST_IN_BRIEF);
        status.rollbacks.truncate(MOST_IN_BRIEF);
        Some(status)
    }

    /// Ends all disputes of this node, and the stop before a store that is not the one that it followed.
    ///
    /// # Errors
    /// When this is no node of a fleet, or when the store does not take what is kept.
    pub async fn keep_in_fleet(
        &self,
        side: FleetSide,
        by: Author,
    ) -> Result<FleetStatus, ControlError> {
        let Some(node) = self.shared.node() else {
            return Err(ControlError::NotShared {
                reason: "this proxy is no node of a fleet: there is no `[fleet]`".to_owned(),
                is_unknown: false,
            });
        };
        tracing::info!(target: "audit", name = %by.name, ?side, "the disputes of this node are decided");
        let is_stopped = self.shared.state().standing == FleetState::Stopped;
        match (side, is_stopped) {
            (FleetSide::Theirs, true) => self.join_anew(node).await?,
            (FleetSide::Mine, true) => self.overwrite_fleet(node, by).await?,
            (FleetSide::Theirs, false) => self.take_theirs(by).await?,
            (FleetSide::Mine, false) => self.publish_mine(node, by).await?,
        }
        self.shared.wake();
        Ok(self.fleet_status())
    }

    /// Takes the table of the store, in one revision: its earlier ones were never live here, and are not now. Without the store
    /// it stays stopped.
    async fn join_anew(&self, node: &Node) -> Result<(), ControlError> {
        self.read_anew(node).await?;
        {
            let mut state = self.shared.state();
            state.rollbacks = LocalRollbacks::default();
            state.follow_again();
        }
        self.bring_rest().await?;
        self.catch_up().await;
        Ok(())
    }

    /// Gives the store the table of this node, on top of what it has. Until it is there the node stays as it is.
    async fn overwrite_fleet(&self, node: &Node, by: Author) -> Result<(), ControlError> {
        self.read_anew(node).await?;
        let _lock = self.publish_lock().await?;
        let draft = self.draft_of_state(node, by, self.table.load().state());
        self.commit(node, draft).await?;
        let mut state = self.shared.state();
        state.rollbacks = LocalRollbacks::default();
        state.follow_again();
        Ok(())
    }

    async fn take_theirs(&self, by: Author) -> Result<(), ControlError> {
        let _lock = self.publish_lock().await?;
        {
            let mut state = self.shared.state();
            state.base()?;
            state.rollbacks.give_up_disputed();
        }
        let occasion = Occasion {
            by,
            kind: ChangeKind::Human,
            leave: Leave::SPLIT,
            asked: None,
            offered: Vec::new(),
        };
        if let Some(swap) = self.bring_live(&occasion).await? {
            self.finish(swap).await;
        }
        Ok(())
    }

    async fn publish_mine(&self, node: &Node, by: Author) -> Result<(), ControlError> {
        for _ in 0..MOST_OVERTAKEN {
            {
                let _lock = self.publish_lock().await?;
                let disputed: Vec<LocalRollback> =
                    self.shared.state().rollbacks.disputed().cloned().collect();
                if disputed.is_empty() {
                    return Ok(());
                }
                let draft = self.draft_of_rollbacks(node, by.clone(), &disputed)?;
                match self.commit(node, draft).await {
                    Err(ControlError::Overtaken) => {}
                    committed => return committed,
                }
            }
            self.catch_up().await;
        }
        Err(ControlError::Overtaken)
    }
}
