//! The end of one attempt to send a copy, and its answer.

use crate::model::MirrorFailure;

/// An answer to a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CopyAnswer {
    pub(super) status: u16,
    /// Length of the body, as far as it was read.
    pub(super) bytes: u64,
    /// The connection can be used again.
    pub(super) is_reusable: bool,
}

/// The reason why an attempt has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendError {
    /// The connection had ended before one byte of the answer.
    Ended,
    /// It has failed for good.
    Failed(MirrorFailure),
}

impl SendError {
    pub(super) const BROKEN: Self = Self::Failed(MirrorFailure::Broken);

    /// The reason that is counted.
    pub(super) const fn failure(self) -> MirrorFailure {
        match self {
            Self::Ended => MirrorFailure::Broken,
            Self::Failed(failure) => failure,
        }
    }
}
