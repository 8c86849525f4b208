//! Parts of a verification in the words of the API.

use super::watch_set::ReleaseKey;
use crate::{
    analysis::{Outcome, Rate, RecoverySignal, Reference},
    api::{RequestRate, VerificationReference, VerificationSignal, VerificationVerdict},
};

/// Names of releases; with their versions where a name is on both sides.
pub(super) fn names(releases: &[ReleaseKey], others: &[ReleaseKey]) -> String {
    let name = |(name, version): &ReleaseKey| {
        let is_twice = others.iter().any(|(other, _)| other == name);
        if is_twice {
            format!("{name} {version}")
        } else {
            name.to_string()
        }
    };
    let names: Vec<_> = releases.iter().map(name).collect();
    names.join(" and ")
}

/// Place of a verdict, the worst first.
pub(super) const fn rank(verdict: VerificationVerdict) -> u8 {
    match verdict {
        VerificationVerdict::Worse => 0,
        VerificationVerdict::NotRecovered => 1,
        VerificationVerdict::NotEnoughData => 2,
        VerificationVerdict::Recovered => 3,
    }
}

pub(super) const fn verdict(outcome: Outcome) -> VerificationVerdict {
    match outcome {
        Outcome::Recovered => VerificationVerdict::Recovered,
        Outcome::NotRecovered => VerificationVerdict::NotRecovered,
        Outcome::Worse => VerificationVerdict::Worse,
        Outcome::NotEnoughData => VerificationVerdict::NotEnoughData,
    }
}

pub(super) const fn reference(reference: Reference) -> VerificationReference {
    match reference {
        Reference::Before => VerificationReference::Before,
        Reference::Beside => VerificationReference::Beside,
    }
}

const fn rate(rate: Rate) -> RequestRate {
    RequestRate {
        bad: rate.bad,
        requests: rate.units,
    }
}

pub(super) fn signal(signal: RecoverySignal) -> VerificationSignal {
    VerificationSignal {
        name: signal.name.as_str().to_owned(),
        verdict: verdict(signal.outcome),
        threshold_seconds: signal.threshold_seconds,
        since: rate(signal.since),
        with: rate(signal.with),
        own: rate(signal.own),
        reference: signal.reference.map(rate),
        recovered_below: signal.limits.0,
        not_recovered_above: signal.limits.1,
        words: signal.words,
    }
}
