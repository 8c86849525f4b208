//! Judges of other tools as their documentation describes them, on the same traffic as switchback's.
//!
//! - Flagger with its built-in metric as its guide sets it up: request success rate of 99 % over the last minute, one
//!   check a minute, five failed checks in all, rolled back at the next check (`docs/gitbook/usage/metrics.md`); an hour.
//! - A usual Argo analysis: success rate of 95 % over five minutes, measured five times, the second failure aborts
//!   (`docs/features/analysis.md`).
//! - Kayenta's `NetflixACAJudge`: failures per minute of the canary against a baseline of the same size, Mann-Whitney at
//!   98 % with a tolerance of 25 % of the Hodges-Lehmann estimate, judged after one, two and three hours
//!   (`docs/canary-config.md`, `MannWhitneyClassifier`).

use switchback::analysis::Arm;

use super::{
    draws::Draws,
    failures::{Rollout, Traffic},
};

const MINUTES: usize = 180;

/// Requests and failures of one minute.
#[derive(Clone, Copy, Default)]
struct Minute {
    canary: u64,
    canary_failed: u64,
    baseline_failed: u64,
}

/// Canary requests until each judge rolls back.
#[derive(Clone, Copy)]
pub(crate) struct RolledBack {
    pub(crate) switchback: Option<u64>,
    pub(crate) flagger: Option<u64>,
    pub(crate) argo: Option<u64>,
    pub(crate) kayenta: Option<u64>,
}

/// One rollout of three hours at so many canary requests a minute.
pub(crate) fn compare(draws: &mut Draws, traffic: Traffic, rate: u64) -> RolledBack {
    let per_minute = rate * 100 / u64::from(traffic.percent);
    let mut rollout = Rollout::new();
    let mut switchback = None;
    let mut minutes = Vec::with_capacity(MINUTES);
    for _ in 0..MINUTES {
        minutes.push(minute(
            draws,
            traffic,
            per_minute,
            &mut rollout,
            &mut switchback,
        ));
    }
    RolledBack {
        switchback,
        flagger: flagger(&minutes),
        argo: argo(&minutes),
        kayenta: kayenta(&minutes),
    }
}

fn minute(
    draws: &mut Draws,
    traffic: Traffic,
    requests: u64,
    rollout: &mut Rollout,
    worse: &mut Option<u64>,
) -> Minute {
    let mut minute = Minute::default();
    let mut left = requests;
    let before = rollout.canary_requests;
    while left > 0 {
        let next = traffic.next(draws, left);
        left -= next.requests();
        rollout.look(traffic.share(), next);
        match next.bad {
            Some(Arm::Canary) => minute.canary_failed += 1,
            // A baseline is a part of stable that is as large as the canary.
            Some(Arm::Stable) => {
                let part = f64::from(traffic.percent) / f64::from(100 - traffic.percent);
                minute.baseline_failed += u64::from(draws.is(part));
            }
            None => {}
        }
        if worse.is_none() && rollout.judge.is_worse() {
            *worse = Some(rollout.canary_requests);
        }
    }
    minute.canary = rollout.canary_requests - before;
    minute
}

fn succeeds(minutes: &[Minute], least: f64) -> bool {
    let requests: u64 = minutes.iter().map(|minute| minute.canary).sum();
    let failed: u64 = minutes.iter().map(|minute| minute.canary_failed).sum();
    requests > 0 && (requests - failed) as f64 >= least * requests as f64
}

fn canary_requests(minutes: &[Minute]) -> u64 {
    minutes.iter().map(|minute| minute.canary).sum()
}

fn flagger(minutes: &[Minute]) -> Option<u64> {
    let hour = &minutes[..60];
    let failed = (0..60).filter(|minute| !succeeds(&hour[*minute..=*minute], 0.99));
    // Rolled back at the check after the fifth failed one.
    let last = failed.into_iter().nth(4)? + 1;
    (last < 60).then(|| canary_requests(&hour[..=last]))
}

fn argo(minutes: &[Minute]) -> Option<u64> {
    let measurements = minutes.chunks(5).take(5).enumerate();
    let mut failed = measurements.filter(|(_, five)| !succeeds(five, 0.95));
    let (second, _) = failed.nth(1)?;
    Some(canary_requests(&minutes[..(second + 1) * 5]))
}

fn kayenta(minutes: &[Minute]) -> Option<u64> {
    [60, 120, 180].into_iter().find_map(|until| {
        let minutes = &minutes[..until];
        let share = |minute: &Minute, failed: u64| failed as f64 / minute.canary.max(1) as f64;
        let shares = |failed: fn(&Minute) -> u64| {
            let of_minute = |minute| share(minute, failed(minute));
            minutes.iter().map(of_minute).collect::<Vec<_>>()
        };
        let canary = shares(|minute| minute.canary_failed);
        let baseline = shares(|minute| minute.baseline_failed);
        is_high(&canary, &baseline).then(|| canary_requests(minutes))
    })
}

/// Classified as High: the lower end of the interval of the difference is above a quarter of its estimate.
fn is_high(canary: &[f64], baseline: &[f64]) -> bool {
    let mut differences: Vec<f64> = canary
        .iter()
        .flat_map(|a| baseline.iter().map(move |b| a - b))
        .collect();
    differences.sort_by(f64::total_cmp);
    let (first, last) = (differences[0], differences[differences.len() - 1]);
    if last - first < 1e-12 {
        return false;
    }
    let (m, n) = (canary.len() as f64, baseline.len() as f64);
    // The normal quantile of 99 %.
    let place = m * n / 2.0 - 2.326_347_874 * (m * n * (m + n + 1.0) / 12.0).sqrt();
    let low = differences[(place.round() as usize).saturating_sub(1)];
    let estimate = differences[differences.len() / 2];
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    low > 0.25 * estimate.abs() && mean(canary) >= mean(baseline)
}
