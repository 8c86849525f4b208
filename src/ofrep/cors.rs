//! Cross-origin requests of browsers: only the configured origins may read a response.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::error::bare;

/// Origins that may read responses.
pub(super) struct Origins(pub(super) Vec<String>);

impl Origins {
    /// The origin of a request, if it may read the response.
    fn allowed<'r>(&self, headers: &'r HeaderMap) -> Option<&'r HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let is_allowed =
            |one: &String| one == "*" || one.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        self.0.iter().any(is_allowed).then_some(origin)
    }
}

/// Answers preflight requests, and names the origin in the response to others.
pub(super) async fn cors(
    State(origins): State<Arc<Origins>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = origins.allowed(request.headers()).cloned();
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (is_preflight, &origin) {
        (true, Some(_)) => preflight(),
        (true, None) => bare(StatusCode::FORBIDDEN),
        (false, _) => next.run(request).await,
    };
    let fields = response.headers_mut();
    fields.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // Without it a script sees neither, and so never sends a tag back.
        let exposed = HeaderValue::from_static("etag, retry-after");
        fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

fn preflight() -> Response {
    let mut response = bare(StatusCode::NO_CONTENT);
    let fields = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, cache-control, content-type, if-none-match, last-event-id, x-api-key",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    response
}
