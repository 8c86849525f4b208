//! Revisions that the watch of the store brings to a node.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::fleet_fixture::{Fleet, Node};

/// The loops of a node, until this is dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn run(node: &Node) -> Running {
    let controller = Arc::clone(&node.fixture.controller);
    Running(tokio::spawn(async move { controller.run().await }))
}

/// Waits until a node has a weight of `chat`.
async fn has(node: &Node, chat: u32) {
    let started = Instant::now();
    while node.chat() != chat {
        assert!(started.elapsed() < Duration::from_secs(60), "{chat}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_the_watch_brings_is_taken_up_without_a_read_of_the_store() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    let _running = run(b);
    let started = Instant::now();
    let before = b.store.pages.load(Ordering::Acquire);
    for number in 2..=20 {
        a.fixture.split("chat", number).await;
        b.store.tell(&[u64::from(number)]);
        has(b, number).await;
    }
    // Now and then the store is read all the same.
    let pages = b.store.pages.load(Ordering::Acquire) - before;
    let looks = started.elapsed().as_secs() / 3 + 1;
    assert!(pages as u64 <= looks, "{pages} reads in {looks} looks");
    assert_eq!(b.digest(), a.digest());
}

#[tokio::test]
async fn what_the_watch_has_left_out_is_read() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    let _running = run(b);
    for weight in [10, 20] {
        a.fixture.split("chat", weight).await;
    }
    b.store.tell(&[3]);
    has(b, 20).await;
    // What is known is passed over.
    a.fixture.split("chat", 30).await;
    b.store.tell(&[2, 3, 4]);
    has(b, 30).await;
    assert_eq!(b.digest(), a.digest());
}

#[tokio::test]
async fn what_the_watch_has_damaged_is_read() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    let _running = run(b);
    a.fixture.split("chat", 10).await;
    b.store.bring(vec![(2, b"{}".to_vec())]);
    has(b, 10).await;
    assert_eq!(b.digest(), a.digest());
}

#[tokio::test]
async fn a_rollback_that_waits_for_the_store_goes_before_what_the_watch_brings() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    a.fixture.split("chat", 10).await;
    fleet.sync().await;
    b.cut(true);
    b.rollback_chat().await;
    a.fixture.split("search", 5).await;
    b.cut(false);
    let _running = run(b);
    b.store.tell(&[3]);
    let published = async {
        while fleet.content.lock().unwrap().revisions.len() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let published = tokio::time::timeout(Duration::from_secs(60), published).await;
    published.expect("the rollback is published");
    fleet.sync().await;
    fleet.all_have(0);
}
