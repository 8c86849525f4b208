//! The sizes that a message may have. Plain numbers, handed around by reference.

/// Limits on what a peer may send; the defaults are those of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head, request line and last empty line included.
    pub request_head: usize,
    /// Bytes of a response head.
    pub response_head: usize,
    /// Fields in a request head or a trailer section; at most [`Limits::MAX_FIELDS`] whatever is set here.
    pub fields: usize,
    /// Fields in a response head; at most [`Limits::MAX_RESPONSE_FIELDS`] whatever is set here.
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
    /// Whether a request field may have a `_` in its name.
    pub underscores: Underscores,
}

/// What to do with a request field that has a `_` in its name.
///
/// CGI-like applications cannot tell `X_Real_IP` from `X-Real-IP`, so a client could forge what the proxy vouches for.
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
    /// The most fields that a request head or a trailer section can have.
    pub const MAX_FIELDS: usize = 100;
    /// The most fields that a response head can have. Whoever sends it was chosen, and some set a cookie for each thing.
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
