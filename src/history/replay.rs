//! Replay: derives the state of each kept record from the changes and whole tables between them.
//!
//! Pure. A change is applied by the same function as at its publish, and the digest in the record
//! verifies the resulting table.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    data_dir::{MARK, SLOT_FILE},
    error::HistoryError,
    record::{Entry, FullWeight, Snapshot, with_stable_of, with_whole},
    stored_response::StoredResponse,
};
use crate::model::{Cause, ChangeSet, Revision, RevisionRecord, TableDocument, TableState};

/// A record and the table that it made live.
#[derive(Debug, Clone)]
pub struct StoredRevision {
    /// The record.
    pub record: Arc<RevisionRecord>,
    /// Releases that last had all the weight, for routes that got an earlier one back.
    pub whole: FullWeight,
    /// The table; `None` for a number that never became live.
    pub state: Option<TableState>,
    /// Difference to the revision before.
    pub touched: ChangeSet,
}

/// Content of a history when it was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Kept revisions, oldest first.
    pub kept: Vec<StoredRevision>,
    /// Configuration file as last imported.
    pub imported: Option<TableDocument>,
    /// Stored responses by idempotency key.
    pub answers: Vec<(String, StoredResponse)>,
    /// Revisions that only the journal had.
    pub from_slots: Vec<Revision>,
    /// Numbers that were written but never became live, as found by this start.
    pub void: Vec<Revision>,
}

impl Loaded {
    /// Checks that the history reaches the last rollback in the journal; otherwise it has lost it.
    pub(super) fn reaches(&self, slotted: Revision, path: &Path) -> Result<(), HistoryError> {
        let live = self.kept.iter().rfind(|kept| kept.state.is_some());
        let live = live.map_or(Revision(0), |kept| kept.record.revision);
        if live >= slotted {
            return Ok(());
        }
        Err(HistoryError::Damaged {
            path: path.to_owned(),
            what: format!(
                "it ends at revision {live}, and the rollback that made revision {slotted} was written to \
                 `{SLOT_FILE}` and cannot be read; remove `{MARK}` to go on with revision {live}"
            ),
        })
    }
}

/// Derives the state of every record. Journal entries newer than the last record follow it.
pub(super) fn replay(
    path: &Path,
    records: Vec<Entry>,
    snapshots: &BTreeMap<Revision, Snapshot>,
    slots: &[Entry],
) -> Result<(Loaded, Vec<Entry>), HistoryError> {
    let last = records.iter().rfind(|entry| !entry.is_void());
    let last = last.map_or(Revision(0), |entry| entry.record.revision);
    let mut records = records;
    let late: Vec<Entry> = slots
        .iter()
        .filter(|entry| entry.record.revision > last)
        .cloned()
        .collect();
    let known: Vec<Revision> = late.iter().map(|entry| entry.record.revision).collect();
    records.retain(|entry| !known.contains(&entry.record.revision));
    records.extend(late.iter().cloned());
    records.sort_by_key(|entry| entry.record.revision);
    let void = never_live(&mut records);
    let mut replay = Replay::default();
    for entry in records {
        let from_slot = known.contains(&entry.record.revision);
        replay
            .add(entry, snapshots, from_slot)
            .map_err(|what| HistoryError::Damaged {
                path: path.to_owned(),
                what,
            })?;
    }
    let loaded = Loaded {
        kept: replay.kept,
        imported: None,
        answers: Vec::new(),
        from_slots: known,
        void,
    };
    Ok((loaded, late))
}

/// Whole tables that some of these revisions need beside them, so that a replay leads to the tables that they have.
pub(super) fn needed_snapshots(kept: &[StoredRevision]) -> BTreeMap<Revision, Snapshot> {
    let (mut replay, mut needed) = (Replay::default(), BTreeMap::new());
    for one in kept {
        let revision = one.record.revision;
        let entry = Entry {
            record: (*one.record).clone(),
            whole: one.whole.clone(),
        };
        let mut one = one.clone();
        if let Some(state) = &mut one.state {
            match replay.derive(&entry) {
                Some(derived) => *state = derived,
                None => drop(needed.insert(revision, Snapshot::of(state))),
            }
            replay.live = Some(replay.kept.len());
        }
        replay.places.insert(revision, replay.kept.len());
        replay.kept.push(one);
    }
    needed
}

