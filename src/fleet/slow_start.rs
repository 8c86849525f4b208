//! Slow start of an endpoint that is new or has recovered: its weight grows to the whole.
//!
//! Envoy's slow start with an aggression of 1: linear, from a tenth. The flag `STARTING` of the endpoint says that there
//! is one, so that a pick reads nothing here otherwise.

use std::sync::atomic::{AtomicU64, Ordering};

use super::endpoint_flags::EndpointFlags;

/// Share of its weight that an endpoint has at the beginning, in thousandths: Envoy's `min_weight_percent`.
const LEAST_SHARE: u64 = 100;
/// The whole weight.
const WHOLE: u64 = 1_000;

/// The beginning of a slow start.
#[derive(Debug, Default)]
pub(super) struct SlowStart(
    // In milliseconds of the caller's clock. 0: it begins with the next look.
    AtomicU64,
);

impl SlowStart {
    /// Begins with the next look.
    pub(super) fn restart(&self, flags: &EndpointFlags) {
        self.0.store(0, Ordering::Relaxed);
        flags.set(EndpointFlags::STARTING);
    }

    /// Share of the weight at this time, in thousandths, where a slow start takes `span_ms`.
    pub(super) fn share(&self, span_ms: u64, now_ms: u64, flags: &EndpointFlags) -> u64 {
        if !flags.has(EndpointFlags::STARTING) {
            return WHOLE;
        }
        let elapsed = now_ms.saturating_sub(self.began(now_ms));
        if elapsed >= span_ms {
            flags.clear(EndpointFlags::STARTING);
            return WHOLE;
        }
        (elapsed * WHOLE / span_ms).max(LEAST_SHARE)
    }

    fn began(&self, now_ms: u64) -> u64 {
        let began = self.0.load(Ordering::Relaxed);
        if began != 0 {
            return began;
        }
        self.0.store(now_ms.max(1), Ordering::Relaxed);
        now_ms
    }
}
