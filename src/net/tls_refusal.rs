//! Reasons for failed TLS handshakes with clients, as far as operators distinguish them.

use std::io;

/// Reason for a failed handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRefusal {
    /// The client sent no certificate, or an invalid one.
    ClientCertificate,
    /// Any other violation of TLS.
    Handshake,
    /// The client speaks HTTP instead of TLS.
    PlainHttp,
}

/// A client spoke HTTP on a TLS port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plain HTTP on a port that speaks TLS")]
pub(super) struct PlainHttp;

/// Response to plain HTTP, in words that any client shows.
pub(super) const PLAIN_HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 54\r\n\
    connection: close\r\n\r\n\
    This port speaks TLS: use https:// instead of http://\n";

// === impl TlsRefusal ===

impl TlsRefusal {
    /// The reason behind the error of a handshake; `None` when the socket failed, not TLS.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        if inner.is::<PlainHttp>() {
            return Some(Self::PlainHttp);
        }
        match inner.downcast_ref::<rustls::Error>()? {
            rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => {
                Some(Self::ClientCertificate)
            }
            _ => Some(Self::Handshake),
        }
    }
}

/// True if the first bytes of a connection are those of an HTTP request rather than of TLS: a method and a space, or
/// the preface of HTTP/2. No TLS record begins with a letter.
pub(super) fn is_plain_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take(16).take_while(|b| b.is_ascii_uppercase());
    let length = method.count();
    length > 2 && bytes.get(length) == Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_from_a_record() {
        for http in ["GET / HTTP/1.1", "OPTIONS * HTTP/1.1", "PRI * HTTP/2.0"] {
            assert!(is_plain_http(http.as_bytes()), "{http}");
        }
        for other in [
            &b"\x16\x03\x01\x02\x00\x01"[..],
            b"SSH-2.0-x",
            b"GE",
            b"",
            b"EHLO",
        ] {
            assert!(!is_plain_http(other), "{other:?}");
        }
    }

    #[test]
    fn the_answer_to_plain_http_says_its_own_length() {
        let text = std::str::from_utf8(PLAIN_HTTP_RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
