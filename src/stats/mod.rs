//! What happened to requests: counts and histograms in cells that a worker reaches without a lookup or a lock.
//!
//! One copy per worker: each worker writes only its own lines of memory, readers sum over all. The same cells feed the
//! metrics exporter and whatever judges a release.

mod cells;
mod histogram;
mod sharded;

pub use self::{
    cells::{CellSnapshot, Cells},
    histogram::{BOUNDS_SECONDS, HistogramSnapshot},
    sharded::{Counted, Sharded},
};
