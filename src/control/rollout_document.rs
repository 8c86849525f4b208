//! Document of a rollout: what the nodes of a fleet know of it, so that each can go on with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{rollout_record::RolloutRecord, rollout_track::Track};
use crate::shared_table::{DecodeError, Document, packed, unpacked};

/// Folder of the documents.
pub(super) const FOLDER: &str = "rollouts";
/// Format of the documents.
const FORMAT: u32 = 1;
/// Size from which the bad sessions are left out: each may count once more then, where another node goes on.
const LARGE: usize = 256 << 10;
/// Longest time for which the evidence is not written; anything else is written at once.
const EVIDENCE: Duration = Duration::from_secs(3);

/// Document of a rollout, as it was read.
#[derive(Debug)]
pub(super) struct RolloutDocument {
    pub(super) record: RolloutRecord,
    pub(super) version: u64,
}

/// Place of a rollout of this node in the store.
#[derive(Debug, Default)]
pub(super) struct DocumentPlace {
    /// Version with which it was written or read last.
    pub(super) version: Option<u64>,
    /// True if the store has it, or had.
    pub(super) is_known: bool,
    told: Option<(String, Instant)>,
}

#[derive(Serialize)]
struct Value<'a> {
    format: u32,
    rollout: &'a RolloutRecord,
}

#[derive(Deserialize)]
struct ReadValue {
    rollout: RolloutRecord,
}

impl RolloutDocument {
    /// A document of the store.
    ///
    /// # Errors
    /// When a later version wrote it, or when it is damaged.
    pub(super) fn read(document: &Document) -> Result<Self, DecodeError> {
        let ReadValue { rollout } = unpacked(&document.value)?;
        Ok(Self {
            record: rollout,
            version: document.version,
        })
    }
}

impl DocumentPlace {
    /// The place of a rollout that was read from the file beside the history.
    pub(super) fn of_saved(record: &RolloutRecord) -> Self {
        Self {
            version: None,
            // What has ended was told then, or the store says that it was not; it may have been forgotten since.
            is_known: record.fleet.is_some() && !record.machine.has_ended(),
            told: record
                .machine
                .has_ended()
                .then(|| (news_of(record), Instant::now())),
        }
    }

    /// The place of a document.
    pub(super) fn of_version(version: u64) -> Self {
        Self {
            version: Some(version),
            is_known: true,
            told: None,
        }
    }

    /// Takes the version with which a record was written.
    pub(super) fn tell(&mut self, version: u64, record: &RolloutRecord) {
        self.version = Some(version);
        self.is_known = true;
        self.told = Some((news_of(record), Instant::now()));
    }

    /// Takes what the store has; what has ended here and runs there is told again.
    pub(super) fn know(&mut self, found: &RolloutDocument, own: &RolloutRecord) {
        self.version = self.version.max(Some(found.version));
        self.is_known = true;
        if own.machine.has_ended() && !found.record.machine.has_ended() {
            self.told = None;
        }
    }

    /// True if the store is to get the record now.
    pub(super) fn is_due(&self, record: &RolloutRecord) -> bool {
        let Some((news, at)) = &self.told else {
            return true;
        };
        let is_old = !record.machine.has_ended() && at.elapsed() >= EVIDENCE;
        is_old || *news != news_of(record)
    }
}

/// Name of the document of a rollout.
pub(super) fn name_of(id: &str) -> String {
    format!("{FOLDER}/{id}")
}

/// Value of the document of a rollout. Of what has ended the evidence is left out.
pub(super) fn value_of(record: &Arc<RolloutRecord>) -> Vec<u8> {
    if record.machine.has_ended() {
        let mut record = (**record).clone();
        record.tracks.iter_mut().for_each(Track::forget_evidence);
        return encoded(&record);
    }
    let value = encoded(record);
    if value.len() <= LARGE {
        return value;
    }
    let mut record = (**record).clone();
    record.tracks.iter_mut().for_each(Track::forget_sessions);
    encoded(&record)
}

fn encoded(rollout: &RolloutRecord) -> Vec<u8> {
    packed(&Value {
        format: FORMAT,
        rollout,
    })
}

/// News: what of a record the other nodes are told at once.
fn news_of(record: &RolloutRecord) -> String {
    let machine = &record.machine;
    let last = record.log.last().map(|entry| (entry.at, &entry.what));
    let state = (machine.state(), machine.pause(), machine.step());
    let rest = (machine.goes_back(), &record.waiting_for, record.ended_at);
    format!("{:?}", (state, rest, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::{
            rollout_record::{Begin, FleetPlace},
            rollout_track::{Tracks, tests::track},
        },
        model::{PlanSpec, Revision},
        rollout::{Command, Event, Machine},
        shared_table::Lifetime,
    };

    fn record() -> RolloutRecord {
        let mut track = track("chat", "green");
        track.save_sessions(b"sessions");
        let begin = Begin {
            tracks: Tracks::of(vec![track]).unwrap(),
            base: Revision(7),
            machine: Machine::new(PlanSpec::default()),
            plan_name: None,
            author: "ci".to_owned(),
            message: None,
            is_forced: false,
        };
        let mut record = RolloutRecord::new("1a".to_owned(), begin);
        record.fleet = Some(FleetPlace {
            node: "a".to_owned(),
            turn: 2,
            base: 5,
        });
        record
    }

    fn read(record: &RolloutRecord) -> RolloutRecord {
        let document = Document {
            name: name_of(&record.id),
            value: value_of(&Arc::new(record.clone())),
            version: 9,
            lifetime: Lifetime::Kept,
            is_mine: false,
        };
        let read = RolloutDocument::read(&document).unwrap();
        assert_eq!((read.version, &document.name[..]), (9, "rollouts/1a"));
        read.record
    }

    #[test]
    fn what_runs_is_read_as_it_was_written_and_of_what_has_ended_no_evidence() {
        let mut record = record();
        assert_eq!(read(&record), record);
        record.machine.on(Event::Command(Command::Abort)).unwrap();
        assert!(record.machine.has_ended());
        let ended = read(&record);
        assert!(ended != record && ended.tracks.first().saved_sessions().is_empty());
        let later = br#"{"format":2,"rollout":7}"#.to_vec();
        let document = Document {
            name: String::new(),
            value: later,
            version: 1,
            lifetime: Lifetime::Kept,
            is_mine: false,
        };
        assert!(matches!(
            RolloutDocument::read(&document),
            Err(DecodeError::Format(2))
        ));
    }

    #[test]
    fn news_are_told_at_once_and_again_where_the_store_has_not_heard_of_the_end() {
        let mut record = record();
        let mut place = DocumentPlace::default();
        assert!(place.is_due(&record));
        place.tell(3, &record);
        assert!(!place.is_due(&record));
        record.waiting_for = Some("room".to_owned());
        assert!(place.is_due(&record));
        place.tell(4, &record);
        record.machine.on(Event::Command(Command::Abort)).unwrap();
        let found = RolloutDocument {
            record: record.clone(),
            version: 5,
        };
        let mut saved = DocumentPlace::of_saved(&record);
        saved.know(&found, &record);
        assert!(!saved.is_due(&record));
        let running = RolloutDocument {
            record: self::record(),
            version: 6,
        };
        saved.know(&running, &record);
        assert!(saved.is_due(&record) && saved.version == Some(6));
    }
}
