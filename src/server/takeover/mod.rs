//! Takeover: a new process gets the listening sockets and the history of a running one.
//!
//! The running process listens on a socket in the folder of the history. The new one starts as far as it can without the
//! history, asks there, and gets copies of the listening sockets. Then the running one closes its admin API and gives the
//! history up; the new one opens it, and both agree on the moment from which the new one serves. Until then the running
//! one takes everything back if the new one fails. ARCHITECTURE.md has the states and what happens at each.

mod channel;
mod entrance;
mod error;
mod gap;
mod launch;
mod link;
mod message;
mod taker;

pub(super) use self::{
    entrance::{Entrance, Estate, Held},
    gap::{Outcome, hand_over},
    link::{Predecessor, PredecessorEnd, Successor},
    taker::{Asked, ask},
};
pub use self::{error::TakeoverError, launch::Service};
