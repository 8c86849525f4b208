//! Stored record of one revision: JSON in an envelope with a checksum.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::seal::{self, DecodeError};
use crate::model::{
    Cause, EndpointSpec, Hashed, ReleaseName, RevisionRecord, RouteName, TableDocument, TableSpec,
    TableState, Version,
};

/// Release that last had all the weight, by route; `None` if unknown.
pub type FullWeight = BTreeMap<RouteName, Option<ReleaseName>>;

/// A record with state that its change alone does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub record: RevisionRecord,
    /// Releases that last had all the weight, for routes that got an earlier one back.
    pub whole: FullWeight,
}

impl Entry {
    /// Creates an entry whose record is complete.
    pub fn new(record: RevisionRecord) -> Self {
        Self {
            record,
            whole: FullWeight::new(),
        }
    }

    /// True if it records a rollback, which was live first.
    pub fn is_rollback(&self) -> bool {
        self.record.cause.is_rollback()
    }

    /// True if it records a number that never became live.
    pub fn is_void(&self) -> bool {
        self.record.cause == Cause::Void
    }
}

#[derive(Serialize)]
struct WrittenEntry<'a> {
    record: &'a RevisionRecord,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    whole: &'a FullWeight,
}

#[derive(Deserialize)]
struct ReadEntry {
    record: RevisionRecord,
    #[serde(default)]
    whole: FullWeight,
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    sealed(&WrittenEntry {
        record: &entry.record,
        whole: &entry.whole,
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    let ReadEntry { record, whole } = unsealed(bytes)?;
    Ok(Entry { record, whole })
}

fn sealed(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(value);
    seal::seal(&text.expect("types of the model have string keys and finite numbers"))
}

fn unsealed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(seal::open(bytes)?).map_err(DecodeError::Json)
}

/// Encodes the imported file for the store.
pub(super) fn encode_document(document: &TableDocument) -> Vec<u8> {
    sealed(document)
}

pub(super) fn decode_document(bytes: &[u8]) -> Result<TableDocument, DecodeError> {
    unsealed(bytes)
}

/// A whole table with all rosters, stored next to some records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    table: TableDocument,
    rosters: Vec<RosterLine>,
    whole: FullWeight,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RosterLine {
    release: ReleaseName,
    version: Version,
    endpoints: Vec<EndpointSpec>,
}

impl Snapshot {
    pub(super) fn of(state: &TableState) -> Self {
        let roster =
            |((release, version), endpoints): (&(ReleaseName, Version), &Arc<[EndpointSpec]>)| {
                RosterLine {
                    release: release.clone(),
                    version: version.clone(),
                    endpoints: endpoints.to_vec(),
                }
            };
        let routes = state.spec.routes().iter();
        let whole =
            routes.filter_map(|route| Some((route.name.clone(), Some(route.last_whole.clone()?))));
        Self {
            table: TableDocument::of(state),
            rosters: state.rosters.iter().map(roster).collect(),
            whole: whole.collect(),
        }
    }

    pub(super) fn into_state(self) -> TableState {
        let rosters = self.rosters.into_iter();
        let rosters = rosters
            .map(|line| ((line.release, line.version), line.endpoints.into()))
            .collect();
        let empty = TableState {
            spec: TableSpec::default(),
            rosters: Arc::new(rosters),
        };
        with_whole(self.table.into_state(&empty), &self.whole)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        sealed(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        unsealed(bytes)
    }
}

/// The same state with these releases set as the last that had all the weight.
///
/// # Panics
/// Never: a route is replaced at its own index.
pub fn with_whole(mut state: TableState, whole: &FullWeight) -> TableState {
    for (route, release) in whole {
        let Some(old) = state.spec.route(route) else {
            continue;
        };
        if old.last_whole == *release {
            continue;
        }
        let mut spec = (***old).clone();
        spec.last_whole.clone_from(release);
        let route = Arc::new(Hashed::new(spec));
        state.spec = state
            .spec
            .with_route(route)
            .expect("the route was found in this table");
    }
    state
}

/// The same state with the stable releases that routes named before.
pub(super) fn with_stable_of(before: &TableState, mut state: TableState) -> TableState {
    let (old, new) = (before.spec.routes(), state.spec.routes());
    let changed: Vec<_> = old
        .differences(new, Hashed::is_same)
        .filter_map(|place| old.get(place).cloned())
        .collect();
    for old in changed {
        let Some(route) = state.spec.route(&old.name) else {
            continue;
        };
        let mut spec = (***route).clone();
        spec.stable.clone_from(&old.stable);
        if let Some(table) = state.spec.with_route(Arc::new(Hashed::new(spec))) {
            state.spec = table;
        }
    }
    state
}
