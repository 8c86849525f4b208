//! The tables of cases of HTTP/2, a file for each subject.

mod fields;
mod floods;
mod framing;
mod messages;
mod responses;

use crate::conformance::case::{Case, Request, request};

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    [
        responses::cases(),
        fields::cases(),
        floods::cases(),
        framing::cases(),
        messages::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A request as the origin must see it when it came by HTTP/2.
fn seen(head: &[&str]) -> Request {
    request(head).added("via", "2 switchback")
}

/// A GET of `/x` as the origin must see it, with these fields.
fn seen_get(fields: &[&str]) -> Request {
    seen(&[&["GET /x HTTP/1.1", "Host: a.example"], fields].concat())
}

/// A POST to `/x` as the origin must see it.
fn seen_post() -> Request {
    seen(&["POST /x HTTP/1.1", "Host: a.example"])
}
