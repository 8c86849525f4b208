//! Result of a wait for a request head.

use std::ops::Range;

use crate::message::Rejection;

/// Result of a wait for the next request.
pub(super) enum HeadRead {
    Closed,
    /// Bytes that are probably a complete head.
    Start,
    Head(Range<usize>),
    Http2,
    Refused(Rejection),
}
