//! Envelope around every value of the store: a format number, a checksum, and the JSON that it covers.
//!
//! The digest in a record covers the resulting decisions. Endpoints, authors and rollback targets are covered by this
//! checksum, as are whole tables and the imported file. Format 1 had none, and can still be read.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Format that this version writes. All earlier ones can be read.
pub(super) const FORMAT: u64 = 2;

/// Error of reading a value.
#[derive(Debug)]
pub(super) enum DecodeError {
    Checksum,
    Format(u64),
    Json(serde_json::Error),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    format: u64,
    sha256: Option<String>,
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
}

/// Wraps JSON into an envelope.
pub(super) fn seal(entry: &str) -> Vec<u8> {
    let checksum = checksum(entry);
    format!(r#"{{"format":{FORMAT},"sha256":"{checksum}","entry":{entry}}}"#).into_bytes()
}

/// JSON of an envelope, verified; a value without an envelope is returned as it is.
pub(super) fn open(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(DecodeError::Json)?;
    match envelope {
        Envelope {
            format: 2,
            sha256: Some(expected),
            entry: Some(entry),
        } if checksum(entry.get()) == expected => Ok(entry.get().as_bytes()),
        Envelope { format: 2, .. } => Err(DecodeError::Checksum),
        // The imported file had no format of its own.
        Envelope { format: 0 | 1, .. } => Ok(bytes),
        Envelope { format, .. } => Err(DecodeError::Format(format)),
    }
}

fn checksum(text: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        write!(hex, "{byte:02x}").expect("a string takes all that is written to it");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_what_is_sealed_is_covered_and_what_never_was_is_read() {
        let sealed = seal(r#"{"author":"ann","undo_to":7}"#);
        assert_eq!(open(&sealed).unwrap(), br#"{"author":"ann","undo_to":7}"#);
        for place in 0..sealed.len() {
            for bit in 0..8 {
                let mut damaged = sealed.clone();
                damaged[place] ^= 1 << bit;
                let read = open(&damaged);
                // Only a damaged format number can make it look like a value of format 1, which then fails to parse.
                let old = read.as_ref().is_ok_and(|read| *read == &damaged[..]);
                assert!(
                    read.is_err() || old && place < 12,
                    "bit {bit} of byte {place}"
                );
            }
        }
        let old = br#"{"format":1,"record":{}}"#;
        assert_eq!(open(old).unwrap(), old);
        assert!(matches!(
            open(br#"{"format":3}"#),
            Err(DecodeError::Format(3))
        ));
    }
}
