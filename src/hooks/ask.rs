//! One question to a gate, with its retries.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::{backoff, call, decision::Answer, error::CallError, hook::Hook, message::HookMessage};

/// Asks a gate, and again after a failure, as often as its settings allow.
///
/// # Errors
/// The last failure: there is no decision.
pub async fn ask(hook: &Hook, question: &HookMessage) -> Result<Answer, CallError> {
    let mut failed = 0;
    loop {
        let error = match ask_once(hook, question).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        failed += 1;
        if failed > hook.spec().retries {
            return Err(error);
        }
        tracing::warn!(
            hook = %hook.name(), rollout = question.rollout.id, %error, "a gate has not answered, and is asked again"
        );
        sleep(backoff::delay(failed, None, rand::random())).await;
    }
}

/// Asks a gate once.
async fn ask_once(hook: &Hook, question: &HookMessage) -> Result<Answer, CallError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs();
    let body = call::answer(hook, question, seconds).await?;
    Answer::parse(&body).map_err(CallError::Answer)
}
