//! The authenticated caller of a request.

use std::sync::Arc;

use crate::config::TokenRole;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The token's name.
    pub(super) name: Arc<str>,
    /// Its access level.
    pub(super) role: TokenRole,
}

impl Caller {
    /// Caller of an API without tokens.
    pub(super) fn local() -> Self {
        Self {
            name: "local".into(),
            role: TokenRole::Operator,
        }
    }
}
