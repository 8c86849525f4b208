//! Hooks of rollouts: messages to other programs, and questions to gates.
//!
//! A message is a [`HookMessage`]: an event and the rollout as it was then. It is rendered in the format of the hook,
//! signed by the scheme of Standard Webhooks, and posted or given to a command. `control` decides what is sent, keeps what
//! is owed and tells the rollout what a gate has said; here is one attempt, and what it means.
//!
//! Pure are `backoff` and `schedule` (times of attempts), `decision` (the answer of a gate), `message`, `payload`, `slack`
//! and `signature`. I/O is in `command` and, above it and the `post` of [`net`](crate::net), in `call`. Beside hooks, `prometheus` asks for the values
//! that a plan compares.

mod ask;
mod backoff;
mod call;
mod command;
mod data_question;
mod decision;
mod error;
mod hook;
mod message;
mod payload;
mod prometheus;
mod schedule;
mod secret;
mod signature;
mod slack;

pub use self::{
    ask::ask,
    call::deliver,
    command::run as run_command,
    data_question::{DataQuestion, ask_about_data},
    decision::{Answer, Decision},
    error::{CallError, HookError},
    hook::{Hook, HookSet},
    message::{HookMessage, MessageGate, NextWeight},
    prometheus::Prometheus,
    schedule::{DeliveryKey, Failure, Schedule},
};
