//! Laws of the verdict after a rollback.

use proptest::prelude::*;

use super::*;

const NAMES: PeriodNames<'static> = PeriodNames {
    route: "chat",
    taken_back: "green",
    stable: "blue",
};

fn failing(failures: u64, units: u64) -> Period {
    Period {
        units,
        failures,
        ..Period::default()
    }
}

fn since(period: Period) -> Since {
    Since {
        period,
        looks: 10,
        is_settled: true,
    }
}

/// A route whose failures before, with and since are these.
fn verdict(before: (u64, u64), with: (u64, u64), after: (u64, u64)) -> RecoveryVerdict {
    let recovery = Recovery {
        before: Some(failing(before.0, before.1)),
        with: failing(with.0, with.1),
        own: failing(with.0, with.1),
        ..Recovery::default()
    };
    recovery.verdict(&since(failing(after.0, after.1)), NAMES)
}

#[test]
fn what_is_as_before_has_recovered_and_the_numbers_are_in_the_words() {
    let verdict = verdict((19, 2_400), (120, 1_320), (4, 800));
    assert_eq!(verdict.outcome, Outcome::Recovered, "{verdict:#?}");
    assert!(verdict.improved && verdict.signals[0].has_harm);
    assert_eq!(
        verdict.words,
        "recovered: chat fails 0.5 % (4 of 800) since the rollback, 9.1 % (120 of 1,320) with green, 0.8 % (19 of \
         2,400) before it"
    );
    assert!(
        verdict.signals[0].words.contains("; recovered: below 3."),
        "{}",
        verdict.signals[0].words
    );
}

#[test]
fn what_fails_as_with_the_release_has_not_recovered_and_says_so_loudly() {
    let verdict = verdict((19, 2_400), (120, 1_320), (90, 900));
    assert_eq!(verdict.outcome, Outcome::NotRecovered, "{verdict:#?}");
    assert!(
        verdict
            .words
            .starts_with("NOT RECOVERED: chat fails 10.0 %"),
        "{}",
        verdict.words
    );
    assert!(verdict.words.ends_with("green was not the cause"));
}

#[test]
fn an_incident_that_began_before_the_release_is_not_blamed_on_it() {
    let verdict = verdict((600, 2_400), (330, 1_320), (225, 900));
    assert_eq!(verdict.outcome, Outcome::NotRecovered, "{verdict:#?}");
    assert!(!verdict.signals[0].has_harm);
}

#[test]
fn what_is_better_and_still_bad_has_another_cause_as_well() {
    let verdict = verdict((10, 4_000), (600, 1_200), (160, 800));
    assert_eq!(verdict.outcome, Outcome::NotRecovered, "{verdict:#?}");
    assert!(verdict.words.ends_with("green was not the only cause"));
}

#[test]
fn what_fails_more_than_with_the_release_is_worse() {
    let verdict = verdict((19, 2_400), (24, 2_400), (60, 60));
    assert_eq!(verdict.outcome, Outcome::Worse, "{verdict:#?}");
    assert!(
        verdict.words.contains("it was better with green"),
        "{}",
        verdict.words
    );
}

#[test]
fn a_release_without_harm_is_not_said_to_have_done_some() {
    let verdict = verdict((19, 2_400), (10, 1_320), (5, 1_500));
    assert_eq!(verdict.outcome, Outcome::Recovered, "{verdict:#?}");
    assert!(
        verdict.words.ends_with("green did the route no harm"),
        "{}",
        verdict.words
    );
}

#[test]
fn without_a_time_before_the_other_releases_are_compared_with() {
    let recovery = Recovery {
        beside: Some(failing(2, 1_900)),
        with: failing(52, 2_000),
        own: failing(50, 100),
        ..Recovery::default()
    };
    let verdict = recovery.verdict(&since(failing(0, 1_000)), NAMES);
    assert_eq!(verdict.outcome, Outcome::Recovered, "{verdict:#?}");
    assert_eq!(verdict.reference, Some(Reference::Beside));
    assert!(
        verdict.words.contains(
            "2.6 % (52 of 2,000) with green (green itself 50.0 % (50 of 100)), 0.1 % (2 of 1,900) on blue at the same time"
        ),
        "{}",
        verdict.words
    );
}

#[test]
fn with_nothing_to_compare_with_half_of_the_harm_must_be_gone() {
    let recovery = Recovery {
        with: failing(500, 1_000),
        own: failing(500, 1_000),
        ..Recovery::default()
    };
    let of = |failures, units| {
        recovery
            .verdict(&since(failing(failures, units)), NAMES)
            .outcome
    };
    assert_eq!(of(1, 400), Outcome::Recovered);
    assert_eq!(of(100, 200), Outcome::NotRecovered);
    assert_eq!(of(190, 200), Outcome::Worse);
    let unknown = Recovery {
        with: failing(0, 1_000),
        ..Recovery::default()
    };
    let verdict = unknown.verdict(&since(failing(0, 2_000)), NAMES);
    assert_eq!(verdict.outcome, Outcome::NotEnoughData, "{verdict:#?}");
}

