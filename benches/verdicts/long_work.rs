//! Long work: what fails, fails late, and what is quick has succeeded.

use switchback::analysis::{Arm, Evidence, Finding, Judge, Settings, Share, Signal, Watch};

use super::draws::Draws;

/// Timeout at which a hanging request fails, in seconds.
const TIMEOUT: usize = 120;

/// Length of a rollout in seconds.
const LENGTH: usize = 300;

/// Canary requests a second, at 5 %.
const CANARY: usize = 20;

/// Moment at which a unit counts as settled.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Settled {
    /// When it is as old as the timeout, ended or not.
    ByAge,
    /// When it has ended.
    AtTheEnd,
}

/// Counts of one arm for each second.
struct Seconds {
    settled: [u64; LENGTH],
    failed: [u64; LENGTH],
}

impl Seconds {
    /// Work of 20 seconds (median), of which a part hangs until the timeout and fails.
    fn draw(draws: &mut Draws, requests: usize, fails: f64, settled: Settled) -> Self {
        let mut seconds = Self {
            settled: [0; LENGTH],
            failed: [0; LENGTH],
        };
        for start in 0..LENGTH {
            for _ in 0..requests {
                let fails = draws.is(fails);
                let duration = if fails {
                    TIMEOUT
                } else {
                    (20.0 * (1.2 * draws.normal()).exp()) as usize
                };
                let age = if settled == Settled::ByAge {
                    TIMEOUT
                } else {
                    duration.min(TIMEOUT)
                };
                if let Some(count) = seconds.settled.get_mut(start + age) {
                    *count += 1;
                }
                if let Some(count) = seconds.failed.get_mut(start + TIMEOUT).filter(|_| fails) {
                    *count += 1;
                }
            }
        }
        seconds
    }
}

/// Canary requests until a canary that fails at twice the rate of stable (6 % and 3 %) is called fine, or `None` within
/// five minutes.
pub(crate) fn until_passed(draws: &mut Draws, settled: Settled) -> Option<u64> {
    let canary = Seconds::draw(draws, CANARY, 0.06, settled);
    let stable = Seconds::draw(draws, CANARY * 19, 0.03, settled);
    let mut judge = Judge::new(Settings::default(), vec![Watch::Failures]).expect("one signal");
    let passed = (0..LENGTH).find(|second| {
        let mut evidence = Evidence::of_step(0, Share::of_weights(5, 95));
        for (arm, counts, started) in [(Arm::Canary, &canary, 1), (Arm::Stable, &stable, 19)] {
            evidence.started(arm, started * CANARY as u64);
            evidence.settled(arm, counts.settled[*second]);
            evidence.bad(Signal::Failures, 0, arm, counts.failed[*second]);
        }
        judge.observe(&evidence);
        judge.finding() == Finding::Fine
    });
    passed.map(|second| ((second + 1) * CANARY) as u64)
}
