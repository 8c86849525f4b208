//! Verdict after a rollback: users are well again, they are not, they are worse off, or there is not enough data.
//!
//! Pure, and without state: the counts of the periods in, a verdict out. `docs/verification.md` has the mathematics.
//!
//! For each signal there is one *limit*, fixed by the periods before the rollback: what was usual and a margin. Both
//! claims are about it, so that they exclude each other: recovered is a rate below it, not recovered a rate above it.

use serde::{Deserialize, Serialize};

use super::{
    number::real,
    period::{Period, PeriodNames, Reference, Since},
    recovery_verdict::{Evidence, Outcome, RecoverySignal, RecoveryVerdict},
    recovery_words,
    sample::Sample,
    signal::Signal,
    thresholds::Thresholds,
    verdict::Rate,
};

/// Error of "not recovered" and of "worse", each, over all signals and looks.
const ALPHA: f64 = 0.01;
/// Error of "recovered" for each signal.
const BETA: f64 = 0.05;
/// Part of an error that is spent on the rate of the earlier period.
const REFERENCE_PART: f64 = 0.2;

/// Fewest requests of an earlier period that can be compared with.
const FEWEST_BEFORE: u64 = 100;
/// Fewest requests since the rollback for *recovered*.
const FEWEST_SINCE: u64 = 50;
/// Fewest bad requests, and fewest looks with requests, for *not recovered* and *worse*.
const FEWEST_BAD: u64 = 3;

/// Margin where the release has done no harm that is counted.
const MARGIN: f64 = 0.02;
/// The same for slow requests: durations of two periods differ more than failures do.
const SLOW_MARGIN: f64 = 0.1;
/// Smallest margin where the release has done harm: half of the harm.
const LEAST_MARGIN: f64 = 0.001;
/// Largest such margin, as a multiple of the usual one.
const MOST_MARGINS: f64 = 1.5;
/// Rate of failures that is never well, where no release can be blamed for them.
const NEVER_WELL: f64 = 0.1;

/// Periods of a route that end with a rollback.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// Thresholds of slowness, frozen from an earlier period; none if too little was counted.
    pub thresholds: Option<Thresholds>,
    /// The route before the release that was taken back.
    pub before: Option<Period>,
    /// The other releases of the route while that release had requests.
    pub beside: Option<Period>,
    /// The route with the release that was taken back.
    pub with: Period,
    /// That release alone.
    pub own: Period,
}

/// Limits of one signal, from the periods before the rollback.
#[derive(Debug, Clone, Copy)]
struct Limits {
    recovered: f64,
    not_recovered: f64,
    worse: f64,
    has_harm: bool,
}

impl Recovery {
    /// The verdict on what was counted since. It may be asked for after every request.
    pub fn verdict(&self, since: &Since, names: PeriodNames<'_>) -> RecoveryVerdict {
        let reference = self.reference();
        let period = reference.map(|(_, period)| period);
        let of = |signal, level| self.signal((signal, level), since, period);
        let levels = self
            .thresholds
            .as_ref()
            .map_or(0, |slow| slow.seconds().len());
        let mut signals = vec![of(Signal::Failures, 0), of(Signal::BrokenStreams, 0)];
        let slow: Vec<_> = (0..levels).map(|level| of(Signal::Slow, level)).collect();
        let is_slow_well = slow.iter().all(|one| one.outcome == Outcome::Recovered);
        signals.extend(slow.into_iter().min_by(more_telling));
        let reference = reference.map(|(reference, _)| reference);
        for signal in &mut signals {
            signal.words = recovery_words::of_signal(signal, reference, names);
        }
        let outcome = self.outcome(&signals, is_slow_well, since);
        let improved = signals.iter().any(|signal| signal.improved);
        RecoveryVerdict {
            words: recovery_words::in_all(outcome, &signals, (since, reference), names),
            outcome,
            improved,
            reference,
            signals,
        }
    }

    fn outcome(&self, signals: &[RecoverySignal], is_slow_well: bool, since: &Since) -> Outcome {
        let any = |outcome| signals.iter().any(|signal| signal.outcome == outcome);
        if any(Outcome::Worse) {
            return Outcome::Worse;
        }
        if any(Outcome::NotRecovered) {
            return Outcome::NotRecovered;
        }
        let is_known = self.reference().is_some() || signals.iter().any(|signal| signal.has_harm);
        let is_enough = since.is_settled && since.period.units >= FEWEST_SINCE;
        let is_well = |signal: &RecoverySignal| signal.outcome == Outcome::Recovered;
        if is_known && is_enough && is_slow_well && signals.iter().all(is_well) {
            Outcome::Recovered
        } else {
            Outcome::NotEnoughData
        }
    }

