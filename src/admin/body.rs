//! Request bodies: JSON with known keys, of a limited size, and of a content type that no cross-site form can send.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use super::{error::ApiError, json::Json, json_terms::in_json_terms};
use crate::model::closest;

/// Timeout for a body. The work after it has its own bounds, and its response is never discarded.
const TIME: Duration = Duration::from_secs(20);

/// A required body.
pub(super) struct Body<T>(pub(super) T);

/// An optional body; when absent, it counts as an empty object.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Err(ApiError::malformed("the body is missing")
                .hint("send a JSON object with `content-type: application/json`"));
        }
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&bytes).map(Self)
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let has_type = is_json(request.headers())?;
    let bytes = whole(request, state).await?;
    if !bytes.is_empty() && !has_type {
        return Err(wrong_type("the body has no content type"));
    }
    Ok(bytes)
}

/// The whole body, if it arrives in time.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    within(TIME, Bytes::from_request(request, state)).await
}

async fn within(
    time: Duration,
    body: impl Future<Output = Result<Bytes, BytesRejection>>,
) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(time, body).await;
    read.map_err(|_| too_slow())?.map_err(unreadable)
}

fn too_slow() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        "timeout reading the body",
    )
    .detail(format!("the limit is {} seconds", TIME.as_secs()))
}

/// True if the content type is JSON. A form, a file or plain text is rejected even without a body: a web page can send
/// these types to another site without a preflight request.
fn is_json(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(false);
    };
    let essence = value.to_str().unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(true);
    }
    let shown: String = essence.chars().take(80).collect();
    Err(wrong_type(format!("the content type is `{shown}`")))
}

fn wrong_type(detail: impl Into<String>) -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "the content type is not JSON",
    )
    .detail(detail)
    .hint("send `content-type: application/json` (with curl: `--json '{…}'`)")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "rejections are handed over by `map_err`"
)]
fn unreadable(rejection: BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    ApiError::malformed("the body is incomplete")
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "the body is too large",
    )
    .hint("the admin API has the limits `admin.max_body` and, for whole tables, `admin.max_table`; feedback has 4 KiB")
}

/// Rejects a body that is announced as too large before it is sent. Without an announced length, the reader limits it.
pub(super) async fn announced(
    State(limit): State<usize>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().size_hint().lower() > limit as u64 {
        return too_large().into_response();
    }
    next.run(request).await
}

/// Parses JSON; the error has its position.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let json: Json = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::malformed(format!("the body is not JSON: {error}")))?;
    typed(json)
}

/// Converts JSON to a type; the error has its position.
pub(super) fn typed<T: DeserializeOwned>(json: Json) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, &error.into_inner())
    })
}

fn refused(path: &str, error: &serde_json::Error) -> ApiError {
    let place = if path == "." {
        String::new()
    } else {
        format!("`{path}`: ")
    };
    let message = in_json_terms(&error.to_string());
    let hint = closest_key(&message);
    let refusal = ApiError::invalid(format!("{place}{message}"));
    match hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// The key that was meant, if serde refused one that is not known.
fn closest_key(message: &str) -> Option<String> {
    let (wrong, rest) = message.strip_prefix("unknown field `")?.split_once('`')?;
    closest(wrong, rest.split('`').skip(1).step_by(2))
}

/// Checks that a request without a body has none: input that is not read must not be sent.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        is_json(request.headers())?;
        let bytes = whole(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self);
        }
        Err(ApiError::malformed("this request has no body"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SplitRequest;

    fn status(json: &str) -> StatusCode {
        parse::<SplitRequest>(json.as_bytes()).unwrap_err().status()
    }

    #[test]
    fn what_is_not_json_is_malformed_and_what_is_json_but_not_a_split_is_invalid() {
        assert_eq!(status("{"), StatusCode::BAD_REQUEST);
        assert_eq!(status(r#"{"weights":{}} x"#), StatusCode::BAD_REQUEST);
        assert_eq!(
            status(r#"{"weights":{"blue":-1}}"#),
            StatusCode::UNPROCESSABLE_ENTITY
        );
        assert_eq!(
            status(r#"{"wieghts":{"blue":1}}"#),
            StatusCode::UNPROCESSABLE_ENTITY
        );
        assert_eq!(status("null"), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = std::future::pending();
        let refusal = within(Duration::from_millis(1), never).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn a_mistake_is_shown_with_its_place() {
        let refusal = parse::<SplitRequest>(br#"{"weights":{"blue":"x"}}"#).unwrap_err();
        let detail = refusal.document.detail.unwrap();
        assert!(detail.starts_with("`weights.blue`: "), "{detail}");
        let refusal = parse::<SplitRequest>(br#"{"wieghts":{"blue":1}}"#).unwrap_err();
        let hint = refusal.document.hint.unwrap();
        assert_eq!(hint, "did you mean `weights`?");
    }

    #[test]
    fn a_form_is_refused_even_without_a_body() {
        let mut headers = HeaderMap::new();
        assert!(!is_json(&headers).unwrap());
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/x-www-form-urlencoded", false),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
        ] {
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_json(&headers).is_ok(), json, "{value}");
        }
    }
}
