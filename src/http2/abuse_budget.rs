//! Abuse budget of one connection: counts frames that cost work and carry no payload, over a
//! sliding window. Pure in time.
//!
//! Two fixed windows approximate the sliding one: the previous window counts by the share of it that is still within
//! reach. So the memory is a few numbers, however long a flood lasts.

/// Verdict on a connection after a charge, ordered by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Within the budget.
    #[default]
    Ok,
    /// Send GOAWAY; streams in flight may finish.
    GoAway,
    /// Close at once.
    CloseNow,
}

/// The limits of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Above this, GOAWAY is sent.
    pub leave: u32,
    /// Above this, the connection is closed.
    pub close: u32,
    /// Window of both limits.
    pub window_ms: u64,
}

/// Cost that one connection has caused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    limits: BudgetLimits,
    started_ms: u64,
    current: u32,
    previous: u32,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(limits: BudgetLimits) -> Self {
        Self {
            limits: BudgetLimits {
                window_ms: limits.window_ms.max(1),
                ..limits
            },
            started_ms: 0,
            current: 0,
            previous: 0,
        }
    }

    /// Charges `cost` and returns the verdict.
    pub(super) fn spend(&mut self, now_ms: u64, cost: u32) -> Verdict {
        self.advance(now_ms);
        self.current = self.current.saturating_add(cost);
        let spent = self.spent(now_ms);
        if spent >= self.limits.close {
            Verdict::CloseNow
        } else if spent >= self.limits.leave {
            Verdict::GoAway
        } else {
            Verdict::Ok
        }
    }

    fn advance(&mut self, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.started_ms);
        match elapsed / self.limits.window_ms {
            0 => return,
            1 => self.previous = self.current,
            _ => self.previous = 0,
        }
        self.current = 0;
        self.started_ms = now_ms - elapsed % self.limits.window_ms;
    }

    fn spent(&self, now_ms: u64) -> u32 {
        let window = self.limits.window_ms;
        let left = window.saturating_sub(now_ms.saturating_sub(self.started_ms));
        let carried = u64::from(self.previous) * left / window;
        self.current
            .saturating_add(u32::try_from(carried).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(BudgetLimits {
            leave: 750,
            close: 1_000,
            window_ms: 10_000,
        })
    }

    #[test]
    fn a_burst_is_asked_to_leave_and_then_closed() {
        let mut budget = budget();
        let verdicts: Vec<_> = (0..1_000).map(|_| budget.spend(5, 1)).collect();
        let first = |wanted| verdicts.iter().position(|verdict| *verdict == wanted);
        assert_eq!(first(Verdict::GoAway), Some(749));
        assert_eq!(first(Verdict::CloseNow), Some(999));
    }

    #[test]
    fn a_steady_rate_below_the_limit_is_calm_for_ever() {
        let mut budget = budget();
        for tick in 0..100_000 {
            // 70 a second: 700 in any ten seconds.
            assert_eq!(budget.spend(tick * 1_000 / 70, 1), Verdict::Ok, "{tick}");
        }
    }

    #[test]
    fn a_burst_over_the_edge_of_a_window_counts_as_one() {
        let mut budget = budget();
        assert_eq!(budget.spend(9_900, 700), Verdict::Ok);
        assert_eq!(budget.spend(10_100, 400), Verdict::CloseNow);
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut budget = budget();
        assert_eq!(budget.spend(0, 700), Verdict::Ok);
        assert_eq!(budget.spend(30_000, 700), Verdict::Ok);
        assert_eq!(budget.spend(u64::MAX, u32::MAX), Verdict::CloseNow);
    }
}
