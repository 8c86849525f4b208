//! The fixed hash function of the split. All machines and versions must agree on it, or a restart would move users.
//!
//! Text is hashed with FNV-1a (64 bits, offset basis `0xcbf29ce484222325`, prime `0x100000001b3`) and finished with
//! the mixer of splitmix64 (Steele, Lea, Flood 2014), because FNV alone leaves the high bits of short texts alike. The
//! golden vectors below pin it down.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

/// The finishing mixer of splitmix64: a bijection whose every output bit depends on every input bit.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

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

/// Hashes a key with a release's seed. The seed is multiplied by an odd number so that a key that
/// equals a seed is not special.
pub(super) const fn combine(key: u64, seed: u64) -> u64 {
    mix(key.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
