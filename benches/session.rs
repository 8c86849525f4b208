//! A selection for a request with a pin: open the sealed id, find its release, pick its endpoint. Nothing of it allocates;
//! the target is 1.5 µs.

mod common;

use std::{hint::black_box, net::SocketAddr};

use criterion::{Criterion, criterion_group, criterion_main};
use switchback::{
    fleet::Pick,
    seal::{Content, KeyRing, Label, Pin},
    table::key_of,
};

use self::common::{Draws, Request, live};

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
        issued: 1_800_000_000,
        release: entry.identity(),
        endpoint: SocketAddr::from(([127, 0, 0, 1], 9_001)),
        id: b"7f3c2a9e-1111-4222-8333-123456789abc",
    };
    let text = pin.seal(&ring, &label).expect("the id is short");
    let mut group = criterion.benchmark_group("session");
    group.bench_function("unseal and select", |bencher| {
        bencher.iter(|| {
            let table = reader.load();
            let route = table.route(&request).expect("the request takes a route");
            let mut content = Content::default();
            let pin = Pin::open(&ring, &label, &text, &mut content).expect("it was sealed");
            let entry = route.split().position_of(pin.release).expect("it is there");
            let release = route.split().entries()[entry].release();
            let pick = Pick {
                preferred: Some(pin.endpoint),
                key: Some(key_of(pin.id)),
                ..Pick::random(draws.next(), 0, 0)
            };
            black_box((release.roster().pick(&pick).ok(), table.count(0)));
        });
    });
    group.bench_function("seal", |bencher| {
        bencher.iter(|| black_box(pin.seal(&ring, &label).expect("the id is short").len()));
    });
    group.finish();
}

criterion_group!(benches, pinned);
criterion_main!(benches);
