//! The stream of events from end to end.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    kpis::{get, requests, served},
    support::{Client, Served, wait_until},
};

/// A client that reads events.
struct Reader(Client);

impl Reader {
    fn open(served: &Served, query: &str, fields: &str) -> Self {
        let address = served.running.admin();
        let mut client = Client::connect(address);
        client.send(format!(
            "GET /v1/events{query} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n{fields}\r\n"
        ));
        let head = client.response_head();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut reader = Self(client);
        assert_eq!(reader.block(), [": connected"]);
        reader
    }

    /// The next block that is no heartbeat.
    fn block(&mut self) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < end, "nothing comes but heartbeats");
            let chunk = self.0.chunk();
            let lines: Vec<_> = chunk.lines().map(ToOwned::to_owned).collect();
            let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
            if lines != [": nothing new"] {
                return lines;
            }
        }
    }

    /// The next events of one chunk.
    fn events(&mut self) -> Vec<Value> {
        let block = self.block();
        let data = block.iter().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// Reads until there is an event of this type.
    fn until(&mut self, kind: &str) -> Value {
        loop {
            let events = self.events();
            if let Some(found) = events.into_iter().find(|event| event["type"] == kind) {
                return found;
            }
        }
    }
}

fn switch(served: &Served, to: &str) -> Value {
    let body = json!({ "to": to, "message": format!("to {to}") });
    served.done("POST", "/v1/routes/chat/switch", &body)["revision"].clone()
}

#[test]
fn a_change_is_an_event_and_who_comes_back_gets_what_was_missed() {
    let (served, _origins) = served();
    let mut reader = Reader::open(&served, "", "");
    let revision = switch(&served, "blue");
    let event = reader.until("revision");
    assert_eq!(
        (&event["revision"], &event["message"]),
        (&revision, &json!("to blue"))
    );
    assert_eq!(event["routes"], json!(["chat"]));
    drop(reader);
    let missed = switch(&served, "green");
    let back = served.done("POST", "/v1/rollback", &Value::Null);
    let id = event["id"].as_str().unwrap();
    let mut reader = Reader::open(&served, "", &format!("last-event-id: {id}\r\n"));
    assert_eq!(reader.until("revision")["revision"], missed);
    let quarantined = Reader::open(&served, "?last=100", "").until("quarantine");
    assert_eq!(
        (&quarantined["release"], &quarantined["lifted"]),
        (&json!("green"), &json!(false))
    );
    let mut all = Reader::open(&served, "?last=100", "");
    let mut seen = Vec::new();
    while !seen.contains(&back["revision"]) {
        let events = all.events().into_iter();
        seen.extend(
            events
                .filter(|one| one["type"] == "revision")
                .map(|one| one["revision"].clone()),
        );
    }
    assert!(
        seen.ends_with(&[revision, missed, back["revision"].clone()]),
        "{seen:?}"
    );
}

#[test]
fn after_a_restart_a_client_is_told_that_events_are_missing() {
    let (served, _origins) = served();
    switch(&served, "blue");
    let id = Reader::open(&served, "?last=1", "").until("revision")["id"].clone();
    let served = served.restart();
    let field = format!("last-event-id: {}\r\n", id.as_str().unwrap());
    let mut reader = Reader::open(&served, "", &field);
    let gap = reader.until("gap");
    assert_eq!(gap.get("lost"), None, "{gap}");
    switch(&served, "green");
    reader.until("revision");
}

#[test]
fn a_release_that_gets_nothing_any_more_has_drained() {
    let (served, _origins) = served();
    // What has drained before the first look is no event.
    wait_until("some looks are over", || {
        get(&served, "/v1/kpis")["window_seconds"].as_u64() >= Some(3)
    });
    requests(&served, 4);
    let mut reader = Reader::open(&served, "", "");
    switch(&served, "blue");
    let drained = reader.until("drained");
    assert_eq!(
        (&drained["release"], &drained["version"]),
        (&json!("green"), &json!("2"))
    );
}

#[test]
fn streams_take_no_place_of_reads_and_are_limited_themselves() {
    let (served, _origins) = served();
    let mut readers: Vec<_> = (0..128).map(|_| Reader::open(&served, "", "")).collect();
    get(&served, "/v1/kpis");
    let (status, refused) = served.admin("GET", "/v1/events", &Value::Null);
    assert_eq!(status, 503, "{refused}");
    assert!(
        refused["detail"].as_str().unwrap().contains("events"),
        "{refused}"
    );
    switch(&served, "blue");
    for reader in &mut readers {
        reader.until("revision");
    }
    // They end whole, and do not hold the end of the process.
    served.running.stop();
    for reader in &mut readers {
        while !reader.0.chunk().is_empty() {}
    }
}

#[test]
fn a_wrong_question_gets_a_hint() {
    let (served, _origins) = served();
    let (status, problem) = served.admin("GET", "/v1/events?last=1025", &Value::Null);
    assert_eq!(status, 400, "{problem}");
    assert!(problem.to_string().contains("1024"), "{problem}");
}

#[test]
fn watch_prints_a_line_for_each_event() {
    let (served, _origins) = served();
    switch(&served, "blue");
    let mut watch = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["watch", "--last", "1024"])
        .env(
            "SWITCHBACK_ADMIN",
            format!("http://{}", served.running.admin()),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut revisions = lines
        .map(|line| line.unwrap())
        .filter(|line| line.contains("  revision  "));
    let first = revisions.next().unwrap();
    assert!(first.contains(" is live: "), "{first}");
    let next = switch(&served, "green");
    let line = revisions
        .find(|line| line.contains(&format!("{next} is live")))
        .unwrap();
    assert!(line.contains("is live: publish by "), "{line}");
    assert!(line.ends_with(" [chat]: to green"), "{line}");
    let flag =
        json!({ "type": "boolean", "variants": { "on": true, "off": false }, "default": "off" });
    let (status, receipt) = served.admin("PUT", "/v1/flags/new-planner?message=first", &flag);
    assert_eq!(status, 200, "{receipt}");
    let line = revisions.next().unwrap();
    assert!(line.ends_with(" [flags new-planner]: first"), "{line}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}
