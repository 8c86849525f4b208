//! Traffic statistics: counters and histograms that a worker updates without a lookup or a lock.
//!
//! One copy per worker: each worker writes only its own cache lines, readers sum over all. The same counters feed the
//! metrics and the evaluation of a release.

mod decision_counters;
mod histogram;
mod outcome_counters;
mod retry_budget;
mod sharded;

pub use self::{
    decision_counters::DecisionSnapshot,
    histogram::{BOUNDS_SECONDS, HistogramSnapshot},
    outcome_counters::{CellSnapshot, OutcomeTable},
    sharded::{CounterValue, Sharded},
};
