//! The cost of a session to a request: the opening of its sealed id and the selection by it, the choice by an affinity key, the
//! look-up of an id that was learned from a response, the memory of answers for feedback. None of it may allocate, which is
//! checked before it is measured; the target for a pin is 1.5 µs, that for a learned id 120 bytes, that for the answers of a
//! worker 2.5 MB.

mod common;

use std::{hint::black_box, net::SocketAddr, rc::Rc};

use allocation_counter::measure;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::{
    fleet::{
        AnswerId, AnswerKey, AnswerMemory, AnswerOrigin, GivenAnswer, LearnedPin, LearnedPins, Pick,
    },
    model::{Revision, Version},
    seal::{Content, KeyRing, Label, Pin},
    table::key_of,
};

use self::common::{Draws, Request, live};

/// Time at which ids are learned, in seconds since 1970.
const NOW: u32 = 1_800_000_000;

/// Measures what may not allocate.
fn bench(criterion: &mut Criterion, id: BenchmarkId, mut routine: impl FnMut()) {
    let thousand = measure(|| (0..1_000).for_each(|_| routine()));
    assert_eq!(thousand.count_total, 0, "allocations of a thousand");
    let mut group = criterion.benchmark_group("session");
    group.bench_function(id, |bencher| bencher.iter(&mut routine));
    group.finish();
}

fn named(name: &str) -> BenchmarkId {
    BenchmarkId::from_parameter(name)
}

fn pinned(criterion: &mut Criterion) {
    let (cell, _fleet) = live(100, 1);
    let (mut reader, mut draws) = (cell.reader(), Draws(1));
    let ring = KeyRing::new(&["a-secret-of-the-benchmark-of-pins"]);
    let ring = ring.expect("it is long").expect("there is one");
    let label = Label::pin_header("mcp-session-id");
    let table = reader.load();
    let request = Request::to(7);
    let route = table.route(&request).expect("the request takes a route");
    let entry = &route.split().entries()[1];
    let pin = Pin {
        issued: NOW,
        release: entry.identity(),
        endpoint: SocketAddr::from(([127, 0, 0, 1], 9_001)),
        id: b"7f3c2a9e-1111-4222-8333-123456789abc",
    };
    let text = pin.seal(&ring, &label).expect("the id is short");
    bench(criterion, named("unseal and select"), || {
        let table = reader.load();
        let route = table.route(&request).expect("the request takes a route");
        let mut content = Content::default();
        let pin = Pin::open(&ring, &label, &text, &mut content).expect("it was sealed");
        let entry = route.split().position_of(pin.release);
        let entry = entry.expect("it is there");
        let release = route.split().entries()[entry].release();
        let pick = Pick {
            preferred: Some(pin.endpoint),
            key: Some(key_of(pin.id)),
            ..Pick::random(draws.next(), 0, 0)
        };
        black_box((release.roster().pick(&pick).ok(), table.count(0)));
    });
    bench(criterion, named("seal"), || {
        black_box(pin.seal(&ring, &label).expect("the id is short").len());
    });
}

fn by_affinity(criterion: &mut Criterion) {
    let (cell, _fleet) = live(100, 1);
    let (mut reader, mut draws) = (cell.reader(), Draws(1));
    let request = Request::to(7).of("session-7f3c2a9e-1111-4222-8333-123456789abc");
    bench(criterion, named("select by a header"), || {
        let table = reader.load();
        let route = table.route(&request).expect("the request takes a route");
        let key = route.affinity_key(&request).expect("it has the header");
        let pick = Pick {
            key: Some(key),
            ..Pick::random(draws.next(), 0, 0)
        };
        let release = route.split().choose(key).release();
        black_box((release.roster().pick(&pick).ok(), table.count(0)));
    });
}

fn learned(criterion: &mut Criterion) {
    let pin = LearnedPin {
        release: 7,
        endpoint: SocketAddr::from(([127, 0, 0, 1], 9_001)),
    };
    for count in [1_000, 100_000] {
        let ids: Vec<String> = (0..count)
            .map(|id| format!("{id:08x}-1111-4222-8333-123456789abc"))
            .collect();
        let table = LearnedPins::new(count, 3_600);
        let memory = measure(|| {
            for id in &ids {
                black_box(table.learn("chat", id.as_bytes(), pin, (NOW, None)));
            }
        });
        let bytes = memory.bytes_max / count as u64;
        assert!(bytes <= 120, "{bytes} bytes for an id");
        let mut turn = 0;
        bench(
            criterion,
            BenchmarkId::new("find a learned id", count),
            || {
                // Another part of the table each time, as its callers do.
                turn = (turn + 7_919) % count;
                black_box(table.find("chat", ids[turn].as_bytes(), NOW));
            },
        );
        bench(criterion, BenchmarkId::new("learn an id", count), || {
            turn = (turn + 7_919) % count;
            black_box(table.learn("chat", ids[turn].as_bytes(), pin, (NOW, None)));
        });
    }
}

/// An answer that is remembered by its request and by its session, in a memory that is full; then it is found.
fn answered(criterion: &mut Criterion) {
    let origin = Rc::new(AnswerOrigin {
        route: "chat".parse().expect("it is a name"),
        release: "blue".parse().expect("it is a name"),
        version: Version::default(),
    });
    let answer = |number: u64| GivenAnswer {
        origin: Rc::clone(&origin),
        revision: Revision(7),
        number,
        session: number % 5_000,
        variants: Box::default(),
        at_ms: number,
    };
    let (mut memory, mut draws) = (AnswerMemory::default(), Draws(1));
    let mut last = 0;
    let mut remember = |memory: &mut AnswerMemory| {
        last = draws.next();
        memory.remember(answer(last), Some(AnswerId::Own(last.into())), true);
    };
    let taken = measure(|| (0..100_000).for_each(|_| remember(&mut memory)));
    let bytes = taken.bytes_max;
    assert!(
        bytes <= 2_500_000,
        "{bytes} bytes for the answers of a worker"
    );
    bench(criterion, named("remember an answer"), || {
        remember(&mut memory);
    });
    let key = AnswerKey::RequestId(format!("{last:032x}").into());
    criterion
        .benchmark_group("session")
        .bench_function(named("find an answer"), |bencher| {
            bencher.iter(|| black_box(memory.find(&key, 0)));
        });
}

criterion_group!(benches, pinned, by_affinity, learned, answered);
criterion_main!(benches);
