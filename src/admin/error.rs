//! Errors of the admin API, as RFC 9457 problem documents.
//!
//! Every error of this listener becomes one of these, including an unknown path and invalid JSON, so that a client
//! needs one way of reading them.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::api::ProblemDocument;

/// Media type of a problem document.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An error response.
#[derive(Debug)]
pub(super) struct ApiError {
    /// Boxed, since it is large and rare.
    pub(super) document: Box<ProblemDocument>,
    /// An additional header field, where the status requires it.
    field: Option<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// Creates an error from the word of its type and its title.
    pub(super) fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        Self {
            document: Box::new(ProblemDocument::new(status.as_u16(), kind, title)),
            field: None,
        }
    }

    /// Adds the detail: what is wrong with this request.
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.document.detail = Some(detail.into());
        self
    }

    /// Adds a hint: how to fix it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.document.hint = Some(hint.into());
        self
    }

    /// Adds a header field.
    pub(super) fn field(mut self, name: HeaderName, value: &'static str) -> Self {
        self.field = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// Too many requests of a kind.
    pub(super) fn overloaded(detail: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many requests in progress",
        )
        .detail(detail)
        .field(header::RETRY_AFTER, "1")
    }

    /// A malformed request.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed-request",
            "malformed request",
        )
        .detail(detail)
    }

    /// A request that is well formed but invalid.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "invalid request",
        )
        .detail(detail)
    }

    /// Plain HTTP on a TLS port.
    pub(super) fn speaks_tls() -> Self {
        Self::malformed("plain HTTP request on a TLS port").hint("use `https://`")
    }

    /// An internal error. The cause goes to the log only.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error",
        )
        .hint("the log has the details")
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut body = serde_json::to_vec(&self.document)
            .expect("a problem document has string keys and finite numbers");
        body.push(b'\n');
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some((name, value)) = self.field {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Error of a whole-table write without a revision.
pub(super) fn needs_revision() -> ApiError {
    ApiError::new(
        StatusCode::PRECONDITION_REQUIRED,
        "revision-required",
        "a write of the whole table must name its base revision",
    )
    .hint("send the `ETag` of `GET /v1/table` as `If-Match`")
}

/// Error for an unknown path.
pub(super) async fn no_such_path(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::new(StatusCode::NOT_FOUND, "unknown-path", "unknown path")
        .detail(format!("`{path}` does not exist"))
        .hint("`GET /openapi.json` describes all paths")
}

/// Error for an unsupported method; the router adds the supported ones in `Allow`.
pub(super) async fn no_such_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "method not allowed",
    )
    .detail(format!(
        "`{}` is not supported here; `Allow` lists the methods",
        request.method()
    ))
}
