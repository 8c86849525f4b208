//! Orders forward that wait, and are withdrawn by the way back.

use std::sync::mpsc::{Sender, channel};

use super::*;

/// Time for which a first check is waited for, at least.
const CHECK: Duration = Duration::from_secs(4);

/// Gives green an endpoint whose check is not answered before the sender is dropped.
fn silent_green(bench: &Bench) -> (Origin, Sender<()>) {
    let (answer, answers) = channel::<()>();
    let answers = std::sync::Mutex::new(answers);
    let silent = Origin::answering(move |request| {
        if request.line().contains("/healthz ") {
            // It ends with its sender.
            _ = answers.lock().unwrap().recv();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngreen".to_vec()
    });
    let release = json!({
        "version": "2", "endpoints": [silent.url()], "health": {"path": "/healthz", "timeout": "9s"}
    });
    let (status, receipt) = bench.ask("PUT", "/v1/releases/green", &release.to_string());
    assert_eq!(status, 200, "{receipt}");
    (silent, answer)
}

#[test]
fn a_promote_that_waits_for_a_first_check_holds_up_neither_the_status_nor_an_abort() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin(LONG);
    // Nothing says whether green could take everything.
    let (_silent, answer) = silent_green(&bench);
    thread::scope(|scope| {
        let began = Instant::now();
        let promote = scope.spawn(|| bench.ask("POST", &format!("{path}/promote"), ""));
        let said = |what: &str| {
            let (_, rollout) = bench.ask("GET", &path, "");
            let log = rollout["log"].as_array().unwrap();
            log.iter().any(|entry| entry["what"] == what)
        };
        let end = Instant::now() + Duration::from_secs(30);
        while !said("promote") {
            assert!(Instant::now() < end && !promote.is_finished());
            thread::yield_now();
        }
        assert_eq!(bench.ask("GET", "/v1/status", "").0, 200);
        let (status, rollout) = bench.ask("POST", &format!("{path}/abort"), "");
        assert_eq!(
            (status, &rollout["state"]),
            (200, &json!("aborted")),
            "{rollout:#}"
        );
        assert_eq!(bench.split("chat"), before);
        assert!(
            !promote.is_finished() || began.elapsed() > CHECK,
            "it waits still"
        );
        drop(answer);
        let (status, refusal) = promote.join().unwrap();
        assert_eq!(status, 409, "{refusal}");
        let detail = refusal["detail"].as_str().unwrap();
        assert!(detail.contains("has ended"), "{refusal}");
    });
    assert_eq!(bench.split("chat"), before);
    let (_, ended) = bench.ask("GET", &path, "");
    assert_eq!(ended["state"], "aborted", "{ended:#}");
    assert!(ended.get("waiting_for").is_none(), "{ended:#}");
}

#[test]
fn a_start_that_waits_for_a_first_check_holds_up_no_abort_and_gives_nothing_after_it() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let (_silent, answer) = silent_green(&bench);
    let live = || bench.ask("GET", "/v1/status", "").1["revision"].clone();
    let before = (before, live());
    let body = format!(r#"{{"route":"chat","to":"green","plan":{LONG}}}"#);
    thread::scope(|scope| {
        let began = Instant::now();
        let start = scope.spawn(|| bench.ask("POST", "/v1/rollouts", &body));
        let end = Instant::now() + Duration::from_secs(30);
        while bench.ask("GET", "/v1/rollouts", "").1["rollouts"] == json!([]) {
            assert!(Instant::now() < end && !start.is_finished());
            thread::yield_now();
        }
        let (status, rollout) = bench.ask("POST", "/v1/rollouts/chat/abort", "");
        assert_eq!(
            (status, &rollout["state"]),
            (200, &json!("aborted")),
            "{rollout:#}"
        );
        assert!(
            !start.is_finished() || began.elapsed() > CHECK,
            "it waits still"
        );
        drop(answer);
        let (status, refusal) = start.join().unwrap();
        assert_eq!(status, 409, "{refusal}");
        let detail = refusal["detail"].as_str().unwrap();
        assert!(detail.contains("has ended"), "{refusal}");
    });
    assert_eq!((bench.split("chat"), live()), before);
    let (_, ended) = bench.ask("GET", "/v1/rollouts/chat", "");
    assert_eq!(ended["state"], "aborted", "{ended:#}");
    bench.begin(LONG);
}
