//! Why a request was refused, as the answer that says so: an RFC 9457 problem document.
//!
//! Every error of this listener becomes one of these, a path that does not exist and a body that is no JSON included, so
//! a client needs one way of reading them.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::api::ProblemDocument;

/// The media type of a problem document.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A refused request.
#[derive(Debug)]
pub(super) struct ApiError {
    /// Boxed, for it is large and rare.
    pub(super) document: Box<ProblemDocument>,
    /// One more header field, where the status asks for it.
    field: Option<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A refusal of a kind: the word of its type, and what it means.
    pub(super) fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        Self {
            document: Box::new(ProblemDocument::new(status.as_u16(), kind, title)),
            field: None,
        }
    }

    /// What is wrong with this request.
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.document.detail = Some(detail.into());
        self
    }

    /// How to mend it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.document.hint = Some(hint.into());
        self
    }

    /// The same with another header field.
    pub(super) fn field(mut self, name: HeaderName, value: &'static str) -> Self {
        self.field = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// A request that is not well formed.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed-request",
            "the request is not well formed",
        )
        .detail(detail)
    }

    /// A request that is well formed and makes no sense.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "the request asks for something that cannot be",
        )
        .detail(detail)
    }

    /// Plain HTTP where TLS is spoken.
    pub(super) fn speaks_tls() -> Self {
        Self::malformed("the admin API speaks TLS here, and the request is plain HTTP")
            .hint("call it by `https://`")
    }

    /// Something of ours broke. What it was goes to the log only.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "switchback made a mistake",
        )
        .hint("the log says more")
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

/// A path that does not exist.
pub(super) async fn no_such_path(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown-path",
        "there is no such path",
    )
    .detail(format!("nothing is at `{path}`"))
    .hint("`GET /openapi.json` describes what there is")
}

/// A method that the path does not have; which it has stands in `Allow`, which the router adds.
pub(super) async fn no_such_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "the path does not have this method",
    )
    .detail(format!(
        "`{}` cannot be used here; `Allow` says what can",
        request.method()
    ))
}
