//! Log entries of requests whose heads were refused: short, since nothing in such a head can be trusted.

use std::time::{Duration, SystemTime};

use crate::http2;
use crate::message::{
    Authority, Limits, LooseField, Reason, Rejection, field_at_fault, is_token, is_token_byte,
    loose_fields,
};
use crate::telemetry::AccessRecord;

use super::error_reason::ErrorReason;
use super::forward::RequestId;
use super::settings::PeerInfo;
use super::worker::Worker;

/// Longest text of a refused head that is logged.
const LONGEST: usize = 256;

/// The loggable parts of a refused head.
pub(super) struct RefusedHead<'h> {
    pub(super) rejection: Rejection,
    protocol: &'static str,
    method: &'h [u8],
    path: &'h [u8],
    host: &'h [u8],
    field: Option<&'h [u8]>,
}

// === impl RefusedHead ===

impl<'h> RefusedHead<'h> {
    /// For bytes that came over HTTP/1.1, complete or not.
    pub(super) fn http1(head: &'h [u8], rejection: Rejection, limits: &Limits) -> Self {
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        let line = line.split(|&byte| byte == b'\r' || byte == b'\n').next();
        let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
        let (method, target) = (words.next(), words.next());
        let fields = loose_fields(head);
        let host = fields
            .clone()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        Self {
            rejection,
            protocol: match words.next() {
                Some(b"HTTP/1.0") => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            method: method.filter(|word| is_token(word)).unwrap_or_default(),
            path: path_of(target.unwrap_or_default()),
            host: host_of(host.map(|(_, value)| value)),
            field: at_fault(rejection.reason, limits, fields),
        }
    }

    /// For a head that came over HTTP/2.
    pub(super) fn http2(head: &'h http2::Head, rejection: Rejection, limits: &Limits) -> Self {
        let pseudo = head.request();
        let fields = head.fields().map(|field| (field.name, field.value));
        Self {
            rejection,
            protocol: "HTTP/2",
            method: pseudo.method,
            path: path_of(pseudo.path),
            host: host_of(pseudo.authority),
            field: at_fault(rejection.reason, limits, fields),
        }
    }

    /// True if the method is `HEAD`.
    pub(super) fn is_head(&self) -> bool {
        self.method == b"HEAD"
    }

    /// Writes an entry to the access log, and a debug entry with details.
    pub(super) fn log(&self, worker: &Worker, peer: PeerInfo, id: &RequestId, bytes_out: usize) {
        let field = self.field.map(text);
        tracing::debug!(
            client = %peer.client,
            request_id = %id,
            reason = self.rejection.reason.as_str(),
            field,
            "request refused"
        );
        let mut log = worker.access_log.borrow_mut();
        if !log.is_on() {
            return;
        }
        log.write(&AccessRecord {
            time: SystemTime::now(),
            request_id: &id.to_string(),
            client: peer.client.ip(),
            protocol: self.protocol,
            method: &text(self.method),
            host: &text(self.host),
            path: &text(self.path),
            status: self.rejection.status,
            outcome: "refused",
            error: Some(ErrorReason::BadRequest(self.rejection.reason).as_str()),
            field: field.as_deref(),
            route: None,
            release: None,
            version: None,
            endpoint: None,
            revision: worker.revision().0,
            decision: None,
            attempts: 0,
            attempt_error: None,
            duration: Duration::ZERO,
            first_byte: None,
            bytes_in: 0,
            bytes_out: bytes_out as u64,
            referer: None,
            user_agent: None,
        });
    }
}

/// The path of a target in origin form, without its query.
fn path_of(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|&byte| matches!(byte, b'?' | b'#'));
    let path = &target[..end.unwrap_or(target.len())];
    if path.starts_with(b"/") { path } else { b"" }
}

/// The host if it is valid, else empty.
fn host_of(value: Option<&[u8]>) -> &[u8] {
    let host = value.filter(|host| Authority::parse(host).is_ok());
    host.unwrap_or_default()
}

/// Name of the field at fault, as far as it is a token: anything else may be a secret.
fn at_fault<'h>(
    reason: Reason,
    limits: &Limits,
    fields: impl Iterator<Item = LooseField<'h>>,
) -> Option<&'h [u8]> {
    let name = field_at_fault(reason, limits.fields, fields)?;
    let end = name.iter().position(|&byte| !is_token_byte(byte));
    Some(&name[..end.unwrap_or(name.len())]).filter(|name| !name.is_empty())
}

/// Bytes as text that is safe in a log.
fn text(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(LONGEST)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(head: &[u8], reason: Reason) -> RefusedHead<'_> {
        RefusedHead::http1(head, Rejection::request(reason), &Limits::default())
    }

    #[test]
    fn what_can_be_told_of_a_refused_head_is_told() {
        let head = b"HEAD /x?secret HTTP/1.1\r\nHost: a.test\r\nBad Name: secret\r\n\r\n";
        let found = refused(head, Reason::InvalidFieldName);
        assert!(found.is_head());
        assert_eq!((found.path, found.host), (&b"/x"[..], &b"a.test"[..]));
        assert_eq!(found.field, Some(&b"Bad"[..]));
    }

    #[test]
    fn a_line_that_is_no_field_is_not_told() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nsecret\r\n\r\n";
        assert_eq!(refused(head, Reason::InvalidFieldName).field, None);
        assert_eq!(refused(b"", Reason::InvalidStartLine).method, b"");
        let odd = b"CONNECT user:secret@a HTTP/1.1\r\nHost: user:secret@a\r\n\r\n";
        let odd = refused(odd, Reason::ConnectRefused);
        assert_eq!((odd.path, odd.host), (&b""[..], &b""[..]));
        assert_eq!(text(b"a\r\nb\"\xff"), "a\\r\\nb\\\"\\xff");
    }
}
