//! Offers of rollbacks to the other nodes of a fleet, while the store is away: each node is told until it has answered, or
//! until the fleet has them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{Controller, metrics, offer_board::Told, shared::Node, shared_sync::pause};
use crate::{
    api::{FleetOffer, FleetOfferAnswer, FleetState, OfferedRollback},
    model::LocalRollback,
    shared_table::{FleetPeers, changes_of},
};

/// Time that the store has to take a rollback before the other nodes are told.
const FIRST_THE_STORE: Duration = Duration::from_millis(300);

impl Controller {
    /// Has the rollbacks of this node offered to the other ones while the store is away. Before the first change.
    pub fn offer_rollbacks_to(&self, peers: Arc<dyn FleetPeers>) {
        *self.offers.board() = peers.urls().iter().map(|url| Told::new(url)).collect();
        drop(self.offers.peers.set(peers));
    }

    /// Offers what was rolled back here, for as long as it is polled. Cancelling it loses nothing.
    pub(super) async fn run_offers(&self) {
        let (Some(node), Some(peers)) = (self.shared.node(), self.offers.peers.get()) else {
            return;
        };
        self.shared.begun().await;
        let all = (0..peers.urls().len()).map(|peer| self.offer_to(node, peers.as_ref(), peer));
        join_all(all).await;
    }

    /// Tells one node of each rollback, until it has answered. Ends if it is this node.
    async fn offer_to(&self, node: &Node, peers: &dyn FleetPeers, peer: usize) {
        let mut made = self.shared.rollbacks_made();
        loop {
            let open = self.open_offers(node, peer);
            if open.is_empty() {
                if made.changed().await.is_err() {
                    return;
                }
                self.wait_for_store().await;
                continue;
            }
            for offer in open {
                let answer = answer_of(peers, peer, &offer).await;
                if answer.as_ref().is_ok_and(|answer| answer.node == node.name) {
                    let own = |told: &mut Told| told.shown.node = Some(node.name.clone());
                    self.offers.with(peer, own);
                    return;
                }
                metrics::count_offer(answer.as_ref().ok().map(|answer| answer.outcome));
                self.offers.with(peer, |told| told.note(&offer, answer));
            }
            let failed = self.offers.with(peer, |told| told.failed);
            let pause = pause(failed.unwrap_or_default(), rand::random());
            // A later rollback is offered at once.
            let _ = tokio::time::timeout(pause, made.changed()).await;
        }
    }

    /// Lets the store take a rollback first, if this node has it.
    async fn wait_for_store(&self) {
        if self.shared.state().standing == FleetState::Following {
            tokio::time::sleep(FIRST_THE_STORE).await;
        }
    }

    /// The offers that a node does not have yet.
    fn open_offers(&self, node: &Node, peer: usize) -> Vec<FleetOffer> {
        if self.log.history.is_released() {
            return Vec::new();
        }
        let steps = self.shared.state().rollbacks.to_offer();
        let open = self.offers.with(peer, |told| told.open(steps));
        let open = open.unwrap_or_default();
        open.iter().map(|step| self.offer_of(node, step)).collect()
    }

    fn offer_of(&self, node: &Node, step: &[LocalRollback]) -> FleetOffer {
        let author = self.author_of_rollbacks(step);
        // A rollback is in the table and in the state, or in neither.
        let _index = self.log.index();
        let live = self.table.load().state();
        let state = self.shared.state();
        let by_part: BTreeMap<_, _> = step.iter().map(|one| (&one.part, one)).collect();
        let changes = changes_of(by_part.keys().copied(), &live).into_iter();
        let offered = changes.filter_map(|(part, change)| {
            let rollback = (*by_part.get(&part)?).clone();
            let changed = state.known(&part).unchanged_since.min(rollback.of);
            Some(OfferedRollback {
                rollback,
                changed,
                change,
            })
        });
        FleetOffer {
            node: node.name.clone(),
            revision: state.revision,
            revision_id: state.id.clone(),
            author,
            rollbacks: offered.collect(),
        }
    }
}

/// Makes one offer. The reason, where there is no answer.
async fn answer_of(
    peers: &dyn FleetPeers,
    peer: usize,
    offer: &FleetOffer,
) -> Result<FleetOfferAnswer, String> {
    let text = serde_json::to_vec(offer).map_err(|error| error.to_string())?;
    let answer = peers.offer(peer, text).await;
    let text = answer.map_err(|error| error.reason)?;
    serde_json::from_slice(&text)
        .map_err(|error| format!("it does not answer like a node: {error}"))
}
