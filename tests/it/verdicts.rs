//! Simulated rollouts, as in `benches/verdicts.rs` but few: a judge that raises false alarms, or is late, is seen.

use switchback::analysis::{Arm, Judge, Share};

use simulation::{
    draws::Draws,
    every_signal::{Limits, Rates, until_told_apart},
    failures::{Rollout, Traffic, until_fine, until_late, until_worse},
    long_work::{Settled, until_passed},
    references::compare,
    requests::{Kind, Requests, Slower},
    rollouts::{Delays, many},
    sessions::{Unit, is_false_alarm},
};
use switchback::analysis::Finding;

#[path = "../../benches/verdicts/mod.rs"]
#[expect(
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a program that prints statistics"
)]
mod simulation;

const SEED: u64 = 20_261_129;

/// Number of rollouts in which something happened.
fn count(rollouts: usize, one: impl Fn(&mut Draws) -> bool + Sync) -> usize {
    let all = many(rollouts, SEED, one);
    all.into_iter().filter(|happened| *happened).count()
}

fn median(rollouts: usize, one: impl Fn(&mut Draws) -> Option<u64> + Sync) -> u64 {
    let delays = Delays::of(&many(rollouts, SEED, one));
    delays.median().expect("it happens in half of the rollouts")
}

/// False alarms among 300 rollouts, of which 3 are expected at most; more than 9 come once in 1,000 tests of a judge that
/// just keeps its word, but the seed is fixed.
fn is_honest(alarms: usize) -> bool {
    alarms <= 9
}

#[test]
fn equal_releases_are_told_apart_in_one_rollout_of_a_hundred_at_most() {
    for percent in [1, 5, 50] {
        let alarms = count(300, |draws| {
            until_worse(draws, Traffic::new(percent, 0.01, 0.01), 50_000).is_some()
        });
        assert!(is_honest(alarms), "{alarms} of 300 at {percent} %");
    }
}

#[test]
fn an_incident_of_both_while_the_weight_steps_is_no_alarm() {
    let alarms = count(300, |draws| {
        let mut rollout = Rollout::new();
        for (percent, rate) in [(5, 0.005), (20, 0.05), (50, 0.005)] {
            rollout.step(
                draws,
                Traffic::new(percent, rate, rate),
                8_000,
                Judge::is_worse,
            );
            rollout.begin_step();
        }
        rollout.judge.is_worse()
    });
    assert!(is_honest(alarms), "{alarms} of 300");
}

#[test]
fn sessions_are_units_and_requests_are_not() {
    let alarms = |unit| count(60, |draws| is_false_alarm(draws, unit, 5));
    let (by_session, by_request) = (alarms(Unit::Session), alarms(Unit::Request));
    assert!(by_session <= 4, "{by_session} of 60");
    assert!(
        by_request >= 15,
        "{by_request} of 60: this simulation would find no dishonest judge"
    );
}

/// The simulation finds a judge that is given a wrong share, and a judge's own check of its share finds it first.
#[test]
fn a_wrong_share_raises_false_alarms_unless_units_are_counted() {
    let alarms = |counts_units: bool| {
        count(100, |draws| {
            let (traffic, assumed) = (Traffic::new(10, 0.01, 0.01), Share::of_weights(5, 95));
            let mut rollout = Rollout::new();
            for _ in 0..500 {
                let mut next = traffic.next(draws, u64::MAX);
                if !counts_units {
                    (next.good_canary, next.good_stable) = (0, 0);
                }
                rollout.look(assumed, next);
            }
            rollout.judge.is_worse()
        })
    };
    let (blind, counting) = (alarms(false), alarms(true));
    assert!(blind >= 60, "{blind} of 100");
    assert!(counting <= 3, "{counting} of 100");
}

#[test]
fn a_bad_canary_is_found_within_tens_of_its_requests() {
    let ten_times = median(200, |draws| {
        until_worse(draws, Traffic::new(5, 0.1, 0.01), 100_000)
    });
    assert!(ten_times <= 55, "{ten_times}");
    let rare = median(800, |draws| {
        until_worse(draws, Traffic::new(5, 0.01, 0.001), 1_000_000)
    });
    assert!(rare <= 500, "{rare}");
    let late = median(100, |draws| {
        let (healthy, sick) = (Traffic::new(5, 0.01, 0.01), Traffic::new(5, 0.1, 0.01));
        until_late(draws, healthy, 5_000, sick, 100_000).unwrap_or(Some(0))
    });
    assert!(late <= 120, "{late}");
}

