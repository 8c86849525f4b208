//! The process that orders the certificates of a folder: one of those that share it.

/// The process whose turn it is to order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// This one.
    Here,
    /// Another one, by its name if it is known.
    Elsewhere(Option<String>),
    /// None that is known: the store of the fleet is away, for this reason.
    Away(String),
}

impl Turn {
    pub(super) const fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }

    /// The reason for which nobody may order.
    pub(super) fn hindrance(&self) -> Option<String> {
        let Self::Away(reason) = self else {
            return None;
        };
        Some(format!(
            "nothing is ordered while the store of the fleet is away: {reason}"
        ))
    }
}
