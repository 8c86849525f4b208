//! The tables of cases of HTTP/1.1, a file for each subject.

mod chunks;
mod framing;
mod head;
mod hops;
mod host;
mod identity;
mod path;
mod responses;
mod reuse;
mod time;
mod upgrade;

pub(crate) use path::{AMBIGUOUS, PLAIN, PRIVATE};

use super::case::{Case, Request, request};

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    [
        responses::cases(),
        chunks::cases(),
        framing::cases(),
        head::cases(),
        hops::cases(),
        host::cases(),
        identity::cases(),
        path::cases(),
        reuse::cases(),
        time::cases(),
        upgrade::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The bytes that an attacker wants the origin to take for a request.
const SMUGGLED: &str = "GET /private/smuggled HTTP/1.1\r\nHost: private.example\r\n\r\n";

/// A GET with these field lines, each with its CRLF.
fn get(fields: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

/// A POST with these field lines, and then `body` as it is.
fn post(fields: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{body}")
}

/// The GET of [`get`] as the origin sees it, with these fields.
fn seen_get(fields: &[&str]) -> Request {
    request(&[&["GET /x HTTP/1.1", "Host: a.example"], fields].concat())
}

/// The POST of [`post`] as the origin sees it, without fields.
fn seen_post() -> Request {
    request(&["POST /x HTTP/1.1", "Host: a.example"])
}
