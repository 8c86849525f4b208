//! HTTP/2 by hand: frames and header blocks as bytes, so that wrong ones can be sent, and a reader of what comes back.

#[expect(clippy::too_many_lines, reason = "a table is as long as it is")]
pub(crate) mod cases;
pub(crate) mod view;

pub(crate) use crate::support::h2::{frame, hpack};