#[test]
fn a_good_canary_is_fine_in_time_and_one_twice_as_bad_is_not() {
    let fine = |canary| {
        many(100, SEED, move |draws| {
            until_fine(draws, Traffic::new(5, canary, 0.05), 40_000)
        })
    };
    let good = Delays::of(&fine(0.05));
    assert!(
        good.median().is_some_and(|median| median <= 250),
        "{:?}",
        good.median()
    );
    let bad = fine(0.1).into_iter().flatten().count();
    assert!(bad <= 12, "{bad} of 100, of which 5 are expected at most");
}

#[test]
fn long_work_is_not_fine_before_its_failures_can_be_seen() {
    let passed = |settled| count(10, |draws| until_passed(draws, settled).is_some());
    let (by_age, at_the_end) = (passed(Settled::ByAge), passed(Settled::AtTheEnd));
    assert!(by_age <= 2, "{by_age} of 10");
    assert!(
        at_the_end >= 9,
        "{at_the_end} of 10: the rule makes no difference"
    );
}

#[test]
fn slow_broken_and_dead_canaries_are_found_by_all_signals_together() {
    let stable = Kind::STABLE;
    let until = |kind| {
        median(40, move |draws| {
            Requests::new(5, kind).until(draws, Finding::Worse, 20_000)
        })
    };
    let dead = until(Kind {
        fails: 1.0,
        ..stable
    });
    assert!(dead <= 5, "{dead}");
    let slow = until(Kind {
        slower: Slower::All(1.5),
        ..stable
    });
    assert!(slow <= 260, "{slow}");
    let broken = until(Kind {
        breaks: 0.1,
        ..stable
    });
    assert!(broken <= 130, "{broken}");
}

/// The references do what their documentation says: a fixed limit knows no base rate, and Kayenta sees no rare failure.
#[test]
fn the_other_judges_behave_as_documented() {
    let run = |canary, stable, rate| {
        many(8, SEED, move |draws| {
            compare(draws, Traffic::new(5, canary, stable), rate)
        })
    };
    let all_fail = run(1.0, 0.01, 6);
    assert!(
        all_fail
            .iter()
            .all(|one| one.flagger.is_some() && one.argo.is_some() && one.kayenta.is_some())
    );
    let healthy = run(0.05, 0.05, 60);
    assert!(
        healthy.iter().all(|one| one.flagger.is_some()),
        "5 % is below 99 %"
    );
    let rare = run(0.1, 0.01, 6);
    assert!(
        rare.iter()
            .all(|one| one.kayenta.is_none() && one.switchback.is_some())
    );
    let canary = rare.iter().map(|one| one.switchback);
    assert!(canary.flatten().all(|requests| requests < 400));
}

#[test]
fn a_rollout_is_the_same_for_the_same_seed() {
    let run = || {
        many(20, SEED, |draws| {
            until_worse(draws, Traffic::new(5, 0.1, 0.01), 100_000)
        })
    };
    assert_eq!(run(), run());
    let mut draws = Draws::of(SEED);
    let traffic = Traffic::new(50, 0.5, 0.5);
    let bad = (0..1_000).filter_map(|_| traffic.next(&mut draws, u64::MAX).bad);
    let canary = bad.filter(|arm| *arm == Arm::Canary).count();
    assert!((440..560).contains(&canary), "{canary} of 1,000");
}

/// Client errors, late first bytes and negative feedback beside the usual three, all from the same requests.
#[test]
fn six_signals_that_go_together_raise_no_false_alarms_and_each_is_seen() {
    for limits in [Limits::Given, Limits::Learned] {
        let alarms = count(60, |draws| {
            until_told_apart(draws, (50, Rates::STABLE), limits, 5_000).is_some()
        });
        assert!(
            alarms <= 4,
            "{alarms} of 60, of which 1 is expected at most"
        );
        let stable = Rates::STABLE;
        for (name, rates) in [
            (
                "client errors",
                Rates {
                    refuses: 0.4,
                    ..stable
                },
            ),
            (
                "feedback",
                Rates {
                    disliked: 0.1,
                    ..stable
                },
            ),
            (
                "first bytes",
                Rates {
                    later: 3.0,
                    ..stable
                },
            ),
        ] {
            let found = median(20, |draws| {
                until_told_apart(draws, (5, rates), limits, 20_000)
            });
            assert!(found <= 150, "{name}: {found}");
        }
    }
}
