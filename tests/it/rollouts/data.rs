//! Rollouts of a release whose data does not allow the way back.

use super::*;

impl Bench {
    fn declare(&self, rollback: &Value) {
        let (_, mut release) = self.ask("GET", "/v1/table", "");
        let mut green = release["releases"]["green"].take();
        green["rollback"] = rollback.clone();
        let (code, answer) = self.ask("PUT", "/v1/releases/green", &green.to_string());
        assert_eq!(code, 200, "{answer}");
    }
}

#[test]
fn a_bad_release_whose_data_allows_no_way_back_pauses_and_says_so() {
    let mut bench = Bench::start();
    bench.declare(&json!({ "allowed": false, "reason": "schema 12" }));
    bench.is_bad.store(true, Ordering::Relaxed);
    let path = bench.begin(LONG);
    let (_, begun) = bench.ask("GET", &path, "");
    assert!(
        begun["log"]
            .to_string()
            .contains("NOT be taken back by itself"),
        "{begun:#}"
    );
    let load = bench.load();
    let paused = bench.reaches(&path, "paused");
    assert_eq!(paused["paused_for"], "data", "{paused:#}");
    assert!(
        paused["log"].to_string().contains("NOT taken back"),
        "{paused:#}"
    );
    assert!(
        paused["waiting_for"]
            .as_str()
            .unwrap()
            .contains("schema 12"),
        "{paused:#}"
    );
    assert_eq!(bench.split("chat"), json!({ "blue": 95, "green": 5 }));
    // It is judged on, and stays so over a restart.
    drop(load);
    bench.restart();
    let load = bench.load();
    let (_, status) = bench.ask("GET", "/v1/status", "");
    assert_eq!(status["rollouts"][0]["paused_for"], "data", "{status:#}");
    for command in ["rollback", "abort"] {
        let (code, refusal) = bench.ask("POST", &format!("{path}/{command}"), "");
        assert_eq!(code, 409, "{refusal}");
        assert!(
            refusal["type"]
                .as_str()
                .unwrap()
                .ends_with("rollback-not-allowed"),
            "{refusal}"
        );
    }
    assert_eq!(
        bench.ask("POST", &format!("{path}/pause?force=true"), "").0,
        422
    );
    assert_eq!(bench.ask("GET", &path, "").1["state"], "paused");
    let (code, rollout) = bench.ask("POST", &format!("{path}/rollback?force=true"), "");
    assert_eq!(
        (code, &rollout["state"]),
        (200, &json!("rolled_back")),
        "{rollout:#}"
    );
    drop(load);
    assert_eq!(bench.split("chat"), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn a_check_is_asked_before_a_bad_release_is_taken_back_by_itself() {
    let bench = Bench::start();
    bench.declare(&json!({ "check": "schema" }));
    bench.is_bad.store(true, Ordering::Relaxed);
    let path = bench.begin(LONG);
    let load = bench.load();
    // There is no file with its answer yet, so the command fails.
    let paused = bench.reaches(&path, "paused");
    assert_eq!(paused["paused_for"], "data", "{paused:#}");
    let mut answer = File::create(bench.folder.path().join("schema")).unwrap();
    answer.write_all(br#"{"decision":"continue"}"#).unwrap();
    assert_eq!(bench.ask("POST", &format!("{path}/resume"), "").0, 200);
    bench.reaches(&path, "rolled_back");
    drop(load);
    assert_eq!(bench.split("chat"), json!({ "blue": 100, "green": 0 }));
}