/// Marks skipped records as void: the parent of a later record is older than they are, so they
/// were written but never live.
fn never_live(records: &mut [Entry]) -> Vec<Revision> {
    let mut void = Vec::new();
    let mut parent = None;
    for entry in records.iter_mut().rev() {
        if entry.is_void() {
            continue;
        }
        if parent.is_some_and(|parent| entry.record.revision > parent) {
            entry.record.cause = Cause::Void;
            entry.record.change = None;
            void.push(entry.record.revision);
        } else {
            parent = Some(entry.record.parent);
        }
    }
    void
}

#[derive(Default)]
struct Replay {
    kept: Vec<StoredRevision>,
    places: BTreeMap<Revision, usize>,
    live: Option<usize>,
}

impl Replay {
    fn live(&self) -> Option<&TableState> {
        self.kept[self.live?].state.as_ref()
    }

    fn add(
        &mut self,
        entry: Entry,
        snapshots: &BTreeMap<Revision, Snapshot>,
        from_slot: bool,
    ) -> Result<(), String> {
        let revision = entry.record.revision;
        let made = if entry.is_void() {
            None
        } else {
            let made = self.derive(&entry).or_else(|| {
                let state = snapshots.get(&revision)?.clone().into_state();
                (state.spec.digest() == entry.record.digest).then_some(state)
            });
            if made.is_none() && from_slot {
                // A rollback of one route whose base was lost: the store is authoritative then.
                tracing::warn!(%revision, "a record in the rollback journal does not fit the store and is left out");
                return Ok(());
            }
            Some(made.ok_or_else(|| {
                format!("record {revision} does not lead to the table that it names")
            })?)
        };
        let empty = TableState::default();
        let touched = made
            .as_ref()
            .map(|state| ChangeSet::between(self.live().unwrap_or(&empty), state));
        if made.is_some() {
            self.live = Some(self.kept.len());
        }
        self.places.insert(revision, self.kept.len());
        self.kept.push(StoredRevision {
            record: Arc::new(entry.record),
            whole: entry.whole,
            state: made,
            touched: touched.unwrap_or_default(),
        });
        Ok(())
    }

