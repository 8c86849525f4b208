//! Traffic with every signal at once, of which those of a request go together: what is slow is late and disliked, what
//! fails is disliked too, and what is refused is neither slow nor broken off.

use std::time::Duration;

use switchback::{
    analysis::{Arm, Evidence, Judge, Settings, Share, Signal, Thresholds, Watch},
    model::Outcome,
    stats::OutcomeTable,
};

use super::draws::Draws;

/// Spread of the log-normal durations, whose median is 1 s.
const SIGMA: f64 = 0.9;

/// Rates of the requests of an arm.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) fails: f64,
    pub(crate) breaks: f64,
    pub(crate) refuses: f64,
    pub(crate) disliked: f64,
    /// Factor of the time until the first byte.
    pub(crate) later: f64,
}

impl Rates {
    pub(crate) const STABLE: Self = Self {
        fails: 0.01,
        breaks: 0.02,
        refuses: 0.04,
        disliked: 0.01,
        later: 1.0,
    };
}

/// Origin of the thresholds of slow requests and late first bytes.
#[derive(Clone, Copy)]
pub(crate) enum Limits {
    /// One of each, given by the plan: 2.5 s and 1 s.
    Given,
    /// Quantiles of 1,000 requests of stable, at the bounds of the proxy's histogram.
    Learned,
}

/// One request.
struct Request {
    /// A failure, a stream that broke off, or a refusal.
    bad: Option<Signal>,
    disliked: bool,
    seconds: f64,
    first_byte: f64,
}

impl Request {
    fn draw(draws: &mut Draws, rates: Rates) -> Self {
        let place = draws.unit();
        let (fails, breaks) = (rates.fails, rates.fails + rates.breaks);
        let bad = match place {
            _ if place < fails => Some(Signal::Failures),
            _ if place < breaks => Some(Signal::BrokenStreams),
            _ if place < breaks + rates.refuses => Some(Signal::ClientErrors),
            _ => None,
        };
        let is_refused = bad == Some(Signal::ClientErrors);
        let plain = (SIGMA * draws.normal()).exp();
        let seconds = if is_refused { 0.01 * plain } else { plain };
        let slower = if seconds > 3.0 { 5.0 } else { 1.0 };
        let worse = if bad.is_some() { 10.0 } else { slower };
        Self {
            bad,
            disliked: draws.is((rates.disliked * worse).min(1.0)),
            first_byte: seconds * (0.1 + 0.8 * draws.unit()) * rates.later,
            seconds,
        }
    }
}

/// Thresholds of slow requests and of late first bytes.
fn thresholds(draws: &mut Draws, limits: Limits) -> [Thresholds; 2] {
    if let Limits::Given = limits {
        return [2.5, 1.0].map(|seconds| Thresholds::given(&[seconds]).expect("one threshold"));
    }
    let outcomes = OutcomeTable::new(1);
    for _ in 0..1_000 {
        let request = Request::draw(draws, Rates::STABLE);
        let [seconds, first_byte] =
            [request.seconds, request.first_byte].map(Duration::from_secs_f64);
        outcomes.record(0, Outcome::Answered(200), seconds, Some(first_byte));
    }
    let seen = outcomes.snapshot();
    [seen.duration, seen.first_byte]
        .map(|times| Thresholds::freeze(times.cumulative()).expect("1,000 values"))
}

/// Canary requests until the judge of all six signals says worse, within so many requests of both; it looks after each.
pub(crate) fn until_told_apart(
    draws: &mut Draws,
    (percent, canary): (u32, Rates),
    limits: Limits,
    requests: u64,
) -> Option<u64> {
    let [slow, late] = thresholds(draws, limits);
    let watches = vec![
        Watch::Failures,
        Watch::BrokenStreams,
        Watch::Slow(slow.clone()),
        Watch::FirstByteLate(late.clone()),
        Watch::NegativeFeedback,
        Watch::ClientErrors,
    ];
    let mut judge = Judge::new(Settings::default(), watches).expect("six signals");
    let share = Share::of_weights(percent, 100 - percent);
    let weight = f64::from(percent) / 100.0;
    let mut count = 0;
    for _ in 0..requests {
        let is_canary = draws.is(weight);
        count += u64::from(is_canary);
        let (arm, rates) = if is_canary {
            (Arm::Canary, canary)
        } else {
            (Arm::Stable, Rates::STABLE)
        };
        let request = Request::draw(draws, rates);
        let mut evidence = Evidence::of_step(0, share);
        evidence.started(arm, 1);
        evidence.settled(arm, 1);
        if let Some(signal) = request.bad {
            evidence.bad(signal, 0, arm, 1);
        }
        evidence.bad(
            Signal::NegativeFeedback,
            0,
            arm,
            u64::from(request.disliked),
        );
        for (signal, thresholds, seconds) in [
            (Signal::Slow, &slow, request.seconds),
            (Signal::FirstByteLate, &late, request.first_byte),
        ] {
            let passed = thresholds.passed(seconds);
            let levels = std::array::from_fn(|level| u64::from(level < passed));
            evidence.passed(signal, arm, levels);
        }
        judge.observe(&evidence);
        if judge.is_worse() {
            return Some(count);
        }
    }
    None
}
