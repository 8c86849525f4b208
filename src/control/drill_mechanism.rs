//! The mechanism of a way back, rehearsed: what is live is published once more, and that is rolled back.
//!
//! The publish is the one of every change, and the rollback is live before it is on the disk like every other. Both are
//! facts and not decisions: they are on no undo stack, so that a rollback of an operator, before, amid or after, goes
//! where it would have gone. A kill amid them leaves a revision of equal content.

use std::time::{Duration, Instant};

use super::{
    Consent, ControlError, Controller, Expected,
    data_answers::NOT_ASKED,
    drill_record::DrillRecord,
    proposal::Proposal,
    recompile::compile_again,
    rollback::{LiveFirst, Request, RollbackAttempt},
    swap::AppliedSwap,
};
use crate::{
    api::{DrillAction, DrillState, DrillStep},
    history::FullWeight,
    model::{Author, Cause, Digest, Revision},
    table::{Leave, RollbackTarget, StackChange},
};

/// Number of attempts while rollbacks of others are faster.
const MOST_ATTEMPTS: usize = 10;

impl Controller {
    /// Rehearses the mechanism, and notes the times.
    pub(super) async fn drill_mechanism(&self, record: &mut DrillRecord) {
        self.note_way_back(record);
        // Held to the end: a publish of somebody else that is being written must not meet the rollback.
        let Ok(_lock) = self.publish_lock().await else {
            record.fail(ControlError::Busy.to_string());
            return;
        };
        let begin = Instant::now();
        let digest = self.table.load().digest();
        let published = match self.publish_again(record).await {
            Ok(swap) => swap,
            Err(error) => {
                self.note_refused(record, digest, &error);
                return;
            }
        };
        let revision = published.record.revision;
        let durable = Some(begin.elapsed());
        self.finish_step(
            record,
            (DrillAction::Publish, revision),
            begin,
            (begin.elapsed(), durable),
        )
        .await;
        drop(published);
        let begin = Instant::now();
        match self.go_back_again(record, revision, digest) {
            Ok(Some(swap)) => {
                let (revision, live) = (swap.record.revision, begin.elapsed());
                let durable = self.durable_since(revision, begin);
                let step = (DrillAction::Rollback, revision);
                let (step, durable) = tokio::join!(self.time_step(step, begin, live), durable);
                record.add_step(DrillStep {
                    durable_ms: durable.map(millis),
                    ..step
                });
            }
            Ok(None) => {
                record.note("others changed the table between the publish and the rollback");
                record.end(Some(DrillState::Superseded));
            }
            Err(error) => record.fail(format!("the rollback was refused: {error}")),
        }
    }

    /// Says where a bare rollback goes, and if it could now.
    fn note_way_back(&self, record: &mut DrillRecord) {
        let Some(level) = self.table.level(RollbackTarget::Previous) else {
            record.note("there is nothing to roll back to yet");
            return;
        };
        let live = self.table.load();
        let unready = self
            .readiness(&live)
            .unready_return(&level.spec, level.compiled.as_deref());
        if let Some(release) = unready.first() {
            record.fail(format!(
                "a rollback to revision {} would be refused now: no healthy endpoint in `{release}`",
                level.revision
            ));
        }
    }

    /// Ends a drill whose publish was refused: others' change is no failure of the way back.
    fn note_refused(&self, record: &mut DrillRecord, digest: Digest, error: &ControlError) {
        if self.table.load().digest() == digest {
            record.fail(format!("the publish was refused: {error}"));
            return;
        }
        record.note("others changed the table before the publish");
        record.end(Some(DrillState::Superseded));
    }

    /// Publishes what is live.
    async fn publish_again(&self, record: &DrillRecord) -> Result<AppliedSwap<'_>, ControlError> {
        let live = self.table.load();
        let proposal = Proposal::of_drill(live.state(), &record.drill.route);
        let author = record.author_of_fact("drill: the live table is published again".to_owned());
        self.publish(&live, proposal, author, None).await
    }

    /// Rolls that back; `None` if something else is live by now.
    fn go_back_again(
        &self,
        record: &DrillRecord,
        published: Revision,
        digest: Digest,
    ) -> Result<Option<AppliedSwap<'_>>, ControlError> {
        let author = record.author_of_fact(format!("drill: back from revision {published}"));
        for _ in 0..MOST_ATTEMPTS {
            let live = self.table.load();
            if live.digest() != digest {
                return Ok(None);
            }
            let swap = LiveFirst {
                draft: compile_again(&self.fleet, &live, live.compiled().spec())?
                    .leaving(Leave::ROLLBACK),
                undo: StackChange::Keep,
                cause: Cause::Drill {
                    to: Some(self.table.decision()),
                },
                change: None,
                whole: FullWeight::new(),
                undone: vec![published],
            };
            if let RollbackAttempt::Live(swap) =
                self.swap_live_first(&live, swap, request_of(&author))
            {
                return Ok(Some(swap));
            }
        }
        Err(ControlError::Busy)
    }

    /// Waits for the workers, and adds the step.
    async fn finish_step(
        &self,
        record: &mut DrillRecord,
        step: (DrillAction, Revision),
        begin: Instant,
        (live, durable): (Duration, Option<Duration>),
    ) {
        let step = self.time_step(step, begin, live).await;
        let durable_ms = durable.map(millis);
        record.add_step(DrillStep { durable_ms, ..step });
    }

    /// Time from the begin of a rollback until it is on the disk, if it is in time. An operator's receipt waits less.
    pub(super) async fn durable_since(
        &self,
        revision: Revision,
        begin: Instant,
    ) -> Option<Duration> {
        let written = async {
            while !self.log.is_durable(revision) {
                self.log.wait_durable(revision).await;
                // With a history writer that is gone, the wait above is none.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            begin.elapsed()
        };
        let limit = self.settings.durable_within;
        tokio::time::timeout(limit, written).await.ok()
    }

    async fn time_step(
        &self,
        (what, revision): (DrillAction, Revision),
        begin: Instant,
        live: Duration,
    ) -> DrillStep {
        let converging = self.table.last_converged(revision);
        let converged = tokio::time::timeout(self.settings.converge_within, converging).await;
        DrillStep {
            what,
            revision,
            live_ms: millis(live),
            durable_ms: None,
            converged_ms: converged.is_ok().then(|| millis(begin.elapsed())),
            waiting_for: match converged {
                Ok(_) => Vec::new(),
                Err(_) => self.table.waiting_for(revision),
            },
            slowest_worker: converged.ok().flatten(),
        }
    }
}

fn request_of(by: &Author) -> Request<'_> {
    Request {
        by,
        expected: Expected::Any,
        consent: Consent::default(),
        answers: &NOT_ASKED,
    }
}

fn millis(time: Duration) -> f64 {
    // Whole microseconds.
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1_000.0
}
