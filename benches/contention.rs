//! State that workers share on the way of a request, each part alone, by the number of threads that use it at once. The
//! first two show the range: one counter for all, and one cache line for each thread.

mod common;

use std::{
    hint::black_box,
    io::sink,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::{
    fleet::Pick,
    model::{Outcome, Revision},
    stats::{OutcomeTable, Sharded},
    telemetry::{AccessFormat, AccessLog, AccessRecord},
};

use self::common::{Draws, Request, THREADS, live, together};

/// Measures one call of `worker` for each number of threads.
fn by_threads<W: FnMut(usize)>(
    criterion: &mut Criterion,
    what: &str,
    worker: impl Fn(usize) -> W + Sync + Copy,
) {
    let mut group = criterion.benchmark_group(format!("contention/{what}"));
    for threads in THREADS {
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter_custom(|rounds| together(threads, rounds, worker));
        });
    }
    group.finish();
}

fn yardsticks(criterion: &mut Criterion) {
    let shared = AtomicU64::new(0);
    by_threads(criterion, "one counter for all, up and down", |_| {
        |_| {
            shared.fetch_add(1, Ordering::Relaxed);
            shared.fetch_sub(1, Ordering::Relaxed);
        }
    });
    let sharded = Sharded::new(16);
    by_threads(criterion, "a counter per worker, up and down", |slot| {
        let sharded = &sharded;
        move |_| {
            sharded.add(slot);
            sharded.sub(slot);
        }
    });
    let value = Arc::new(0_u64);
    by_threads(criterion, "one reference count for all", |_| {
        |_| drop(black_box(Arc::clone(&value)))
    });
}

fn table(criterion: &mut Criterion) {
    let (cell, _fleet) = live(1, 16);
    by_threads(criterion, "the table's pointer", |_| {
        let mut reader = cell.reader();
        move |_| {
            black_box(reader.load());
        }
    });
    by_threads(criterion, "in flight of a revision", |slot| {
        let table = cell.load();
        move |_| drop(black_box(table.count(slot)))
    });
    by_threads(criterion, "pick one of four endpoints and count", |slot| {
        let (table, mut draws) = (cell.load(), Draws(slot as u64));
        let route = table.route(&Request::to(0)).expect("the request takes it");
        let release = Arc::clone(route.split().choose(0).release());
        move |_| {
            let pick = Pick::random(draws.next(), 0, slot);
            drop(black_box(release.roster().pick(&pick)));
        }
    });
}

fn outcomes(criterion: &mut Criterion) {
    let cells = OutcomeTable::new(16);
    by_threads(criterion, "record an outcome", |slot| {
        let cells = &cells;
        let took = Duration::from_micros(870);
        move |_| cells.record(slot, Outcome::Answered(200), took, Some(took))
    });
    let (log, _guard) = AccessLog::new(sink(), AccessFormat::Json, 1024);
    by_threads(criterion, "a line of the access log", |_| {
        let mut log = log.clone();
        move |_| log.write(&record())
    });
}

fn record() -> AccessRecord<'static> {
    AccessRecord {
        time: SystemTime::UNIX_EPOCH,
        request_id: "0123456789abcdef0123456789abcdef",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: "HTTP/1.1",
        method: "POST",
        host: "agents.example.com",
        path: "/v1/chat/completions",
        status: 200,
        outcome: "good",
        error: None,
        field: None,
        route: Some("chat"),
        release: Some("blue"),
        version: Some("1.0.0"),
        endpoint: None,
        revision: Revision(7).0,
        decision: Some("split"),
        attempts: 1,
        attempt_error: None,
        duration: Duration::from_micros(870),
        first_byte: Some(Duration::from_micros(850)),
        bytes_in: 120,
        bytes_out: 1024,
        referer: None,
        user_agent: None,
    }
}

criterion_group!(benches, yardsticks, table, outcomes);
criterion_main!(benches);
