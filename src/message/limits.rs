//! Size limits of messages. Plain numbers, passed by reference.

/// Limits on received messages; the defaults are documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head, including the request line and the final empty line.
    pub request_head: usize,
    /// Bytes of a response head.
    pub response_head: usize,
    /// Fields in a request head or a trailer section; never more than [`Limits::MAX_FIELDS`].
    pub fields: usize,
    /// Fields in a response head; never more than [`Limits::MAX_RESPONSE_FIELDS`].
    pub response_fields: usize,
    /// Bytes of a request target.
    pub target: usize,
    /// Bytes of a method.
    pub method: usize,
    /// Bytes of a trailer section.
    pub trailers: usize,
    /// Bytes of chunk extensions in one body.
    pub chunk_extensions: usize,
    /// Informational responses before the final one.
    pub informational: usize,
    /// Policy for request fields with a `_` in the name.
    pub underscores: Underscores,
}

/// Policy for request fields with a `_` in the name.
///
/// CGI-like applications cannot distinguish `X_Real_IP` from `X-Real-IP`, so a client could
/// forge fields set by the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// Forward it like any other field.
    Pass,
    /// Refuse the request.
    #[default]
    Refuse,
}

// === impl Limits ===

impl Limits {
    /// Maximum number of fields in a request head or a trailer section.
    pub const MAX_FIELDS: usize = 100;
    /// Maximum number of fields in a response head. Endpoints are trusted more than clients,
    /// and some set many cookies.
    pub const MAX_RESPONSE_FIELDS: usize = 1000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_head: 64 * 1024,
            response_head: 64 * 1024,
            fields: Self::MAX_FIELDS,
            response_fields: 256,
            target: 16 * 1024,
            method: 32,
            trailers: 16 * 1024,
            chunk_extensions: 16 * 1024,
            informational: 100,
            underscores: Underscores::Refuse,
        }
    }
}
