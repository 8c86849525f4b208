//! Step of a rollout: its room, and its publish.

use super::{
    Consent, ControlError, Controller, Expected, capacity::crowded, data_answers::DataAnswers,
    publish_request::Request, rollout_orders::change_to, rollout_record::RolloutRecord,
    rollout_registry::RolloutEntry, withdrawal::Withdrawal,
};
use crate::{
    api::Receipt,
    model::{Change, Revision},
    rollout::Action,
};

impl Controller {
    /// Publishes the weight of a step: the order is on the disk and in the store of the fleet before it is carried out, so that
    /// nobody else gives it.
    pub(super) async fn publish_target(
        &self,
        entry: &RolloutEntry,
        (change, what): (Change, &str),
        (live, answers): (Revision, DataAnswers),
        order: Withdrawal,
    ) -> Result<Receipt, ControlError> {
        let record = entry.record();
        self.check_quarantine(&record)?;
        self.save_rollouts().await?;
        let mut overtaken = 0;
        loop {
            self.claim(entry).await?;
            // It may have been taken back meanwhile.
            self.check_quarantine(&record)?;
            let request = Request {
                change: change.clone(),
                by: record.author_of(what.to_owned()),
                expected: Expected::Unchanged(live),
                consent: Consent {
                    data: record.is_forced,
                    ..Consent::default()
                },
                cause: None,
                order: Some(order.clone()),
            };
            match self.make(request, answers.clone()).await {
                Ok(receipt) => return Ok(receipt.into_receipt()),
                Err(error) if order.is_withdrawn() => return Err(error),
                Err(error) => self.take_up_first(error, &mut overtaken).await?,
            }
        }
    }

    /// Refuses an order forward that the release has no room for, by the requests in flight now; a person may give it
    /// all the same, and the way back is never refused.
    pub(super) fn check_room(
        &self,
        record: &RolloutRecord,
        action: Action,
    ) -> Result<(), ControlError> {
        let Action::Publish(target) = action else {
            return Ok(());
        };
        let state = self.table.load().state();
        let (change, _) = change_to(record, target);
        // What cannot be applied is refused when it is, with its reason.
        let applied = change.apply_to(&state).ok();
        let after = applied.filter(|_| !record.is_forced);
        let mut crowded = after.map_or_else(Vec::new, |after| {
            crowded(&self.fleet, &state.spec, &after.state.spec)
        });
        let canaries = record.tracks.canaries();
        crowded.retain(|crowded| canaries.iter().any(|(name, _)| *name == crowded.release));
        if crowded.is_empty() {
            return Ok(());
        }
        Err(ControlError::NoRoom(crowded))
    }

    fn check_quarantine(&self, record: &RolloutRecord) -> Result<(), ControlError> {
        let canaries = record.tracks.canaries().into_iter();
        let mut kept = canaries.filter_map(|(name, version)| self.quarantine.find(name, version));
        match kept.next() {
            Some(entry) if !record.is_forced => Err(ControlError::Quarantined(Box::new(entry))),
            _ => Ok(()),
        }
    }
}
