//! The condition of a change: the revision that its target must not have changed since.

use axum::http::{HeaderMap, StatusCode, header};

use super::error::ApiError;
use crate::{control::Expected, model::Revision};

/// Condition of a change (`If-Match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// No condition.
    Any,
    /// The target exists, in any revision (`*`).
    Existing,
    /// An empty list, which never matches.
    Nothing,
    /// This revision.
    Revision(Revision),
}

impl Condition {
    /// The condition for the controller. It is evaluated after everything else about the request was validated: an
    /// invalid request should not fail because of its condition.
    pub(super) fn expected(self) -> Result<Expected, ApiError> {
        match self {
            Self::Any | Self::Existing => Ok(Expected::Any),
            Self::Nothing => Err(ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                "conflict",
                "the condition names no revision",
            )
            .hint("leave `If-Match` out, or send the value of `ETag`")),
            Self::Revision(revision) => Ok(Expected::Unchanged(revision)),
        }
    }

    /// Rejects a change of what must exist and does not.
    pub(super) fn holds_for(self, exists: bool) -> Result<(), ApiError> {
        if exists || self != Self::Existing {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "conflict",
            "the target does not exist",
        )
        .hint("leave `If-Match` out to add it"))
    }
}

/// The condition in the fields of a request.
///
/// # Errors
/// A value that is not the number of one revision in quotes, or `*`.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Condition, ApiError> {
    let mut fields = headers.get_all(header::IF_MATCH).iter();
    let Some(field) = fields.next() else {
        return Ok(Condition::Any);
    };
    let text = field.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(Condition::Nothing);
    }
    if text == "*" && fields.next().is_none() {
        return Ok(Condition::Existing);
    }
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let plain = |digits: &&str| {
        (1..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let revision = digits.filter(plain).and_then(|digits| digits.parse().ok());
    match (revision, fields.next()) {
        (Some(revision), None) => Ok(Condition::Revision(Revision(revision))),
        _ => Err(
            ApiError::malformed("`If-Match` is not the number of one revision in quotes")
                .hint("send the value of `ETag`, such as `If-Match: \"42\"`"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(value: &str) -> Result<Condition, ApiError> {
        if_match(&HeaderMap::from_iter([(
            header::IF_MATCH,
            value.parse().unwrap(),
        )]))
    }

    #[test]
    fn a_condition_is_one_revision_in_quotes() {
        let revision = Condition::Revision(Revision(42));
        assert_eq!(conditions("\"42\"").unwrap(), revision);
        let existing = conditions("*").unwrap();
        assert_eq!(existing, Condition::Existing);
        assert!(existing.holds_for(true).is_ok());
        assert_eq!(
            existing.holds_for(false).unwrap_err().status().as_u16(),
            412
        );
        let nothing = conditions("").unwrap();
        assert_eq!(nothing.expected().unwrap_err().status().as_u16(), 412);
        for wrong in [
            "42",
            "W/\"42\"",
            "\"\"",
            "\"x\"",
            "\"1\", \"2\"",
            "\"99999999999999999999\"",
        ] {
            assert!(conditions(wrong).is_err(), "{wrong}");
        }
    }
}
