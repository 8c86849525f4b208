//! Id of a request: given by a trusted proxy, or made here.

use std::fmt;

use crate::message::KnownField;

use super::super::io::RequestParts;

/// Longest request id that is taken from a peer.
const LONGEST_ID: usize = 128;

/// Id of a request, in `X-Request-Id` and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) enum RequestId {
    /// Set by a trusted proxy.
    Given(Box<str>),
    /// Generated here.
    Own(u128),
}

// === impl RequestId ===

impl RequestId {
    /// The id given by a trusted peer, or a new one.
    pub(in crate::proxy) fn of(
        parts: &RequestParts<'_>,
        is_trusted: bool,
        random: impl FnOnce() -> (u64, u64),
    ) -> Self {
        let given = is_trusted.then(|| parts.value(KnownField::XRequestId));
        let given = given.flatten().filter(|id| is_id(id));
        if let Some(id) = given.and_then(|id| std::str::from_utf8(id).ok()) {
            return Self::Given(id.into());
        }
        let (high, low) = random();
        Self::Own(u128::from(high) << 64 | u128::from(low))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Own(number) => write!(f, "{number:032x}"),
        }
    }
}

fn is_id(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_and_short() {
        assert!(is_id(b"req-0123_abc.def"));
        for odd in [&b""[..], b"a b", b"a\"b", &[b'a'; 200]] {
            assert!(!is_id(odd));
        }
    }
}
