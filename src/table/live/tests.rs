//! Swaps, the undo stack, and requests in flight on replaced tables.

use super::*;
use crate::{
    fleet::Fleet,
    model::{Change, TableDocument, TableState},
    table::compile,
};

const TABLE: &str = r#"{"releases":{"blue":{"endpoints":["http://127.0.0.1:1"]},"green":{"endpoints":["http://127.0.0.1:2"]}},
    "routes":[{"name":"chat","split":{"blue":100,"green":0}}]}"#;

struct Bench {
    cell: LiveTable,
    fleet: Fleet,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            cell: LiveTable::new(1),
            fleet: Fleet::new(1),
        };
        let table: TableDocument = serde_json::from_str(TABLE).unwrap();
        bench.publish(&Change::Replace { table }, 1, StackChange::Push(None));
        bench
    }

    fn publish(&self, change: &Change, revision: u64, undo: StackChange) -> Swapped {
        let live = self.cell.load();
        let applied = change.apply_to(&live.state()).unwrap();
        let draft = compile(
            applied.state,
            &applied.touched,
            Some(live.compiled()),
            &self.fleet,
        )
        .unwrap();
        self.cell
            .publish(draft, Revision(revision), live.revision(), undo, 0)
            .unwrap()
    }

    fn switch(&self, to: &str, revision: u64) -> Swapped {
        let change = Change::Switch {
            route: "chat".parse().unwrap(),
            to: to.parse().unwrap(),
        };
        self.publish(&change, revision, StackChange::Push(None))
    }

    fn back(&self, revision: u64) -> Swapped {
        self.cell
            .rollback(RollbackTarget::Previous, None, || Revision(revision))
            .unwrap()
    }

    fn state(&self) -> TableState {
        self.cell.load().state()
    }
}

#[test]
fn a_rollback_is_the_earlier_table_under_a_new_number() {
    let bench = Bench::new();
    let first = bench.cell.load();
    bench.switch("green", 2);
    let swapped = bench.back(3);
    assert_eq!(swapped.table.revision(), Revision(3));
    assert_eq!(
        (swapped.restored, swapped.undid.as_slice()),
        (Some(Revision(1)), [Revision(2)].as_slice())
    );
    assert_eq!(swapped.table.digest(), first.digest());
    assert!(
        Arc::ptr_eq(swapped.table.compiled(), first.compiled()),
        "nothing was compiled"
    );
    assert_eq!(swapped.undo_to, None);
}

#[test]
fn an_empty_chain_and_a_stale_number_are_refused() {
    let bench = Bench::new();
    let nothing = bench
        .cell
        .rollback(RollbackTarget::Previous, None, || Revision(3))
        .unwrap_err();
    assert_eq!(nothing, RollbackError::NothingToUndo);
    let stale = bench
        .cell
        .rollback(RollbackTarget::Previous, Some(Revision(7)), || Revision(3))
        .unwrap_err();
    assert_eq!(
        stale,
        RollbackError::Stale(RevisionConflict { live: Revision(1) })
    );
    assert_eq!(bench.cell.load().revision(), Revision(1));
}

#[test]
fn rosters_are_carried_forward_by_a_rollback() {
    let bench = Bench::new();
    bench.switch("green", 2);
    let endpoints = vec!["http://127.0.0.1:7".parse().unwrap()];
    let joined = Change::SetEndpoints {
        release: "blue".parse().unwrap(),
        endpoints,
    };
    bench.publish(&joined, 3, StackChange::Keep);
    bench.back(4);
    assert_eq!(
        bench.state().endpoints(&"blue".parse().unwrap())[0]
            .url()
            .port(),
        7
    );
}

#[test]
fn a_publish_on_something_else_than_what_is_live_changes_nothing() {
    let bench = Bench::new();
    let live = bench.cell.load();
    let draft = compile(
        live.state(),
        &crate::model::ChangeSet::default(),
        Some(live.compiled()),
        &bench.fleet,
    )
    .unwrap();
    let stale = bench
        .cell
        .publish(draft, Revision(9), Revision(0), StackChange::Push(None), 0)
        .unwrap_err();
    assert_eq!(stale, RevisionConflict { live: Revision(1) });
    assert_eq!(bench.cell.load().revision(), Revision(1));
}

#[test]
fn what_is_in_flight_on_an_earlier_revision_is_counted_exactly() {
    let bench = Bench::new();
    bench.cell.acknowledge(0, Revision(1));
    let held = [bench.cell.load().count(0), bench.cell.load().count(0)];
    bench.switch("green", 2);
    let late = bench.cell.load().count(0);
    bench.cell.acknowledge(0, Revision(2));
    assert_eq!(bench.cell.in_flight_on_previous(), [(Revision(1), 2)]);
    drop(held);
    assert_eq!(bench.cell.in_flight_on_previous(), []);
    drop(late);
    assert_eq!(bench.cell.load().in_flight().sum(), 0);
}

#[test]
fn a_cold_level_says_so_and_can_be_warmed() {
    let bench = Bench::new();
    bench.switch("green", 2);
    bench.cell.mark_cold(|_, _| false);
    let cold = bench
        .cell
        .rollback(RollbackTarget::Previous, None, || Revision(3))
        .unwrap_err();
    assert_eq!(cold, RollbackError::Cold(Revision(1)));
    let level = bench.cell.level(RollbackTarget::Previous).unwrap();
    let (live, state) = (
        bench.cell.load(),
        TableState {
            spec: level.spec,
            rosters: bench.state().rosters,
        },
    );
    let touched = crate::model::ChangeSet::between(&live.state(), &state);
    let draft = compile(state, &touched, Some(live.compiled()), &bench.fleet).unwrap();
    bench.cell.mark_warm(level.revision, draft.compiled());
    assert_eq!(bench.back(3).restored, Some(Revision(1)));
}

#[test]
fn a_reader_sees_the_swap_on_its_next_load() {
    let bench = Bench::new();
    let mut reader = bench.cell.reader();
    assert_eq!(reader.load().revision(), Revision(1));
    bench.switch("green", 2);
    assert_eq!(reader.load().revision(), Revision(2));
}
