//! Verdict on a release from the traffic of a route: worse than stable, fine, or not enough data.
//!
//! Pure: evidence in, verdict out. There is no clock, no I/O and no random number, so what a judge says depends on what
//! it was given and on nothing else. `docs/verdicts.md` has the mathematics, its sources and what it was measured to do.
//!
//! - A [`Judge`] is made once for a rollout, from [`Settings`] and the [`Watch`]es that it looks at.
//! - It is given [`Evidence`]: counts of canary and stable since the last look, as often as one likes. A look costs
//!   nothing in certainty: false alarms stay below `alpha` however often the judge looks, and whenever the rollout ends.
//! - It is asked for a [`Verdict`], with the numbers in words.
//! - It is saved and restored with serde; [`Judge::resume`] is called after a restore.
//! - An [`Estimate`] is a share or a quantile with its confidence interval, for people (`docs/kpis.md`).
//! - Rehearsals with two equal halves have [`Peaks`] of evidence, and false alarms whose chance is [`chance_of`].
//! - After a rollback, a [`Recovery`] says of the route whether users are well again (`docs/verification.md`).
//!
//! ```
//! use switchback::analysis::{Arm, Evidence, Judge, Names, Settings, Share, Signal, Finding, Watch};
//!
//! let mut judge = Judge::new(Settings::default(), vec![Watch::Failures]).expect("one watch");
//! let mut evidence = Evidence::of_step(0, Share::of_weights(5, 95));
//! evidence.started(Arm::Canary, 132);
//! evidence.started(Arm::Stable, 2_400);
//! evidence.bad(Signal::Failures, 0, Arm::Canary, 12);
//! evidence.bad(Signal::Failures, 0, Arm::Stable, 22);
//! judge.observe(&evidence);
//! let verdict = judge.verdict(Names { canary: "green", stable: "blue" });
//! assert_eq!(verdict.overall, Finding::Worse);
//! assert!(verdict.metrics[0].words.starts_with("green fails 9.1 % (12 of 132), blue 0.9 % (22 of 2,400); worse"));
//! ```

mod assess;
mod evidence;
mod false_alarms;
mod first_bad;
mod interval;
mod judge;
mod level;
mod margin;
mod mixture;
mod number;
mod peaks;
mod period;
mod query;
mod ratio;
mod recovery;
mod recovery_verdict;
mod recovery_words;
mod sample;
mod settings;
mod share;
mod share_check;
mod signal;
mod stable_guard;
mod tally;
mod thresholds;
mod verdict;
mod words;

#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod tests;

pub use self::{
    evidence::Evidence,
    false_alarms::chance_of,
    first_bad::FirstBad,
    interval::{CONFIDENCE, Estimate},
    judge::{Judge, WatchError},
    peaks::{Peaks, SignalPeak},
    period::{Period, PeriodNames, Reference, Since},
    query::{Compared, Direction, MOST_QUERIES, QueryWatch},
    recovery::Recovery,
    recovery_verdict::{Evidence as RecoveryEvidence, Outcome, RecoverySignal, RecoveryVerdict},
    settings::{Settings, SettingsError},
    share::Share,
    signal::{Signal, Watch},
    tally::{Arm, Tally},
    thresholds::{LEVELS, Thresholds},
    verdict::{Finding, MetricVerdict, Obstacle, QueryVerdict, Rate, Verdict},
    words::Names,
};
