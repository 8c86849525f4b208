//! What stands in the store for one revision, and how it is written: JSON with a format number.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::model::{
    Cause, EndpointUrl, Hashed, ReleaseName, RevisionRecord, RouteName, TableDocument, TableSpec,
    TableState, Version,
};

/// The format that this version writes, and the only one that it reads.
pub(super) const FORMAT: u64 = 1;

/// Which release last had all the weight, by route.
pub type Whole = BTreeMap<RouteName, ReleaseName>;

/// A record with what the change alone does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub record: RevisionRecord,
    /// Releases that last had all the weight, where a route got back an earlier one.
    pub whole: Whole,
}

impl Entry {
    /// A record that says everything itself.
    pub fn new(record: RevisionRecord) -> Self {
        Self {
            record,
            whole: Whole::new(),
        }
    }

    /// Whether it records a rollback, which was live first.
    pub fn is_rollback(&self) -> bool {
        matches!(
            self.record.cause,
            Cause::Rollback { .. } | Cause::RollbackRoute
        )
    }

    /// Whether it records a number that never became live.
    pub fn is_void(&self) -> bool {
        self.record.cause == Cause::Void
    }
}

#[derive(Serialize)]
struct WrittenEntry<'a> {
    format: u64,
    record: &'a RevisionRecord,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    whole: &'a Whole,
}

#[derive(Deserialize)]
struct ReadEntry {
    record: RevisionRecord,
    #[serde(default)]
    whole: Whole,
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// Why a record cannot be read.
#[derive(Debug)]
pub(super) enum DecodeError {
    Format(u64),
    Json(serde_json::Error),
}

fn check_format(bytes: &[u8]) -> Result<(), DecodeError> {
    let found: Format = serde_json::from_slice(bytes).map_err(DecodeError::Json)?;
    if found.format == FORMAT {
        Ok(())
    } else {
        Err(DecodeError::Format(found.format))
    }
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let written = WrittenEntry {
        format: FORMAT,
        record: &entry.record,
        whole: &entry.whole,
    };
    serde_json::to_vec(&written).expect("types of the model have string keys and finite numbers")
}

pub(super) fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    check_format(bytes)?;
    let ReadEntry { record, whole } = serde_json::from_slice(bytes).map_err(DecodeError::Json)?;
    Ok(Entry { record, whole })
}

/// A whole table with all rosters, as it stands beside a record now and then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    format: u64,
    table: TableDocument,
    rosters: Vec<RosterLine>,
    whole: Whole,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RosterLine {
    release: ReleaseName,
    version: Version,
    endpoints: Vec<EndpointUrl>,
}

impl Snapshot {
    pub(super) fn of(state: &TableState) -> Self {
        let roster =
            |((release, version), endpoints): (&(ReleaseName, Version), &Arc<[EndpointUrl]>)| {
                RosterLine {
                    release: release.clone(),
                    version: version.clone(),
                    endpoints: endpoints.to_vec(),
                }
            };
        let routes = state.spec.routes().iter();
        let whole =
            routes.filter_map(|route| Some((route.name.clone(), route.last_whole.clone()?)));
        Self {
            format: FORMAT,
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
        serde_json::to_vec(self).expect("types of the model have string keys and finite numbers")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_format(bytes)?;
        serde_json::from_slice(bytes).map_err(DecodeError::Json)
    }
}

/// The same state with these releases noted as the last that had all the weight.
///
/// # Panics
/// Never: a route is replaced where it was found.
pub fn with_whole(mut state: TableState, whole: &Whole) -> TableState {
    for (route, release) in whole {
        let Some(old) = state.spec.route(route) else {
            continue;
        };
        if old.last_whole.as_ref() == Some(release) {
            continue;
        }
        let mut spec = (***old).clone();
        spec.last_whole = Some(release.clone());
        let route = Arc::new(Hashed::new(spec));
        state.spec = state
            .spec
            .with_route(route)
            .expect("the route was found in this table");
    }
    state
}
