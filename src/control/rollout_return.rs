//! The way back of a rollout: its routes get the shares that they had.

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    rollout_orders::{end_superseded, total, why_back},
    rollout_record::RolloutRecord,
    rollout_registry::RunningRollout,
    rollout_track::Track,
};
use crate::{
    model::{Actor, Change, Revision, Weights},
    rollout::{End, Event},
    table::RollbackTarget,
};

impl Controller {
    /// Gives the routes what they had before: by a rollback of the whole group where nothing came after it, else by a
    /// change of them alone. A rollback is live before it is durable.
    pub(super) async fn go_back(&self, run: &mut RunningRollout) -> Result<(), ControlError> {
        let tracks = &run.record.tracks;
        let most = (run.record.machine.plan().steps.len() + 2) * tracks.len();
        for attempt in 0..=most {
            let live = self.table.load().revision();
            if let Some(changed) = self.changed_by_others(&run.record) {
                end_superseded(run, &changed);
                return Ok(());
            }
            let away = self.away(&run.record);
            if away.is_empty() {
                returned(run);
                return Ok(());
            }
            // Steps that lead elsewhere are not followed for ever: the last attempt sets the splits themselves.
            let made = if attempt < most {
                self.step_back(&run.record, &away, live).await
            } else {
                let routes = away.iter().filter_map(|track| self.as_before(track));
                self.publish_back(&run.record, Change::joined(routes.collect()), live)
                    .await
            };
            match made {
                // Another change was faster: it is looked at first.
                Ok(()) | Err(ControlError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if self.away(&run.record).is_empty() {
            returned(run);
            return Ok(());
        }
        Err(ControlError::Busy)
    }

    async fn step_back(
        &self,
        record: &RolloutRecord,
        away: &[&Track],
        live: Revision,
    ) -> Result<(), ControlError> {
        let is_ours = self.table.live_group().as_deref() == Some(record.group().as_str());
        if is_ours && self.table.level(RollbackTarget::Previous).is_some() {
            return self.roll_back(record, RollbackTo::Previous, live).await;
        }
        let Some((first, others)) = away.split_first() else {
            return Ok(());
        };
        let route = RollbackTo::Route(first.route.clone());
        if others.is_empty() && !self.sole_stable(first) {
            return self.roll_back(record, route, live).await;
        }
        // It touches no decision about another route, and takes all routes back in one revision.
        let back = away.iter().filter_map(|track| self.back_alone(track));
        let change = Change::joined(back.collect());
        match self.publish_back(record, change, live).await {
            // A rollback of a route waits for no disk.
            Err(ControlError::NotDurable(_) | ControlError::Busy) => {
                self.roll_back(record, route, live).await
            }
            made => made,
        }
    }

    /// The change that takes one route back.
    fn back_alone(&self, track: &Track) -> Option<Change> {
        if self.sole_stable(track) {
            let route = track.route.clone();
            return Some(Change::Abort { route });
        }
        self.as_before(track)
    }

    /// The change that gives a route the split that it had, and the release that was stable then.
    fn as_before(&self, track: &Track) -> Option<Change> {
        let state = self.table.load().state();
        let mut spec = (***state.spec.route(&track.route)?).clone();
        if spec.stable_release() == Some(&track.to.0) {
            spec.stable = Some(track.from.0.clone());
        }
        spec.split.clone_from(&track.original);
        let route = Box::new(spec);
        Some(Change::PutRoute { route })
    }

    async fn roll_back(
        &self,
        record: &RolloutRecord,
        to: RollbackTo,
        live: Revision,
    ) -> Result<(), ControlError> {
        let (author, expected) = (record.author_of_return(), Expected::Unchanged(live));
        // The data guard was looked at before.
        let consent = Consent {
            data: true,
            ..Consent::default()
        };
        let back = self.rollback(to, author, expected, consent);
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
            data: true,
            drop: true,
            ..Consent::default()
        };
        let made = self.apply(change, author, expected, consent);
        made.await.map(drop)
    }

    /// True if the route had one release alone, and an abort gives everything to it.
    fn sole_stable(&self, track: &Track) -> bool {
        let state = self.table.load().state();
        let stable = state
            .spec
            .route(&track.route)
            .and_then(|route| route.stable_release().cloned());
        let others = track
            .original
            .iter()
            .any(|(name, weight)| *weight > 0 && *name != track.from.0);
        !others && stable.as_ref() == Some(&track.from.0)
    }

    /// The routes that have not the shares that they had before.
    fn away<'a>(&self, record: &'a RolloutRecord) -> Vec<&'a Track> {
        let state = self.table.load().state();
        let is_original = |track: &&Track| {
            let route = state.spec.route(&track.route);
            route.is_some_and(|route| are_same_shares(&route.split, &track.original))
        };
        let tracks = record.tracks.iter();
        tracks.filter(|track| !is_original(track)).collect()
    }

    /// True if its routes have the shares that they had before.
    pub(super) fn is_back(&self, record: &RolloutRecord) -> bool {
        self.away(record).is_empty()
    }

    /// The end of a way back that was begun before the process was killed: its revisions are on the disk, and the state that
    /// ordered them is not.
    pub(super) fn interrupted_return(&self, record: &RolloutRecord) -> Option<End> {
        if record.machine.has_ended() || record.machine.goes_back().is_some() {
            return None;
        }
        let index = self.log.index();
        let changed = record
            .tracks
            .iter()
            .filter_map(|track| index.route_changed(&track.route));
        let changed = changed.max().filter(|changed| *changed > record.base)?;
        let author = &index.get(changed)?.record.author;
        let is_of = |end: &End| author.message == Some(record.return_message(*end));
        let is_own = author.actor == Actor::System && author.name == record.name();
        [End::RolledBack, End::Aborted]
            .into_iter()
            .find(is_of)
            .filter(|_| is_own)
    }
}

/// Tells the machine that the routes have their earlier splits again.
fn returned(run: &mut RunningRollout) {
    let _never_refused = run.record.machine.on(Event::Returned);
    let words = why_back(&run.record);
    let words = words.map_or_else(String::new, |words| format!(" ({words})"));
    let state = super::rollout_record::state(run.record.machine.state());
    let have = if run.record.tracks.are_train() {
        "the routes have their earlier splits"
    } else {
        "the route has its earlier split"
    };
    let what = format!("{}: {have} again{words}", state.as_str());
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
