//! The record of a request for the access log.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer};

/// Fields of the log line of one request.
#[derive(Debug, Serialize)]
pub struct AccessRecord<'a> {
    /// Time of the request's first byte.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Request id, as sent to the endpoint and the client.
    pub request_id: &'a str,
    /// Client address, from trusted sources only.
    pub client: IpAddr,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// The method.
    pub method: &'a str,
    /// The requested host.
    pub host: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// Status sent to the client; 499 if it left before that.
    pub status: u16,
    /// Class of the outcome.
    pub outcome: &'static str,
    /// Reason of a response that switchback generated or cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// Name of the header field that caused a rejection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
    /// The route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<&'a str>,
    /// Version of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// The endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// Revision that selected the release.
    pub revision: u64,
    /// Reason for the choice of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<&'static str>,
    /// Number of attempts to send it to an endpoint.
    pub attempts: u32,
    /// Failure of the last attempt without a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_error: Option<&'static str>,
    /// From the first byte of the request to the last one of the response.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// From the first byte of the request to the first one of the response, or of its first event if it is a stream of events.
    #[serde(
        rename = "first_byte_ms",
        serialize_with = "maybe_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub first_byte: Option<Duration>,
    /// Body bytes received from the client.
    pub bytes_in: u64,
    /// Body bytes sent to the client.
    pub bytes_out: u64,
    /// `Referer` without its query, for the combined format.
    #[serde(skip)]
    pub referer: Option<&'a str>,
    /// `User-Agent`, for the combined format.
    #[serde(skip)]
    pub user_agent: Option<&'a str>,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}

#[expect(clippy::ref_option, reason = "serde asks for a reference to the field")]
fn maybe_millis<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}
