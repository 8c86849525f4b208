//! Traffic statistics: counters and histograms that a worker updates without a lookup or a lock.
//!
//! One copy per worker: each worker writes only its own cache lines, readers sum over all. The same counters feed the
//! metrics and the evaluation of a release.

mod bad_units;
mod decision_counters;
mod feedback_counters;
mod halves;
mod histogram;
mod interval_ring;
mod json_counters;
mod mirror_counters;
mod noted_release;
mod outcome_counters;
mod outcome_totals;
mod quantile;
mod retry_budget;
mod sharded;
mod windows;

pub use self::{
    bad_units::{BadUnit, NoteRules, NotedUnits},
    decision_counters::DecisionSnapshot,
    feedback_counters::FeedbackSnapshot,
    halves::{Halves, half_of},
    histogram::{BOUNDS_SECONDS, HistogramSnapshot, bound_from},
    json_counters::{JsonComparison, JsonSnapshot},
    mirror_counters::{AnswerSnapshot, MirrorCounters, MirrorSnapshot, MirrorTurn, MirroredAnswer},
    noted_release::NotedRelease,
    outcome_counters::{CellSnapshot, OutcomeTable},
    outcome_totals::OutcomeTotals,
    sharded::{CounterValue, Sharded},
    windows::{Resolution, Windows},
};
