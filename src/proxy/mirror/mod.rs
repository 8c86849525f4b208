//! Mirroring: copies of requests to a release whose answers are read, compared and thrown away.
//!
//! A worker keeps the head and the body of a chosen request beside it, and hands the copy over once the original is over
//! and its answer is with the client. A thread of its own sends the copies, over connections of its own: whatever the
//! release does, no worker waits for it, and no limit, statistic or count of users' requests knows of it.
//!
//! - `request_copy`: a copy. `chosen`: a request that is being mirrored, while it is served.
//! - `room`: memory for copies. `outbox`: the way from the workers to the thread, of `parcel`s.
//! - `json_body`: a body that is to be compared. `json_comparison`: the comparison.
//! - `sender`: the thread. `connections`, `http1_connection`, `http2_connection`: how it sends.

mod chosen;
mod connections;
mod failure;
mod http1_connection;
mod http2_connection;
mod json_body;
mod json_comparison;
mod outbox;
mod parcel;
mod request_copy;
mod room;
mod sender;

pub(super) use self::{chosen::Chosen, outbox::Outbox, request_copy::CopiedHead};
