//! Writer of field lines.

use crate::message::{Field, is_field_value, is_token, trim};

pub(super) const LINE_END: &[u8] = b"\r\n";

/// Error of a head or body that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// More data than the framing allows.
    #[error("more data than the head announced")]
    BodyTooLong,
    /// Less data than the framing declares.
    #[error("less data than the head announced")]
    BodyTooShort,
    /// A framing field that does not come from the framing.
    #[error("a framing field cannot be set")]
    FramingField,
    /// A field name that is not a token.
    #[error("a field name is not valid")]
    InvalidName,
    /// An invalid method, target, status or reason.
    #[error("the start line is not valid")]
    InvalidStartLine,
    /// A field value with a control character.
    #[error("a field value is not valid")]
    InvalidValue,
}

/// The error of a name that cannot be written. A known name is a valid token.
pub(super) fn field_name_error(field: &Field<'_>) -> Option<WriteError> {
    let is_valid = field.known.as_str().is_some() || is_token(field.name);
    (!is_valid).then_some(WriteError::InvalidName)
}

/// Writes one field line with a validated name, or nothing if the value is invalid.
pub(super) fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), WriteError> {
    if !is_field_value(value) {
        return Err(WriteError::InvalidValue);
    }
    let value = trim(value);
    out.reserve(name.len() + value.len() + ": \r\n".len());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}
