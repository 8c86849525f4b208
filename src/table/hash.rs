//! The fixed hash function of the split. All machines and versions must agree on it, or a restart would move users.
//!
//! Text is hashed with FNV-1a (64 bits, offset basis `0xcbf29ce484222325`, prime `0x100000001b3`) and finished with
//! the mixer of splitmix64 (Steele, Lea, Flood 2014), because FNV alone leaves the high bits of short texts alike. The
//! golden vectors below pin it down.

use crate::model::rendezvous::{OFFSET, fnv, mix};

/// Split key of a session's affinity text.
pub fn key_of(affinity: &[u8]) -> u64 {
    mix(fnv(OFFSET, affinity))
}

/// Seed of a release: its name, a zero byte, its version.
pub(super) fn seed_of(name: &str, version: &str) -> u64 {
    mix(fnv(
        fnv(fnv(OFFSET, name.as_bytes()), &[0]),
        version.as_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rendezvous::combine;

    /// Computed once by an independent implementation in Python (arbitrary-precision integers); they may never change.
    #[test]
    fn golden_vectors() {
        assert_eq!(key_of(b""), GOLDEN[0]);
        assert_eq!(key_of(b"user-123"), GOLDEN[1]);
        assert_eq!(seed_of("blue", "1.0.0"), GOLDEN[2]);
        assert_eq!(
            combine(key_of(b"user-123"), seed_of("blue", "1.0.0")),
            GOLDEN[3]
        );
        assert_eq!(
            combine(key_of(b"user-123"), seed_of("green", "")),
            GOLDEN[4]
        );
    }

    const GOLDEN: [u64; 5] = [
        0xf52a_15e9_a9b5_e89b,
        0xb8e2_43ce_6370_b569,
        0x96cd_b832_c7da_c6c7,
        0x9689_ed96_1959_4f96,
        0x4b40_544a_f2a7_93c7,
    ];
}
