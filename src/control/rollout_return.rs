//! The way back of a rollout: the route gets the shares that it had.

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    rollout_orders::{end_superseded, total, why_back},
    rollout_record::RolloutRecord,
    rollout_registry::RunningRollout,
};
use crate::{
    model::{Actor, Change, Revision, Weights},
    rollout::{End, Event},
    table::RollbackTarget,
};

impl Controller {
    /// Gives the route what it had before: by a rollback of the whole group where nothing came after it, else by one step
    /// of the route after the other. A rollback is live before it is durable.
    pub(super) async fn go_back(&self, run: &mut RunningRollout) -> Result<(), ControlError> {
        let most = run.record.machine.plan().steps.len() + 2;
        for attempt in 0..=most {
            let live = self.table.load().revision();
            if self.is_changed_by_others(&run.record) {
                end_superseded(run);
                return Ok(());
            }
            if self.is_original(&run.record) {
                returned(run);
                return Ok(());
            }
            // Steps that lead elsewhere are not followed for ever: the last attempt sets the split itself.
            let made = if attempt < most {
                self.step_back(&run.record, live).await
            } else {
                let (route, weights) = (run.record.route.clone(), run.record.original.clone());
                self.publish_back(&run.record, Change::SetSplit { route, weights }, live)
                    .await
            };
            match made {
                // Another change was faster: it is looked at first.
                Ok(()) | Err(ControlError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_original(&run.record) {
            returned(run);
            return Ok(());
        }
        Err(ControlError::Busy)
    }

    async fn step_back(&self, record: &RolloutRecord, live: Revision) -> Result<(), ControlError> {
        let route = RollbackTo::Route(record.route.clone());
        let is_ours = self.table.live_group().as_deref() == Some(record.group().as_str());
        if is_ours && self.table.level(RollbackTarget::Previous).is_some() {
            return self.roll_back(record, RollbackTo::Previous, live).await;
        }
        if !self.sole_stable(record) {
            return self.roll_back(record, route, live).await;
        }
        // An abort touches no decision about another route.
        let change = Change::Abort {
            route: record.route.clone(),
        };
        match self.publish_back(record, change, live).await {
            // A rollback of the route waits for no disk.
            Err(ControlError::NotDurable(_) | ControlError::Busy) => {
                self.roll_back(record, route, live).await
            }
            made => made,
        }
    }

    async fn roll_back(
        &self,
        record: &RolloutRecord,
        to: RollbackTo,
        live: Revision,
    ) -> Result<(), ControlError> {
        let (author, expected) = (record.author_of_return(), Expected::Unchanged(live));
        let back = self.rollback(to, author, expected, Consent::default());
        back.await.map(drop)
    }

    async fn publish_back(
        &self,
        record: &RolloutRecord,
        change: Change,
        live: Revision,
    ) -> Result<(), ControlError> {
        let (author, expected) = (record.author_of_return(), Expected::Unchanged(live));
        let consent = Consent {
            drop: true,
            ..Consent::default()
        };
        let made = self.apply(change, author, expected, consent);
        made.await.map(drop)
    }

    /// True if the route had one release alone, and an abort gives everything to it.
    fn sole_stable(&self, record: &RolloutRecord) -> bool {
        let state = self.table.load().state();
        let stable = state
            .spec
            .route(&record.route)
            .and_then(|route| route.stable_release().cloned());
        let others = record
            .original
            .iter()
            .any(|(name, weight)| *weight > 0 && *name != record.from.0);
        !others && stable.as_ref() == Some(&record.from.0)
    }

    /// True if the route has the shares that it had before.
    fn is_original(&self, record: &RolloutRecord) -> bool {
        let state = self.table.load().state();
        let route = state.spec.route(&record.route);
        route.is_some_and(|route| are_same_shares(&route.split, &record.original))
    }

    /// The end of a way back that was begun before the process was killed: its revisions are on the disk, and the state that
    /// ordered them is not.
    pub(super) fn interrupted_return(&self, record: &RolloutRecord) -> Option<End> {
        record.machine.place()?;
        let index = self.log.index();
        let changed = index.route_changed(&record.route);
        let changed = changed.filter(|changed| *changed > record.base)?;
        let author = &index.get(changed)?.record.author;
        let is_of = |end: &End| author.message == Some(record.return_message(*end));
        let is_own = author.actor == Actor::System && author.name == record.name();
        [End::RolledBack, End::Aborted]
            .into_iter()
            .find(is_of)
            .filter(|_| is_own)
    }
}

/// Tells the machine that the route has its earlier split again.
fn returned(run: &mut RunningRollout) {
    let _never_refused = run.record.machine.on(Event::Returned);
    let words = why_back(&run.record);
    let words = words.map_or_else(String::new, |words| format!(" ({words})"));
    let state = super::rollout_record::state(run.record.machine.state());
    let what = format!(
        "{}: the route has its earlier split again{words}",
        state.as_str()
    );
    run.record.note("switchback", what);
}

/// True if two splits give each release the same share.
fn are_same_shares(one: &Weights, other: &Weights) -> bool {
    let (of_one, of_other) = (total(one), total(other));
    let weight = |weights: &Weights, name| u64::from(weights.get(name).copied().unwrap_or(0));
    let mut names = one.keys().chain(other.keys());
    names.all(|name| weight(one, name) * of_other == weight(other, name) * of_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_same_whatever_the_weights_add_up_to() {
        let weights = |blue, green| -> Weights {
            [("blue", blue), ("green", green)]
                .map(|(name, weight)| (name.parse().unwrap(), weight))
                .into()
        };
        assert!(are_same_shares(&weights(1, 0), &weights(100, 0)));
        assert!(are_same_shares(&weights(95, 5), &weights(950, 50)));
        assert!(!are_same_shares(&weights(95, 5), &weights(94, 6)));
        let alone: Weights = [("blue".parse().unwrap(), 3)].into();
        assert!(are_same_shares(&alone, &weights(7, 0)));
    }
}
