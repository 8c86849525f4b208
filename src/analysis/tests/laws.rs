//! Laws of the judge, whatever is counted.

use proptest::prelude::*;

use super::*;

fn looks() -> impl Strategy<Value = Vec<Evidence>> {
    let look = (
        0..3_u32,
        1..100_u32,
        (0..60_u64, 0..600_u64),
        (0..20_u64, 0..40_u64),
        0..5_usize,
    );
    proptest::collection::vec(look, 0..40).prop_map(|mut looks| {
        looks.sort_by_key(|look| look.0);
        let evidence =
            |(step, percent, units, failed, level): (u32, u32, (u64, u64), (u64, u64), usize)| {
                let mut evidence = failures(step, percent, units, failed);
                evidence.bad(Signal::Slow, level, Arm::Canary, failed.1);
                evidence.bad(Signal::Slow, level, Arm::Stable, failed.0);
                evidence
            };
        looks.into_iter().map(evidence).collect()
    })
}

proptest! {
    #[test]
    fn a_restart_is_no_restart_if_nothing_was_lost(looks in looks(), at in 0..40_usize) {
        let at = at.min(looks.len());
        let straight = after(usual(), &looks);
        let broken = after(restored(&after(usual(), &looks[..at])), &looks[at..]);
        prop_assert_eq!(straight, broken);
    }

    #[test]
    fn a_restart_that_lost_something_makes_nothing_fine_and_forgets_no_harm(looks in looks(), at in 0..40_usize) {
        let at = at.min(looks.len());
        let straight = after(usual(), &looks);
        let mut resumed = after(usual(), &looks[..at]);
        resumed.resume();
        let resumed = after(resumed, &looks[at..]);
        prop_assert!(straight.finding() == Finding::Fine || resumed.finding() != Finding::Fine);
        prop_assert_eq!(straight.is_worse(), resumed.is_worse());
        prop_assert!((straight.e() - resumed.e()).abs() <= 1e-9 * straight.e());
    }

    #[test]
    fn no_count_makes_a_number_that_is_none(
        looks in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<[u64; 6]>(), 0..64_u32), 0..12),
    ) {
        let mut judge = usual();
        for (step, (canary, stable, counts, shift)) in looks.into_iter().enumerate() {
            let counts = counts.map(|count| count >> shift);
            let mut evidence = Evidence::of_step(u32::try_from(step / 3).unwrap(), Share::of_weights(canary, stable));
            for (arm, [units, bad, slow]) in [(Arm::Canary, [counts[0], counts[1], counts[2]]), (Arm::Stable, [counts[3], counts[4], counts[5]])] {
                evidence.started(arm, units);
                evidence.settled(arm, units);
                evidence.bad(Signal::Failures, 0, arm, bad);
                evidence.bad(Signal::Slow, 2, arm, slow);
            }
            judge.observe(&evidence);
            let verdict = judge.verdict(NAMES);
            prop_assert!(verdict.e.is_finite() && verdict.e >= 0.0);
            for metric in &verdict.metrics {
                prop_assert!(metric.e.is_finite() && metric.fine_e.is_finite());
                prop_assert!(!metric.words.contains("NaN") && !metric.words.contains("inf"));
            }
            prop_assert_eq!(restored(&judge), judge.clone());
        }
    }

    #[test]
    fn fewer_than_three_bad_units_are_never_worse(percent in 1..100_u32, bad in 0..3_u64, units in 0..1_000_000_u64) {
        let mut judge = only_failures();
        for _ in 0..bad {
            judge.observe(&failures(0, percent, (1, 0), (1, 0)));
        }
        judge.observe(&failures(0, percent, (units, 0), (0, 0)));
        prop_assert!(!judge.is_worse() && judge.finding() != Finding::Worse);
    }

    #[test]
    fn silence_of_the_canary_is_never_fine(looks in proptest::collection::vec((1..100_u32, 0..10_000_u64, 0..500_u64), 0..20)) {
        let mut judge = usual();
        for (percent, stable, failed) in looks {
            judge.observe(&failures(0, percent, (0, stable), (0, failed)));
            prop_assert!(judge.finding() != Finding::Fine && judge.finding() != Finding::Worse);
        }
    }

    #[test]
    fn more_bad_canaries_never_help_it(
        percent in 1..95_u32, units in (1_000..3_000_u64, 1_000..3_000_u64), failed in (0..60_u64, 0..60_u64), more in 1..20_u64,
    ) {
        let one = after(only_failures(), &[failures(0, percent, units, failed)]);
        let worse = after(only_failures(), &[failures(0, percent, units, (failed.0 + more, failed.1))]);
        prop_assert!(worse.e() >= one.e() * (1.0 - 1e-12));
        prop_assert!(worse.is_worse() || !one.is_worse());
        prop_assert!(one.finding() == Finding::Fine || worse.finding() != Finding::Fine || one.is_worse());
    }
}
