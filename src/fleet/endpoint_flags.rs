//! Flags of an endpoint in one value: almost always none is set, and a pick reads one atomic.

use std::sync::atomic::{AtomicU32, Ordering};

/// Flags of one endpoint.
#[derive(Debug)]
pub(super) struct EndpointFlags(AtomicU32);

impl EndpointFlags {
    /// Unhealthy by active checks.
    pub(super) const UNHEALTHY: u32 = 1;
    /// Ejected, or probed after an ejection.
    pub(super) const EJECTED: u32 = 2;
    /// It asked for a pause with `Retry-After`.
    pub(super) const AVOIDED: u32 = 4;
    /// In its slow start.
    pub(super) const STARTING: u32 = 8;
    /// It has failed since its last success. It may be picked all the same.
    pub(super) const FAILING: u32 = 16;
    /// Any of those that a pick has to look at.
    pub(super) const UNFIT: u32 = Self::UNHEALTHY | Self::EJECTED | Self::AVOIDED | Self::STARTING;

    pub(super) const fn new(flags: u32) -> Self {
        Self(AtomicU32::new(flags))
    }

    /// True if one of these is set.
    pub(super) fn has(&self, flags: u32) -> bool {
        self.0.load(Ordering::Relaxed) & flags != 0
    }

    pub(super) fn set(&self, flags: u32) {
        self.0.fetch_or(flags, Ordering::Relaxed);
    }

    pub(super) fn clear(&self, flags: u32) {
        self.0.fetch_and(!flags, Ordering::Relaxed);
    }
}