#[test]
fn one_threshold_of_slowness_is_enough_not_to_have_recovered() {
    let thresholds = Thresholds::given(&[1.0, 5.0]);
    let slow = |units, older| Period {
        units,
        older: [units / 2, older, 0, 0],
        ..Period::default()
    };
    let recovery = Recovery {
        thresholds,
        before: Some(slow(4_000, 40)),
        with: slow(1_000, 300),
        own: slow(1_000, 300),
        ..Recovery::default()
    };
    let verdict = recovery.verdict(&since(slow(600, 180)), NAMES);
    assert_eq!(verdict.outcome, Outcome::NotRecovered, "{verdict:#?}");
    assert_eq!(verdict.signals[2].threshold_seconds, Some(5.0));
    assert!(
        verdict.words.contains("chat is slower than 5 s in 30.0 %"),
        "{}",
        verdict.words
    );
    let verdict = recovery.verdict(&since(slow(600, 6)), NAMES);
    assert_eq!(verdict.outcome, Outcome::Recovered, "{verdict:#?}");
}

#[test]
fn nothing_is_found_before_the_requests_from_before_have_ended_or_by_a_single_look() {
    let recovery = Recovery {
        before: Some(failing(10, 2_000)),
        with: failing(500, 1_000),
        ..Recovery::default()
    };
    let early = Since {
        is_settled: false,
        ..since(failing(0, 1_000))
    };
    assert_eq!(
        recovery.verdict(&early, NAMES).outcome,
        Outcome::NotEnoughData
    );
    let one_look = Since {
        looks: 1,
        ..since(failing(500, 1_000))
    };
    assert_eq!(
        recovery.verdict(&one_look, NAMES).outcome,
        Outcome::NotEnoughData
    );
}

/// A sequence of numbers from 0 to 1 (splitmix64).
struct Numbers(u64);

impl Numbers {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn failing(&mut self, rate: f64, units: u64) -> Period {
        let failures = (0..units).filter(|_| self.next() < rate).count();
        failing(failures as u64, units)
    }
}

/// Outcomes of rollbacks whose routes fail at these rates before, with and since, looked at every 50 of 2,000 requests.
fn simulated(rates: [f64; 3], rollbacks: usize) -> [usize; 4] {
    let mut numbers = Numbers(20_261_129);
    let mut outcomes = [0; 4];
    for _ in 0..rollbacks {
        let recovery = Recovery {
            before: Some(numbers.failing(rates[0], 3_000)),
            with: numbers.failing(rates[1], 600),
            ..Recovery::default()
        };
        let mut now = Period::default();
        let mut found = Outcome::NotEnoughData;
        for _ in 0..40 {
            now = now.plus(numbers.failing(rates[2], 50));
            found = recovery.verdict(&since(now), NAMES).outcome;
            if found != Outcome::NotEnoughData {
                break;
            }
        }
        outcomes[found as usize] += 1;
    }
    outcomes
}

#[test]
fn a_route_that_is_as_before_is_seldom_called_otherwise() {
    for rate in [0.001, 0.01, 0.05] {
        let [recovered, not_recovered, worse, _] = simulated([rate, 0.3, rate], 150);
        assert!(
            not_recovered + worse <= 1,
            "{rate}: {not_recovered} {worse}"
        );
        assert!(recovered >= 130, "{rate}: {recovered}");
    }
}

#[test]
fn a_route_that_fails_as_with_the_release_is_seldom_called_recovered() {
    for rate in [0.05, 0.1, 0.5] {
        let [recovered, not_recovered, ..] = simulated([0.01, rate, rate], 100);
        assert!(recovered <= 5, "{rate}: {recovered}");
        assert!(rate < 0.1 || not_recovered >= 95, "{rate}: {not_recovered}");
    }
}

fn period() -> impl Strategy<Value = Period> {
    let counts = (any::<u64>(), 0..64_u32, 0..=256_u64, 0..=256_u64);
    counts.prop_map(|(units, small, failing, broken)| {
        let units = units >> small;
        let part = |share: u64| units / 256 * share;
        Period {
            units,
            failures: part(failing).min(units),
            broken: part(broken).min(units),
            older: [part(broken).min(units); LEVELS],
        }
    })
}

proptest! {
    #[test]
    fn without_requests_nothing_has_recovered(
        before in proptest::option::of(period()), beside in proptest::option::of(period()), with in period(),
        looks in any::<u64>(), is_settled in any::<bool>(),
    ) {
        let thresholds = Thresholds::given(&[1.0, 5.0]);
        let recovery = Recovery { thresholds, before, beside, with, own: with };
        for units in [0, 49] {
            let since = Since { period: failing(0, units), looks, is_settled };
            prop_assert_eq!(recovery.verdict(&since, NAMES).outcome, Outcome::NotEnoughData);
        }
    }

    #[test]
    fn the_verdict_has_words_and_finite_numbers_for_any_counts(
        before in proptest::option::of(period()), with in period(), now in period(), looks in 0..20_u64,
    ) {
        let thresholds = Thresholds::given(&[1.0]);
        let recovery = Recovery { thresholds, before, beside: None, with, own: with };
        let verdict = recovery.verdict(&Since { period: now, looks, is_settled: true }, NAMES);
        prop_assert!(!verdict.words.is_empty());
        for signal in &verdict.signals {
            prop_assert!(!signal.words.is_empty());
            let evidence = signal.evidence;
            prop_assert!([evidence.recovered, evidence.not_recovered, evidence.worse].iter().all(|e| e.is_finite()));
        }
    }

    #[test]
    fn both_claims_are_never_made_at_once(
        before in proptest::option::of(period()), with in period(), now in period(),
    ) {
        let recovery = Recovery { before, with, own: with, ..Recovery::default() };
        for signal in recovery.verdict(&since(now), NAMES).signals {
            let evidence = signal.evidence;
            prop_assert!(evidence.recovered < 1.0 || evidence.not_recovered < 1.0, "{:?}", signal);
        }
    }
}
