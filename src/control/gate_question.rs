//! The question that the gate of a rollout is being asked.

use std::time::Instant;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

use crate::{
    hooks::{Answer, CallError},
    rollout::Place,
};

/// The gate of a rollout's present place.
#[derive(Debug, Default)]
pub(super) struct GateAsking {
    pub(super) question: Option<Question>,
    /// Earliest time of the next question.
    pub(super) again_at: Option<Instant>,
}

/// A question that is being asked; dropped, it is not.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) place: Place,
    pub(super) is_ready: bool,
    pub(super) task: JoinHandle<Result<Answer, CallError>>,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GateAsking {
    /// The answer to the question of this place; a question of another place is given up.
    pub(super) fn take_answer(
        &mut self,
        place: Place,
    ) -> Option<(bool, Result<Answer, CallError>)> {
        if self
            .question
            .as_ref()
            .is_some_and(|question| question.place != place)
        {
            *self = Self::default();
        }
        let question = self.question.as_mut()?;
        let ended = (&mut question.task).now_or_never()?;
        let is_ready = question.is_ready;
        self.question = None;
        let lost = || CallError::Exchange("the question was lost".to_owned());
        Some((is_ready, ended.unwrap_or_else(|_| Err(lost()))))
    }
}