    /// The period that is compared with: the route before the release, else what stood beside it.
    fn reference(&self) -> Option<(Reference, Period)> {
        let enough = |period: &Period| period.units >= FEWEST_BEFORE;
        let before = self.before.filter(enough);
        let beside = self.beside.filter(enough);
        let before = before.map(|period| (Reference::Before, period));
        before.or(beside.map(|period| (Reference::Beside, period)))
    }

    fn signal(
        &self,
        of: (Signal, usize),
        since: &Since,
        reference: Option<Period>,
    ) -> RecoverySignal {
        let (now, with) = (since.period.rate(of), self.with.rate(of));
        let reference = reference.map(|period| period.rate(of));
        let alpha = ALPHA * self.weight(of.0);
        let limits = Limits::of(of.0, reference.map(Rate::sample), with.sample(), alpha);
        let certain = 1.0 - REFERENCE_PART;
        let sample = now.sample();
        let evidence = Evidence {
            recovered: certain * sample.e_below(limits.recovered),
            not_recovered: certain * sample.e_above(limits.not_recovered),
            worse: certain * sample.e_above(limits.worse),
            recovered_bound: 1.0 / BETA,
            bad_bound: 1.0 / alpha,
        };
        let usual = with.sample().lower_rate(REFERENCE_PART * BETA);
        let level = |slow: &Thresholds| slow.seconds().get(of.1).copied();
        let is_slow = of.0 == Signal::Slow;
        RecoverySignal {
            name: of.0,
            outcome: evidence.outcome(now.bad.min(since.looks) >= FEWEST_BAD),
            has_harm: limits.has_harm,
            improved: certain * sample.e_below(usual) >= 1.0 / BETA,
            threshold_seconds: self.thresholds.as_ref().filter(|_| is_slow).and_then(level),
            since: now,
            with,
            own: self.own.rate(of),
            reference,
            limits: (limits.recovered, limits.not_recovered),
            evidence,
            words: String::new(),
        }
    }

    /// Part of the error that a signal, or one of its thresholds, has.
    fn weight(&self, signal: Signal) -> f64 {
        let levels = self
            .thresholds
            .as_ref()
            .map_or(1, |slow| slow.seconds().len());
        match signal {
            Signal::Failures => 0.5,
            Signal::Slow => 0.25 / real(levels as u64),
            _ => 0.25,
        }
    }
}

impl Limits {
    fn of(signal: Signal, reference: Option<Sample>, with: Sample, alpha: f64) -> Self {
        let (bad, fine) = (REFERENCE_PART * alpha, REFERENCE_PART * BETA);
        let own = if signal == Signal::Slow {
            SLOW_MARGIN
        } else {
            MARGIN
        };
        let worse = with.upper_rate(bad) + own.max(with.rate() / 2.0);
        let Some(usual) = reference else {
            return Self::without_reference(with, (bad, fine), (own, worse));
        };
        let (low, high) = (usual.lower_rate(fine), usual.upper_rate(bad));
        let has_harm = with.lower_rate(bad) > high;
        let most = if has_harm || signal == Signal::Slow {
            1.0
        } else {
            NEVER_WELL
        };
        let margin = if has_harm {
            let most = (own * MOST_MARGINS).max(usual.rate());
            ((with.rate() - usual.rate()) / 2.0).clamp(LEAST_MARGIN, most)
        } else {
            own.max(usual.rate())
        };
        Self {
            recovered: (low + margin).min(most),
            not_recovered: (high + margin).min(most),
            worse,
            has_harm,
        }
    }

    /// With nothing to compare with but the release that was taken back: recovered is half of what it did to users.
    fn without_reference(
        with: Sample,
        (bad, fine): (f64, f64),
        (margin, worse): (f64, f64),
    ) -> Self {
        let low = with.lower_rate(fine);
        let has_harm = low > margin;
        Self {
            recovered: if has_harm { low / 2.0 } else { low + margin },
            not_recovered: if has_harm {
                with.upper_rate(bad) / 2.0
            } else {
                1.0
            },
            worse,
            has_harm,
        }
    }
}

/// The threshold that says more comes first: the worst finding, then the least evidence of recovery.
fn more_telling(one: &RecoverySignal, other: &RecoverySignal) -> std::cmp::Ordering {
    let rank = |signal: &RecoverySignal| match signal.outcome {
        Outcome::Worse => 0,
        Outcome::NotRecovered => 1,
        Outcome::NotEnoughData => 2,
        Outcome::Recovered => 3,
    };
    let evidence = one.evidence.recovered.total_cmp(&other.evidence.recovered);
    rank(one).cmp(&rank(other)).then(evidence)
}
