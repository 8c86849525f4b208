//! Container of a backup: a head, sections, and an end with the digest of all before it.
//!
//! ```text
//! head     "SWBACKUP", format (u32)
//! section  kind (4 bytes), stored length (u64), length (u64), SHA-256 of these and of the content, content
//! end      "end ", SHA-256 of everything before the digest
//! ```
//!
//! Numbers are little-endian. The content of a section is compressed with zstd; what is encrypted is encrypted before.

use std::io::Read as _;

use ruzstd::{
    decoding::StreamingDecoder,
    encoding::{CompressionLevel, compress_to_vec},
};
use sha2::{Digest as _, Sha256};

use super::{BackupError, LARGEST_BACKUP};

/// Format that this version writes, and the latest that it reads.
pub(super) const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"SWBACKUP";
const END: [u8; 4] = *b"end ";
const DIGEST_BYTES: usize = 32;
/// A kind and two lengths.
const HEAD_BYTES: usize = 4 + 8 + 8;

/// Kinds of sections, in the order of a file.
pub(super) const MANIFEST: [u8; 4] = *b"mani";
pub(super) const HISTORY: [u8; 4] = *b"hist";
pub(super) const FILES: [u8; 4] = *b"file";
pub(super) const CONFIG: [u8; 4] = *b"conf";
pub(super) const KEYS: [u8; 4] = *b"keys";
const KINDS: [[u8; 4]; 5] = [MANIFEST, HISTORY, FILES, CONFIG, KEYS];

/// A section: its kind and its content.
pub(super) type Section = ([u8; 4], Vec<u8>);

/// The bytes of a file with these sections.
pub(super) fn pack(sections: &[Section]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    for (kind, content) in sections {
        let stored = compress_to_vec(content.as_slice(), CompressionLevel::Fastest);
        let head = head(*kind, stored.len() as u64, content.len() as u64);
        bytes.extend(head);
        bytes.extend(digest(&[&head, &stored]));
        bytes.extend(stored);
    }
    bytes.extend(END);
    bytes.extend(digest(&[&bytes]));
    bytes
}

/// The sections of a file, each whole and as it was written.
///
/// # Errors
/// If a byte differs from what was written, is missing or is one too many.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<Section>, BackupError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| no_backup(bytes))?;
    let (format, mut rest) = rest.split_first_chunk().ok_or(BackupError::Truncated)?;
    match u32::from_le_bytes(*format) {
        FORMAT => {}
        other => return Err(BackupError::UnknownFormat(other)),
    }
    let mut sections: Vec<Section> = Vec::new();
    loop {
        let (kind, _) = rest.split_first_chunk().ok_or(BackupError::Truncated)?;
        if *kind == END {
            break;
        }
        let name = name(*kind)?;
        if sections.iter().any(|(other, _)| other == kind) {
            return Err(BackupError::content(&name, "it is there twice"));
        }
        let (content, after) = section(&name, rest)?;
        sections.push((*kind, content));
        rest = after;
    }
    match rest[END.len()..].len() {
        DIGEST_BYTES => {}
        less if less < DIGEST_BYTES => return Err(BackupError::Truncated),
        _ => return Err(BackupError::Digest),
    }
    let (content, expected) = bytes.split_at(bytes.len() - DIGEST_BYTES);
    if digest(&[content]) == expected {
        Ok(sections)
    } else {
        Err(BackupError::Digest)
    }
}

/// The error of a file without the head of a backup.
fn no_backup(bytes: &[u8]) -> BackupError {
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return BackupError::Truncated;
    }
    BackupError::NotABackup
}

/// Reads the section at the begin of `bytes`; returns its content and what comes after it.
fn section<'b>(name: &str, bytes: &'b [u8]) -> Result<(Vec<u8>, &'b [u8]), BackupError> {
    let (head, rest) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(BackupError::Truncated)?;
    let (expected, rest) = rest
        .split_at_checked(DIGEST_BYTES)
        .ok_or(BackupError::Truncated)?;
    let (stored, length) = (number(&head[4..12]), number(&head[12..20]));
    if length > LARGEST_BACKUP {
        return Err(BackupError::Large(name.to_owned()));
    }
    let stored = usize::try_from(stored).map_err(|_| BackupError::Truncated)?;
    let (stored, rest) = rest
        .split_at_checked(stored)
        .ok_or(BackupError::Truncated)?;
    if digest(&[head, stored]) != expected {
        return Err(BackupError::Damaged(name.to_owned()));
    }
    let content = decompressed(stored, length);
    let content = content.map_err(|reason| BackupError::content(name, &reason))?;
    Ok((content, rest))
}

/// Content of that length. Its digest is right already, so only a file that was made to deceive has another.
fn decompressed(stored: &[u8], length: u64) -> Result<Vec<u8>, String> {
    let decoder = StreamingDecoder::new(stored).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    let read = decoder.take(length + 1).read_to_end(&mut content);
    let read = read.map_err(|error| error.to_string())?;
    if read as u64 == length {
        Ok(content)
    } else {
        Err("its length differs".to_owned())
    }
}

fn name(kind: [u8; 4]) -> Result<String, BackupError> {
    let text = String::from_utf8_lossy(&kind).into_owned();
    if KINDS.contains(&kind) {
        return Ok(text);
    }
    Err(BackupError::Damaged(text.escape_default().to_string()))
}

fn head(kind: [u8; 4], stored: u64, length: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&kind);
    head[4..12].copy_from_slice(&stored.to_le_bytes());
    head[12..].copy_from_slice(&length.to_le_bytes());
    head
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(bytes);
    u64::from_le_bytes(number)
}

fn digest(parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Vec<Section> {
        vec![
            (MANIFEST, b"{}".to_vec()),
            (HISTORY, "chat: blue 90, green 10; ".repeat(40).into_bytes()),
            (FILES, Vec::new()),
        ]
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let packed = pack(&sections());
        assert!(packed.len() < 600, "{} bytes", packed.len());
        assert_eq!(unpack(&packed).unwrap(), sections());
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let packed = pack(&sections());
        for place in 0..packed.len() {
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[place] ^= 1 << bit;
                assert!(unpack(&damaged).is_err(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn every_length_but_the_right_one_is_found() {
        let packed = pack(&sections());
        for length in 0..packed.len() {
            assert!(unpack(&packed[..length]).is_err(), "{length} bytes");
        }
        let mut longer = packed;
        longer.push(0);
        assert_eq!(unpack(&longer), Err(BackupError::Digest));
    }

    #[test]
    fn a_section_that_says_less_than_it_holds_is_refused_without_more_memory() {
        let bomb = vec![0; 1 << 20];
        let stored = compress_to_vec(bomb.as_slice(), CompressionLevel::Fastest);
        for length in [1, 1 << 19, (1 << 20) + 1] {
            assert!(decompressed(&stored, length).is_err(), "{length}");
        }
        assert_eq!(decompressed(&stored, 1 << 20).unwrap(), bomb);
    }

    #[test]
    fn other_files_and_later_formats_are_named() {
        assert_eq!(unpack(b"PK\x03\x04 and more"), Err(BackupError::NotABackup));
        assert_eq!(unpack(b"SWB"), Err(BackupError::Truncated));
        let mut later = pack(&sections());
        later[8] = 2;
        assert_eq!(unpack(&later), Err(BackupError::UnknownFormat(2)));
    }
}
