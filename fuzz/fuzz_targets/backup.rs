//! Backups: a file is refused with a text, or read, and what was read is the same once it is written and read again.
//!
//! No mutation gets past a digest, so an input is a list of sections, and the digests are made for them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sha2::{Digest, Sha256};
use switchback_fuzz::backup::Backup;

const KINDS: [&[u8; 4]; 6] = [b"mani", b"hist", b"file", b"conf", b"keys", b"none"];

/// Takes a number of two bytes from the front.
fn number(data: &mut &[u8]) -> Option<usize> {
    let (front, rest) = data.split_first_chunk()?;
    *data = rest;
    Some(usize::from(u16::from_le_bytes(*front)))
}

/// A section of an input: its kind, as it is stored, and the length that it claims. What is compressed here is read as
/// JSON, and what comes compressed is for the decoder.
fn section(data: &mut &[u8]) -> Option<(&'static [u8; 4], Vec<u8>, usize)> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    let kind = KINDS[usize::from(first & 0x7f) % KINDS.len()];
    let claimed = number(data)?;
    let (content, rest) = data.split_at(claimed.min(data.len()));
    *data = rest;
    if first & 0x80 != 0 {
        let stored = compress_to_vec(content, CompressionLevel::Fastest);
        return Some((kind, stored, content.len()));
    }
    let length = number(data)?;
    Some((kind, content.to_vec(), length))
}

/// A file of these sections in which every digest is right.
fn container(mut data: &[u8]) -> Vec<u8> {
    let mut bytes = b"SWBACKUP\x01\0\0\0".to_vec();
    while let Some((kind, stored, length)) = section(&mut data) {
        let lengths = [stored.len() as u64, length as u64].map(u64::to_le_bytes);
        let head = [&kind[..], &lengths[0], &lengths[1]].concat();
        let digest = Sha256::new().chain_update(&head).chain_update(&stored).finalize();
        bytes.extend([&head[..], &digest, &stored].concat());
    }
    bytes.extend(b"end ");
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

fn check(bytes: &[u8]) {
    match Backup::from_bytes(bytes) {
        Ok(backup) => {
            let written = backup.to_bytes();
            let again = Backup::from_bytes(&written).expect("what was read can be written and read");
            assert_eq!(again.to_bytes(), written);
            assert_eq!(again.has_keys(), backup.has_keys());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&container(data));
});
