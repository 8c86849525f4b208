//! Client of etcd v3, over the JSON gateway that each member serves beside gRPC.
//!
//! Each call is one HTTP/1.1 exchange. A call that may be repeated is sent to a second member after a pause, so that a
//! member that hangs costs no more than that pause; the answer that comes first counts.
//! The gateway is a client of its own member, with that member's certificate: where members want certificates of clients,
//! theirs have to be for servers and for clients.
//! Calls and watches require a leader: without a quorum they are refused at once, where etcd alone would be silent.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use switchback::etcd::{EtcdClient, EtcdSettings, KeyRange, WatchMessage};
//!
//! let members = vec!["http://10.0.0.1:2379".parse()?, "http://10.0.0.2:2379".parse()?];
//! let client = EtcdClient::load(EtcdSettings::new(members))?;
//! let all = client.range(&KeyRange::prefix("agents/")).await?;
//! let mut watch = client.watch(KeyRange::prefix("agents/"), all.store.revision + 1);
//! while let WatchMessage::Events { events, .. } = watch.next().await {
//!     println!("{} changes", events.len());
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod key_range;
mod lease;
mod member;
mod range;
mod settings;
mod transaction;
mod watch;
mod watch_stream;
mod watch_task;
pub mod wire;

pub use client::EtcdClient;
pub use error::EtcdError;
pub use key_range::KeyRange;
pub use range::Ranged;
pub use settings::{EtcdSettings, EtcdUser};
pub use transaction::{Compare, Operation, Transaction};
pub use watch::Watch;
pub use watch_task::WatchMessage;
pub use wire::{Committed, KeyValue, LeaseId, MemberStatus, StoreState, WatchEvent};
