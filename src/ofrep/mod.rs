//! Feature flags for applications: the `OpenFeature` Remote Evaluation Protocol (OFREP 0.3) over a listener of its own.
//!
//! | path | methods | description |
//! |---|---|---|
//! | `/ofrep/v1/evaluate/flags/{key}` | POST | evaluates one flag |
//! | `/ofrep/v1/evaluate/flags` | POST | evaluates all flags for one context |
//! | `/ofrep/v1/events` | GET | an event stream that says when to evaluate again |
//!
//! It reads the live table and writes nothing. Providers are stricter than the text of the protocol: an evaluation always
//! has `variant`, `reason` and `metadata`, an error of a flag always `errorDetails`; an error of a bulk evaluation has no
//! body, and there is no 429 for one, or a provider would keep the flags of the user before.

mod access;
mod capability;
mod context;
mod cors;
mod error;
mod etag;
mod evaluate;
mod events;
mod refetch;
mod router;
mod seats;
mod state;

pub use self::{
    access::{Access, WeakToken},
    router::router,
    state::OfrepState,
};
