//! The user agent of health checks.

/// Value of `user-agent` in every check.
pub(super) const USER_AGENT: &str = concat!("switchback-health/", env!("CARGO_PKG_VERSION"));
