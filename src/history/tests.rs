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
fn a_later_format_and_a_file_that_is_none_are_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(folder.path()).unwrap();
    drop(history);
    let database = redb::Database::create(folder.path().join("history.redb")).unwrap();
    let write = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    write
        .open_table(meta)
        .unwrap()
        .insert("format", 3_u64.to_le_bytes().as_slice())
        .unwrap();
    write.commit().unwrap();
    drop(database);
    let error = History::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, HistoryError::UnknownFormat { found: 3, .. }),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file!(), folder.path().join("history.redb")).unwrap();
    let error = History::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("history.redb"), "{error}");
}

#[test]
fn a_rollback_is_durable_by_its_slot_while_the_store_fails_and_lands_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&broken);
    let hook: FaultInjector = Arc::new(move |moment| {
        if moment == FaultPoint::Commit && switch.load(Ordering::SeqCst) {
            return Err(io::Error::other("no space left on device"));
        }
        Ok(())
    });
    let (history, _) = History::open_hooked(folder.path(), Some(hook)).unwrap();
    let (first, second) = begun(&history);
    broken.store(true, Ordering::SeqCst);
    let (entry, _) = publish(&second, history.reserve(), Revision(2), set_split(1, 1));
    let error = append(&history, entry).unwrap_err();
    assert!(
        matches!(&error, AppendError::NotWritten(reason) if reason.contains("no space")),
        "{error}"
    );
    let back = history.reserve();
    history.append_async(rollback(
        back,
        Revision(2),
        Revision(1),
        first.spec.digest(),
    ));
    wait_until(&history, |history| {
        history.progress().borrow().durable() == back
    });
    assert_eq!(history.progress().borrow().stored, Revision(2));
    assert_eq!(history.standing().pending, 1);
    let refused = history.append(
        rollback(history.reserve(), back, Revision(1), first.spec.digest()),
        None,
    );
    assert!(
        matches!(refused, Err(AppendError::NotWritten(_))),
        "refused at once"
    );
    drop(history);

    let (history, loaded) = History::open(folder.path()).unwrap();
    assert_eq!(
        (live(&loaded).record.revision, loaded.from_slots.clone()),
        (back, vec![back])
    );
    wait_until(&history, |history| {
        history.progress().borrow().stored == back
    });
    broken.store(false, Ordering::SeqCst);
    drop(history);
    let (_, loaded) = History::open(folder.path()).unwrap();
    assert_eq!(
        (live(&loaded).record.revision, loaded.from_slots.clone()),
        (back, vec![])
    );
}

#[test]
fn a_store_that_hangs_holds_up_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let (gate, hanging) = (Mutex::new(gate), Arc::new(AtomicBool::new(false)));
    let hangs = Arc::clone(&hanging);
    let hook: FaultInjector = Arc::new(move |moment| {
        if moment == FaultPoint::Commit && hangs.load(Ordering::SeqCst) {
            gate.lock().unwrap().recv().map_err(io::Error::other)?;
        }
        Ok(())
    });
    let (history, _) = History::open_hooked(folder.path(), Some(hook)).unwrap();
    let (first, second) = begun(&history);
    hanging.store(true, Ordering::SeqCst);
    let (entry, _) = publish(&second, history.reserve(), Revision(2), set_split(1, 1));
    let stuck = history.append(entry, None).unwrap();
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
    let (entry, _) = publish(&second, history.reserve(), Revision(2), set_split(2, 1));
    let queued = entry.record.revision;
    let waiting = history.append(entry, None).unwrap();
    assert!(history.cancel(queued), "nobody began to write it");
    assert!(waiting.blocking_recv().is_err());
    hanging.store(false, Ordering::SeqCst);
    release.send(()).unwrap();
    stuck.blocking_recv().unwrap().unwrap();
    wait_until(&history, |history| {
        history.progress().borrow().stored == back
    });
    drop(history);
    // The publish was written but overtaken: the next start finds that out by the rollback's parent.
    let (_, loaded) = History::open(folder.path()).unwrap();
    assert_eq!(loaded.void, [Revision(3)]);
    assert_eq!(
        live(&loaded).state.as_ref().unwrap().spec.digest(),
        first.spec.digest()
    );
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

#[test]
fn a_record_that_does_not_lead_to_its_table_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(folder.path()).unwrap();
    let (entry, _) = publish(
        &TableState::default(),
        history.reserve(),
        Revision(0),
        Change::Replace { table: document() },
    );
    let mut wrong = entry;
    wrong.record.digest = TableSpec::default().digest();
    append(&history, wrong).unwrap();
    history.close(PATIENCE);
    let error = History::open(folder.path()).unwrap_err();
    assert!(matches!(error, HistoryError::Damaged { .. }), "{error}");
}

/// Turns a store into one of an earlier version.
fn age(folder: &Path) {
    use redb::ReadableTable as _;
    let values = |name| redb::TableDefinition::<u64, &[u8]>::new(name);
    let database = redb::Database::create(folder.join(data_dir::STORE)).unwrap();
    let write = database.begin_write().unwrap();
    write
        .delete_table(redb::TableDefinition::<&str, u64>::new("counts"))
        .unwrap();
    {
        let mut meta = write
            .open_table(redb::TableDefinition::<&str, &[u8]>::new("meta"))
            .unwrap();
        meta.insert("format", 1_u64.to_le_bytes().as_slice())
            .unwrap();
        meta.insert("reserved", 40_u64.to_le_bytes().as_slice())
            .unwrap();
        for name in ["records", "snapshots"] {
            let mut table = write.open_table(values(name)).unwrap();
            let rows = table.iter().unwrap().map(|row| {
                let (key, value) = row.unwrap();
                let sealed: serde_json::Value = serde_json::from_slice(value.value()).unwrap();
                let mut old = sealed["entry"].clone();
                old["format"] = 1.into();
                (key.value(), old.to_string())
            });
            for (key, old) in rows.collect::<Vec<_>>() {
                table.insert(key, old.as_bytes()).unwrap();
            }
        }
    }
    write.commit().unwrap();
    drop(database);
    std::fs::remove_file(folder.join(data_dir::MARK)).unwrap();
}

#[test]
fn what_an_earlier_version_wrote_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(folder.path()).unwrap();
    let (_, second) = begun(&history);
    history.snapshot(Revision(2), second.clone());
    history.close(PATIENCE);
    age(folder.path());
    let (history, loaded) = History::open(folder.path()).unwrap();
    let mut digests = loaded.kept.iter().map(|kept| kept.record.digest);
    assert_eq!(digests.next_back(), Some(second.spec.digest()));
    let number = history.reserve();
    assert_eq!(number, Revision(41));
    let (entry, _) = publish(&second, number, Revision(2), set_split(1, 1));
    append(&history, entry).unwrap();
    history.close(PATIENCE);
    let (_, loaded) = History::open(folder.path()).unwrap();
    assert_eq!(
        live(&loaded).record.revision,
        number,
        "old and new beside each other"
    );
}
