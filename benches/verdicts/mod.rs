//! Simulated rollouts, the judge that watches them, and the judges of other tools on the same traffic.

pub(crate) mod draws;
pub(crate) mod every_signal;
pub(crate) mod failures;
pub(crate) mod long_work;
pub(crate) mod references;
pub(crate) mod requests;
pub(crate) mod rollouts;
pub(crate) mod sessions;
