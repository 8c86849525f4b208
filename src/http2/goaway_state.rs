//! State of our GOAWAY.

/// State of our GOAWAY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoAwayState {
    No,
    /// The first GOAWAY was sent; new streams are accepted until the peer has read it.
    Told,
    /// The final GOAWAY was sent; no new stream is accepted.
    Over,
}
