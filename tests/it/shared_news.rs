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

async fn until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never is");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Now and then the store is read all the same, and may have what the watch is about to bring.
fn few_reads(node: &Node, before: usize, since: Instant) {
    let pages = node.store.pages.load(Ordering::Acquire) - before;
    let looks = since.elapsed().as_secs() / 3 + 1;
    assert!(pages as u64 <= looks, "{pages} reads in {looks} looks");
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
        until(|| b.chat() == number).await;
    }
    few_reads(b, before, started);
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
    until(|| b.chat() == 20).await;
    // What is known is passed over.
    a.fixture.split("chat", 30).await;
    b.store.tell(&[2, 3, 4]);
    until(|| b.chat() == 30).await;
    assert_eq!(b.digest(), a.digest());
}

#[tokio::test]
async fn what_the_watch_has_damaged_is_read() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    let _running = run(b);
    a.fixture.split("chat", 10).await;
    b.store.bring(vec![(2, b"{}".to_vec())]);
    until(|| b.chat() == 10).await;
    assert_eq!(b.digest(), a.digest());
}

#[tokio::test]
async fn a_node_in_dispute_takes_up_what_the_watch_brings_beside_it() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    a.fixture.split("chat", 10).await;
    fleet.sync().await;
    b.cut(true);
    b.rollback_chat().await;
    a.fixture.split("chat", 20).await;
    b.cut(false);
    b.sync().await;
    assert_eq!((b.chat(), b.disputed()), (0, 1));
    let _running = run(b);
    for number in 4..=6 {
        a.fixture.split("search", number).await;
        b.store.tell(&[u64::from(number)]);
        until(|| b.fixture.weights().1 == number).await;
    }
    assert_eq!((b.chat(), b.disputed()), (0, 1));
}
