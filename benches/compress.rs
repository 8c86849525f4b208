//! gzip at each level, on the documents of this project: the time, and the share of the bytes that is left.

use std::{hint::black_box, io::Write as _, path::Path};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compression, write::GzEncoder};

/// The text of all pages in `docs`, in the order of their names.
fn pages() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files = std::fs::read_dir(folder).expect("there are documents");
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a page");
    paths.iter().flat_map(read).collect()
}

fn gzip(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

#[expect(clippy::print_stdout, reason = "a share is no time")]
fn levels(c: &mut Criterion) {
    let text = pages();
    let mut group = c.benchmark_group("gzip");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for level in [1, 2, 3, 6, 9] {
        let percent = gzip(&text, level).len() * 100 / text.len();
        println!("gzip/level {level}: {percent} percent are left");
        group.bench_with_input(BenchmarkId::new("level", level), &level, |b, level| {
            b.iter(|| gzip(black_box(&text), *level));
        });
    }
    group.finish();
}

criterion_group!(benches, levels);
criterion_main!(benches);
