//! The choice of a release alone, by the number of releases in the split, and with a key taken from a session.

mod common;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::model::{TableDocument, TableState};

use self::common::{Draws, Request, live, of_state};

/// One route over this many releases of one endpoint each.
fn parts(count: usize) -> TableState {
    let name = |number: usize| format!("release-{number}");
    let releases: serde_json::Map<_, _> = (0..count)
        .map(|number| {
            let url = format!("http://127.0.0.1:{}", 9000 + number);
            (name(number), serde_json::json!({"endpoints": [url]}))
        })
        .collect();
    let weights: serde_json::Map<_, _> = (0..count)
        .map(|number| (name(number), (10 + number).into()))
        .collect();
    let document = serde_json::json!({
        "releases": releases,
        "routes": [{"name": "r0", "path_prefix": "/agents/0", "split": weights}],
    });
    let document: TableDocument = serde_json::from_value(document).expect("the document is valid");
    document.into_state(&TableState::default())
}

fn by_parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split/choose");
    for count in [1, 2, 3, 8] {
        let (cell, _fleet) = of_state(&parts(count), 1);
        let (table, mut draws) = (cell.load(), Draws(1));
        let route = table
            .route(&Request::to(0))
            .expect("the request takes the route");
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| black_box(route.split().choose(draws.next())).weight());
        });
    }
    group.finish();
}

fn of_a_session(criterion: &mut Criterion) {
    let (cell, _fleet) = live(1, 1);
    let table = cell.load();
    let request = Request::to(0).of("session-4711");
    let route = table.route(&request).expect("the request takes the route");
    criterion.bench_function("split/key of a session and choose", |bencher| {
        bencher.iter(|| {
            let key = route.affinity_key(black_box(&request)).expect("a session");
            black_box(route.split().choose(key)).weight()
        });
    });
}

criterion_group!(benches, by_parts, of_a_session);
criterion_main!(benches);
