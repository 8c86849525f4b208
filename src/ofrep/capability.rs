//! The capability in the address of an event stream: a browser's `EventSource` can send no header.
//!
//! It is sealed with the keys of `[sessions]`, so that it holds over a restart and on every instance with those keys. It
//! says nothing but its end, and opens the event stream alone, which tells no flag.

use crate::seal::{Content, KeyRing, Label};

/// Time that a capability holds, in seconds.
pub(super) const HOLDS: u64 = 24 * 3600;

/// A capability that ends `HOLDS` after `now`, in seconds since 1970.
pub(super) fn issue(ring: &KeyRing, now: u64) -> Option<String> {
    let end = now.saturating_add(HOLDS).to_be_bytes();
    let sealed = ring.seal(&Label::flag_events(), &end)?;
    Some(sealed.as_str().to_owned())
}

/// True if a text is a capability that has not ended.
pub(super) fn is_valid(ring: &KeyRing, text: &str, now: u64) -> bool {
    let mut buffer = Content::default();
    let content = ring.open(&Label::flag_events(), text.as_bytes(), &mut buffer);
    let end: Option<[u8; 8]> = content.ok().and_then(|content| content.try_into().ok());
    end.is_some_and(|end| u64::from_be_bytes(end) > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_ends_and_cannot_be_made_without_the_key() {
        let ring = |key: &str| KeyRing::new(&[&key.repeat(40)]).unwrap().unwrap();
        let text = issue(&ring("k"), 1_000).unwrap();
        assert!(is_valid(&ring("k"), &text, 1_000 + HOLDS - 1));
        assert!(!is_valid(&ring("k"), &text, 1_000 + HOLDS));
        assert!(!is_valid(&ring("x"), &text, 1_000));
        assert!(!is_valid(&ring("k"), "", 1_000) && !is_valid(&ring("k"), "sb1.AAAA", 1_000));
    }
}
