//! The client of etcd against a real etcd: pages, transactions, leases, users and certificates, and whatever goes wrong in
//! a cluster. Started by `run` beside this file.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

mod access;
mod cluster;
mod failures;
mod store;
mod watches;

use std::time::Duration;

use switchback::etcd::{
    Compare, EtcdClient, KeyRange, Operation, Transaction, Watch, WatchEvent, WatchMessage,
};
use tokio::time::timeout;

/// Longest time for what must happen.
const SOON: Duration = Duration::from_secs(15);

fn put(key: &str, value: impl Into<Vec<u8>>) -> Operation {
    Operation::Put {
        key: key.into(),
        value: value.into(),
        lease: None,
    }
}

/// Writes, whatever was there.
async fn write(client: &EtcdClient, operations: Vec<Operation>) -> u64 {
    let transaction = Transaction {
        then: operations,
        repeatable: true,
        ..Transaction::default()
    };
    client.commit(&transaction).await.unwrap().store.revision
}

/// Creation of a key that may be repeated.
fn create(key: &str, value: &str) -> Transaction {
    Transaction {
        compare: vec![Compare::Absent(key.into())],
        then: vec![put(key, value)],
        otherwise: vec![Operation::Get(KeyRange::one(key))],
        repeatable: true,
    }
}

async fn next(watch: &mut Watch) -> WatchMessage {
    timeout(SOON, watch.next())
        .await
        .expect("a message of the watch")
}

/// The next events; what comes before them is passed over.
async fn next_events(watch: &mut Watch) -> Vec<WatchEvent> {
    loop {
        if let WatchMessage::Events { events, .. } = next(watch).await {
            return events;
        }
    }
}
