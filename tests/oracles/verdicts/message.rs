//! The reading of a byte string, in a form that all readers share.

use serde::Serialize;

/// The messages of one connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Reading {
    /// The messages that were read to their end.
    pub(crate) messages: Vec<Message>,
    /// `done`: nothing is left; `more`: bytes are missing; `reject`: refused; `close`: what follows is not read.
    pub(crate) outcome: &'static str,
    /// The reason of a refusal.
    pub(crate) reason: String,
}

/// One message. Bytes are text in which each character is one byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Message {
    /// The method, or the status.
    pub(crate) start: String,
    /// The target; nothing in a response.
    pub(crate) target: String,
    /// Names in lower case, and values.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Bytes as text, one character for each.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// One field in the words of a [`Message`].
pub(crate) fn pair(name: &[u8], value: &[u8]) -> (String, String) {
    (text(name).to_ascii_lowercase(), text(value))
}
