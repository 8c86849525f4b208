//! Request method.

/// A method, as far as the proxy distinguishes methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the method of its name")]
pub enum Method {
    Connect,
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Trace,
    /// Any other token.
    Other,
}

// === impl Method ===

impl Method {
    /// Recognises a method. Methods are case-sensitive: `get` is not `GET`.
    pub const fn of(text: &[u8]) -> Self {
        match text {
            b"CONNECT" => Self::Connect,
            b"DELETE" => Self::Delete,
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// True if the method is idempotent (RFC 9110, section 9.2.2).
    pub const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Delete | Self::Get | Self::Head | Self::Options | Self::Put | Self::Trace
        )
    }
}
