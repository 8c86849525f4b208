//! The wait of a publish: a record appended and synced, with the disk's own `fdatasync` to compare; and the cost of a
//! start: opening a history of 1,000 revisions.

mod common;

use std::{fs::File, hint::black_box, io::Write, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use switchback::{
    history::{Entry, History},
    model::{Actor, Author, Cause, Change, Revision, RevisionRecord, TableDocument, TableState},
};

use self::common::state;

/// Appends records that each change the split of one route in a table of a hundred.
struct Appender {
    history: History,
    state: TableState,
    live: Revision,
}

impl Appender {
    fn open(folder: &Path) -> Self {
        let (history, _) = History::open(folder).expect("the folder is empty");
        let table = TableDocument::of(&state(100));
        let mut appender = Self {
            history,
            state: TableState::default(),
            live: Revision(0),
        };
        appender.append(Change::Replace { table });
        appender
    }

    fn append(&mut self, change: Change) {
        let revision = self.history.reserve();
        self.state = change
            .apply_to(&self.state)
            .expect("the route is there")
            .state;
        let record = RevisionRecord {
            revision,
            parent: self.live,
            undo_to: Some(self.live).filter(|live| live.0 > 0),
            published_at_ms: 0,
            author: Author {
                actor: Actor::Api,
                name: "bench".to_owned(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause: Cause::Publish,
            digest: self.state.spec.digest(),
            change: Some(change),
            request: None,
            cut: false,
            shared: None,
        };
        let written = self
            .history
            .append(Entry::new(record), None)
            .expect("the store is well");
        written
            .blocking_recv()
            .expect("the writer lives")
            .expect("there is space");
        self.live = revision;
    }

    fn switch(&mut self) {
        let to = if self.live.0.is_multiple_of(2) {
            "blue"
        } else {
            "green"
        };
        self.append(Change::Switch {
            route: "r50".parse().expect("a name"),
            to: to.parse().expect("a name"),
        });
    }
}

fn append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is space");
    let mut appender = Appender::open(folder.path());
    criterion.bench_function("history/append, synced", |bencher| {
        bencher.iter(|| appender.switch());
    });
    let mut file = File::create(folder.path().join("beside")).expect("the folder is there");
    criterion.bench_function("history/fdatasync of 512 bytes, to compare", |bencher| {
        bencher.iter(|| {
            file.write_all(&[0; 512]).expect("there is space");
            file.sync_data().expect("the disk answers");
        });
    });
}

fn open(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is space");
    let mut appender = Appender::open(folder.path());
    (0..1_000).for_each(|_| appender.switch());
    drop(appender);
    let mut group = criterion.benchmark_group("history");
    group.sample_size(10);
    group.bench_function("open 1,000 revisions", |bencher| {
        bencher.iter(|| {
            black_box(History::open(folder.path()))
                .expect("it was closed")
                .1
        });
    });
    group.finish();
}

criterion_group!(benches, append, open);
criterion_main!(benches);
