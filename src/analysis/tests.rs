//! Laws of the judge as a whole.

use proptest::prelude::*;

use super::*;

const NAMES: Names<'static> = Names {
    canary: "green",
    stable: "blue",
};

fn thresholds() -> Thresholds {
    Thresholds::given(&[1.0, 2.5, 5.0, 10.0]).unwrap()
}

fn usual() -> Judge {
    let watches = vec![
        Watch::Failures,
        Watch::Slow(thresholds()),
        Watch::BrokenStreams,
    ];
    Judge::new(Settings::default(), watches).unwrap()
}

fn only_failures() -> Judge {
    Judge::new(Settings::default(), vec![Watch::Failures]).unwrap()
}

/// Evidence of a step at a share in percent: units that started and are settled, and failures, of both.
fn failures(step: u32, percent: u32, units: (u64, u64), failed: (u64, u64)) -> Evidence {
    let mut evidence = Evidence::of_step(step, Share::of_weights(percent, 100 - percent));
    for (arm, units, failed) in [
        (Arm::Canary, units.0, failed.0),
        (Arm::Stable, units.1, failed.1),
    ] {
        evidence.started(arm, units);
        evidence.settled(arm, units);
        evidence.bad(Signal::Failures, 0, arm, failed);
    }
    evidence
}

fn after(judge: Judge, evidence: &[Evidence]) -> Judge {
    evidence.iter().fold(judge, |mut judge, evidence| {
        judge.observe(evidence);
        judge
    })
}

/// A judge that went through its saved form.
fn restored(judge: &Judge) -> Judge {
    let bytes = postcard::to_extend(judge, Vec::new()).unwrap();
    postcard::from_bytes(&bytes).unwrap()
}

#[test]
fn a_bad_canary_is_worse_and_the_numbers_are_in_the_words() {
    let judge = after(usual(), &[failures(0, 5, (132, 2_400), (12, 22))]);
    let verdict = judge.verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Worse);
    let [failing, slow, broken] = &verdict.metrics[..] else {
        panic!("three signals");
    };
    assert_eq!(failing.verdict, Finding::Worse);
    assert_eq!(
        failing.words,
        "green fails 9.1 % (12 of 132), blue 0.9 % (22 of 2,400); worse, e = 204,152 ≥ 100"
    );
    assert_eq!(
        verdict.words,
        "worse, e = 204,152 ≥ 100 over all signals: green fails 9.1 % (12 of 132), blue 0.9 % (22 of 2,400)"
    );
    assert_eq!(
        (slow.verdict, broken.verdict),
        (Finding::NotEnoughData, Finding::NotEnoughData)
    );
}

#[test]
fn the_numbers_of_the_documentation_are_those_of_failures_alone() {
    let judge = after(only_failures(), &[failures(0, 5, (132, 2_400), (12, 22))]);
    assert_eq!(
        judge.verdict(NAMES).metrics[0].words,
        "green fails 9.1 % (12 of 132), blue 0.9 % (22 of 2,400); worse, e = 408,304 ≥ 100"
    );
}

#[test]
fn worse_stays_worse_whatever_comes_after_it() {
    let bad = failures(0, 5, (100, 1_900), (20, 19));
    let mut judge = after(only_failures(), &[bad]);
    let e = judge.e();
    for _ in 0..1_000 {
        judge.observe(&failures(1, 50, (500, 500), (5, 5)));
    }
    let verdict = restored(&judge).verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Worse);
    assert!(verdict.e >= e && verdict.metrics[0].e >= 100.0);
}

#[test]
fn a_good_canary_is_fine_at_this_step_and_earns_it_anew_at_the_next() {
    let good = |step| failures(step, 5, (1_500, 28_500), (15, 285));
    let judge = after(only_failures(), &[good(0)]);
    let verdict = judge.verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Fine);
    let shown = "green fails 1.0 % (15 of 1,500), blue 1.0 % (285 of 28,500); fine: less than 2 times as often, e = ";
    assert!(
        verdict.metrics[0].words.starts_with(shown),
        "{}",
        verdict.metrics[0].words
    );
    let judge = after(judge, &[failures(1, 25, (0, 0), (0, 0))]);
    assert_eq!(judge.finding(), Finding::NotEnoughData);
    // What still comes from the earlier step is no evidence for this one.
    let judge = after(judge, &[good(0)]);
    assert_eq!(judge.finding(), Finding::NotEnoughData);
}

#[test]
fn where_nothing_fails_the_margin_decides_and_says_so() {
    let judge = after(only_failures(), &[failures(0, 5, (1_200, 22_800), (1, 20))]);
    let words = &judge.verdict(NAMES).metrics[0].words;
    assert!(
        words.contains("fine: less than 1 percentage point more"),
        "{words}"
    );
}

