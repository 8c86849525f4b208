//! Weighted rendezvous hashing, and the fixed hash function under it.
//!
//! Thaler and Ravishankar (1998); the logarithmic weights are Schindelhauer and Schomaker's (2005): each member gets a
//! hash `u` of the key and its seed, and the highest score `-w / ln(u)` wins. The law: *a key moves from i to j only if
//! j's weight grew by a larger factor than i's.* All machines and versions must agree on the hash, or a restart would
//! move users.

/// Initial state of [`fnv`]: the offset basis of FNV-1a.
pub const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a, 64 bits.
pub fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

/// The finishing mixer of splitmix64: a bijection whose every output bit depends on every input bit.
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Hashes a key with a member's seed. The seed is multiplied by an odd number so that a key that
/// equals a seed is not special.
pub const fn combine(key: u64, seed: u64) -> u64 {
    mix(key.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Score of a member for a key; the highest wins.
pub fn score(key: u64, seed: u64, weight: u32) -> f64 {
    // 53 bits, shifted by half a step so that neither 0 nor 1 results and the logarithm is finite and negative.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
    let unit = ((combine(key, seed) >> 11) as f64 + 0.5) * (0.5_f64).powi(53);
    -f64::from(weight) / libm::log(unit)
}
