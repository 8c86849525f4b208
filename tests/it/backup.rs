//! Backups: of a proxy that goes on, whole or refused, restored to the same history.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use serde_json::{Value, json};
use switchback::{
    backup::{Backup, BackupRows, ConfigFile, Keys, Manifest},
    config::Backups,
    control::{RollbackTo, Settings},
    history::{CheckedBackup, History, StoredRevision, latest_backup, restore},
    model::{Digest, Revision},
};

use crate::{
    controller_fixture::{ControllerFixture, folder, history_path, set_split},
    durability::Mount,
    support::{
        TestAdmin,
        cli::{file, program, run_failing, run_ok, stderr, stdout},
        wait_until, write,
    },
};

const PASSPHRASE: &str = "correct horse battery staple";

fn digests(revisions: &[StoredRevision]) -> Vec<(Revision, Option<Digest>)> {
    let digest = |kept: &StoredRevision| kept.state.as_ref().map(|state| state.spec.digest());
    let revisions = revisions.iter();
    revisions
        .map(|kept| (kept.record.revision, digest(kept)))
        .collect()
}

/// Revisions in the folder of a history.
fn held(folder: &Path) -> Vec<(Revision, Option<Digest>)> {
    let (history, loaded) = History::open(folder).unwrap();
    history.close(std::time::Duration::from_secs(5));
    digests(&loaded.kept)
}

/// A history with a split, a drill of nothing, a rollback and one of a route.
async fn with_history(path: &Path) -> ControllerFixture {
    let fixture = ControllerFixture::with_weights(path, 10, 20).await;
    for green in [30, 40, 50] {
        fixture.split("chat", green).await;
        fixture.split("search", green + 1).await;
    }
    fixture.rollback().await.unwrap();
    let route = RollbackTo::Route("chat".parse().unwrap());
    fixture.rollback_to(route).await.unwrap();
    fixture
}

#[tokio::test]
async fn a_restored_history_is_the_one_that_was_backed_up_and_goes_on() {
    let folder = folder();
    let fixture = with_history(&folder.path().join("first")).await;
    let bytes = fixture.controller.back_up(None).await.unwrap();
    let (live, weights) = (fixture.revision(), fixture.weights());
    let digest = fixture.controller.live().state().spec.digest();

    let second = folder.path().join("second");
    let checked = CheckedBackup::read(&bytes).unwrap();
    assert_eq!(checked.backup().manifest.live, live);
    restore(&checked, &Keys::new(), &second, false).unwrap();
    assert_eq!(held(&second), digests(checked.revisions()));
    let restored = ControllerFixture::open(&second);
    assert_eq!((restored.revision(), restored.weights()), (live, weights));
    let again = restored.controller.live().state().spec.digest();
    assert_eq!(again, digest);
    // The undo stack is the same, and no number is used again.
    let (one, other) = (fixture.rollback().await, restored.rollback().await);
    assert_eq!(fixture.weights(), restored.weights());
    let (one, other) = (one.unwrap().revision, other.unwrap().revision);
    assert!(other > live && other > one, "{one} {other}");
}

#[tokio::test]
async fn every_flipped_byte_and_every_missing_end_is_found() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 10, 20).await;
    fixture.split("chat", 30).await;
    fixture.rollback().await.unwrap();
    let bytes = fixture.controller.back_up(None).await.unwrap();
    assert!(CheckedBackup::read(&bytes).is_ok());
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        assert!(CheckedBackup::read(&damaged).is_err(), "byte {place}");
        assert!(
            CheckedBackup::read(&bytes[..place]).is_err(),
            "{place} bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_amid_changes_is_of_one_moment_and_has_every_digest() {
    let folder = folder();
    let path = history_path(&folder);
    let fixture = Arc::new(ControllerFixture::with_weights(&path, 0, 0).await);
    let changing = {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for round in 0..120 {
                let route = if round % 2 == 0 { "chat" } else { "search" };
                fixture.split(route, 1 + round % 90).await;
                if round % 7 == 0 {
                    fixture.rollback().await.unwrap();
                }
            }
        })
    };
    let mut backups = Vec::new();
    while !changing.is_finished() {
        backups.push(fixture.controller.back_up(None).await.unwrap());
    }
    changing.await.unwrap();
    let last = fixture.controller.back_up(None).await.unwrap();
    let all = digests(CheckedBackup::read(&last).unwrap().revisions());
    assert!(backups.len() > 2, "{} backups", backups.len());
    for bytes in &backups {
        let found = digests(CheckedBackup::read(bytes).unwrap().revisions());
        // A whole begin of the history, without a gap.
        assert_eq!(found[..], all[..found.len()]);
    }
    let restored = folder.path().join("restored");
    let middle = CheckedBackup::read(&backups[backups.len() / 2]).unwrap();
    restore(&middle, &Keys::new(), &restored, false).unwrap();
    assert_eq!(held(&restored), digests(middle.revisions()));
}