#[test]
fn fine_needs_every_signal() {
    let mut evidence = failures(0, 5, (1_500, 28_500), (15, 285));
    let mut slow = evidence;
    evidence.passed(Signal::Slow, Arm::Canary, [750, 150, 75, 15]);
    evidence.passed(Signal::Slow, Arm::Stable, [14_250, 2_850, 1_425, 285]);
    slow.passed(Signal::Slow, Arm::Canary, [750, 150, 75, 60]);
    slow.passed(Signal::Slow, Arm::Stable, [14_250, 2_850, 1_425, 285]);
    assert_eq!(after(usual(), &[evidence]).finding(), Finding::Fine);
    let slow = after(usual(), &[slow]);
    assert_ne!(slow.finding(), Finding::Fine);
    let metric = &slow.verdict(NAMES).metrics[1];
    assert_eq!(metric.threshold_seconds, Some(10.0));
    assert!(
        metric
            .words
            .starts_with("green is slower than 10 s in 4.0 % (60 of 1,500), blue 1.0 %"),
        "{}",
        metric.words
    );
}

#[test]
fn long_work_that_is_still_running_is_not_fine() {
    let mut evidence = Evidence::of_step(0, Share::of_weights(5, 95));
    evidence.started(Arm::Canary, 2_000);
    evidence.started(Arm::Stable, 38_000);
    evidence.bad(Signal::Failures, 0, Arm::Stable, 400);
    let mut judge = after(only_failures(), &[evidence]);
    assert_eq!(judge.finding(), Finding::NotEnoughData);
    let mut old = Evidence::of_step(0, Share::of_weights(5, 95));
    old.settled(Arm::Canary, 2_000);
    judge.observe(&old);
    assert_eq!(judge.finding(), Finding::Fine);
}

#[test]
fn a_stable_release_that_fails_blames_no_canary() {
    let judge = after(only_failures(), &[failures(0, 5, (50, 950), (25, 475))]);
    let verdict = judge.verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Unmeasurable);
    assert!(matches!(
        verdict.obstacle,
        Some(Obstacle::StableFails { .. })
    ));
    assert!(
        verdict
            .words
            .contains("blue itself fails 50.0 % of its recent requests"),
        "{}",
        verdict.words
    );
}

#[test]
fn a_canary_with_nearly_everything_cannot_be_judged_and_says_so() {
    let judge = after(
        only_failures(),
        &[failures(0, 95, (95_000, 5_000), (950, 50))],
    );
    let verdict = judge.verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Unmeasurable);
    assert!(
        verdict.words.contains("green has 95.0 % of the traffic"),
        "{}",
        verdict.words
    );
    let judge = after(
        only_failures(),
        &[failures(0, 94, (94_000, 6_000), (940, 60))],
    );
    assert_eq!(judge.verdict(NAMES).obstacle, None);
}

#[test]
fn a_share_that_is_not_the_configured_one_is_no_evidence() {
    let mut judge = only_failures();
    for _ in 0..500 {
        judge.observe(&failures(0, 5, (20, 80), (1, 4)));
    }
    let verdict = judge.verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Unmeasurable);
    assert!(
        verdict
            .words
            .contains("green gets 20.0 % of the traffic instead of 5.0 %"),
        "{}",
        verdict.words
    );
    // Strata with the counted share are.
    let mut judge = only_failures();
    for _ in 0..500 {
        let share = Share::of_counts(Tally::new(20, 80)).unwrap();
        let mut evidence = Evidence::of_step(0, share);
        for (arm, units, bad) in [(Arm::Canary, 20, 1), (Arm::Stable, 80, 4)] {
            evidence.started(arm, units);
            evidence.settled(arm, units);
            evidence.bad(Signal::Failures, 0, arm, bad);
        }
        judge.observe(&evidence);
    }
    assert_eq!(judge.finding(), Finding::Fine);
}

#[test]
fn signals_are_weighed_as_the_set_says() {
    let e = |watches| {
        let mut judge = Judge::new(Settings::default(), watches).unwrap();
        judge.observe(&failures(0, 5, (10, 100), (4, 1)));
        judge.e()
    };
    let alone = e(vec![Watch::Failures]);
    let half = e(vec![
        Watch::Failures,
        Watch::BrokenStreams,
        Watch::FirstByteLate(thresholds()),
    ]);
    let more = e(vec![
        Watch::Failures,
        Watch::BrokenStreams,
        Watch::NegativeFeedback,
        Watch::ClientErrors,
    ]);
    assert!((alone / half - 2.0).abs() < 1e-9 && (alone / more - 2.0).abs() < 1e-9);
}

#[test]
fn a_judge_of_nothing_or_of_one_thing_twice_is_refused() {
    let new = |watches| Judge::new(Settings::default(), watches).unwrap_err();
    assert_eq!(new(vec![]), WatchError::NoSignal);
    let twice = vec![
        Watch::Failures,
        Watch::Slow(thresholds()),
        Watch::Slow(thresholds()),
    ];
    assert_eq!(new(twice), WatchError::Twice(Signal::Slow));
    let settings = Settings {
        alpha: 2.0,
        ..Settings::default()
    };
    assert!(matches!(
        Judge::new(settings, vec![Watch::Failures]),
        Err(WatchError::Settings(_))
    ));
}

