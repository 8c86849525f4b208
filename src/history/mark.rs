//! High-water mark: how far the history was written, in a small file next to it.
//!
//! After an unclean stop the store silently goes back to its last whole transaction, and an unreadable journal entry
//! counts as empty. Both are right for interrupted writes and wrong for completed ones: the mark distinguishes them.
//! It follows each sync by one plain write in place, without a sync of its own: it survives the process, and after a
//! power loss it may be older than the data, never newer.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::data_dir;

const MAGIC: [u8; 8] = *b"swmark01";
const SECTOR: usize = 512;

/// Subject of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The store: number of committed transactions.
    Store = 0,
    /// The rollback journal: its last rollback.
    Slots = 1,
}

/// The open file.
#[derive(Debug, Clone)]
pub(super) struct Mark(Arc<File>);

impl Mark {
    /// Opens the file in a history's folder; created if there is none.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(data_dir::MARK);
        let file = data_dir::open_private(&path)?;
        if file.metadata()?.len() < (2 * SECTOR) as u64 {
            file.write_all_at(&[0; 2 * SECTOR], 0)?;
            file.sync_all()?;
            data_dir::sync(folder)?;
        }
        Ok(Self(Arc::new(file)))
    }

    /// The last number; 0 if none can be read.
    pub(super) fn read(&self, about: About) -> u64 {
        let mut sector = [0; SECTOR];
        let read = self.0.read_exact_at(&mut sector, place(about));
        let number = read.is_ok().then(|| parse(&sector)).flatten();
        if number.is_none() && sector != [0; SECTOR] {
            tracing::warn!(
                ?about,
                "the high-water mark of the history cannot be read; it is rewritten"
            );
        }
        number.unwrap_or_default()
    }

    /// Writes a number. Called only when the data it covers is on the disk.
    pub(super) fn note(&self, about: About, number: u64) {
        let number = number.to_le_bytes();
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&number);
        bytes[16..].copy_from_slice(&Sha256::digest(number));
        if let Err(error) = self.0.write_all_at(&bytes, place(about)) {
            // The data it would have covered is written; an older mark demands less.
            tracing::warn!(%error, "the high-water mark of the history cannot be written");
        }
    }
}

fn place(about: About) -> u64 {
    (about as usize * SECTOR) as u64
}

fn parse(sector: &[u8; SECTOR]) -> Option<u64> {
    let rest = sector.strip_prefix(&MAGIC)?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    (Sha256::digest(number).as_slice() == &rest[..32]).then(|| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_a_mark_of_its_own_and_a_damaged_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::open(folder.path()).unwrap();
        assert_eq!(mark.read(About::Store), 0);
        mark.note(About::Store, 7);
        mark.note(About::Slots, 9);
        let again = Mark::open(folder.path()).unwrap();
        assert_eq!((again.read(About::Store), again.read(About::Slots)), (7, 9));
        again.0.write_all_at(&[1], 15).unwrap();
        assert_eq!((again.read(About::Store), again.read(About::Slots)), (0, 9));
    }
}
