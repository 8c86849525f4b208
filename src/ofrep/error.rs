//! Errors of the protocol.

use std::borrow::Cow;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

/// Mistake in a request, or in the evaluation of one flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    code: &'static str,
    details: Cow<'static, str>,
}

/// An error of one flag, as it is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlagFailure<'a> {
    key: &'a str,
    error_code: &'static str,
    error_details: &'a str,
}

impl Mistake {
    pub(super) fn general(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new("GENERAL", details)
    }

    pub(super) fn invalid_context(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new("INVALID_CONTEXT", details)
    }

    pub(super) fn no_flag(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new("FLAG_NOT_FOUND", details)
    }

    pub(super) fn no_key(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new("TARGETING_KEY_MISSING", details)
    }

    pub(super) fn parse_error(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new("PARSE_ERROR", details)
    }

    fn new(code: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            details: details.into(),
        }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The error of a flag as it is sent.
    pub(super) fn of<'a>(&'a self, key: &'a str) -> FlagFailure<'a> {
        FlagFailure {
            key,
            error_code: self.code,
            error_details: &self.details,
        }
    }

    /// The response to an evaluation of one flag.
    pub(super) fn response(&self, key: &str) -> Response {
        let status = match self.code {
            "FLAG_NOT_FOUND" => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        json(status, &self.of(key))
    }
}

/// A JSON response.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("types of the protocol have string keys");
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, fields, body).into_response()
}

/// A response without a body, which is all that some statuses have.
pub(super) fn bare(status: StatusCode) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")]).into_response()
}
