//! Matching and forwarding agree: a path that another server could read as another route's is refused.
//!
//! `/private` and what is below it belong to the private origin, and `/exact` alone.

use crate::conformance::case::{Case, case, request};

/// Paths that would match another route after normalization.
pub(crate) const AMBIGUOUS: [(&str, &str); 40] = [
    ("dots", "/x/../private"),
    ("dots-below", "/x/../private/y"),
    ("dots-twice", "/x/y/../../private"),
    ("dots-over-root", "/../private"),
    ("dots-far-over-root", "/../../../private"),
    ("dots-out", "/private/.."),
    ("dots-out-slash", "/private/../"),
    ("dots-out-below", "/private/../x"),
    ("dots-out-of-below", "/private/y/../../x"),
    ("dot", "/./private"),
    ("dot-twice", "/././private/"),
    ("dots-escaped", "/x/%2e%2e/private"),
    ("dots-escaped-capitals", "/x/%2E%2E/private"),
    ("dots-half-escaped", "/x/.%2e/private"),
    ("dots-other-half-escaped", "/x/%2e./private"),
    ("dots-escaped-out", "/private/%2e%2e/x"),
    ("dot-escaped", "/%2e/private"),
    ("slash-escaped", "/private%2fx"),
    ("slash-escaped-capitals", "/private%2Fx"),
    ("slash-escaped-dots", "/x%2f..%2fprivate"),
    ("slash-escaped-dots-escaped", "/x%2f%2e%2e%2fprivate"),
    ("slash-escaped-out", "/private/..%2fx"),
    ("slash-escaped-first", "/%2fprivate"),
    ("slash-escaped-last", "/private%2f"),
    ("backslash", "/private\\x"),
    ("backslash-dots", "/x\\..\\private"),
    ("backslash-out", "/private/..\\x"),
    ("backslash-first", "/\\private"),
    ("backslash-escaped", "/private%5cx"),
    ("backslash-escaped-capitals", "/private%5Cx"),
    ("backslash-escaped-dots", "/x%5c..%5cprivate"),
    ("slashes", "//private"),
    ("slashes-three", "///private/x"),
    ("slashes-and-dots", "/x//../private"),
    ("letter-escaped", "/%70rivate"),
    ("letters-escaped", "/%70%72%69%76%61%74%65/x"),
    ("last-letter-escaped", "/privat%65"),
    ("exact-escaped", "/exac%74"),
    ("exact-dots", "/x/../exact"),
    ("exact-slashes", "//exact"),
];

/// Paths of this route only: forwarded unchanged.
pub(crate) const PLAIN: [(&str, &str); 23] = [
    ("root", "/"),
    ("almost-private", "/privatex"),
    ("almost-private-dash", "/private-x"),
    ("capitals", "/PRIVATE"),
    ("inside", "/x/private"),
    ("in-query", "/x?/../private"),
    ("in-query-escaped", "/x?y=%2fprivate"),
    ("dots-harmless", "/x/../y"),
    ("dot-harmless", "/x/./y"),
    ("dots-at-end", "/x/.."),
    ("dots-over-root-harmless", "/../x"),
    ("slashes-harmless", "/x//y"),
    ("slashes-first-harmless", "//a.example/x"),
    ("slash-escaped-harmless", "/x%2fy"),
    ("escaped-twice", "/%252e%252e/private"),
    ("three-dots", "/.../private"),
    ("dots-in-name", "/x..y/..z"),
    ("semicolon", "/..;/private"),
    ("escaped-space", "/x%20y"),
    ("escaped-utf8", "/%C3%A9"),
    ("query-empty", "/x?"),
    ("query-question", "/x?y?z"),
    ("exact-below", "/exact/x"),
];

/// Paths of the private origin.
pub(crate) const PRIVATE: [(&str, &str); 9] = [
    ("itself", "/private"),
    ("slash", "/private/"),
    ("below", "/private/x"),
    ("query", "/private?x"),
    ("dots-below", "/private/x/../y"),
    ("dot-below", "/private/./y"),
    ("slashes-below", "/private//y"),
    ("escaped-below", "/private/%7ex%2fy"),
    ("exact", "/exact?y"),
];

/// Escapes that servers interpret differently.
const BROKEN: [(&str, &str); 5] = [
    ("nul", "/x%00y"),
    ("nul-private", "/private%00"),
    ("one-digit", "/x%4"),
    ("no-digit", "/x%"),
    ("no-hex", "/x%zz"),
];

pub(super) fn cases() -> Vec<Case> {
    let sent = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let seen = |path: &str| request(&[&format!("GET {path} HTTP/1.1"), "Host: a.example"]);
    let ambiguous = AMBIGUOUS.iter().map(|(name, path)| {
        case(format!("path-ambiguous-{name}"), &[26])
            .send(sent(path))
            .refused(&[400])
    });
    let absolute = AMBIGUOUS.iter().map(|(name, path)| {
        case(format!("path-ambiguous-absolute-{name}"), &[2, 26])
            .send(sent(&format!("http://a.example{path}")))
            .refused(&[400])
    });
    let plain = PLAIN.iter().map(|(name, path)| {
        case(format!("path-plain-{name}"), &[26])
            .send(sent(path))
            .passes(seen(path))
    });
    let private = PRIVATE.iter().map(|(name, path)| {
        case(format!("path-private-{name}"), &[26])
            .send(sent(path))
            .passes(seen(path))
            .private()
    });
    let broken = BROKEN.iter().map(|(name, path)| {
        case(format!("path-broken-{name}"), &[3, 26])
            .send(sent(path))
            .refused(&[400])
    });
    ambiguous
        .chain(absolute)
        .chain(plain)
        .chain(private)
        .chain(broken)
        .collect()
}
