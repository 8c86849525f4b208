//! From a decision to a table: a whole one, and the change of one split in tables of different size, which must not
//! cost more in a larger table.

mod common;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::{fleet::Fleet, model::Change, table::compile};

use self::common::{compiled, state};

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/whole");
    group.sample_size(10);
    for routes in [1, 100, 10_000] {
        let (state, fleet) = (state(routes), Fleet::new(2));
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| black_box(compiled(&state, &fleet)));
        });
    }
    group.finish();
}

fn one_split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/one split");
    for routes in [1, 100, 10_000] {
        let (state, fleet) = (state(routes), Fleet::new(2));
        let before = compiled(&state, &fleet);
        let change = Change::Switch {
            route: format!("r{}", routes / 2).parse().expect("a name"),
            to: "green".parse().expect("a name"),
        };
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| {
                let applied = change.apply_to(&state).expect("the route is there");
                black_box(compile(
                    applied.state,
                    &applied.touched,
                    Some(&before),
                    &fleet,
                ))
                .expect("a valid table")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole, one_split);
criterion_main!(benches);