#[test]
fn a_saved_state_is_small_and_one_that_is_broken_or_of_another_version_is_refused() {
    let judge = after(usual(), &[failures(0, 5, (132, 2_400), (12, 22))]);
    let bytes = postcard::to_extend(&judge, Vec::new()).unwrap();
    assert!(bytes.len() < 900, "{} bytes", bytes.len());
    let json = serde_json::to_string(&judge).unwrap();
    assert_eq!(
        serde_json::from_str::<Judge>(&json).unwrap().finding(),
        Finding::Worse
    );
    for (from, to, hint) in [
        (r#""version":3"#, r#""version":4"#, "version 4, not 3"),
        (
            r#""weight":0.5"#,
            r#""weight":50.0"#,
            "`50` in the state of a judge is not from 0 to 1",
        ),
        (
            r#""weight":0.5"#,
            r#""weight":-0.5"#,
            "`-0.5` in the state of a judge is not from 0 to 1",
        ),
        (
            r#""stakes":["#,
            r#""stakes":[-1.0],"was":["#,
            "invalid length 1",
        ),
        (
            r#""share":{"value":0.05"#,
            r#""share":{"value":5"#,
            "`5` in the state of a judge is not from 0 to 1",
        ),
        ("[1.0,2.5,5.0,10.0]", "[1.0,1.0]", "ascending"),
        (
            "[1.0,2.5,5.0,10.0]",
            "[1.0,2.5]",
            "`slow` has 4 levels, not 2",
        ),
        (r#""watches":["#, r#""watches":[],"were":["#, "no signal"),
        (r#""alpha":0.01"#, r#""alpha":1.5"#, "`alpha` is 1.5"),
    ] {
        let broken = json.replacen(from, to, 1);
        assert_ne!(broken, json, "{from} in {json}");
        let error = serde_json::from_str::<Judge>(&broken)
            .unwrap_err()
            .to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn values_of_queries_join_the_verdict_and_silence_is_never_fine() {
    let queries = |count: usize| {
        let watch = |index| QueryWatch {
            name: format!("p{index}"),
            worse: Direction::Higher,
        };
        (0..count).map(watch).collect::<Vec<_>>()
    };
    let new = |queries| Judge::with_queries(Settings::default(), vec![Watch::Failures], queries);
    let good = failures(0, 5, (1_500, 28_500), (15, 285));
    let mut judge = after(new(queries(1)).unwrap(), &[good]);
    assert_eq!(
        judge.finding(),
        Finding::NotEnoughData,
        "it has not answered"
    );
    (0..4).for_each(|_| judge.observe_query(0, Compared::Alike));
    assert_eq!(restored(&judge).finding(), Finding::Fine);
    let mut bad = judge.clone();
    judge.resume();
    assert_eq!(
        judge.finding(),
        Finding::NotEnoughData,
        "an interval may be lost"
    );
    (0..14).for_each(|_| bad.observe_query(0, Compared::CanaryWorse));
    let verdict = restored(&bad).verdict(NAMES);
    assert_eq!(verdict.overall, Finding::Worse);
    let shown = "over all signals: `p0` of green is higher than that of blue in 14 of 18 intervals";
    assert!(verdict.words.ends_with(shown), "{}", verdict.words);
    assert_eq!(verdict.queries[0].verdict, Finding::Worse);
    let twice = [queries(1), queries(1)].concat();
    assert_eq!(new(twice).unwrap_err(), WatchError::Queries);
    assert_eq!(new(queries(5)).unwrap_err(), WatchError::Queries);
}

#[test]
fn all_parts_together_are_worth_one_at_the_start() {
    let watch = |name: &str| QueryWatch {
        name: name.to_owned(),
        worse: Direction::Lower,
    };
    let settings = Settings::default();
    let watches = vec![Watch::Failures, Watch::BrokenStreams];
    let queries = vec![watch("a"), watch("b")];
    let mut judge = Judge::with_queries(settings, watches, queries).unwrap();
    let mut evidence = Evidence::of_step(0, Share::of_weights(50, 50));
    for signal in [Signal::Failures, Signal::BrokenStreams] {
        evidence.bad(signal, 0, Arm::Canary, 1);
    }
    (0..3).for_each(|_| judge.observe(&evidence));
    for query in [0, 1] {
        (0..3).for_each(|_| judge.observe_query(query, Compared::CanaryWorse));
    }
    let mixture = only_three_bad_canaries();
    assert!((judge.e() / mixture - 1.0).abs() < 1e-9, "{}", judge.e());
}

/// The e-value of three bad canaries of 50 percent by one signal.
fn only_three_bad_canaries() -> f64 {
    let mut evidence = Evidence::of_step(0, Share::of_weights(50, 50));
    let mut judge = only_failures();
    evidence.bad(Signal::Failures, 0, Arm::Canary, 1);
    (0..3).for_each(|_| judge.observe(&evidence));
    judge.e()
}

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
