//! An abort that is spread over a time: its parts are changes of one group, the last of them the abort as it always is.

use std::time::{Duration, Instant};

use super::{
    Consent, ControlError, Controller, EarlyReceipt, Expected,
    clock::now,
    data_answers::DataAnswers,
    precondition::{Scope, check_base, idempotent_replay},
    publish_request::Request,
    spread::SpreadReturn,
    spread_registry::{SpreadEnd, SpreadRoute, SpreadRun},
};
use crate::{
    history::StoredRevision,
    model::{Author, Cause, Change, Revision, RouteName, TableState},
};

/// Number of attempts while other changes are faster.
const MOST_ATTEMPTS: usize = 100;

impl Controller {
    /// Begins to give all requests of a route to its stable release, in parts over a time. Its first part is live when
    /// this returns.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// As [`Controller::apply`] for the abort, and when one of the route is under way in parts.
    pub async fn abort_over(
        &self,
        route: RouteName,
        over: Duration,
        by: Author,
        expected: Expected,
        consent: impl Into<Consent>,
    ) -> Result<EarlyReceipt<'_>, ControlError> {
        let (consent, whole) = (consent.into(), abort_of(&route));
        if let Some(kept) = self.aborted_before(&by, &whole)? {
            return Ok(self.receipts().of_replay(&kept).into());
        }
        let mut answers = DataAnswers::default();
        for _ in 0..MOST_ATTEMPTS {
            self.check_goes_not_back(|run| run.is_abort_of(&route))?;
            let live = self.table.load();
            check_base(&self.log, live.revision(), Scope::Route(&route), expected)?;
            let (before, after) = (live.state(), whole.apply_to(&live.state())?.state);
            let run = spread_abort((&before, &after), &route, over, live.revision());
            let Some(run) = run else {
                return self.apply_early(whole, by, expected, consent).await;
            };
            let open = self.check_data(&live, &after.spec, consent, &answers)?;
            if !open.is_empty() {
                self.ask_checks(open, &mut answers).await;
                continue;
            }
            match self.begin_abort(run, &by, consent).await {
                // Another change was faster: it is looked at first.
                Err(ControlError::Stale { .. }) => {}
                made => return made,
            }
        }
        Err(ControlError::Busy)
    }

    fn aborted_before(
        &self,
        by: &Author,
        whole: &Change,
    ) -> Result<Option<StoredRevision>, ControlError> {
        let is_same = |kept: &StoredRevision| {
            matches!(kept.record.cause, Cause::ReturnPart { to: None, .. })
                || kept.record.change.as_ref() == Some(whole)
        };
        idempotent_replay(&self.log, by, is_same)
    }

    async fn begin_abort(
        &self,
        run: SpreadRun,
        by: &Author,
        consent: Consent,
    ) -> Result<EarlyReceipt<'_>, ControlError> {
        let group = by.group.clone().or_else(|| run.by.group.clone());
        let mut run = SpreadRun {
            by: Author {
                group,
                ..by.clone()
            },
            consent: Consent {
                data: true,
                ..consent
            },
            ..run
        };
        let early = self.publish_part(&run, 1, run.base).await?;
        if !early.changed {
            return Ok(early);
        }
        run.spread.give(1);
        let early = early.in_parts(Some(run.spread.show()), self.hint_of_rollout(&run));
        self.spreads.add(run);
        Ok(early)
    }

    async fn publish_part(
        &self,
        run: &SpreadRun,
        part: u32,
        live: Revision,
    ) -> Result<EarlyReceipt<'_>, ControlError> {
        let request = Request {
            change: run.change(part).ok_or(ControlError::NothingToUndo)?,
            by: run.by.clone(),
            expected: Expected::Unchanged(live),
            consent: run.consent,
            cause: Some(run.cause(part)),
            order: None,
        };
        self.make(request, DataAnswers::default()).await
    }

    /// Gives a part of an abort that is under way. `false` if another change was faster.
    pub(super) async fn give_abort_part(
        &self,
        run: &SpreadRun,
        live: Revision,
        part: u32,
    ) -> Result<bool, ControlError> {
        was_first(self.publish_part(run, part, live).await.map(drop))
    }

    /// Gives all that is left of an abort. `false` if another change was faster.
    pub(super) async fn end_abort(
        &self,
        run: &SpreadRun,
        live: Revision,
    ) -> Result<bool, ControlError> {
        let Some(route) = run.routes.first() else {
            return Ok(true);
        };
        let (by, expected) = (run.by.clone(), Expected::Unchanged(live));
        let made = self.apply_early(abort_of(&route.name), by, expected, run.consent);
        was_first(made.await.map(drop))
    }

    /// The author of a change. An abort without a time joins the parts of the one that it ends, so that one bare rollback
    /// undoes both.
    pub(super) fn join_parts(&self, change: &Change, by: Author) -> Author {
        let Change::Abort { route } = change else {
            return by;
        };
        if by.group.is_some() {
            return by;
        }
        let runs = self.spreads.all().into_iter();
        let mut aborts = runs.filter(|run| run.is_abort_of(route));
        let run = aborts.find(|run| self.changed_amid(run).is_none());
        Author {
            group: run.and_then(|run| run.by.group),
            ..by
        }
    }
}

/// An abort in parts; `None` if there is nothing on trial.
fn spread_abort(
    (before, after): (&TableState, &TableState),
    route: &RouteName,
    over: Duration,
    base: Revision,
) -> Option<SpreadRun> {
    let mut routes = SpreadRoute::between(&before.spec, &after.spec).into_iter();
    let (one, from) = routes.find(|(one, _)| one.name == *route)?;
    Some(SpreadRun {
        id: 0,
        end: SpreadEnd::Stable,
        routes: vec![one],
        spread: SpreadReturn::new(over, vec![from], (Instant::now(), now())),
        by: Author {
            actor: crate::model::Actor::Api,
            name: String::new(),
            message: None,
            idempotency_key: None,
            // With a space, so that it is nobody else's.
            group: Some(format!("abort {route} {base}")),
        },
        consent: Consent::default(),
        base,
        since: now(),
        waiting_for: None,
    })
}

fn abort_of(route: &RouteName) -> Change {
    Change::Abort {
        route: route.clone(),
    }
}

fn was_first(made: Result<(), ControlError>) -> Result<bool, ControlError> {
    match made {
        Ok(()) => Ok(true),
        Err(ControlError::Stale { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
