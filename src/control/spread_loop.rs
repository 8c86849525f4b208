//! The loop that gives the parts of rollbacks and aborts when they are due, and what a restart has left of them at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Consent, ControlError, Controller, EarlyReceipt, StatusPart,
    clock::now,
    spread::SpreadReturn,
    spread_registry::{SpreadEnd, SpreadRoute, SpreadRun},
};
use crate::{
    api::GoingBack,
    history::StoredRevision,
    model::{Author, Cause, Change, Revision, RevisionRecord, RouteName, TableSpec},
};

/// Interval at which one that cannot go on is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Number of attempts in one look, while other changes are faster.
const MOST_ATTEMPTS: usize = 20;

impl Controller {
    /// Gives parts when they are due, for as long as it is polled. With none under way it waits without a timer.
    pub(super) async fn run_spreads(&self) {
        // After a takeover that failed, those of before go on.
        if self.spreads.is_new() {
            for run in self.interrupted_spreads() {
                self.spreads.add(run);
            }
        }
        loop {
            for run in self.spreads.all() {
                self.look_at_spread(run).await;
            }
            let next = self.spreads.all().iter().map(next_look).min();
            let begun = self.spreads.begun.notified();
            match next {
                None => begun.await,
                Some(next) => tokio::select! {
                    () = sleep(next) => {}
                    () = begun => {}
                },
            }
        }
    }

    /// Gives the part that is due. What cannot be made is tried again later; the status says why.
    async fn look_at_spread(&self, mut run: SpreadRun) {
        for _ in 0..MOST_ATTEMPTS {
            if let Some(why) = self.changed_amid(&run) {
                return self.end_spread(&run, &why);
            }
            if matches!(run.end, SpreadEnd::Revision(_)) && !self.is_part_on_top(&run) {
                run.spread.hurry();
            }
            let Some(part) = run.spread.due(Instant::now()) else {
                return;
            };
            match self.go_on_with(&mut run, part).await {
                // Another change was faster: it is looked at first.
                Ok(false) => {}
                Ok(true) if run.spread.is_last(part) => {
                    return self.end_spread(&run, "all is back");
                }
                Ok(true) => {
                    run.spread.give(part);
                    run.waiting_for = None;
                    return self.spreads.put(run);
                }
                Err(error) if run.spread.is_last(part) => {
                    run.waiting_for = Some(error.to_string());
                    return self.spreads.put(run);
                }
                // A way back in parts has to be no less safe than another.
                Err(error) => {
                    tracing::warn!(%error, "a part of a way back cannot be made; all goes back at once");
                    run.spread.hurry();
                }
            }
        }
        self.spreads.put(run);
    }

    /// Makes a part live. `false` if another change was faster, or if all is to go back at once.
    async fn go_on_with(&self, run: &mut SpreadRun, part: u32) -> Result<bool, ControlError> {
        let live = self.table.load();
        let is_last = run.spread.is_last(part);
        match run.end {
            SpreadEnd::Stable if is_last => self.end_abort(run, live.revision()).await,
            SpreadEnd::Stable => self.give_abort_part(run, live.revision(), part).await,
            SpreadEnd::Revision(_) if is_last => self.end_rollback(run, &live).await,
            SpreadEnd::Revision(_) => self.give_rollback_part(run, &live, part),
        }
    }

    fn end_spread(&self, run: &SpreadRun, why: &str) {
        self.spreads.remove(run.id);
        let shown = run.show();
        tracing::info!(
            target: "audit",
            command = shown.command.as_str(), name = run.by.name, why,
            "a way back in parts has ended"
        );
    }

    /// The change by others, in words, that ends a way back in parts: of one of its routes, or of a release of it.
    pub(super) fn changed_amid(&self, run: &SpreadRun) -> Option<String> {
        if let Some(release) = run.changed_release(&self.table.load().state().spec) {
            return Some(format!(
                "release `{release}` has another version now, or was removed"
            ));
        }
        let index = self.log.index();
        let mut routes = run.routes.iter();
        routes.find_map(|route| {
            let changed = index.route_changed(&route.name)?;
            let record = index.get(changed).map(|kept| &kept.record);
            let is_own = record.is_some_and(|record| run.is_part(record));
            (changed > run.base && !is_own).then(|| {
                let name = &route.name;
                format!("route `{name}` was changed in revision {changed}")
            })
        })
    }

    /// Refuses a way back in parts while another one to the same end is under way.
    pub(super) fn check_goes_not_back(
        &self,
        is_same: impl Fn(&SpreadRun) -> bool,
    ) -> Result<(), ControlError> {
        let runs = self.spreads.all().into_iter();
        let mut same = runs.filter(is_same);
        match same.find(|run| self.changed_amid(run).is_none()) {
            Some(run) => Err(ControlError::GoesBack(Box::new(run.show()))),
            None => Ok(()),
        }
    }

