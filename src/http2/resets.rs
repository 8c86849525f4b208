//! Streams that we broke off, whose frames may still be on their way.

use std::collections::VecDeque;

/// How many are known one by one.
const REMEMBERED: usize = 256;

/// Streams that were broken off: the latest by their numbers, those before by the highest of theirs.
#[derive(Debug, Default)]
pub(super) struct Resets {
    latest: VecDeque<u32>,
    /// No number that was forgotten is higher.
    forgotten: u32,
    /// How many were the peer's mistakes.
    pub(super) mistakes: usize,
}

// === impl Resets ===

impl Resets {
    pub(super) fn remember_reset(&mut self, id: u32) {
        if self.latest.len() == REMEMBERED {
            let oldest = self.latest.pop_front().unwrap_or_default();
            self.forgotten = self.forgotten.max(oldest);
        }
        self.latest.push_back(id);
    }

    /// Whether frames of this stream, which is over, may have been sent before our reset was seen. Of old streams it is not
    /// known any more, and what we may have done ourselves is nobody's mistake.
    pub(super) fn may_have(&self, id: u32) -> bool {
        id <= self.forgotten || self.latest.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_no_mistake() {
        let mut resets = Resets::default();
        for id in (1..=2 * 600).step_by(4) {
            resets.remember_reset(id);
        }
        assert!((1..=2 * 600).step_by(4).all(|id| resets.may_have(id)));
        assert_eq!(resets.latest.len(), REMEMBERED);
        assert!(!resets.may_have(2 * 600 - 1) && !resets.may_have(2 * 600 + 1));
    }
}
