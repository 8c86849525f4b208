//! Sessions in the evidence of a rollout: each counts once.

use super::*;

#[test]
fn one_session_that_always_fails_raises_no_alarm_and_many_do() {
    let bench = Bench::start();
    let body = json!({"route": "keyed", "to": "green", "plan": {"steps": [{"weight": 50, "hold": "10m"}, {"weight": 100}]}});
    let (code, rollout) = bench.ask("POST", "/v1/rollouts", &body.to_string());
    assert_eq!(code, 201, "{rollout}");
    let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    let mut client = Client::connect(bench.running().listeners()[0]);
    let mut ask = |session: &str| {
        client.send(format!(
            "GET /keyed HTTP/1.1\r\nHost: a.test\r\nx-session: {session}\r\n\r\n"
        ));
        client.response()
    };
    let names: Vec<_> = (0..400).map(|number| format!("session-{number}")).collect();
    let on_green: Vec<_> = names
        .iter()
        .filter(|name| ask(name).body == b"green")
        .collect();
    assert!((100..300).contains(&on_green.len()), "{}", on_green.len());
    bench.is_bad.store(true, Ordering::Relaxed);
    let failed = |rollout: &Value| {
        rollout["verdict"]["metrics"][0]["canary"]["bad"]
            .as_u64()
            .unwrap_or(0)
    };
    (0..400).for_each(|_| drop(ask(on_green[0])));
    let end = Instant::now() + Duration::from_secs(30);
    let mut seen = bench.ask("GET", &path, "").1;
    while failed(&seen) < 200 {
        assert!(Instant::now() < end, "{seen:#}");
        thread::sleep(Duration::from_millis(20));
        seen = bench.ask("GET", &path, "").1;
    }
    assert_eq!(seen["state"], "running", "{seen:#}");
    assert_eq!(
        seen["verdict"]["metrics"][0]["canary"]["distinct"], 1,
        "{seen:#}"
    );
    let words = seen["verdict"]["metrics"][0]["words"].as_str().unwrap();
    assert!(words.contains(", 1 session)"), "{words}");
    // As many failures, of as many sessions as they are; those on blue are well.
    (0..3).for_each(|_| names.iter().for_each(|name| drop(ask(name))));
    let ended = bench.reaches(&path, "rolled_back");
    assert!(
        ended["verdict"]["metrics"][0]["canary"]["distinct"]
            .as_u64()
            .unwrap()
            > 3,
        "{ended:#}"
    );
}

#[test]
fn a_session_that_was_bad_before_a_restart_counts_no_second_time() {
    let mut bench = Bench::start();
    let body = json!({"route": "keyed", "to": "green", "plan": {"steps": [{"weight": 50, "hold": "10m"}, {"weight": 100}]}});
    let (code, rollout) = bench.ask("POST", "/v1/rollouts", &body.to_string());
    assert_eq!(code, 201, "{rollout}");
    let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    let ask = |client: &mut Client, session: &str| {
        client.send(format!(
            "GET /keyed HTTP/1.1\r\nHost: a.test\r\nx-session: {session}\r\n\r\n"
        ));
        client.response()
    };
    let mut client = Client::connect(bench.running().listeners()[0]);
    let names = (0..100).map(|number| format!("session-{number}"));
    let mut on_green = names.filter(|name| ask(&mut client, name).body == b"green");
    let (bad, other) = (on_green.next().unwrap(), on_green.next().unwrap());
    drop(on_green);
    bench.is_bad.store(true, Ordering::Relaxed);
    (0..20).for_each(|_| drop(ask(&mut client, &bad)));
    let counted = |rollout: &Value| {
        let canary = &rollout["verdict"]["metrics"][0]["canary"];
        let number = |key: &str| canary[key].as_u64().unwrap_or(0);
        (number("bad"), number("distinct"))
    };
    let end = Instant::now() + Duration::from_secs(30);
    let file = bench.folder.path().join("history/rollouts.json");
    loop {
        let text = std::fs::read_to_string(&file).unwrap();
        let saved: Value = serde_json::from_str(&text).unwrap();
        if counted(&saved["entry"][0]) == (10, 1) {
            assert_eq!(saved["entry"][0]["bad_sessions"].as_str().unwrap().len(), 6);
            break;
        }
        assert!(Instant::now() < end, "{text}");
        thread::sleep(Duration::from_millis(20));
    }
    drop(client);
    bench.restart();
    // The evidence of a place is counted from the first look on.
    bench.looks_again(&path);
    let mut client = Client::connect(bench.running().listeners()[0]);
    (0..20).for_each(|_| drop(ask(&mut client, &bad)));
    (0..2).for_each(|_| drop(ask(&mut client, &other)));
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (_, rollout) = bench.ask("GET", &path, "");
        let (bad, distinct) = counted(&rollout);
        if bad >= 21 {
            assert_eq!((bad, distinct), (21, 2), "{rollout:#}");
            break;
        }
        assert!(Instant::now() < end, "{rollout:#}");
        thread::sleep(Duration::from_millis(20));
    }
    bench.ask("POST", &format!("{path}/abort"), "");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("bad_sessions"), "it has ended: {text}");
}