    /// True if weights of a route are going back in parts.
    pub(super) fn is_going_back(&self, route: &RouteName) -> bool {
        let mut runs = self.spreads.all().into_iter();
        runs.any(|run| run.is_about(route) && self.changed_amid(&run).is_none())
    }

    /// Rollbacks and aborts that are under way in parts: all of them, or those about the route that is asked for.
    pub(super) fn going_back(&self, part: &StatusPart) -> Vec<GoingBack> {
        let is_asked = |run: &SpreadRun| match part {
            StatusPart::Route(route) => run.is_about(route),
            _ => true,
        };
        let runs = self.spreads.all().into_iter().filter(is_asked);
        let runs = runs.filter(|run| self.changed_amid(run).is_none());
        runs.map(|run| run.show()).collect()
    }

    /// Adds to the receipt of a rollback over a time how far it is, or that nothing could go in parts.
    pub(super) fn receipt_in_parts<'a>(&self, receipt: EarlyReceipt<'a>) -> EarlyReceipt<'a> {
        let runs = self.spreads.all().into_iter();
        let mut runs = runs.filter(|run| matches!(run.end, SpreadEnd::Revision(_)));
        if let Some(run) = runs.next().filter(|_| receipt.cause.is_amid_return()) {
            let hint = self.hint_of_rollout(&run);
            return receipt.in_parts(Some(run.spread.show()), hint);
        }
        let hint = "no weights differ that could go back in parts, so all is back at once";
        receipt.in_parts(None, Some(hint.to_owned()))
    }

    /// The hint where a rollout runs on a route: it has a way back of its own, over a time as well.
    pub(super) fn hint_of_rollout(&self, run: &SpreadRun) -> Option<String> {
        let running = self.rollouts.active();
        let mut records = running.iter().map(|entry| entry.record());
        let rollout = records.find(|record| {
            let mut tracks = record.tracks.iter();
            tracks.any(|track| run.is_about(&track.route))
        })?;
        let (id, command) = (&rollout.id, run.show().command.as_str());
        Some(format!(
            "rollout {id} ends with this as superseded; `switchback rollout {command} {id}` takes it back itself, with its hooks and its log, and has --over too"
        ))
    }

    /// The ways back that a restart has interrupted, according to the records: what is left is given back at once.
    fn interrupted_spreads(&self) -> Vec<SpreadRun> {
        let state = self.table.load().state();
        let index = self.log.index();
        let mut ends: BTreeMap<(Option<Revision>, Option<String>), Vec<&StoredRevision>> =
            BTreeMap::new();
        for route in state.spec.routes().iter() {
            let changed = index.route_changed(&route.name);
            let kept = changed.and_then(|changed| index.get(changed));
            if let Some(kept) = kept.filter(|kept| kept.record.cause.is_amid_return())
                && let Cause::ReturnPart { to, .. } = kept.record.cause
            {
                let group = kept.record.author.group.clone();
                let all = ends
                    .entry((to, group.filter(|_| to.is_none())))
                    .or_default();
                all.push(kept);
            }
        }
        let runs = ends.into_iter().filter_map(|((to, _), parts)| {
            let record = &parts.iter().max_by_key(|kept| kept.record.revision)?.record;
            let then = match to {
                Some(to) => index.state(to)?.spec,
                None => aborted(record)?.apply_to(&state).ok()?.state.spec,
            };
            interrupted(record, to, (&state.spec, &then))
        });
        runs.collect()
    }
}

/// The time until a way back is to be looked at.
fn next_look(run: &SpreadRun) -> Duration {
    let due = run.spread.due_in(Instant::now());
    if run.waiting_for.is_some() {
        due.max(AGAIN)
    } else {
        due.max(Duration::from_millis(10))
    }
}

/// The abort that a part belongs to.
fn aborted(record: &RevisionRecord) -> Option<Change> {
    let route = record.change.as_ref()?.route()?.clone();
    Some(Change::Abort { route })
}

/// The rest of a way back of which a part is live.
fn interrupted(
    record: &RevisionRecord,
    to: Option<Revision>,
    (now_live, then): (&TableSpec, &TableSpec),
) -> Option<SpreadRun> {
    let parts = record.change.as_ref().map_or(&[][..], Change::parts);
    let own: BTreeSet<_> = parts.iter().filter_map(Change::route).collect();
    let routes = SpreadRoute::between(now_live, then).into_iter();
    let routes = routes.filter(|(route, _)| own.contains(&route.name));
    let (routes, from): (Vec<_>, Vec<_>) = routes.unzip();
    if routes.is_empty() {
        return None;
    }
    let mut spread = SpreadReturn::new(AGAIN, from, (Instant::now(), now()));
    spread.hurry();
    Some(SpreadRun {
        id: 0,
        end: to.map_or(SpreadEnd::Stable, SpreadEnd::Revision),
        routes,
        spread,
        by: Author {
            idempotency_key: None,
            ..record.author.clone()
        },
        consent: Consent {
            data: true,
            cut: record.cut,
            ..Consent::default()
        },
        base: record.parent,
        since: now(),
        waiting_for: None,
    })
}
