//! The data guard on the way back of a rollout.
//!
//! A machine must not destroy data: where the release does not allow it, the rollout pauses. A hook is asked beside the
//! loop, and its answer is looked at with the next look, so that one that hangs holds no other rollout.

use super::{
    ControlError, Controller,
    data_answers::{DataAnswers, ask_checks},
    return_question::ReturnQuestion,
    rollout_record::RolloutRecord,
    rollout_registry::RunningRollout,
    watch_set::ReleaseKey,
};
use crate::{
    api::DataGuard,
    model::{Change, TableState},
    rollout::Event,
};

impl Controller {
    /// The answers by which the way back may be gone; none while a hook is asked.
    pub(super) fn may_return(
        &self,
        run: &mut RunningRollout,
    ) -> Result<Option<DataAnswers>, ControlError> {
        if run.record.is_return_forced {
            return Ok(Some(DataAnswers::default()));
        }
        let guards = self.return_guards(&run.record);
        self.answered(run, guards)
    }

    /// The answers by which an order forward may be carried out, which leaves a release for an earlier one perhaps; none
    /// while a hook is asked.
    pub(super) fn may_publish(
        &self,
        run: &mut RunningRollout,
        change: &Change,
    ) -> Result<Option<DataAnswers>, ControlError> {
        let live = self.table.load();
        let applied = change.apply_to(&live.state()).ok();
        // What cannot be applied is refused when it is, with its reason.
        let Some(applied) = applied.filter(|_| !run.record.is_forced) else {
            return Ok(Some(DataAnswers::default()));
        };
        let guards = self.crossed(&live, &applied.state.spec);
        self.answered(run, guards)
    }

    /// The answers about guards, each for one attempt: what was allowed may not be any more. Hooks are asked beside the
    /// loop and without its lock, so that one that hangs holds nothing.
    fn answered(
        &self,
        run: &mut RunningRollout,
        guards: Vec<DataGuard>,
    ) -> Result<Option<DataAnswers>, ControlError> {
        run.data.take_answers();
        let open = run.data.answers.apply(guards)?;
        if open.is_empty() {
            return Ok(Some(std::mem::take(&mut run.data.answers)));
        }
        run.data.ask(ask_checks(self.hooks.set(), open));
        Ok(None)
    }

    /// Checks whether an operator may take a rollout back, and asks the hooks that have to be asked.
    pub(super) async fn check_return_of(
        &self,
        record: &RolloutRecord,
    ) -> Result<DataAnswers, ControlError> {
        let open = DataAnswers::default().apply(self.return_guards(record))?;
        if open.is_empty() {
            return Ok(DataAnswers::default());
        }
        let answers = ask_checks(self.hooks.set(), open.clone()).await;
        answers.apply(open)?;
        Ok(answers)
    }

    /// The guards that the way back of a rollout crosses.
    fn return_guards(&self, record: &RolloutRecord) -> Vec<DataGuard> {
        let live = self.table.load();
        let mut after = live.state();
        for track in record.tracks.iter() {
            let back = Change::SetSplit {
                route: track.route.clone(),
                weights: track.original.clone(),
            };
            // What cannot be applied is no way back; that is looked at where it is gone.
            if let Ok(applied) = back.apply_to(&after) {
                after = applied.state;
            }
        }
        self.crossed(&live, &after.spec)
    }

    /// Declarations of the releases of a rollout about the way back, each as a sentence.
    pub(super) fn return_warnings(&self, record: &RolloutRecord) -> Vec<String> {
        let state = self.table.load().state();
        let mut warnings: Vec<String> = Vec::new();
        for track in record.tracks.iter() {
            let warning = warning(&state, &track.to);
            warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
        }
        warnings
    }
}

fn warning(state: &TableState, (release, version): &ReleaseKey) -> Option<String> {
    let spec = state.spec.release(release)?;
    let declared = spec.rollback.as_ref();
    let declared = declared.filter(|declared| declared.is_guard())?;
    let reason = declared.reason.as_deref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    Some(match &declared.check {
        Some(check) => format!(
            "`{release}` in version `{version}` will be taken back only if the check `{check}` allows it{reason}"
        ),
        None => format!(
            "`{release}` in version `{version}` will NOT be taken back by itself, since its data does not allow it{reason}"
        ),
    })
}

/// Pauses a rollout whose way back is not allowed, and says so loudly.
pub(super) fn pause_for_data(run: &mut RunningRollout, error: &ControlError) {
    let _never_refused = run.record.machine.on(Event::NotAllowed);
    // A later way back asks anew.
    run.data = ReturnQuestion::default();
    let id = &run.record.id;
    tracing::error!(target: "audit", rollout = id, %error, "a rollout is NOT taken back");
    let what = format!(
        "NOT taken back: {error}; `switchback rollout rollback {id} --force` does it all the same"
    );
    run.record.note("switchback", what);
}
