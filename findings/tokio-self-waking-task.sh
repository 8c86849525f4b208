#!/usr/bin/env bash
# tokio: on a current-thread runtime, a task that wakes itself is polled dozens of times before a socket is polled.
#
# Versions: tokio 1.54.1, default `event_interval` (61).
# A future that yields by hand (`wake_by_ref`, then `Pending`) expects that what is ready elsewhere comes first.
# Tasks do; sockets do not: the driver is polled every 61 polls of tasks, or when no task is left to run.
# `tokio::task::yield_now` is another thing: it wakes only after the driver was polled.
# Seen: polls between the moment a socket became readable and the moment its reader ran
#   wake_by_ref: more than 30
#   yield_now: at most 2
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
tokio = { version = "=1.54.1", features = ["io-util", "net", "rt"] }
TOML
cat >src/main.rs <<'RUST'
use std::future::poll_fn;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::task::Poll;

use tokio::io::AsyncReadExt;
use tokio::task::yield_now;

async fn give_way() {
    let mut has = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// The most polls, over many attempts, from a byte's arrival to its reader's turn.
async fn most(by_hand: bool) -> u32 {
    let mut most = 0;
    for _ in 0..200 {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut ours = tokio::net::UnixStream::from_std(ours).unwrap();
        let has_read = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_read);
        let reader = tokio::spawn(async move {
            ours.read_exact(&mut [0]).await.unwrap();
            flag.store(true, SeqCst);
        });
        for _ in 0..3 {
            yield_now().await; // The reader waits now.
        }
        theirs.write_all(b"x").unwrap();
        let mut polls = 0;
        while !has_read.load(SeqCst) {
            polls += 1;
            if by_hand {
                give_way().await
            } else {
                yield_now().await
            }
        }
        most = most.max(polls);
        reader.await.unwrap();
    }
    most
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let run = |by_hand| runtime.block_on(runtime.spawn(most(by_hand))).unwrap();
    let (by_hand, yielding) = (run(true), run(false));
    eprintln!("wake_by_ref {by_hand}, yield_now {yielding}");
    println!("wake_by_ref: {}", if by_hand > 30 { "more than 30" } else { "at most 30" });
    println!("yield_now: {}", if yielding > 2 { "more than 2" } else { "at most 2" });
}
RUST
seen=$(cargo run --quiet)
echo "$seen"
[ "$seen" = 'wake_by_ref: more than 30
yield_now: at most 2' ]