    /// State that the record leads to from the one before it, if valid.
    fn derive(&self, entry: &Entry) -> Option<TableState> {
        let empty = TableState::default();
        let parent = entry.record.parent;
        let (before, follows) = match self.live.map(|place| &self.kept[place]) {
            Some(kept) => (kept.state.as_ref()?, kept.record.revision == parent),
            None if parent == Revision(0) => (&empty, true),
            None => return None,
        };
        let state = match (&entry.record.cause, &entry.record.change) {
            (Cause::Rollback { to }, _) => {
                let earlier = self.kept[*self.places.get(to)?].state.as_ref()?;
                TableState {
                    spec: earlier.spec.clone(),
                    rosters: Arc::clone(&before.rosters),
                }
            }
            // A drill changes nothing. Where a record before it is missing, it names the decision that it went back to.
            (Cause::Drill { .. }, _) if follows => before.clone(),
            (Cause::Drill { to }, _) => {
                let earlier = self.kept[*self.places.get(to.as_ref()?)?].state.as_ref()?;
                TableState {
                    spec: earlier.spec.clone(),
                    rosters: Arc::clone(&before.rosters),
                }
            }
            // A change says nothing about parts that it does not build on. Rollbacks of the whole table do: one
            // between two of them may be missing.
            (_, Some(change)) if follows => change.apply_to(before).ok()?.state,
            (_, Some(_) | None) => return None,
        };
        let leads_there = |state: &TableState| state.spec.digest() == entry.record.digest;
        let state = with_whole(state, &entry.whole);
        if leads_there(&state) {
            return Some(state);
        }
        // In earlier versions a named stable release stayed when a switch moved it, or when it left the split.
        Some(with_stable_of(before, state)).filter(leads_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::record::decode,
        model::{Change, Digest, ReleaseName},
    };

    /// A record as format 1 wrote it, with a cause and a change.
    fn written(revision: u64, cause: &str, change: &str, digest: Digest) -> Entry {
        let parent = revision - 1;
        let author = r#"{"actor":"api","name":"test"}"#;
        let text = format!(
            r#"{{"format":1,"record":{{"revision":{revision},"parent":{parent},"published_at_ms":1,"author":{author},
                "cause":{cause},"digest":"{digest}","change":{change}}}}}"#
        );
        decode(text.as_bytes()).unwrap()
    }

    const TABLE: &str = r#"{"kind":"replace","table":{
        "releases":{"blue":{"endpoints":["http://127.0.0.1:1"]},"green":{"endpoints":["http://127.0.0.1:2"]}},
        "routes":[{"name":"chat","stable":"blue","split":{"blue":1,"green":0}}]}}"#;
    const SPLIT: &str = r#"{"kind":"set_split","route":"chat","weights":{"blue":3,"green":1}}"#;
    const SWITCH: &str = r#"{"kind":"switch","route":"chat","to":"green"}"#;

    fn after(before: &TableState, change: &str) -> TableState {
        let change: Change = serde_json::from_str(change).unwrap();
        change.apply_to(before).unwrap().state
    }

    fn states(entries: Vec<Entry>) -> Result<Vec<TableState>, HistoryError> {
        let path = Path::new("history");
        let (loaded, _) = replay(path, entries, &BTreeMap::new(), &[])?;
        let states = loaded.kept.into_iter().map(|kept| kept.state.unwrap());
        Ok(states.collect())
    }

    fn stable(state: &TableState) -> Option<&str> {
        let route = state.spec.route(&"chat".parse().unwrap()).unwrap();
        route.stable.as_ref().map(ReleaseName::as_str)
    }

    #[test]
    fn a_switch_of_an_earlier_version_left_a_named_stable_where_it_was() {
        let first = after(&TableState::default(), TABLE);
        let now = after(&first, SWITCH);
        let then = with_stable_of(&first, now.clone());
        assert_ne!(now.spec.digest(), then.spec.digest());
        let later = after(&then, SPLIT);
        let replayed = |switched: Digest| {
            let publish = r#"{"kind":"publish"}"#;
            let mut entries = vec![written(1, publish, TABLE, first.spec.digest())];
            entries.push(written(2, publish, SWITCH, switched));
            entries
        };
        let states_now = states(replayed(now.spec.digest())).unwrap();
        assert_eq!(stable(&states_now[1]), Some("green"));
        let mut entries = replayed(then.spec.digest());
        let publish = r#"{"kind":"publish"}"#;
        entries.push(written(3, publish, SPLIT, later.spec.digest()));
        let states_then = states(entries).unwrap();
        assert_eq!(stable(&states_then[1]), Some("blue"));
        assert_eq!(states_then[2].spec.digest(), later.spec.digest());
        // A table that neither of the two leads to is damage.
        assert!(states(replayed(first.spec.digest())).is_err());
    }

    #[test]
    fn a_rollback_of_a_route_that_does_not_name_it_is_read() {
        let first = after(&TableState::default(), TABLE);
        let second = after(&first, SPLIT);
        let back = r#"{"kind":"set_split","route":"chat","weights":{"blue":1,"green":0}}"#;
        let third = after(&second, back);
        assert_eq!(third.spec.digest(), first.spec.digest());
        let publish = r#"{"kind":"publish"}"#;
        let unnamed = r#"{"kind":"rollback_route"}"#;
        let last = written(3, unnamed, back, third.spec.digest());
        let (route, to) = (None, Revision(0));
        assert_eq!(last.record.cause, Cause::RollbackRoute { route, to });
        let states = states(vec![
            written(1, publish, TABLE, first.spec.digest()),
            written(2, publish, SPLIT, second.spec.digest()),
            last,
        ]);
        assert_eq!(states.unwrap()[2].spec.digest(), first.spec.digest());
    }
}
