//! The high-water mark: how far the history was written, in a small file beside what was written.
//!
//! After an unclean stop the store goes back to its last whole transaction without a word, and a slot that cannot be read
//! counts as empty. Both are right for what was being written, and wrong for what had been written: the mark tells them
//! apart. It follows each sync by one plain write in place, without a sync of its own: it outlives the process, and after
//! a loss of power it may be older than what it speaks of, never younger.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::data_dir;

pub(super) const MARK: &str = "history.mark";

const MAGIC: [u8; 8] = *b"swmark01";
const SECTOR: usize = 512;

/// What a mark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The store: how many transactions it has taken.
    Store = 0,
    /// The slot file: the last rollback in it.
    Slots = 1,
}

/// The open file.
#[derive(Debug, Clone)]
pub(super) struct Mark(Arc<File>);

impl Mark {
    /// Opens the file in a history's folder; made if there is none.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(MARK);
        let file = data_dir::open_private(&path)?;
        if file.metadata()?.len() < (2 * SECTOR) as u64 {
            file.write_all_at(&[0; 2 * SECTOR], 0)?;
            file.sync_all()?;
            data_dir::sync(folder)?;
        }
        Ok(Self(Arc::new(file)))
    }

    /// The number that was noted last; 0 when there is none that can be read.
    pub(super) fn read(&self, about: About) -> u64 {
        let mut sector = [0; SECTOR];
        let read = self.0.read_exact_at(&mut sector, place(about));
        let number = read.is_ok().then(|| parse(&sector)).flatten();
        if number.is_none() && sector != [0; SECTOR] {
            tracing::warn!(
                ?about,
                "the high-water mark of the history cannot be read; it is written anew"
            );
        }
        number.unwrap_or_default()
    }

    /// Notes a number. Called only when what it speaks of is on the disk.
    pub(super) fn note(&self, about: About, number: u64) {
        let number = number.to_le_bytes();
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&number);
        bytes[16..].copy_from_slice(&Sha256::digest(number));
        if let Err(error) = self.0.write_all_at(&bytes, place(about)) {
            // What it would have guarded is written; an older mark asks for less.
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
