//! The way back of a rollout: its routes get the shares that they had.

use std::time::{Duration, Instant};

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    clock::now,
    rollout_orders::{CarriedOut, end_superseded, why_back},
    rollout_record::RolloutRecord,
    rollout_registry::RunningRollout,
    rollout_track::Track,
    spread::{SpreadReturn, are_same_shares},
};
use crate::{
    model::{Actor, Change, Revision},
    rollout::{End, Event},
    table::RollbackTarget,
};

impl Controller {
    /// Goes the way back, or the part of it that is due. Where a part cannot be made, all is given back at once: a way
    /// back in parts has to be no less safe than another.
    pub(super) async fn go_on_back(
        &self,
        run: &mut RunningRollout,
    ) -> Result<CarriedOut, ControlError> {
        if let Some(spread) = &run.record.spread {
            match spread.due(Instant::now()) {
                None => return Ok(CarriedOut::Spread),
                Some(part) if !spread.is_last(part) => {
                    if let Some(done) = self.give_part(run, part).await {
                        return Ok(done);
                    }
                }
                Some(_) => {}
            }
        }
        run.record.spread = None;
        self.go_back(run).await.map(|()| CarriedOut::Done)
    }

    /// Gives a part of the way back; `None` if all is to be given back at once.
    async fn give_part(&self, run: &mut RunningRollout, part: u32) -> Option<CarriedOut> {
        let live = self.table.load().revision();
        if let Some(changed) = self.changed_by_others(&run.record) {
            end_superseded(run, &changed);
            return Some(CarriedOut::Done);
        }
        let Some(change) = self.part_of_return(&run.record, part) else {
            let what = "all goes back at once: others have changed something since";
            run.record.note("switchback", what.to_owned());
            return None;
        };
        run.record.has_parts = true;
        match self.publish_back(&run.record, change, live).await {
            Ok(()) => {
                if let Some(spread) = &mut run.record.spread {
                    spread.give(part);
                }
                Some(CarriedOut::Spread)
            }
            // Another change was faster: it is looked at with the next look.
            Err(ControlError::Stale { .. }) => Some(CarriedOut::Spread),
            Err(error) => {
                let what = format!("the rest goes back at once: {error}");
                run.record.note("switchback", what);
                None
            }
        }
    }

    /// The change that is a part of the way back. None where the steps of the rollout are not the last changes, so that
    /// no rollback would undo them together with the parts.
    fn part_of_return(&self, record: &RolloutRecord, part: u32) -> Option<Change> {
        let spread = record.spread.as_ref().filter(|_| self.is_on_top(record))?;
        let tracks = record.tracks.iter().enumerate();
        let splits = tracks.map(|(index, track)| {
            let weights = spread.split(index, &track.original, part)?;
            let route = track.route.clone();
            Some(Change::SetSplit { route, weights })
        });
        Some(Change::joined(splits.collect::<Option<Vec<_>>>()?))
    }

    /// A way back in parts, from the splits that the routes have now.
    pub(super) fn spread_return(&self, record: &RolloutRecord, over: Duration) -> SpreadReturn {
        let state = self.table.load().state();
        let split = |track: &Track| {
            let route = state.spec.route(&track.route);
            route.map_or_else(|| track.original.clone(), |route| route.split.clone())
        };
        let splits = record.tracks.iter().map(split).collect();
        SpreadReturn::new(over, splits, (Instant::now(), now()))
    }

    /// True if the last changes are those of a rollout.
    fn is_on_top(&self, record: &RolloutRecord) -> bool {
        self.table.live_group().as_deref() == Some(record.group().as_str())
    }

    /// True if a bare rollback gives all routes of a rollout what they had: where others have changed something amid its
    /// parts, it would only lead to more requests for the release.
    fn leads_back(&self, record: &RolloutRecord) -> bool {
        let Some(level) = self.table.level(RollbackTarget::Previous) else {
            return false;
        };
        let mut tracks = record.tracks.iter();
        !record.has_parts
            || tracks.all(|track| {
                let route = level.spec.route(&track.route);
                route.is_some_and(|route| are_same_shares(&route.split, &track.original))
            })
    }

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
        if self.is_on_top(record) && self.leads_back(record) {
            return self.roll_back(record, RollbackTo::Previous, live).await;
        }
        let Some((first, others)) = away.split_first() else {
            return Ok(());
        };
        let route = RollbackTo::Route(first.route.clone());
        if others.is_empty() && !self.sole_stable(first) && !record.has_parts {
            return self.roll_back(record, route, live).await;
        }
        // It touches no decision about another route, and takes all routes back in one revision.
        let back = away.iter().filter_map(|track| self.back_alone(track));
        let change = Change::joined(back.collect());
        match self.publish_back(record, change, live).await {
            // A rollback of a route waits for no disk, and for no store of a fleet.
            Err(
                ControlError::NotDurable(_)
                | ControlError::NotShared { .. }
                | ControlError::Overtaken
                | ControlError::Busy,
            ) => self.roll_back(record, route, live).await,
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
