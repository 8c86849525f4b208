//! Publish and rollback in memory, without the history: the time between a decision and the moment it is live. And the
//! largest gap between two selections that a reader sees while tables are swapped under it.

mod common;

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::{
    fleet::Fleet,
    model::{Change, Revision},
    table::{Draft, LiveTable, RollbackTarget, StackChange, compile},
};

use self::common::{Request, live};

/// The draft of a switch of the first route, based on what is live.
fn switched(cell: &LiveTable, fleet: &Fleet) -> (Draft, Revision) {
    let live = cell.load();
    let to = if live.revision().0.is_multiple_of(2) {
        "blue"
    } else {
        "green"
    };
    let change = Change::Switch {
        route: "r0".parse().expect("a name"),
        to: to.parse().expect("a name"),
    };
    let applied = change.apply_to(&live.state()).expect("the route is there");
    let draft = compile(
        applied.state,
        &applied.touched,
        Some(live.compiled()),
        fleet,
    )
    .expect("a valid table");
    (draft, live.revision())
}

fn publish(cell: &LiveTable, (draft, live): (Draft, Revision), undo: StackChange) {
    let next = Revision(live.0 + 1);
    black_box(cell.publish(draft, next, live, undo, 0)).expect("there is one writer");
}

fn publishes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swap/publish");
    for routes in [1, 10_000] {
        let (cell, fleet) = live(routes, 2);
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter_batched(
                || switched(&cell, &fleet),
                |draft| publish(&cell, draft, StackChange::Keep),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn rollbacks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swap/rollback");
    for routes in [1, 10_000] {
        let (cell, fleet) = live(routes, 2);
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter_batched(
                || publish(&cell, switched(&cell, &fleet), StackChange::Push(None)),
                |()| {
                    let next = Revision(cell.load().revision().0 + 1);
                    black_box(cell.rollback(RollbackTarget::Step, None, || next))
                        .expect("there is a level");
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Reads as fast as it can for a while and returns the largest gap between two reads.
fn largest_gap(cell: &LiveTable, rounds: u64) -> Duration {
    let (mut reader, request) = (cell.reader(), Request::to(0));
    let (mut last, mut gap) = (Instant::now(), Duration::ZERO);
    for _ in 0..rounds {
        black_box(reader.load().route(&request));
        let now = Instant::now();
        gap = gap.max(now - last);
        last = now;
    }
    gap
}

fn gaps(criterion: &mut Criterion) {
    let (cell, fleet) = live(100, 2);
    let (cell, stop) = (Arc::new(cell), Arc::new(AtomicBool::new(false)));
    let writer = thread::spawn({
        let (cell, stop) = (Arc::clone(&cell), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                publish(&cell, switched(&cell, &fleet), StackChange::Keep);
            }
        }
    });
    // Reported as a time: the gap of one batch of 10,000 reads, the scheduler's own pauses included.
    criterion.bench_function("swap/largest gap in 10,000 reads", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| largest_gap(&cell, 10_000)).sum());
    });
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer does not panic");
}

criterion_group!(benches, publishes, rollbacks, gaps);
criterion_main!(benches);
