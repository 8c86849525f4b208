//! A rollback that another node of the fleet has made and offers, while the store is away: it is made here as well if this
//! node serves what it takes back.

use super::{ControlError, Controller, shared_live::Occasion};
use crate::{
    api::{FleetOffer, FleetOfferAnswer, FleetState, OfferOutcome},
    model::Author,
    shared_table::ChangeKind,
    table::Leave,
    telemetry::ErrorChain,
};

impl Controller {
    /// Makes the rollbacks of another node here as well: live at once, and durable when this returns. They are those of the
    /// fleet from then on, and published by whoever has the store first.
    ///
    /// # Errors
    /// When this is no node of a fleet.
    pub async fn take_offer(&self, offer: FleetOffer) -> Result<FleetOfferAnswer, ControlError> {
        let Some(node) = self.shared.node() else {
            return Err(ControlError::NotShared {
                reason: "this proxy is no node of a fleet: there is no `[fleet]`".to_owned(),
                is_unknown: false,
            });
        };
        let (outcome, reason) = if offer.node == node.name {
            (OfferOutcome::Known, None)
        } else {
            self.answer_offer(offer).await
        };
        Ok(FleetOfferAnswer {
            node: node.name.clone(),
            outcome,
            reason,
        })
    }

    async fn answer_offer(&self, offer: FleetOffer) -> (OfferOutcome, Option<String>) {
        if let Some(reason) = self.refusal(&offer) {
            return (OfferOutcome::Refused, Some(reason));
        }
        let new = self.shared.state().new_of(offer.rollbacks);
        if new.is_empty() {
            return (OfferOutcome::Known, None);
        }
        let occasion = Occasion {
            by: Author {
                idempotency_key: None,
                ..offer.author
            },
            kind: ChangeKind::Rollback,
            leave: Leave::ROLLBACK,
            asked: None,
            offered: new,
        };
        match self.bring_live(&occasion).await {
            Ok(Some(swap)) => {
                tracing::info!(target: "audit", name = %occasion.by.name, from = %offer.node, revision = %swap.record.revision, "a rollback of another node is made here as well");
                let revision = swap.record.revision;
                self.finish(swap).await;
                self.shared.tell_of_rollbacks();
                self.log.wait_durable(revision).await;
                (OfferOutcome::Taken, None)
            }
            // Another offer, or what the fleet has, was faster.
            Ok(None) | Err(ControlError::Busy) => {
                let reason = "it would change nothing here, or something else did meanwhile";
                (OfferOutcome::Refused, Some(reason.to_owned()))
            }
            Err(error) => {
                let reason = format!(
                    "it does not fit what this node serves: {}",
                    ErrorChain(&error)
                );
                (OfferOutcome::Refused, Some(reason))
            }
        }
    }

    /// The reason for which an offer is refused, if there is one.
    fn refusal(&self, offer: &FleetOffer) -> Option<String> {
        if self.log.history.is_released() {
            return Some("this process hands over to another one".to_owned());
        }
        let state = self.shared.state();
        if state.standing == FleetState::Stopped {
            return Some("this node has stopped following its fleet".to_owned());
        }
        let ids = state.id.as_ref().zip(offer.revision_id.as_ref());
        if state.revision == offer.revision && ids.is_some_and(|(own, other)| own != other) {
            return Some("this node follows another store".to_owned());
        }
        let mut reasons = offer.rollbacks.iter().filter_map(|one| state.reason(one));
        reasons.next()
    }
}
