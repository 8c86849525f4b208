//! The fields of the access log, and of spans, that come from the head of a request.

use std::time::SystemTime;

use crate::message::{KnownField, Version};
use crate::model::RequestView as _;

use super::io::RequestParts;

/// Longest referrer and longest user agent that are logged, in bytes.
const LONGEST: usize = 512;

/// The fields that come from the head.
pub(super) struct LogFields {
    pub(super) started_at: SystemTime,
    pub(super) protocol: &'static str,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    /// The referrer without its query, and the user agent, if they are logged.
    pub(super) agent: Option<[Option<String>; 2]>,
}

impl LogFields {
    /// The fields of a request that has just begun.
    pub(super) fn of(parts: &RequestParts<'_>, wants_agent: bool) -> Self {
        Self {
            started_at: SystemTime::now(),
            protocol: protocol(parts.facts.version),
            method: parts.method().to_owned(),
            host: parts.host().to_owned(),
            path: parts.path().to_owned(),
            agent: wants_agent.then(|| agent(parts)),
        }
    }
}

#[cold]
fn agent(parts: &RequestParts<'_>) -> [Option<String>; 2] {
    let text = |value: &[u8]| {
        let value = &value[..value.len().min(LONGEST)];
        String::from_utf8_lossy(value).into_owned()
    };
    let referer = parts.header("referer").map(|url| text(&referrer(url)));
    [referer, parts.value(KnownField::UserAgent).map(text)]
}

/// A URL without what may hold secrets: user, query and fragment.
fn referrer(url: &[u8]) -> Vec<u8> {
    let end = url.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let url = &url[..end.unwrap_or(url.len())];
    let Some(slashes) = url.windows(3).position(|three| three == b"://") else {
        return url.to_vec();
    };
    let (scheme, rest) = url.split_at(slashes + 3);
    let host = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
    let user = host.iter().rposition(|&byte| byte == b'@');
    [scheme, &rest[user.map_or(0, |at| at + 1)..]].concat()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referrer_is_logged_without_what_may_be_secret() {
        for (url, logged) in [
            ("http://a.test/p?key=1#f", "http://a.test/p"),
            ("http://a.test/#access_token=1", "http://a.test/"),
            ("http://user:pw@a.test/p", "http://a.test/p"),
            ("http://a.test/p@q", "http://a.test/p@q"),
            ("android-app://a.test", "android-app://a.test"),
            ("/p", "/p"),
        ] {
            assert_eq!(referrer(url.as_bytes()), logged.as_bytes(), "{url}");
        }
    }
}
