//! One call of a hook: a message in its format, signed, posted or given to a command.

use tokio::time::timeout;

use super::{
    command,
    error::CallError,
    hook::{Hook, Target},
    message::HookMessage,
    payload::{self, Payload},
    signature,
};
use crate::net::{Post, post};

/// Largest answer that is read, and largest output of a command.
const LARGEST: usize = 64 * 1024;

/// Delivers a message once; `seconds` is the time since 1970. Of a command the begin of its output is returned.
///
/// # Errors
/// The reason for which it is not delivered.
pub async fn deliver(
    hook: &Hook,
    message: &HookMessage,
    seconds: u64,
) -> Result<Option<String>, CallError> {
    let is_command = matches!(hook.target, Target::Command { .. });
    let payload = payload::render(message, hook.spec().format);
    let most = if is_command { LARGEST } else { 0 };
    let output = call(hook, (&message.id, payload), seconds, most).await?;
    let text = super::decision::one_line(&String::from_utf8_lossy(&output));
    Ok((!text.is_empty()).then_some(text))
}

/// Calls a hook once, and returns its answer.
pub(super) async fn answer(
    hook: &Hook,
    message: &HookMessage,
    seconds: u64,
) -> Result<Vec<u8>, CallError> {
    let payload = payload::render(message, hook.spec().format);
    send(hook, (&message.id, payload), seconds).await
}

/// Sends a content under an id once, and returns the answer.
pub(super) async fn send(
    hook: &Hook,
    content: (&str, Payload),
    seconds: u64,
) -> Result<Vec<u8>, CallError> {
    call(hook, content, seconds, LARGEST).await
}

async fn call(
    hook: &Hook,
    (id, payload): (&str, Payload),
    seconds: u64,
    most: usize,
) -> Result<Vec<u8>, CallError> {
    let limit = hook.timeout();
    match &hook.target {
        Target::Url { url, tls } => {
            let request = Post {
                url,
                tls: tls.as_ref(),
                content_type: payload.content_type,
                accept: "application/json",
                fields: fields(hook, id, seconds, &payload),
                body: payload.body.into(),
            };
            let posted = timeout(limit, post(request, most)).await;
            Ok(posted.map_err(|_| CallError::Timeout(limit))??)
        }
        Target::Command { words, room } => {
            let room = timeout(limit, room.acquire()).await;
            let _room = room.map_err(|_| CallError::Timeout(limit))?;
            command::run(words, payload.body, most, limit).await
        }
    }
}

fn fields(hook: &Hook, id: &str, seconds: u64, payload: &Payload) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        (signature::ID, id.to_owned()),
        (signature::TIMESTAMP, seconds.to_string()),
    ];
    let signed = signature::sign(&hook.keys, id, seconds, &payload.body);
    fields.extend(signed.map(|signed| (signature::SIGNATURE, signed)));
    fields
}
