//! A store that fails or hangs: nothing else waits for it, and nothing acknowledged is lost.

use super::*;

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
