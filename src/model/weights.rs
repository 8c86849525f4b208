//! Weights of a split.

use std::collections::BTreeMap;

use super::ReleaseName;

/// The largest weight in a split.
pub const MAX_WEIGHT: u32 = 1_000_000;

/// Weights per release.
pub type Weights = BTreeMap<ReleaseName, u32>;
