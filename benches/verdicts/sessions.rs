//! Equal releases under sessions: some users fail all the time, whatever serves them.

use switchback::analysis::{Arm, Evidence, FirstBad, Judge, Settings, Share, Signal, Watch};

use super::draws::Draws;

/// Sessions of one rollout.
const SESSIONS: u64 = 8_000;

/// Unit that is counted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Request,
    Session,
}

/// True if equal releases are told apart. 2 % of the sessions are bad: 80 % of their 21 requests (on average, spread over
/// some minutes of an hour) fail, and 0.1 % of the others'.
pub(crate) fn is_false_alarm(draws: &mut Draws, unit: Unit, percent: u32) -> bool {
    let weight = f64::from(percent) / 100.0;
    let mut failures: Vec<(f64, u64, Arm)> = Vec::new();
    for session in 0..SESSIONS {
        let start = 3_600.0 * draws.unit();
        let rate = if draws.is(0.02) { 0.8 } else { 0.001 };
        let arm = if draws.is(weight) {
            Arm::Canary
        } else {
            Arm::Stable
        };
        let requests = draws.poisson(20.0) + 1;
        for _ in 0..draws.binomial(requests, rate) {
            failures.push((start + 120.0 * draws.exponential(), session, arm));
        }
    }
    failures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut judge = Judge::new(Settings::default(), vec![Watch::Failures]).expect("one signal");
    let mut seen = FirstBad::new(usize::MAX);
    failures.into_iter().any(|(_, session, arm)| {
        if unit == Unit::Request || seen.is_first(session, Signal::Failures, 0) {
            let mut evidence = Evidence::of_step(0, Share::of_weights(percent, 100 - percent));
            evidence.bad(Signal::Failures, 0, arm, 1);
            judge.observe(&evidence);
        }
        judge.is_worse()
    })
}
