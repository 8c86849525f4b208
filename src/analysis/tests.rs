//! The judge as a whole, case by case.

use super::*;

mod laws;
mod queries;

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
