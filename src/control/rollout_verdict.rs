//! Verdict of a judge, as it is shown.

use crate::{
    analysis::{Finding, QueryVerdict, Rate, Verdict},
    api::{RolloutFinding, RolloutMetric, RolloutRate, RolloutVerdict},
};

/// The verdict, as it is shown.
pub(super) fn verdict(verdict: Verdict) -> RolloutVerdict {
    let metrics = verdict.metrics.into_iter().map(|metric| RolloutMetric {
        name: metric.name.as_str().to_owned(),
        verdict: finding(metric.verdict),
        e: metric.e.min(f64::MAX),
        fine_e: metric.fine_e.min(f64::MAX),
        fine_bound: metric.fine_bound,
        threshold_seconds: metric.threshold_seconds,
        canary: rate(metric.canary),
        stable: rate(metric.stable),
        words: metric.words,
    });
    let queries = verdict.queries.into_iter().map(query);
    RolloutVerdict {
        route: None,
        overall: finding(verdict.overall),
        e: verdict.e.min(f64::MAX),
        bound: verdict.bound,
        metrics: metrics.chain(queries).collect(),
        nodes: None,
        words: verdict.words,
    }
}

/// The verdict on the values of a query: its units are intervals.
fn query(query: QueryVerdict) -> RolloutMetric {
    let rate = |worse| RolloutRate {
        bad: worse,
        units: query.intervals,
        distinct: worse,
    };
    RolloutMetric {
        verdict: finding(query.verdict),
        e: query.e.min(f64::MAX),
        fine_e: query.fine_e.min(f64::MAX),
        fine_bound: query.fine_bound,
        threshold_seconds: None,
        canary: rate(query.worse_in.canary),
        stable: rate(query.worse_in.stable),
        name: query.name,
        words: query.words,
    }
}

const fn finding(finding: Finding) -> RolloutFinding {
    match finding {
        Finding::Worse => RolloutFinding::Worse,
        Finding::Fine => RolloutFinding::Fine,
        Finding::NotEnoughData => RolloutFinding::NotEnoughData,
        Finding::Unmeasurable => RolloutFinding::Unmeasurable,
    }
}

const fn rate(rate: Rate) -> RolloutRate {
    RolloutRate {
        bad: rate.bad,
        units: rate.units,
        distinct: rate.distinct,
    }
}
