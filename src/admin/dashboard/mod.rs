//! The dashboard: a page for browsers, embedded in the binary, that reads and changes through the API like any client.
//!
//! The page needs no token, as it holds no data; the session that its requests need does. Nothing is loaded from
//! anywhere else, no script is inline and none is evaluated, which the policy of each response makes the browser hold.

mod files;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

use self::files::{File, Files};
use super::error::{ApiError, no_such_method, no_such_path};

/// Policy of the page: everything is from here, and no other page shows it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// Fields of every file.
const FIELDS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // The file may be of another version after a restart: it is asked for each time, with its tag.
    (header::CACHE_CONTROL, "no-cache"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The page at `/`, and its files.
pub(super) fn pages() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/dashboard/{*file}", get(file))
        .method_not_allowed_fallback(no_such_method)
        .with_state(Arc::new(Files::new()))
}

/// The page, for clients that ask for HTML. To others the path is unknown, as `*/*` is what tools send.
async fn page(State(files): State<Arc<Files>>, request: Request) -> Result<Response, ApiError> {
    if !takes_html(request.headers()) {
        let refusal = no_such_path(request).await;
        return Err(refusal.hint(
            "a browser finds the dashboard here (`accept: text/html`); `GET /openapi.json` describes the API",
        ));
    }
    send(&files, "index.html", request).await
}

async fn file(State(files): State<Arc<Files>>, request: Request) -> Result<Response, ApiError> {
    let path = request.uri().path().to_owned();
    let name = path.strip_prefix("/dashboard/").unwrap_or_default();
    // The page's links are relative to `/`.
    let name = if name == "index.html" { "" } else { name };
    send(&files, name, request).await
}

async fn send(files: &Files, name: &str, request: Request) -> Result<Response, ApiError> {
    let Some((file, tag)) = files.find(name) else {
        return Err(no_such_path(request).await);
    };
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let is_known = known
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let tag = [(header::ETAG, tag.clone())];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, FIELDS, tag).into_response());
    }
    Ok((FIELDS, tag, body(file)).into_response())
}

fn body(file: &File) -> ([(HeaderName, &'static str); 1], Bytes) {
    let bytes = Bytes::from_static(file.bytes);
    ([(header::CONTENT_TYPE, file.media_type())], bytes)
}

fn takes_html(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT).iter();
    let mut ranges = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    ranges.any(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/html")
    })
}
