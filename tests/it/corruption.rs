//! A corrupted history: it is read as it was or refused with a hint, and never silently opened one revision back or
//! empty. And its file permissions.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
};

use switchback::{
    control::{Expected, RollbackTo, Settings},
    history::{FaultInjector, FaultPoint, History, HistoryError, Loaded, StoredRevision},
    model::TableDocument,
};

use crate::{
    controller_fixture::{ControllerFixture, change, folder, grouped, set_split},
    support::{random::Random, wait_until, write},
};

const STORE: &str = "history.redb";
const FILES: [&str; 3] = [STORE, "rollback.slot", "history.mark"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in FILES {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// The content of a history, as text.
fn text_of(loaded: &Loaded) -> String {
    let revision = |kept: &StoredRevision| {
        let state = kept
            .state
            .as_ref()
            .map(|state| (TableDocument::of(state), &state.rosters));
        format!("{:?} {:?} {state:?}\n", kept.record, kept.whole)
    };
    let revisions: String = loaded.kept.iter().map(revision).collect();
    format!("{revisions}{:?}", loaded.imported)
}

/// A history with all kinds of records in `folder`: `clean` as an orderly end leaves it, `unclean` as a kill does, and
/// `slot` as a kill does when its last rollback is in the rollback journal alone.
async fn written(folder: &Path) {
    let path = folder.join("written");
    let is_held = Arc::new(AtomicBool::new(false));
    // The store's thread passes it twice: when it is about to commit, and when it may.
    let gate = Arc::new(Barrier::new(2));
    let (holds, held) = (Arc::clone(&is_held), Arc::clone(&gate));
    let hook: FaultInjector = Arc::new(move |moment| {
        if moment == FaultPoint::Commit && holds.load(Ordering::SeqCst) {
            held.wait();
            held.wait();
        }
        Ok(())
    });
    let fixture = ControllerFixture::open_with(&path, Settings::default(), Some(hook));
    fixture.import_weights(0, 0).await;
    for round in 1..=12_u32 {
        fixture.apply(set_split("chat", round)).await;
        let port = 2000 + round;
        fixture.apply(change(&format!(
            r#"{{"kind":"set_endpoints","release":"blue","endpoints":["http://127.0.0.1:{port}"]}}"#
        )))
        .await;
        if round % 3 == 0 {
            fixture.rollback().await.unwrap();
            fixture
                .rollback_to(RollbackTo::Route("chat".parse().unwrap()))
                .await
                .unwrap();
        }
        let author = grouped("night");
        fixture
            .controller
            .apply(set_split("search", round), author, Expected::Any, false)
            .await
            .unwrap();
    }
    let settled = || {
        let standing = fixture.controller.status().durability;
        standing.pending_records == 0 && standing.durable
    };
    wait_until("all is in the store", settled);
    copy(&path, &folder.join("unclean"));
    is_held.store(true, Ordering::SeqCst);
    fixture.rollback().await.unwrap();
    wait_until("the rollback is in its slot", || {
        fixture.controller.status().durability.durable
    });
    gate.wait();
    copy(&path, &folder.join("slot"));
    is_held.store(false, Ordering::SeqCst);
    gate.wait();
    wait_until("all is in the store", settled);
    let controller = Arc::clone(&fixture.controller);
    controller.close(std::time::Duration::from_secs(10));
    copy(&path, &folder.join("clean"));
}

/// Corrupts a file; returns how.
fn damage(file: &Path, random: &mut Random) -> String {
    let length = fs::metadata(file).unwrap().len();
    let handle = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut bytes = fs::read(file).unwrap();
    // Unwritten parts are mostly zeros; a flipped bit there has no effect.
    let place = loop {
        let place = random.below(length);
        if bytes[usize::try_from(place).unwrap()] != 0 || random.below(8) == 0 {
            break place;
        }
    };
    match random.below(10) {
        0 => {
            handle.set_len(place).unwrap();
            format!("cut at {place}")
        }
        1 => {
            handle.write_all_at(&[0; 64], place).unwrap();
            handle.set_len(length).unwrap();
            format!("zeros at {place}")
        }
        _ => {
            let at = usize::try_from(place).unwrap();
            bytes[at] ^= 1 << random.below(8);
            handle.write_all_at(&bytes[at..=at], place).unwrap();
            format!("a bit at {place}")
        }
    }
}

/// Opens a history; returns its content as text, or the error.
fn opened(path: &Path) -> Result<String, HistoryError> {
    History::open(path).map(|(_, loaded)| text_of(&loaded))
}

#[tokio::test]
async fn a_damaged_history_is_found_as_it_was_or_refused_with_a_hint() {
    // More on request, to search for rare cases.
    let more = std::env::var("DAMAGE_TRIALS")
        .ok()
        .and_then(|trials| trials.parse().ok());
    let trials: u64 = more.unwrap_or(300);
    let folder = folder();
    written(folder.path()).await;
    let (mut refused, mut same) = (0, 0);
    for (number, kind) in ["clean", "unclean", "slot"].into_iter().enumerate() {
        let source = folder.path().join(kind);
        let whole = folder.path().join(format!("{kind}-whole"));
        copy(&source, &whole);
        let expected = opened(&whole).unwrap();
        for trial in 0..trials / 3 {
            let mut random = Random(trial * 3 + number as u64);
            let path = folder.path().join("trial");
            copy(&source, &path);
            let name = FILES[usize::try_from(random.below(5).saturating_sub(2)).unwrap()];
            let what = format!(
                "{kind}, trial {trial}: {name}, {}",
                damage(&path.join(name), &mut random)
            );
            match catch_unwind(AssertUnwindSafe(|| opened(&path))).expect(&what) {
                Ok(found) => {
                    let lines = found.lines().zip(expected.lines());
                    let other = lines.clone().find(|(found, expected)| found != expected);
                    assert!(
                        found == expected,
                        "{what}: {other:?} is found, without a word"
                    );
                    same += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("; "), "{what}: no hint: {error}");
                    refused += 1;
                }
            }
            fs::remove_dir_all(&path).unwrap();
        }
    }
    assert!(
        refused > 20 && same > 20,
        "{refused} refused, {same} as they were"
    );
}

#[tokio::test]
async fn a_store_that_is_missing_or_empty_beside_its_other_files_is_refused() {
    let folder = folder();
    let path = folder.path().join("history");
    ControllerFixture::with_weights(&path, 0, 0)
        .await
        .controller
        .close(std::time::Duration::from_secs(10));
    let refused = |what: &str| {
        let error = opened(&path).unwrap_err();
        assert!(
            matches!(error, HistoryError::Damaged { .. }),
            "{what}: {error}"
        );
        let said = error.to_string();
        assert!(
            said.contains("missing or empty") && said.contains("move it away"),
            "{what}: {said}"
        );
    };
    write(path.join(STORE), b"");
    refused("empty");
    fs::remove_file(path.join(STORE)).unwrap();
    refused("missing");
    fs::remove_file(path.join("history.mark")).unwrap();
    refused("missing, beside a slot file alone, as an earlier version leaves it");
    assert!(!path.join(STORE).exists(), "what is refused is left alone");
    fs::remove_file(path.join("rollback.slot")).unwrap();
    opened(&path).unwrap();
}

#[tokio::test]
async fn a_history_is_for_its_owner_alone_and_one_of_old_becomes_so() {
    let folder = folder();
    let path = folder.path().join("history");
    ControllerFixture::with_weights(&path, 0, 0)
        .await
        .controller
        .close(std::time::Duration::from_secs(10));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let all = || {
        let files = FILES.map(|name| mode(&path.join(name)));
        (mode(&path), files)
    };
    assert_eq!(all(), (0o700, [0o600; 3]));
    let open_up =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open_up(&path, 0o755);
    for name in FILES {
        open_up(&path.join(name), 0o644);
    }
    opened(&path).unwrap();
    assert_eq!(all(), (0o700, [0o600; 3]));
    // A folder with files of others keeps its mode.
    open_up(&path, 0o755);
    open_up(&path.join(STORE), 0o644);
    write(path.join("notes"), b"");
    opened(&path).unwrap();
    assert_eq!(all(), (0o755, [0o600; 3]));
}
