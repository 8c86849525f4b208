//! A limit on how often one kind of line is logged: the first at once, the others counted until its window has passed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Time until which nothing is logged, and the number of lines that were left out.
#[derive(Debug, Default)]
pub(super) struct LogSampler {
    quiet_until_ms: AtomicU64,
    left_out: AtomicU64,
}

impl LogSampler {
    /// Number of lines that were left out before this one, if this one is to be logged; the next comes after `window_ms`.
    pub(super) fn take(&self, now_ms: u64, window_ms: u64) -> Option<u64> {
        let quiet_until = self.quiet_until_ms.load(Ordering::Relaxed);
        let is_mine = now_ms >= quiet_until
            && self
                .quiet_until_ms
                .compare_exchange(
                    quiet_until,
                    now_ms + window_ms,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if is_mine {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_window_says_how_many_were_left_out() {
        let sampler = LogSampler::default();
        assert_eq!(sampler.take(5, 10_000), Some(0));
        assert_eq!(sampler.take(6, 10_000), None);
        assert_eq!(sampler.take(10_004, 10_000), None);
        assert_eq!(sampler.take(10_005, 10_000), Some(2));
    }
}
