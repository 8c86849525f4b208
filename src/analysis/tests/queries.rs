//! The judge with queries.

use super::*;

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
