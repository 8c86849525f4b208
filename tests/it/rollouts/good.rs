//! A good release: what is said of it on its way, and in the end.

use super::*;

/// Waits until a rollout has a state, and returns the words of each verdict on its way.
fn words_until(bench: &Bench, path: &str, state: &str) -> (Value, Vec<String>) {
    let end = Instant::now() + Duration::from_secs(90);
    let mut words = Vec::new();
    loop {
        let (_, rollout) = bench.ask("GET", path, "");
        if let Some(now) = rollout["verdict"]["words"].as_str()
            && words.last().is_none_or(|last| last != now)
        {
            words.push(now.to_owned());
        }
        if rollout["state"] == state {
            return (rollout, words);
        }
        assert!(Instant::now() < end, "{state}: {rollout:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_good_release_is_fine_in_the_end_and_its_sentences_say_so() {
    let bench = Bench::start();
    let load = bench.load();
    let path = bench.begin(r#"{"steps":[{"weight":50},{"weight":100}],"bake":"2s","slow":"1s"}"#);
    let (rollout, words) = words_until(&bench, &path, "succeeded");
    drop(load);
    let verdict = &rollout["verdict"];
    assert_eq!(verdict["overall"], "fine", "{rollout:#}");
    assert_eq!(
        verdict["words"],
        "fine: green was not worse than blue by any signal with 50 percent, and was not shown to be worse after that"
    );
    let bake = "fine with 50 percent; green has 95.0 % of the traffic: too little is left on blue to show that it is fine, and e = ";
    assert!(
        words.iter().any(|words| words.starts_with(bake)),
        "{words:#?}"
    );
    let metrics = verdict["metrics"].as_array().unwrap();
    let broken = metrics[1]["words"].as_str().unwrap();
    assert!(
        broken.starts_with("green breaks streams off in 0.0 % (0 of "),
        "{broken}"
    );
}
