//! What was decided, compiled: which route a request takes, which release its split chooses, and the cell in which the
//! live table stands and is swapped.
//!
//! [`compile`] is the only way to make a table, so nothing unvalidated can become live. It shares with the table before
//! whatever a change did not touch.

mod compile;
mod hash;
mod index;
mod live;
mod release;
mod route;
mod routing;
mod split;
mod swap;
mod undo;
mod validate;
mod validate_health;
mod validate_route;
mod worker_epochs;

pub use self::{
    compile::{Compiled, Draft, compile},
    hash::key_of,
    live::{LiveTable, TableReader},
    release::Release,
    route::Route,
    routing::{RevisionInFlight, RoutingTable},
    split::{Split, SplitEntry},
    swap::{RevisionConflict, RollbackError, StackChange, Swapped},
    undo::{RollbackTarget, UndoEntry},
};
