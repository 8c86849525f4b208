//! What the admin API answers with, as types: for the control plane that makes them, the admin listener that sends them
//! and the command line that reads them.
//!
//! Plain data, no behaviour beyond what a reader needs; times are text with microseconds, RFC 3339, UTC.

mod import;
mod receipt;
mod status;
mod timestamp;

pub use self::{
    import::{Conflict, ImportReport, Wins},
    receipt::{Preview, Receipt, RevisionDetail, RevisionPage, RevisionSummary},
    status::{
        ConvergenceStatus, Drift, DurabilityStatus, EndpointHealth, EndpointStatus, InFlightOn,
        ReleaseStatus, Role, RollbackStatus, RouteStatus, Share, Status, WorkerStatus,
    },
    timestamp::Timestamp,
};
