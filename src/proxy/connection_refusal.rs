//! Refused connections: those that end before their first request, with reason, counter and a sampled log.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use crate::net::{ProxyHeaderError, TlsRefusal};
use crate::telemetry::names;

use super::log_sampler::LogSampler;

/// Window in which each reason is logged at most once, however many connections are refused.
const SAMPLE_MS: u64 = 10_000;

/// Reason for which a connection was refused before it had a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionRefusal {
    ClientCertificate,
    Closed,
    PlainHttp,
    ProxyHeader,
    ProxySender,
    Timeout,
    Tls,
}

/// Time of the last log entry for each reason, and the number of refusals since.
#[derive(Debug, Default)]
pub(super) struct RefusalLog([LogSampler; ConnectionRefusal::COUNT]);

/// A sender of PROXY headers that is not on the list.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is not allowed to send PROXY headers; `proxy_protocol_from` of the listener names those that are"
)]
pub(super) struct UnlistedSender(pub(super) std::net::IpAddr);

// === impl ConnectionRefusal ===

impl ConnectionRefusal {
    const COUNT: usize = 7;

    /// The reason for an error that came before the first request.
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if inner.is_some_and(<dyn Error + Send + Sync>::is::<UnlistedSender>) {
            return Self::ProxySender;
        }
        if inner.is_some_and(<dyn Error + Send + Sync>::is::<ProxyHeaderError>) {
            return Self::ProxyHeader;
        }
        match TlsRefusal::of(error) {
            Some(TlsRefusal::PlainHttp) => Self::PlainHttp,
            Some(TlsRefusal::ClientCertificate) => Self::ClientCertificate,
            Some(TlsRefusal::Handshake) => Self::Tls,
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            None => Self::Closed,
        }
    }

    /// Label in metrics and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCertificate => "client_certificate",
            Self::Closed => "closed",
            Self::PlainHttp => "plain_http",
            Self::ProxyHeader => "proxy_header",
            Self::ProxySender => "proxy_sender",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
        }
    }
}

// === impl RefusalLog ===

impl RefusalLog {
    /// Counts a refused connection, and logs it unless its reason was logged recently.
    pub(super) fn note(&self, now_ms: u64, listener: &str, client: SocketAddr, error: &io::Error) {
        let reason = ConnectionRefusal::of(error);
        let labels = [
            ("listener", listener.to_owned()),
            ("reason", reason.as_str().to_owned()),
        ];
        metrics::counter!(names::CONNECTIONS_REFUSED.0, &labels).increment(1);
        let reason_word = reason.as_str();
        if reason == ConnectionRefusal::Closed {
            // Port checks of load balancers would fill the log.
            tracing::debug!(%client, listener, reason = reason_word, %error, "connection refused");
        } else if let Some(left_out) = self.0[reason as usize].take(now_ms, SAMPLE_MS) {
            tracing::info!(%client, listener, reason = reason_word, %error, left_out, "connection refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_connection_has_a_word() {
        let word = |error: io::Error| ConnectionRefusal::of(&error).as_str();
        let invalid = |inner: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, inner);
        assert_eq!(word(io::ErrorKind::UnexpectedEof.into()), "closed");
        assert_eq!(word(io::ErrorKind::TimedOut.into()), "timeout");
        assert_eq!(
            word(invalid(rustls::Error::NoCertificatesPresented)),
            "client_certificate"
        );
        assert_eq!(word(invalid(rustls::Error::DecryptError)), "tls");
        assert_eq!(
            word(io::Error::new(
                io::ErrorKind::InvalidData,
                ProxyHeaderError::Signature
            )),
            "proxy_header"
        );
    }
}
