//! Streams that we reset, whose frames may still arrive.

use std::collections::VecDeque;

/// Number of resets that are remembered individually.
const REMEMBERED: usize = 256;

/// Reset streams: the latest ones by id, the older ones by their highest id.
#[derive(Debug, Default)]
pub(super) struct Resets {
    latest: VecDeque<u32>,
    /// Highest id among the forgotten ones.
    forgotten: u32,
    /// Number of resets that were caused by the peer.
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

    /// True if frames of this closed stream may have been sent before our reset arrived. For old streams this is
    /// unknown, so they get the benefit of the doubt.
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
