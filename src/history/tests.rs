//! The history in a real folder: acknowledged records are found again, and a disk that hangs blocks nothing.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::*;
use crate::model::{Actor, Author, Cause, Change, Digest, RevisionRecord, TableSpec, Weights};

mod failing;
mod formats;

const PATIENCE: Duration = Duration::from_secs(20);

fn author() -> Author {
    Author {
        actor: Actor::Api,
        name: "test".to_owned(),
        message: None,
        idempotency_key: None,
        group: None,
    }
}

fn document() -> TableDocument {
    let text = r#"{"releases":{"blue":{"endpoints":["http://127.0.0.1:1"]},"green":{"endpoints":["http://127.0.0.1:2"]}},
        "routes":[{"name":"chat","split":{"blue":1}}]}"#;
    serde_json::from_str(text).unwrap()
}

fn weights(blue: u32, green: u32) -> Weights {
    serde_json::from_str(&format!(r#"{{"blue":{blue},"green":{green}}}"#)).unwrap()
}

fn set_split(blue: u32, green: u32) -> Change {
    Change::SetSplit {
        route: "chat".parse().unwrap(),
        weights: weights(blue, green),
    }
}

fn publish(
    before: &TableState,
    revision: Revision,
    parent: Revision,
    change: Change,
) -> (Entry, TableState) {
    let state = change.apply_to(before).unwrap().state;
    let record = RevisionRecord {
        revision,
        parent,
        undo_to: Some(parent).filter(|parent| parent.0 > 0),
        published_at_ms: 1,
        author: author(),
        cause: Cause::Publish,
        digest: state.spec.digest(),
        change: Some(change),
        request: None,
        cut: false,
        shared: None,
    };
    (Entry::new(record), state)
}

fn rollback(revision: Revision, parent: Revision, to: Revision, digest: Digest) -> Entry {
    Entry::new(RevisionRecord {
        revision,
        parent,
        undo_to: None,
        published_at_ms: 2,
        author: author(),
        cause: Cause::Rollback { to },
        digest,
        change: None,
        request: None,
        cut: false,
        shared: None,
    })
}

fn append(history: &History, entry: Entry) -> Result<(), AppendError> {
    history.append(entry, None)?.blocking_recv().unwrap()
}

/// Two publishes: one, then all weight on green.
fn begun(history: &History) -> (TableState, TableState) {
    let (one, two) = (history.reserve(), history.reserve());
    let change = Change::Replace { table: document() };
    let (entry, first) = publish(&TableState::default(), one, Revision(0), change);
    append(history, entry).unwrap();
    let (entry, second) = publish(&first, two, one, set_split(0, 1));
    append(history, entry).unwrap();
    (first, second)
}

fn wait_until(history: &History, what: impl Fn(&History) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what(history) {
        assert!(
            Instant::now() < deadline,
            "not in time: {:?}",
            history.standing()
        );
        std::thread::yield_now();
    }
}

fn live(loaded: &Loaded) -> &StoredRevision {
    loaded
        .kept
        .iter()
        .rfind(|kept| kept.state.is_some())
        .unwrap()
}

#[test]
fn what_was_acknowledged_is_found_again_and_no_number_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let (history, loaded) = History::open(&path).unwrap();
    assert!(loaded.kept.is_empty());
    let (first, second) = begun(&history);
    let back = history.reserve();
    history.append_async(rollback(
        back,
        Revision(2),
        Revision(1),
        first.spec.digest(),
    ));
    wait_until(&history, |history| {
        history.progress().borrow().slotted == back
    });
    assert_eq!(history.progress().borrow().stored, Revision(2));
    history.resume();
    wait_until(&history, |history| {
        history.progress().borrow().stored == back
    });
    // Like a process that was killed: no number is returned.
    drop(history);
    let (history, loaded) = History::open(&path).unwrap();
    let digests: Vec<_> = loaded
        .kept
        .iter()
        .map(|kept| kept.state.as_ref().unwrap().spec.digest())
        .collect();
    assert_eq!(
        digests,
        [
            first.spec.digest(),
            second.spec.digest(),
            first.spec.digest()
        ]
    );
    assert_eq!(
        loaded.kept[2].state.as_ref().unwrap().rosters,
        first.rosters
    );
    assert!(history.reserve() > back);
    history.close(PATIENCE);
}

#[test]
fn after_a_clean_end_numbers_go_on_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(folder.path()).unwrap();
    begun(&history);
    history.close(PATIENCE);
    let (history, _) = History::open(folder.path()).unwrap();
    assert_eq!(history.reserve(), Revision(3));
}

#[test]
fn a_second_process_is_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let _held = History::open(folder.path()).unwrap();
    let error = History::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("locked by another process"), "{error}");
    assert!(error.contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn old_records_go_and_what_stays_still_makes_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(folder.path()).unwrap();
    let (_, mut state) = begun(&history);
    let mut states = Vec::new();
    for revision in 3..=10_u32 {
        let number = history.reserve();
        let (entry, next) = publish(
            &state,
            number,
            Revision(number.0 - 1),
            set_split(revision, 1),
        );
        append(&history, entry).unwrap();
        states.push((number, next.clone()));
        state = next;
    }
    let remove = (1..=6).map(Revision).collect();
    let (oldest, snapshot) = states[4].clone();
    history.prune(remove, vec![(oldest, snapshot)]);
    history.close(PATIENCE);
    let (_, loaded) = History::open(folder.path()).unwrap();
    let found: Vec<_> = loaded
        .kept
        .iter()
        .map(|kept| {
            (
                kept.record.revision,
                kept.state.as_ref().unwrap().spec.digest(),
            )
        })
        .collect();
    let expected: Vec<_> = states[4..]
        .iter()
        .map(|(revision, state)| (*revision, state.spec.digest()))
        .collect();
    assert_eq!(found, expected);
}
