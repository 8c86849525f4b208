//! One selection, as a worker does it: load the table, match a route, choose a release, pick an endpoint and count the
//! request, release it. By number of routes, by number of threads, and with a writer that swaps 1,000 times a second.

mod common;

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::{
    fleet::{Fleet, Pick},
    model::{Change, Revision},
    table::{LiveTable, StackChange, TableReader, compile},
};

use self::common::{Draws, Request, THREADS, live, together};

fn select(reader: &mut TableReader, request: &Request, draws: &mut Draws, slot: usize) {
    let table = reader.load();
    let route = table.route(request).expect("the request takes a route");
    let key = route.affinity_key(request).unwrap_or_else(|| draws.next());
    let release = route.split().choose(key).release();
    let revision = table.count(slot);
    black_box((
        release
            .roster()
            .pick(&Pick::random(draws.next(), 0, slot))
            .ok(),
        revision,
    ));
}

fn requests(routes: usize) -> Vec<Request> {
    (0..64)
        .map(|number| Request::to(number * 7919 % routes).of(&format!("session-{number}")))
        .collect()
}

fn by_routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select/routes");
    for routes in [1, 10, 100, 1_000, 10_000] {
        let (cell, _fleet) = live(routes, 1);
        let (mut reader, mut draws, requests) = (cell.reader(), Draws(1), requests(routes));
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % requests.len();
                select(&mut reader, &requests[turn], &mut draws, 0);
            });
        });
    }
    group.finish();
}

fn by_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select/threads");
    for threads in THREADS {
        let (cell, _fleet) = live(100, threads);
        let worker = |slot: usize| {
            let (mut reader, requests) = (cell.reader(), requests(100));
            let mut draws = Draws(slot as u64);
            move |turn: usize| select(&mut reader, &requests[turn], &mut draws, slot)
        };
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter_custom(|rounds| together(threads, rounds, worker));
        });
    }
    group.finish();
}

/// Swaps between two splits every millisecond until it is stopped.
fn swap_on(cell: &LiveTable, fleet: &Fleet, stop: &AtomicBool) {
    let mut to = ["green", "blue"].into_iter().cycle();
    while !stop.load(Ordering::Relaxed) {
        let live = cell.load();
        let change = Change::Switch {
            route: "r0".parse().expect("a name"),
            to: to
                .next()
                .expect("a cycle has no end")
                .parse()
                .expect("a name"),
        };
        let applied = change.apply_to(&live.state()).expect("the route is there");
        let draft = compile(
            applied.state,
            &applied.touched,
            Some(live.compiled()),
            fleet,
        )
        .expect("a valid table");
        let next = Revision(live.revision().0 + 1);
        cell.publish(draft, next, live.revision(), StackChange::Keep, 0)
            .expect("there is one writer");
        thread::sleep(Duration::from_millis(1));
    }
}

fn while_swapping(criterion: &mut Criterion) {
    let (cell, fleet) = live(100, 1);
    let (cell, stop) = (Arc::new(cell), Arc::new(AtomicBool::new(false)));
    let writer = thread::spawn({
        let (cell, stop) = (Arc::clone(&cell), Arc::clone(&stop));
        move || swap_on(&cell, &fleet, &stop)
    });
    let (mut reader, mut draws, requests) = (cell.reader(), Draws(1), requests(100));
    let mut turn = 0;
    criterion.bench_function("select/while swapping at 1 kHz", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % requests.len();
            select(&mut reader, &requests[turn], &mut draws, 0);
        });
    });
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer does not panic");
}

criterion_group!(benches, by_routes, by_threads, while_swapping);
criterion_main!(benches);
