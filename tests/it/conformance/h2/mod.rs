//! HTTP/2 cases, and a reader of the frames that a server sends.

#[expect(clippy::too_many_lines, reason = "a table is as long as it is")]
pub(crate) mod cases;
pub(crate) mod view;

pub(crate) use crate::support::h2::{frame, hpack};
