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
    let referer = parts.header("referer");
    // A query may hold secrets.
    let referer = referer.and_then(|url| url.split(|&byte| byte == b'?').next());
    [referer, parts.value(KnownField::UserAgent)].map(|value| {
        let value = value?;
        let value = &value[..value.len().min(LONGEST)];
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}
