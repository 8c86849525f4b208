//! JSON responses of the admin API.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use super::page::tag;
use crate::model::Revision;

/// A JSON response with its revision as `ETag`.
pub(super) fn tagged(revision: Revision, body: &impl Serialize) -> Response {
    let mut response = json(body);
    response.headers_mut().insert(header::ETAG, tag(revision));
    response
}

/// A JSON response.
pub(super) fn json(body: &impl Serialize) -> Response {
    let mut body = serde_json::to_vec(body).expect("types of the API have string keys");
    // Ends the line, so that a shell prompt starts on a new one.
    body.push(b'\n');
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, fields, body).into_response()
}
