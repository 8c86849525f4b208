//! What was decided, compiled: which route a request takes, which release its split chooses, and the cell in which the
//! live table stands and is swapped.
//!
//! [`compile`] is the only way to make a table, so nothing unvalidated can become live. It shares with the table before
//! whatever a change did not touch.

mod cell;
mod compile;
mod hash;
mod index;
mod release;
mod route;
mod routing;
mod seats;
mod split;
mod swap;
mod undo;
mod validate;
mod validate_health;
mod validate_route;

pub use self::{
    cell::{TableCell, TableReader},
    compile::{Compiled, Draft, compile},
    hash::key_of,
    release::Release,
    route::Route,
    routing::{RevisionInFlight, RoutingTable},
    split::{Split, SplitEntry},
    swap::{RollbackError, Stale, Swapped, Undo},
    undo::{Level, Target},
};
