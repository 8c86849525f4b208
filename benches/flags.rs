//! The evaluation of flags: one with five rules, and a hundred in a row; what a route with flags adds to a request; the
//! compilation of one of ten thousand, and the memory that each of them takes.

use std::hint::black_box;

use allocation_counter::measure;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use switchback::{
    fleet::Fleet,
    model::{Change, ChangeSet, FlagState, TableDocument, TableState},
    table::{Draft, FlagContext, compile},
};

/// A flag whose fifth rule matches and splits.
fn flag() -> Value {
    let rule = |attribute: &str, condition: Value, split: Value| {
        let mut when = condition;
        when["attribute"] = attribute.into();
        json!({ "when": [when], "split": split })
    };
    json!({
        "type": "boolean", "variants": { "on": true, "off": false }, "default": "off",
        "rules": [
            rule("plan", json!({ "in": ["team", "enterprise"] }), json!({ "on": 1 })),
            rule("email", json!({ "ends_with": "@example.org" }), json!({ "on": 1 })),
            rule("version", json!({ "semver": { "at_least": "3.0.0" } }), json!({ "on": 1 })),
            rule("age", json!({ "number": { "below": 18 } }), json!({ "on": 1 })),
            { "split": { "on": 5, "off": 95 } },
        ],
    })
}

fn state(count: usize) -> TableState {
    let flags: Map<String, Value> = (0..count).map(|n| (format!("flag-{n}"), flag())).collect();
    let document: TableDocument =
        serde_json::from_value(json!({ "flags": flags })).expect("the document is valid");
    document.into_state(&TableState::default())
}

fn compiled(count: usize) -> (TableState, Draft, Fleet) {
    let (state, fleet) = (state(count), Fleet::new(1));
    let draft = compile(state.clone(), &ChangeSet::default(), None, &fleet).expect("it is valid");
    (state, draft, fleet)
}

fn evaluation(criterion: &mut Criterion) {
    let (_, draft, _fleet) = compiled(100);
    let flags = draft.compiled().flags();
    let attributes = json!({
        "targetingKey": "user-4711", "plan": "pro", "email": "ann@example.com", "version": "2.3.0", "age": 40,
    });
    let attributes = serde_json::from_value(attributes).expect("it is an object");
    let context = FlagContext::new(attributes);
    criterion.bench_function("flags/evaluate 5 rules", |bencher| {
        bencher.iter(|| {
            let found = flags.evaluate(black_box("flag-42"), &context);
            found.expect("the flag exists").reason
        });
    });
    criterion.bench_function("flags/evaluate 100 flags of 5 rules", |bencher| {
        bencher.iter(|| {
            let on = flags.iter().filter(|(name, _)| {
                let found = flags.evaluate(name.as_str(), &context);
                found.is_ok_and(|found| found.variant.value() == true)
            });
            on.count()
        });
    });
}

/// A live table whose one route hands this many flags over.
fn handing(count: usize) -> (Draft, Fleet) {
    let fleet = Fleet::new(1);
    let flags: Map<String, Value> = (0..count).map(|n| (format!("flag-{n}"), flag())).collect();
    let names: Vec<_> = flags.keys().cloned().collect();
    let document = json!({
        "releases": { "blue": { "endpoints": ["http://127.0.0.1:1"] } },
        "routes": [{ "name": "chat", "split": { "blue": 1 }, "flags": names }],
        "flags": flags,
    });
    let document: TableDocument = serde_json::from_value(document).expect("it is valid");
    let state = document.into_state(&TableState::default());
    let draft = compile(state, &ChangeSet::default(), None, &fleet).expect("it is valid");
    (draft, fleet)
}

/// Cost to a request of the flags of its route: a variant of each for its key, and their fields.
fn handing_over(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flags/handed over");
    for count in [0, 1, 10] {
        let (draft, _fleet) = handing(count);
        let route = draft
            .compiled()
            .routes()
            .iter()
            .next()
            .expect("there is one");
        let (mut key, mut head) = (0_u64, Vec::with_capacity(4_096));
        let mut request = || {
            head.clear();
            key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let Some(flags) = route.flags() else {
                return 0;
            };
            let variants = flags.variants(0, black_box(key));
            for (name, value) in flags.fields(variants) {
                for part in [name, ": ", value, "\r\n"] {
                    head.extend_from_slice(part.as_bytes());
                }
            }
            head.len()
        };
        assert_eq!(measure(|| _ = request()).count_total, 0, "it allocates");
        assert_eq!(request() > 0, count > 0);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(&mut request);
        });
    }
    group.finish();
}

fn compilation(criterion: &mut Criterion) {
    let (state, draft, fleet) = compiled(10_000);
    let mut to = FlagState::Off;
    criterion.bench_function("flags/change one of 10,000", |bencher| {
        bencher.iter(|| {
            to = if to == FlagState::Off {
                FlagState::On
            } else {
                FlagState::Off
            };
            let flag = "flag-5000".parse().expect("it is a name");
            let change = Change::SetFlagState { flag, state: to };
            let applied = change.apply_to(&state).expect("the flag exists");
            let compiled = compile(
                applied.state,
                &applied.touched,
                Some(draft.compiled()),
                &fleet,
            );
            compiled.expect("it is valid").digest()
        });
    });
}

/// Most bytes of a flag with five rules: what was written, and what it is compiled to.
const MOST_BYTES: i64 = 8 * 1024;

#[expect(
    clippy::print_stdout,
    reason = "memory is no time, so criterion cannot show it"
)]
fn memory(_: &mut Criterion) {
    let each = |count: usize| {
        let (mut written, mut compiled) = (None, None);
        let of_state = measure(|| written = Some(state(count)));
        let of_both = measure(|| compiled = Some(self::compiled(count)));
        drop((written, compiled));
        (of_state.bytes_current, of_both.bytes_current)
    };
    let (few, many) = (each(1_000), each(10_000));
    // What there is once in a table is in neither.
    let written = (many.0 - few.0) / 9_000;
    let both = (many.1 - few.1) / 9_000;
    assert!(both > written && both <= MOST_BYTES, "{both} bytes");
    println!("flags/memory of one of 10,000: {both} bytes, {written} of them as it was written");
}

criterion_group!(benches, evaluation, handing_over, compilation, memory);
criterion_main!(benches);
