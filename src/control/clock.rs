//! The wall clock of the control plane.

use std::time::SystemTime;

use crate::api::Timestamp;

pub(super) fn now() -> Timestamp {
    Timestamp::of(SystemTime::now())
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    now().millis()
}
