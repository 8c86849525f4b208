//! Orders forward that wait, and are withdrawn by the way back.

use std::sync::mpsc::channel;

use super::*;

#[test]
fn a_promote_that_waits_for_a_first_check_holds_up_neither_the_status_nor_an_abort() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin(LONG);
    // A check that is not answered: nothing says whether green could take everything.
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
    thread::scope(|scope| {
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
        assert!(!promote.is_finished(), "it waits still");
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