#[tokio::test]
async fn after_a_prune_a_backup_has_the_tables_that_are_needed() {
    let folder = folder();
    let path = history_path(&folder);
    let settings = Settings {
        keep: 10,
        ..Default::default()
    };
    let fixture = ControllerFixture::open_with(&path, settings, None);
    fixture.import_weights(0, 0).await;
    for green in 1..60 {
        fixture.apply(set_split("chat", green)).await;
    }
    let bytes = fixture.controller.back_up(None).await.unwrap();
    let checked = CheckedBackup::read(&bytes).unwrap();
    let first = checked.revisions()[0].record.revision;
    assert!(first > Revision(1), "it was pruned");
    let restored = folder.path().join("restored");
    restore(&checked, &Keys::new(), &restored, false).unwrap();
    assert_eq!(held(&restored), digests(checked.revisions()));
}

#[test]
fn the_command_line_takes_a_backup_lists_and_restores_it() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["split", "chat", "green=25", "-m", "a first look"]);
    let path = admin.folder().join("one.backup");
    let path = path.to_str().unwrap();
    let said = run_ok(&admin, &["backup", "-o", path]);
    assert!(said.contains("2 revisions, revision 2 is live"), "{said}");
    let listed = stdout(&program(&["restore", path, "--list"], &[]));
    for part in ["a first look", "numbers up to", "keys: none", "live"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let piped = admin.cli(&["backup", "-o", "-"]);
    assert!(CheckedBackup::read(&piped.stdout).is_ok());

    let running = admin.folder().join("history");
    let held = program(
        &[
            "restore",
            path,
            "--history",
            running.to_str().unwrap(),
            "--force",
        ],
        &[],
    );
    assert_eq!(held.status.code(), Some(74), "{}", stderr(&held));
    assert!(stderr(&held).contains("locked by another process"));

    let new = admin.folder().join("new");
    let into = ["restore", path, "--history", new.to_str().unwrap()];
    let restored = program(&into, &[]);
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert_eq!(self::held(&new).len(), 2);
    let again = program(&into, &[]);
    assert_eq!(again.status.code(), Some(65));
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    let forced = program(&[&into[..], &["--force"]].concat(), &[]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    assert!(new.join("before-restore/history.redb").exists());

    // There is none in the backup of a proxy without a file.
    let file = admin.folder().join("restored.toml");
    let alone = program(
        &["restore", path, "--config-to", file.to_str().unwrap()],
        &[],
    );
    assert_eq!(alone.status.code(), Some(65), "{}", stderr(&alone));
    let nowhere = program(&["restore", path], &[]);
    assert_eq!(nowhere.status.code(), Some(64));
    assert!(
        stderr(&nowhere).contains("--config-to FILE"),
        "{}",
        stderr(&nowhere)
    );
}

/// A backup with these rows and a configuration file, in a file.
fn written(folder: &Path, rows: BackupRows) -> String {
    let manifest = Manifest {
        version: "0.1.0".to_owned(),
        node: None,
        taken_at_ms: 7,
        live: Revision(1),
        reserved: 9,
        revisions: Vec::new(),
    };
    let config = ConfigFile {
        path: "/etc/switchback.toml".to_owned(),
        text: "workers = 2\n".to_owned(),
    };
    let backup = Backup::new(manifest, rows, BTreeMap::new(), Some(config));
    let path = folder.join("made.backup");
    write(&path, backup.to_bytes());
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_configuration_alone_is_written_and_no_history() {
    let folder = folder();
    let path = written(folder.path(), BackupRows::default());
    let file = folder.path().join("restored.toml");
    let alone = ["restore", &path, "--config-to", file.to_str().unwrap()];
    let done = program(&alone, &[]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stdout(&done).contains("no history is restored"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "workers = 2\n");
    assert_eq!(program(&alone, &[]).status.code(), Some(65), "it is there");
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{:?}", left.pop());
}

#[test]
fn a_history_that_was_made_up_is_a_bad_file_and_no_bad_disk() {
    let folder = folder();
    let row = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let rows = BackupRows {
        records: vec![(Revision(1), row("{\"made\":\"up\"}"))],
        ..BackupRows::default()
    };
    let path = written(folder.path(), rows);
    let into = folder.path().join("history");
    let refused = program(
        &["restore", &path, "--history", into.to_str().unwrap()],
        &[],
    );
    assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(said.contains("the backup cannot be used"), "{said}");
    assert!(!said.contains("restore the folder"), "{said}");
    assert!(!into.exists());
}

/// Runs the program with arguments, and kills it before its rename of this number; none where strace may not.
fn killed_before_rename(number: usize, arguments: &[&str]) -> Option<Output> {
    let inject = format!("inject=/^rename:signal=KILL:when={number}");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=/^rename", "-e"]);
    command.args([&inject, env!("CARGO_BIN_EXE_switchback")]);
    let output = command.args(arguments).output().ok()?;
    let is_traced = output.status.success() || output.status.code().is_none_or(|code| code == 137);
    is_traced.then_some(output)
}

#[test]
fn a_restore_that_is_killed_before_any_rename_leaves_the_earlier_history_or_the_restored_one() {
    let admin = TestAdmin::start();
    let taken = |name: &str| {
        let path = admin.folder().join(name);
        run_ok(&admin, &["backup", "-o", path.to_str().unwrap()]);
        let checked = CheckedBackup::read(&fs::read(&path).unwrap()).unwrap();
        (path, checked)
    };
    let (_, first) = taken("first.backup");
    run_ok(&admin, &["split", "chat", "green=25"]);
    let (path, second) = taken("second.backup");
    let [earlier, restored] = [&first, &second].map(|one| digests(one.revisions()));
    assert_ne!(earlier, restored);
    let (mut kept, mut replaced) = (0, 0);
    for number in 1.. {
        let folder = folder();
        let into = folder.path().to_str().unwrap();
        restore(&first, &Keys::new(), folder.path(), false).unwrap();
        let again = [
            "restore",
            path.to_str().unwrap(),
            "--history",
            into,
            "--force",
        ];
        let Some(ended) = killed_before_rename(number, &again) else {
            return;
        };
        match held(folder.path()) {
            found if found == earlier => kept += 1,
            found if found == restored => replaced += 1,
            found => panic!("before rename {number}: {found:?}"),
        }
        if ended.status.success() {
            break;
        }
        // Whatever was left of it is in nobody's way.
        let whole = program(&again, &[]);
        assert!(whole.status.success(), "{}", stderr(&whole));
        assert_eq!(held(folder.path()), restored, "after rename {number}");
    }
    assert!(kept >= 1 && replaced >= 4, "{kept} {replaced}");
}

#[test]
fn a_revision_or_a_route_comes_back_as_a_change_that_can_be_rolled_back() {
    let admin = TestAdmin::start();
    let path = admin.folder().join("one.backup");
    let path = path.to_str().unwrap();
    run_ok(&admin, &["split", "chat", "green=25"]);
    run_ok(&admin, &["backup", "-o", path]);
    let then = admin.get("/v1/table");
    run_ok(&admin, &["switch", "chat", "green"]);
    admin.done(
        "PUT",
        "/v1/routes/other",
        &json!({"name": "other", "path_prefix": "/other", "split": {"green": 1}}),
    );

    let dry = run_ok(&admin, &["restore", path, "--route", "chat", "--dry-run"]);
    assert!(dry.contains("chat"), "{dry}");
    run_ok(&admin, &["restore", path, "--route", "chat"]);
    assert_eq!(admin.split("chat"), json!({"blue": 75, "green": 25}));
    assert_eq!(admin.split("other"), json!({"green": 1}));
    let record = admin.get(&format!("/v1/revisions/{}", admin.revision()));
    let message = record["author"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("the route chat of revision 2 of the backup of "),
        "{message}"
    );
    run_ok(&admin, &["rollback"]);
    assert_eq!(admin.split("chat"), json!({"blue": 0, "green": 100}));

    run_ok(&admin, &["restore", path, "--revision", "2"]);
    assert_eq!(admin.get("/v1/table"), then);
    let (status, said) = run_failing(&admin, &["restore", path, "--revision", "77"]);
    assert_eq!(status, Some(65), "{said}");
    let (status, said) = run_failing(&admin, &["restore", path, "--route", "none"]);
    assert_eq!(status, Some(65), "{said}");
}

#[test]
fn keys_are_in_a_backup_only_if_asked_for_and_encrypted() {
    let admin = TestAdmin::start();
    let secret = "0123456789abcdef0123456789abcdef";
    write(admin.folder().join("history/seal.key"), secret);
    let pass = file(&admin, "pass", &format!("{PASSPHRASE}\n"));
    let path = admin.folder().join("keys.backup");
    let path = path.to_str().unwrap();
    let with_keys = ["backup", "-o", path, "--with-keys"];
    let with_file = |file| [&with_keys[..], &["--passphrase-file", file]].concat();
    let (status, said) = run_failing(&admin, &with_keys);
    assert_eq!(status, Some(64), "{said}");
    let weak = file(&admin, "weak", "short");
    let (status, said) = run_failing(&admin, &with_file(&weak));
    assert_eq!(status, Some(65), "{said}");
    run_ok(&admin, &with_file(&pass));
    let bytes = fs::read(path).unwrap();
    assert!(
        !bytes
            .windows(16)
            .any(|part| part == &secret.as_bytes()[..16])
    );

    let restored = |name: &str, variables: &[(&str, &str)]| {
        let folder = admin.folder().join(name);
        let done = program(
            &["restore", path, "--history", folder.to_str().unwrap()],
            variables,
        );
        (done, fs::read_to_string(folder.join("seal.key")).ok())
    };
    let variable = "SWITCHBACK_BACKUP_PASSPHRASE";
    let (done, key) = restored("with", &[(variable, PASSPHRASE)]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(key.as_deref(), Some(secret));
    let (done, key) = restored("without", &[]);
    assert!(
        stdout(&done).contains("--passphrase-file"),
        "{}",
        stdout(&done)
    );
    assert_eq!(key, None);
    let (done, key) = restored("wrong", &[(variable, "another passphrase")]);
    assert_eq!((done.status.code(), key), (Some(77), None));
    assert!(
        !admin.folder().join("wrong").exists(),
        "nothing was written"
    );
}

#[test]
fn a_backup_is_for_operators() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("reader");
    write(&token, "0123456789abcdef");
    let admin = TestAdmin::with(&format!(
        "tokens = [{{ role = \"read_only\", file = \"{}\" }}]",
        token.display()
    ));
    let bearer = [("authorization", "Bearer 0123456789abcdef")];
    let (status, problem) = admin.json_with("GET", "/v1/backup", &bearer, &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:switchback:problem:forbidden"))
    );
    let body = json!({"passphrase": PASSPHRASE});
    assert_eq!(admin.json_with("POST", "/v1/backup", &bearer, &body).0, 403);
    let (status, _) = admin.json("GET", "/v1/backup", &Value::Null);
    assert_eq!(status, 401);
}

#[test]
fn a_full_disk_harms_neither_the_last_backup_nor_the_history() {
    let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"]) else {
        return;
    };
    let admin = TestAdmin::start();
    let (good, other) = (
        mount.path().join("good.backup"),
        admin.folder().join("other.backup"),
    );
    let history = mount.path().join("history");
    let [good, other, into] = [&good, &other, &history].map(|path| path.to_str().unwrap());
    run_ok(&admin, &["backup", "-o", good]);
    let restored = program(&["restore", good, "--history", into], &[]);
    assert!(restored.status.success(), "{}", stderr(&restored));
    let before = (fs::read(good).unwrap(), held(&history));
    run_ok(&admin, &["split", "chat", "green=10"]);
    run_ok(&admin, &["backup", "-o", other]);
    crate::durability::fill(&mount.path());

    let (status, said) = run_failing(&admin, &["backup", "-o", good]);
    assert_eq!(status, Some(74), "{said}");
    assert!(!mount.path().join("good.backup.new").exists());
    let refused = program(&["restore", other, "--history", into, "--force"], &[]);
    assert_eq!(refused.status.code(), Some(74), "{}", stderr(&refused));
    assert!(!history.join("restore.new").exists());
    fs::remove_file(mount.path().join("ballast")).unwrap();
    assert_eq!((fs::read(good).unwrap(), held(&history)), before);
}

/// A fixture that makes backups into a folder.
fn making(history: &Path, backups: Backups) -> ControllerFixture {
    let settings = Settings {
        backups,
        ..Settings::default()
    };
    ControllerFixture::open_with(history, settings, None)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_made_by_themselves_and_the_oldest_leave() {
    let folder = folder();
    let path = folder.path().join("backups");
    let backups = Backups {
        path: Some(path.clone()),
        every: Some("1s".parse().unwrap()),
        keep: 2,
        after: Vec::new(),
    };
    let fixture = making(&history_path(&folder), backups);
    fixture.import_weights(10, 20).await;
    let controller = Arc::clone(&fixture.controller);
    let running = tokio::spawn(async move { controller.run().await });
    let is_rotated = || {
        let last = fixture.controller.backups().last;
        files(&path).len() == 2 && last.is_some_and(|run| run.live == fixture.revision())
    };
    let first = latest_backup(&path).unwrap();
    assert!(first.is_none());
    wait_until("two are kept", is_rotated);
    let before = files(&path);
    wait_until("an older one has left", || {
        let now = files(&path);
        now.len() == 2 && !now.contains(&before[0])
    });
    running.abort();
    let status = fixture.controller.backups();
    let latest = latest_backup(&path).unwrap().unwrap();
    assert_eq!(status.last.unwrap().error, None);
    assert_eq!(status.good_bytes, latest.bytes);
    let bytes = fs::read(latest.path).unwrap();
    let checked = CheckedBackup::read(&bytes).unwrap();
    assert_eq!(checked.backup().manifest.live, fixture.revision());
}

#[tokio::test]
async fn a_command_gets_the_file_and_its_failure_is_told() {
    let folder = folder();
    let path = folder.path().join("backups");
    let copy = folder.path().join("copy");
    let after = |words: &[&str]| Backups {
        path: Some(path.clone()),
        after: words.iter().map(ToString::to_string).collect(),
        ..Backups::default()
    };
    let script = "cp \"$2\" \"$1\"";
    let words = ["sh", "-c", script, "sh", copy.to_str().unwrap()];
    let fixture = making(&folder.path().join("one"), after(&words));
    fixture.import_weights(10, 20).await;
    let run = fixture.controller.make_backup().await.unwrap();
    assert_eq!(run.error, None);
    assert_eq!(
        fs::read(&copy).unwrap(),
        fs::read(run.file.unwrap()).unwrap()
    );

    let fixture = making(
        &folder.path().join("two"),
        after(&["sh", "-c", "echo no room >&2; exit 3"]),
    );
    let run = fixture.controller.make_backup().await.unwrap();
    let error = run.error.unwrap();
    assert!(
        error.contains("status 3") && error.contains("no room"),
        "{error}"
    );
    assert!(
        Path::new(&run.file.unwrap()).exists(),
        "the backup itself is good"
    );
    let status = fixture.controller.backups();
    assert!(status.last.unwrap().error.is_some() && status.good_at.is_some());
}

#[tokio::test]
async fn a_process_of_its_own_writes_it_and_a_full_disk_keeps_the_last_good_one() {
    let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"]) else {
        return;
    };
    let folder = folder();
    let path = mount.path().join("backups");
    let settings = Settings {
        backups: Backups {
            path: Some(path.clone()),
            keep: 1,
            ..Backups::default()
        },
        ..Settings::default()
    };
    let fixture = ControllerFixture::apart_with(&history_path(&folder), settings);
    fixture.import_weights(10, 20).await;
    let good = fixture.controller.make_backup().await.unwrap();
    assert_eq!(good.error, None);
    let before = files(&path);
    crate::durability::fill(&mount.path());
    let failed = fixture.controller.make_backup().await.unwrap();
    assert!(
        failed.file.is_none() && failed.error.is_some(),
        "{failed:?}"
    );
    assert_eq!(files(&path), before);
    fs::remove_file(mount.path().join("ballast")).unwrap();
    let again = fixture.controller.make_backup().await.unwrap();
    assert_eq!(again.error, None);
    assert_eq!(files(&path).len(), 1);
    assert_ne!(files(&path), before);
    fixture.controller.close(std::time::Duration::from_secs(5));
}

#[test]
fn without_a_folder_no_backup_is_made_by_the_proxy() {
    let admin = TestAdmin::start();
    assert_eq!(admin.get("/v1/backups"), json!({"good_bytes": 0}));
    assert_eq!(admin.get("/v1/status").get("backup"), None);
    let (status, problem) = admin.json("POST", "/v1/backups", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:switchback:problem:no-backup-folder"))
    );
    let (status, said) = run_failing(&admin, &["backup", "--by-proxy"]);
    assert_eq!(status, Some(65), "{said}");
    assert!(said.contains("[backup] path"), "{said}");
}
