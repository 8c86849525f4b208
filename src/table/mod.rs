//! Compiled decisions: route matching, the split between releases, feature flags, and the live table with its swap.
//!
//! [`compile()`] is the only way to create a table, so nothing unvalidated can become live. It shares the unchanged
//! parts with the previous table.

mod access_guard;
mod affinity;
mod answers;
mod compile;
mod compression;
mod conditions;
mod cors;
mod departures;
mod flag;
mod flag_condition;
mod flag_plan;
mod flag_text;
mod flags;
mod guards;
mod hash;
mod header_rules;
mod header_template;
mod index;
mod live;
mod mirror;
mod pause;
mod pins;
mod redirect;
mod release;
mod retry_policy;
mod route;
mod route_check;
mod route_flags;
mod routing;
mod semver;
mod split;
mod swap;
mod undo;
mod validate;
mod validate_agents;
mod validate_answers;
mod validate_balance;
mod validate_condition;
mod validate_conditions;
mod validate_drill;
mod validate_feedback;
mod validate_flag;
mod validate_guards;
mod validate_headers;
mod validate_health;
mod validate_mirror;
mod validate_retries;
mod validate_route;
mod validate_route_flags;
mod validate_session;
mod validate_way_back;
mod work_board;
mod worker_epochs;

pub use self::{
    access_guard::{AccessError, AccessGuard},
    answers::{Answers, OwnAnswer, Page},
    compile::{Compiled, Draft, compile},
    compression::Compression,
    cors::Cors,
    departures::{Departure, Departures, Leave, Transition},
    flag::{Flag, Variant},
    flags::{Evaluation, FlagContext, FlagError, Flags},
    guards::Guards,
    hash::key_of,
    header_rules::HeaderRules,
    header_template::{HeaderTemplate, HeaderVariable},
    live::{LiveTable, TableReader},
    mirror::Mirror,
    pause::Pause,
    pins::PinField,
    redirect::Redirect,
    release::Release,
    retry_policy::RetryPolicy,
    route::Route,
    route_flags::{FLAG_MEMBER, FlagVariants, RouteFlags},
    routing::{RevisionInFlight, RoutingTable},
    split::{Split, SplitEntry},
    swap::{RevisionConflict, RollbackError, StackChange, Swapped},
    undo::{RollbackTarget, UndoEntry},
    work_board::{Ages, ClassTally, CutOrder, WorkBoard, WorkRequest, WorkTally},
};
