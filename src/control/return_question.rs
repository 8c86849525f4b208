//! The question whether a rollout may go back, while a hook is asked.

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

use super::data_answers::DataAnswers;

/// Answers about the way back of a rollout, and the question that is being asked.
#[derive(Debug, Default)]
pub(super) struct ReturnQuestion {
    pub(super) answers: DataAnswers,
    asked: Option<JoinHandle<DataAnswers>>,
}

/// A question that is dropped is asked no more.
impl Drop for ReturnQuestion {
    fn drop(&mut self) {
        if let Some(asked) = &self.asked {
            asked.abort();
        }
    }
}

impl ReturnQuestion {
    /// Takes the answers, if they have come.
    pub(super) fn take_answers(&mut self) {
        let Some(asked) = self.asked.as_mut() else {
            return;
        };
        if let Some(answers) = asked.now_or_never() {
            self.asked = None;
            // A task that was cancelled has none, and the hook is asked again.
            self.answers = answers.unwrap_or_default();
        }
    }

    /// Asks, unless that is done already.
    pub(super) fn ask(&mut self, question: impl Future<Output = DataAnswers> + Send + 'static) {
        if self.asked.is_none() {
            self.asked = Some(tokio::spawn(question));
        }
    }
}
