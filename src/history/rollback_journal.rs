//! Rollback journal: a small file, written in full at first start, that takes the latest rollbacks in place.
//!
//! Overwriting allocated blocks needs no free block and changes no index, so a rollback becomes durable on a full disk
//! and while the store is busy or broken. Each entry has its own checksum: a torn one counts as empty. A second thread
//! writes it, so that a store that hangs delays nothing.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::mpsc::SyncSender};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    data_dir,
    durability::{FaultInjector, FaultPoint},
    mark::{About, Mark},
    record::{self, Entry},
};
use crate::model::{Cause, Revision};

pub(super) const SLOTS: usize = 16;
const SLOT_BYTES: usize = 16 * 1024;
const MAGIC: [u8; 8] = *b"switch01";
/// Magic, sequence, reserved number, length, and the checksum of everything after it.
const HEAD_BYTES: usize = 8 + 32 + 8 + 8 + 8;

/// Header of an entry, without its record.
#[derive(Debug, Clone, Copy, Default)]
struct JournalEntry {
    sequence: u64,
    reserved: u64,
    revision: Revision,
    // A rollback of one route builds on the revision before it; one of a whole table stands alone.
    builds_on: bool,
}

/// The open file.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    mark: Mark,
    slots: [JournalEntry; SLOTS],
    entries: Vec<Entry>,
}

impl JournalFile {
    /// Opens the file in a history's folder; created and written in full if there is none.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Self::scan(open_file(folder)?, Mark::open(folder)?)
    }

    fn scan(file: File, mark: Mark) -> io::Result<Self> {
        let mut slots = [JournalEntry::default(); SLOTS];
        let mut entries = Vec::new();
        for (place, slot) in slots.iter_mut().enumerate() {
            let mut bytes = vec![0; SLOT_BYTES];
            file.read_exact_at(&mut bytes, offset(place))?;
            let Some((found, entry)) = parse(&bytes) else {
                if bytes.iter().any(|byte| *byte != 0) {
                    tracing::warn!(
                        place,
                        "an entry of the rollback journal cannot be read and counts as empty"
                    );
                }
                continue;
            };
            *slot = found;
            entries.extend(entry);
        }
        entries.sort_by_key(|entry| entry.record.revision);
        Ok(Self {
            file,
            mark,
            slots,
            entries,
        })
    }

    /// Records in the file, by revision.
    pub(super) fn read(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    /// Upper end of the reserved numbers, from the latest entry.
    pub(super) fn reserved(&self) -> u64 {
        let latest = self.slots.iter().max_by_key(|slot| slot.sequence);
        latest.map_or(0, |slot| slot.reserved)
    }

    /// Writes an entry in place; durable when it returns.
    pub(super) fn write(
        &mut self,
        write: &JournalWrite,
        stored: Revision,
        hook: Option<&FaultInjector>,
    ) -> io::Result<()> {
        if self.has(write) {
            return Ok(());
        }
        let place = self.victim(write, stored).ok_or_else(|| {
            io::Error::other("all entries of the rollback journal are waiting for the store")
        })?;
        let sequence = self
            .slots
            .iter()
            .map(|slot| slot.sequence)
            .max()
            .unwrap_or(0)
            + 1;
        let bytes = compose(sequence, write.reserved, &write.payload);
        if bytes.len() > SLOT_BYTES {
            return Err(io::Error::other(
                "the record is larger than a journal entry",
            ));
        }
        // Whatever happens now, the old content of the entry is lost.
        self.slots[place] = JournalEntry::default();
        if let Some(hook) = hook {
            hook(FaultPoint::Slot)?;
        }
        self.file.write_all_at(&bytes, offset(place))?;
        self.file.sync_data()?;
        self.slots[place] = JournalEntry {
            sequence,
            reserved: write.reserved,
            revision: write.revision,
            builds_on: write.builds_on,
        };
        if write.revision > Revision(0) {
            self.mark.note(About::Slots, write.revision.0);
        }
        Ok(())
    }

    /// True if this entry was written already: it was sent ahead.
    fn has(&self, write: &JournalWrite) -> bool {
        write.revision > Revision(0)
            && self
                .slots
                .iter()
                .any(|slot| slot.revision == write.revision)
    }

    /// Entry to overwrite: the oldest whose record is in the store, or the oldest of all if each stands alone.
    fn victim(&self, write: &JournalWrite, stored: Revision) -> Option<usize> {
        let by_age = |(_, slot): &(usize, &JournalEntry)| slot.sequence;
        let mut slots = self.slots.iter().enumerate();
        let free = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.revision <= stored)
            .min_by_key(by_age);
        let chained =
            write.builds_on || slots.any(|(_, slot)| slot.builds_on && slot.revision > stored);
        let oldest = || {
            self.slots
                .iter()
                .enumerate()
                .min_by_key(by_age)
                .filter(|_| !chained)
        };
        free.or_else(oldest).map(|(place, _)| place)
    }
}

