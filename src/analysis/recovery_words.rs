//! Numbers of a verdict after a rollback, in words.

use std::fmt::Write as _;

use super::{
    period::{PeriodNames, Reference, Since},
    recovery_verdict::{Outcome, RecoverySignal},
    signal::Signal,
    words::{EValue, Percent, verb},
};

/// A signal with its numbers: "chat fails 0.9 % (22 of 2,400) since the rollback, 9.1 % (120 of 1,320) with green, 0.8 %
/// (19 of 2,400) before it; recovered: below 3.8 %, e = 812 ≥ 20".
pub(super) fn of_signal(
    signal: &RecoverySignal,
    reference: Option<Reference>,
    names: PeriodNames<'_>,
) -> String {
    let figures = figures(signal, reference, names);
    let evidence = signal.evidence;
    let (low, high) = (Percent(signal.limits.0), Percent(signal.limits.1));
    let (fine, fine_bound) = (EValue(evidence.recovered), EValue(evidence.recovered_bound));
    let (bad, bad_bound) = (EValue(evidence.not_recovered), EValue(evidence.bad_bound));
    match signal.outcome {
        Outcome::Recovered => {
            format!("{figures}; recovered: below {low}, e = {fine} ≥ {fine_bound}")
        }
        Outcome::NotRecovered => {
            format!("{figures}; not recovered: above {high}, e = {bad} ≥ {bad_bound}")
        }
        Outcome::Worse => {
            let worse = EValue(evidence.worse);
            let taken_back = names.taken_back;
            format!("{figures}; worse than with {taken_back}, e = {worse} ≥ {bad_bound}")
        }
        Outcome::NotEnoughData => format!(
            "{figures}; not enough data, e = {fine} of {fine_bound} for below {low}, {bad} of {bad_bound} for above {high}"
        ),
    }
}

/// The verdict in all.
pub(super) fn in_all(
    outcome: Outcome,
    signals: &[RecoverySignal],
    (since, reference): (&Since, Option<Reference>),
    names: PeriodNames<'_>,
) -> String {
    let taken_back = names.taken_back;
    let Some(telling) = telling(outcome, signals) else {
        return String::new();
    };
    let figures = figures(telling, reference, names);
    match outcome {
        Outcome::Recovered => {
            let has_harm = signals.iter().any(|signal| signal.has_harm);
            let harmless = if has_harm {
                String::new()
            } else {
                format!("; by what is counted, {taken_back} did the route no harm")
            };
            format!("recovered: {figures}{harmless}")
        }
        Outcome::NotRecovered if signals.iter().any(|signal| signal.improved) => {
            format!("NOT RECOVERED: {figures}; {taken_back} was not the only cause")
        }
        Outcome::NotRecovered => {
            format!("NOT RECOVERED: {figures}; {taken_back} was not the cause")
        }
        Outcome::Worse => format!("WORSE: {figures}; it was better with {taken_back}"),
        Outcome::NotEnoughData => not_enough(since, reference, &figures, names),
    }
}

/// The signal that the verdict is told with: of those that decided the one with most evidence, or the one that was harmed.
fn telling(outcome: Outcome, signals: &[RecoverySignal]) -> Option<&RecoverySignal> {
    match outcome {
        Outcome::Worse | Outcome::NotRecovered => {
            let decided = signals.iter().filter(|signal| signal.outcome == outcome);
            decided.max_by(|one, other| {
                let evidence = |signal: &RecoverySignal| signal.evidence.not_recovered;
                evidence(one).total_cmp(&evidence(other))
            })
        }
        Outcome::Recovered => signals
            .iter()
            .find(|signal| signal.has_harm)
            .or(signals.first()),
        Outcome::NotEnoughData => {
            let is_open = |signal: &&RecoverySignal| signal.outcome == Outcome::NotEnoughData;
            signals.iter().find(is_open).or(signals.first())
        }
    }
}

fn not_enough(
    since: &Since,
    reference: Option<Reference>,
    figures: &str,
    names: PeriodNames<'_>,
) -> String {
    let PeriodNames {
        route, taken_back, ..
    } = names;
    if since.period.units == 0 {
        return format!("not enough data: {route} has had no requests since the rollback");
    }
    if reference.is_none() {
        return format!(
            "not enough data: {figures}; too little is known of the time before {taken_back}"
        );
    }
    format!("not enough data: {figures}")
}

fn figures(
    signal: &RecoverySignal,
    reference: Option<Reference>,
    names: PeriodNames<'_>,
) -> String {
    let PeriodNames {
        route,
        taken_back,
        stable,
    } = names;
    let mut text = format!("{route} {}", verb(signal.name));
    if let (Signal::Slow, Some(seconds)) = (signal.name, signal.threshold_seconds) {
        let _ = write!(text, " {seconds} s in");
    }
    let _ = write!(text, " {} since the rollback", signal.since);
    if signal.since.units == 0 {
        text = format!("{route} has had no requests since the rollback");
    }
    if signal.with.units > 0 {
        let _ = write!(text, ", {} with {taken_back}", signal.with);
    }
    // What the release had nearly alone is said once.
    let (own, with) = (signal.own.units, signal.with.units);
    if own > 0 && own < with - with / 20 {
        let _ = write!(text, " ({taken_back} itself {})", signal.own);
    }
    match (reference, signal.reference) {
        (Some(Reference::Before), Some(rate)) => {
            let _ = write!(text, ", {rate} before it");
        }
        (Some(Reference::Beside), Some(rate)) => {
            let _ = write!(text, ", {rate} on {stable} at the same time");
        }
        _ => {}
    }
    text
}
