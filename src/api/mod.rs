//! What the admin API answers with, as types: for the control plane that makes them, the admin listener that sends them
//! and the command line that reads them.
//!
//! Plain data, no behaviour beyond what a reader needs; times are text with microseconds, RFC 3339, UTC.

mod import;
mod lists;
mod options;
mod problem;
mod receipt;
mod reload;
mod requests;
mod status;
mod timestamp;

pub use self::{
    import::{Conflict, ConflictPolicy, ImportReport},
    lists::{ChangeAnswer, ReleaseList, RevisionDiff, RouteList},
    options::{LONGEST_WAIT, group_error, message_error},
    problem::ProblemDocument,
    receipt::{Preview, Receipt, RevisionDetail, RevisionPage, RevisionSummary, UnresolvedRelease},
    reload::{ReloadReport, SettingsReport},
    requests::{
        MessageRequest, PromoteRequest, RollbackRequest, RouteBody, SplitPatchRequest,
        SplitRequest, SwitchRequest,
    },
    status::{
        ConvergenceStatus, Drift, DurabilityStatus, EndpointHealth, EndpointStatus, InFlightOn,
        ReleaseStatus, Role, RollbackStatus, RouteStatus, Share, Status, Totals, WorkerStatus,
    },
    timestamp::Timestamp,
};