fn offset(place: usize) -> u64 {
    (place * SLOT_BYTES) as u64
}

fn open_file(folder: &Path) -> io::Result<File> {
    let file = data_dir::open_private(&folder.join(data_dir::SLOT_FILE))?;
    if file.metadata()?.len() < offset(SLOTS) {
        file.write_all_at(&vec![0; SLOTS * SLOT_BYTES], 0)?;
        file.sync_all()?;
        data_dir::sync(folder)?;
    }
    Ok(file)
}

fn compose(sequence: u64, reserved: u64, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(24 + payload.len());
    body.extend(sequence.to_le_bytes());
    body.extend(reserved.to_le_bytes());
    body.extend((payload.len() as u64).to_le_bytes());
    body.extend(payload);
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.extend(MAGIC);
    bytes.extend(Sha256::digest(&body));
    bytes.extend(body);
    bytes
}

fn parse(bytes: &[u8]) -> Option<(JournalEntry, Option<Entry>)> {
    let body = bytes.strip_prefix(&MAGIC)?;
    let (checksum, body) = body.split_at_checked(32)?;
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let (sequence, reserved, length) = (number(0)?, number(8)?, number(16)?);
    let end = usize::try_from(length).ok()?.checked_add(24)?;
    let body = body.get(..end)?;
    if Sha256::digest(body).as_slice() != checksum {
        return None;
    }
    let payload = &body[24..];
    let entry = if payload.is_empty() {
        None
    } else {
        Some(record::decode(payload).ok()?)
    };
    let slot = JournalEntry {
        sequence,
        reserved,
        revision: entry
            .as_ref()
            .map_or(Revision(0), |entry| entry.record.revision),
        builds_on: entry.as_ref().is_some_and(builds_on),
    };
    Some((slot, entry))
}

pub(super) fn builds_on(entry: &Entry) -> bool {
    matches!(
        entry.record.cause,
        Cause::RollbackFlag { .. } | Cause::RollbackRoute { .. } | Cause::ReturnPart { .. }
    )
}

/// A write to the journal: the record of a rollback, or only a reservation of numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JournalWrite {
    pub(super) revision: Revision,
    pub(super) reserved: u64,
    // Not a `Vec<u8>`, which goes through serde byte by byte.
    pub(super) payload: Bytes,
    pub(super) builds_on: bool,
    #[serde(skip)]
    pub(super) done: Option<SyncSender<bool>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Author, Digest, RevisionRecord};

    fn rollback(revision: u64, cause: Cause) -> JournalWrite {
        let record = RevisionRecord {
            revision: Revision(revision),
            parent: Revision(1),
            undo_to: None,
            published_at_ms: 0,
            author: Author {
                actor: Actor::Api,
                name: "test".to_owned(),
                message: None,
                idempotency_key: None,
                group: None,
            },
            cause,
            digest: Digest::default(),
            change: None,
            request: None,
            cut: false,
            shared: None,
        };
        let entry = Entry::new(record);
        JournalWrite {
            revision: Revision(revision),
            reserved: 100 + revision,
            payload: record::encode(&entry).into(),
            builds_on: builds_on(&entry),
            done: None,
        }
    }

    fn whole(revision: u64) -> JournalWrite {
        rollback(revision, Cause::Rollback { to: Revision(1) })
    }

    fn revisions(file: &JournalFile) -> Vec<u64> {
        file.read()
            .iter()
            .map(|entry| entry.record.revision.0)
            .collect()
    }

    #[test]
    fn the_latest_sixteen_rollbacks_are_found_again_and_a_torn_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = JournalFile::open(folder.path()).unwrap();
        for revision in 1..=20 {
            file.write(&whole(revision), Revision(0), None).unwrap();
        }
        let again = JournalFile::open(folder.path()).unwrap();
        assert_eq!(revisions(&again), (5..=20).collect::<Vec<_>>());
        assert_eq!(again.reserved(), 120);
        // Revision 20 is in the fourth entry; one bit of its record is flipped.
        let at = offset(3) + HEAD_BYTES as u64 + 40;
        let mut byte = [0];
        again.file.read_exact_at(&mut byte, at).unwrap();
        again.file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        assert_eq!(
            revisions(&JournalFile::open(folder.path()).unwrap()),
            (5..=19).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_rollback_that_others_build_on_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = JournalFile::open(folder.path()).unwrap();
        for revision in 1..=16 {
            let cause = Cause::RollbackRoute {
                route: Some("chat".parse().unwrap()),
                to: Revision(0),
            };
            file.write(&rollback(revision, cause), Revision(0), None)
                .unwrap();
        }
        assert!(file.write(&whole(17), Revision(0), None).is_err());
        file.write(&whole(17), Revision(1), None).unwrap();
        assert_eq!(
            revisions(&JournalFile::open(folder.path()).unwrap()),
            (2..=17).collect::<Vec<_>>()
        );
    }
}
