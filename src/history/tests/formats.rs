//! Folders of other versions, and damaged ones.

use super::*;

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
