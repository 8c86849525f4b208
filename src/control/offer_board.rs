//! Board of the rollbacks that this node offers to the other ones of its fleet, and of their answers.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::clock::now;
use crate::{
    api::{FleetOffer, FleetOfferAnswer, FleetPeer, OfferOutcome},
    model::LocalRollback,
    shared_table::FleetPeers,
};

/// The other nodes, and their answers.
#[derive(Debug, Default)]
pub(super) struct Offers {
    pub(super) peers: OnceLock<Arc<dyn FleetPeers>>,
    // Held for moments.
    board: Mutex<Vec<Told>>,
}

/// The answers of another node to the offers of this one.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) shown: FleetPeer,
    // Identifiers of the rollbacks that it has.
    has: BTreeSet<String>,
    pub(super) failed: u32,
}

impl Offers {
    pub(super) fn board(&self) -> MutexGuard<'_, Vec<Told>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other nodes, with what they have of these rollbacks.
    pub(super) fn shown(&self, rollbacks: &[LocalRollback]) -> Vec<FleetPeer> {
        let board = self.board();
        let shown = board.iter().map(|told| FleetPeer {
            taken: rollbacks
                .iter()
                .filter(|one| told.has.contains(&one.id))
                .count(),
            reason: told.shown.reason.clone().filter(|_| !rollbacks.is_empty()),
            ..told.shown.clone()
        });
        shown.collect()
    }

    /// Looks at the answers of one node, or changes them.
    pub(super) fn with<T>(&self, peer: usize, call: impl FnOnce(&mut Told) -> T) -> Option<T> {
        self.board().get_mut(peer).map(call)
    }
}

impl Told {
    pub(super) fn new(url: &str) -> Self {
        Self {
            shown: FleetPeer {
                url: url.to_owned(),
                node: None,
                taken: 0,
                reason: None,
                offered_at: None,
            },
            has: BTreeSet::new(),
            failed: 0,
        }
    }

    /// The steps that it does not have yet. What the fleet has by now is forgotten.
    pub(super) fn open(&mut self, steps: Vec<Vec<LocalRollback>>) -> Vec<Vec<LocalRollback>> {
        let ids: BTreeSet<&String> = steps.iter().flatten().map(|one| &one.id).collect();
        self.has.retain(|id| ids.contains(id));
        let has_all = |step: &Vec<LocalRollback>| step.iter().all(|one| self.has.contains(&one.id));
        steps.into_iter().filter(|step| !has_all(step)).collect()
    }

    /// Notes its answer to an offer.
    pub(super) fn note(&mut self, offer: &FleetOffer, answer: Result<FleetOfferAnswer, String>) {
        self.shown.offered_at = Some(now());
        let outcome = answer.as_ref().map(|answer| answer.outcome);
        if let Ok(OfferOutcome::Taken | OfferOutcome::Known) = outcome {
            let ids = offer.rollbacks.iter().map(|one| one.rollback.id.clone());
            self.has.extend(ids);
            self.failed = 0;
        } else {
            self.failed = self.failed.saturating_add(1);
        }
        self.shown.reason = match answer {
            Ok(answer) => {
                self.shown.node = Some(answer.node);
                answer.reason
            }
            Err(reason) => Some(reason),
        };
    }
}
