//! Observations of an attempt about its endpoint: a failure, a recovery, a request for a pause, its latency.
//!
//! Only what the endpoint itself has done counts. What a client can cause does not: a client that leaves, a request that
//! is refused, a body that stays incomplete or is invalid, a method (501) or version (505) that the endpoint does not
//! know, a time limit that the client has set. Nor does a kept connection that the endpoint closes while it is idle.

use std::time::{Duration, SystemTime};

use crate::fleet::EjectionReason;
use crate::message::KnownField;

use super::error::UpstreamError;
use super::io::{RequestMeta, ResponseParts};
use super::request_context::RequestContext;
use super::retry::Evidence;
use super::select::Selected;
use super::worker::Worker;

/// A final head has arrived. `is_read` if the endpoint had the whole request by then.
pub(super) fn responded(
    context: &RequestContext,
    selected: &Selected,
    parts: &ResponseParts<'_>,
    is_read: bool,
) {
    let status = parts.facts.status;
    let is_odd = status >= 500 || status == 429;
    let measures = selected.release().balance().measures_latency();
    if is_odd || measures || !selected.in_flight.endpoint().is_settled() {
        note_response(context, selected, parts, is_read);
    }
}

#[cold]
fn note_response(
    context: &RequestContext,
    selected: &Selected,
    parts: &ResponseParts<'_>,
    is_read: bool,
) {
    let (release, worker) = (selected.release(), &context.worker);
    let (roster, policy) = (release.roster(), release.balance());
    let (status, endpoint) = (parts.facts.status, selected.in_flight.endpoint());
    let now_ms = worker.now_ms();
    let is_failure = status >= 500 && !matches!(status, 501 | 505);
    if policy.measures_latency() {
        let is_failure = is_failure || status == 429;
        roster.record_latency(&selected.in_flight, is_failure, now_ms);
    }
    if matches!(status, 429 | 503)
        && let Some(wanted) = retry_after(parts)
        && roster.record_retry_after(endpoint, policy, wanted, now_ms)
    {
        // It has said when to come back: that is no fault.
        return;
    }
    if !is_failure {
        endpoint.responded(now_ms);
    } else if is_read {
        note_failure(worker, selected, matches!(status, 502..=504));
    }
}

/// A response has arrived whole.
pub(super) fn whole(context: &RequestContext, selected: &Selected) {
    let status = context.final_status();
    if status < 500 {
        selected.in_flight.endpoint().succeeded();
    } else if context.status.get() == Some(200) && status != 504 {
        // gRPC: the head was counted as that of a response.
        note_failure(&context.worker, selected, status == 503);
    }
}

/// An attempt has ended without a whole response.
pub(super) fn broken(
    context: &RequestContext,
    selected: &Selected,
    meta: &RequestMeta,
    (error, evidence): (&UpstreamError, Evidence),
) {
    let is_read = context.request_is_read.get() || meta.framing.is_empty();
    if is_read && counts(error, evidence) {
        let is_answered = context.status.get().is_some();
        note_failure(&context.worker, selected, !is_answered);
    }
}

/// No connection was made.
pub(super) fn refused(worker: &Worker, selected: &Selected) {
    let endpoint = selected.in_flight.endpoint();
    if endpoint.is_settled() {
        tracing::warn!(
            release = selected.release().name().as_str(),
            endpoint = %endpoint.address(),
            reason = EjectionReason::ConnectFailed.as_str(),
            "endpoint ejected",
        );
    }
    endpoint.refused(worker.now_ms());
    note_failure(worker, selected, true);
}

/// True if the end of an attempt without a whole response is the endpoint's failure.
fn counts(error: &UpstreamError, evidence: Evidence) -> bool {
    match error {
        UpstreamError::Closed(_) => evidence != Evidence::KeptConnectionEnded,
        UpstreamError::Invalid(_)
        | UpstreamError::IdleTimeout
        | UpstreamError::FirstByteTimeout
        | UpstreamError::TryTimeout => true,
        // A status is counted with its head, connecting where it fails; the others are limits, ours or the endpoint's.
        UpstreamError::Status(_)
        | UpstreamError::Connect(_)
        | UpstreamError::ConnectTimeout
        | UpstreamError::ConnectionLimit
        | UpstreamError::NoStreams
        | UpstreamError::Unprocessed(_)
        | UpstreamError::Tls(_) => false,
    }
}

#[cold]
fn note_failure(worker: &Worker, selected: &Selected, is_gateway: bool) {
    let release = selected.release();
    let (roster, policy) = (release.roster(), release.balance());
    let endpoint = selected.in_flight.endpoint();
    let now_ms = worker.cached_now_ms();
    if policy.measures_latency() {
        roster.record_latency(&selected.in_flight, true, now_ms);
    }
    let ejected = roster.record_failure(endpoint, policy, is_gateway, now_ms);
    if let Some(reason) = ejected {
        tracing::warn!(
            release = release.name().as_str(),
            endpoint = %endpoint.address(),
            reason = reason.as_str(),
            "endpoint ejected",
        );
    }
}

/// The time of a `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(parts: &ResponseParts<'_>) -> Option<Duration> {
    let mut fields = parts.fields.clone();
    let field = fields.find(|field| field.known == KnownField::RetryAfter)?;
    parse_retry_after(field.value, SystemTime::now())
}

fn parse_retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_of_seconds_or_a_date_to_come() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let parse = |value: &str| parse_retry_after(value.as_bytes(), now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            parse("99999999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        let later = parse("Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(later, Some(Duration::from_secs(30)));
        for nothing in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:00:00 GMT"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }
}
