//! Idempotent replays: a repeated request under the same key gets the first response, before anything else is checked.
//!
//! Errors are not stored: nothing has changed then, and the same request may be right later.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts, uri::PathAndQuery},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    auth::changes, body::whole, caller::Caller, error::ApiError, json_response::tagged, page::tag,
    problems::refused,
};
use crate::{
    control::{ControlError, Controller, KeyGuard, ReplayedResponse},
    model::{Digest, Revision},
};

/// Longest idempotency key, in bytes.
const LONGEST_KEY: usize = 64;

/// Marks a replayed response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Replays the response of a repeated request, or passes the request on as the only one under its key.
pub(super) async fn answer_repeats(
    State(controller): State<Arc<Controller>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let asks_only = asks_only(request.uri().query());
    let key = idempotency_key(request.headers())?;
    let Some(key) = key.filter(|_| changes(request.method()) && !asks_only) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let body = whole(Request::from_parts(parts.clone(), body), &()).await?;
    let key_guard = controller.lock_key(&key, digest(&parts, &body)).await;
    let key_guard = key_guard.map_err(refused)?;
    if let Some(before) = controller.replayed(&key_guard).map_err(refused)? {
        let mut response = again(before, &key_guard).await.map_err(refused)?;
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, yes);
        return Ok(response);
    }
    parts.extensions.insert(Arc::new(key_guard));
    let request = Request::from_parts(parts, Body::from(body));
    Ok(next.run(request).await)
}

/// True if a query asks for a dry run: such a request has no key.
pub(super) fn asks_only(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|part| part == "dry_run=true"))
}

/// Digest that identifies a request: caller, target and body.
fn digest(parts: &Parts, body: &[u8]) -> Digest {
    let caller = parts.extensions.get::<Caller>();
    let caller = caller.map(|caller| &*caller.name);
    let body = Sha256::digest(body);
    let target = parts.uri.path_and_query();
    let target = target.map(PathAndQuery::as_str);
    Digest::of(&(caller, parts.method.as_str(), target, body.as_slice()))
}

/// The original response, from memory or rebuilt from the record, which is kept from now on.
async fn again(before: ReplayedResponse, key_guard: &KeyGuard) -> Result<Response, ControlError> {
    match before {
        ReplayedResponse::Kept(answer) => {
            let fields = [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                ),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (header::ETAG, tag(answer.revision)),
            ];
            Ok((fields, answer.body.clone()).into_response())
        }
        ReplayedResponse::Imported(report) => {
            key_guard
                .keep(report.revision, text(&*report), true)
                .await?;
            Ok(tagged(report.revision, &*report))
        }
        ReplayedResponse::Made(receipt) => {
            key_guard
                .keep(receipt.revision, text(&*receipt), true)
                .await?;
            Ok(tagged(receipt.revision, &*receipt))
        }
    }
}

/// Stores a response under the key of its request, if it has one. `is_recorded` means that a record holds the key as
/// well.
pub(super) async fn keep<T: Serialize>(
    key_guard: Option<&KeyGuard>,
    answer: &T,
    revision: Revision,
    is_recorded: bool,
) -> Result<(), ControlError> {
    let Some(key_guard) = key_guard else {
        return Ok(());
    };
    key_guard.keep(revision, text(answer), is_recorded).await
}

fn text(answer: &impl Serialize) -> String {
    let mut text = serde_json::to_string(answer).expect("types of the API have string keys");
    text.push('\n');
    text
}

/// The idempotency key of a request.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut fields = headers.get_all("idempotency-key").iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    let key = field.as_bytes();
    let fits = (1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if !fits || fields.next().is_some() {
        return Err(ApiError::malformed(format!(
            "`Idempotency-Key` is not 1 to {LONGEST_KEY} visible ASCII characters"
        )));
    }
    Ok(String::from_utf8(key.to_vec()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_visible() {
        let key = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            let name = HeaderName::from_static("idempotency-key");
            idempotency_key(&HeaderMap::from_iter([(name, value)]))
        };
        assert_eq!(key(b"a-1").unwrap().as_deref(), Some("a-1"));
        assert!(key(b"").is_err());
        assert!(key(b"a b").is_err());
        assert!(key(&[b'a'; 65]).is_err());
    }
}
