//! What happened to requests: counts and histograms in cells that a worker reaches without a lookup or a lock.
//!
//! One copy per worker: each worker writes only its own lines of memory, readers sum over all. The same cells feed the
//! metrics exporter and whatever judges a release.

mod histogram;
mod outcome_counters;
mod sharded;

pub use self::{
    histogram::{BOUNDS_SECONDS, HistogramSnapshot},
    outcome_counters::{CellSnapshot, OutcomeTable},
    sharded::{CounterValue, Sharded},
};
