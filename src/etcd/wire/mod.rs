//! Messages of etcd's JSON gateway: bytes in, values out. No I/O and no clock.
//!
//! The gateway writes 64-bit numbers as texts, keys and values in base64, and leaves out whatever is zero, false or empty.

mod answer;
mod code;
mod error;
mod lease_id;
mod number;
mod pair;
mod refusal;
mod store;
mod stream;
mod watch_answer;
mod watch_cursor;

pub use answer::{Committed, LeaseAnswer, MemberStatus, RangePage, Token, read};
pub use code::GrpcCode;
pub use error::WireError;
pub use lease_id::LeaseId;
pub use number::base64;
pub use pair::KeyValue;
pub use refusal::Refusal;
pub use store::StoreState;
pub use stream::StreamReader;
pub use watch_answer::{WatchAnswer, WatchEvent};
pub use watch_cursor::{WatchCursor, WatchStep};
