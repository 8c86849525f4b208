//! The history writer process: it outlives the proxy until everything is written, and no longer; it is restarted when
//! it dies; and a disk that hangs does not block the proxy.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    controller_fixture::history_path,
    durability::Mount,
    program::Demo,
    support::{
        Client,
        signal::{self, Signal},
        wait_until,
    },
};

/// Longest time of a rollback beside a disk that hangs, on a busy machine: waiting for the disk would take longer.
const PROMPT: Duration = Duration::from_secs(2);

fn demo(history: &Path) -> Demo {
    Demo::start(&["--history", history.to_str().unwrap()])
}

fn ask(demo: &Demo, method: &str, path: &str, body: &str) -> (u16, Value) {
    answer(&mut asked(demo, method, path, body))
}

/// A client that has sent a request and not read the response.
fn asked(demo: &Demo, method: &str, path: &str, body: &str) -> Client {
    let length = body.len();
    let kind = "content-type: application/json\r\n";
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\n{kind}content-length: {length}\r\n\r\n",
        demo.admin
    );
    let mut client = Client::connect(demo.admin);
    client.send(format!("{head}{body}"));
    client
}

fn answer(client: &mut Client) -> (u16, Value) {
    let answer = client.response();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn split(demo: &Demo, green: u32) -> (u16, Value) {
    answer(&mut asked_to_split(demo, green))
}

fn asked_to_split(demo: &Demo, green: u32) -> Client {
    let body = format!(r#"{{"weights":{{"green":{green}}}}}"#);
    asked(demo, "PATCH", "/v1/routes/chat/split", &body)
}

fn green(demo: &Demo) -> Value {
    ask(demo, "GET", "/v1/routes/chat", "").1["split"]["green"].clone()
}

/// The history writer of a proxy: its only child process.
fn writer_process(demo: &Demo) -> u32 {
    let proxy = demo.child.id();
    let tasks = std::fs::read_dir(format!("/proc/{proxy}/task")).unwrap();
    let children = tasks.map(|task| {
        let path = task.unwrap().path().join("children");
        std::fs::read_to_string(path).unwrap_or_default()
    });
    let children: String = children.collect();
    let children: Vec<u32> = children
        .split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect();
    // Another one writes the files beside the history.
    let is_beside = |child: &u32| {
        let words = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"beside")
    };
    let children: Vec<u32> = children
        .into_iter()
        .filter(|child| !is_beside(child))
        .collect();
    let [writer] = children[..] else {
        panic!("one child, not {children:?}");
    };
    writer
}

fn is_there(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    // An orphan may wait to be reaped by its new parent.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Stops a process with all its threads: they run on until the one that takes the signal is scheduled.
fn halt(process: u32) {
    signal::send(process, Signal::STOP);
    let stopped = || {
        let mut tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        tasks.all(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            stat.is_ok_and(|stat| stat.contains(") T "))
        })
    };
    wait_until("the process stands still", stopped);
}

#[test]
fn a_disk_that_hangs_does_not_hold_the_process_and_what_was_live_lands_after_it() {
    let Some(mount) = Mount::to_freeze() else {
        return;
    };
    let path = mount.path().join("history");
    let mut first = demo(&path);
    for weight in [10, 20] {
        assert_eq!(split(&first, weight).0, 200);
    }
    if !mount.freeze() {
        return;
    }
    let writer = writer_process(&first);
    let (status, refused) = split(&first, 30);
    assert_eq!(status, 503, "{refused}");
    let begin = Instant::now();
    let (status, receipt) = ask(&first, "POST", "/v1/rollback", "");
    let took = begin.elapsed();
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(receipt["durable"], false, "{receipt}");
    assert!(took < PROMPT, "{took:?}");
    let begin = Instant::now();
    assert_eq!(first.end(Signal::TERM), Some(0));
    let took = begin.elapsed();
    let held = is_there(writer);
    mount.thaw();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert!(held, "the writer waits for the disk");
    let second = demo(&path);
    assert_eq!(green(&second), 10, "the rollback has landed");
    assert!(!is_there(writer), "a writer ends when all is written");
    let (_, next) = split(&second, 40);
    let after = |receipt: &Value| receipt["revision"].as_u64().unwrap();
    assert!(after(&next) > after(&receipt), "no number comes twice");
}

/// Kills a proxy whose history writer was stopped for a while and resumes the writer; returns the restarted proxy.
fn after_a_kill(mut proxy: Demo, writer: u32, path: &Path) -> Demo {
    assert_eq!(proxy.end(Signal::KILL), None);
    signal::send(writer, Signal::CONT);
    demo(path)
}

#[test]
fn a_publish_that_was_refused_does_not_come_back_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = history_path(&folder);
    let proxy = demo(&path);
    for weight in [10, 20] {
        assert_eq!(split(&proxy, weight).0, 200);
    }
    let writer = writer_process(&proxy);
    // Like a disk that hangs: the writer has the record, and writes it when it can.
    halt(writer);
    let (status, refused) = split(&proxy, 30);
    assert_eq!(status, 503, "{refused}");
    let hint = refused["hint"].as_str().unwrap();
    assert!(hint.contains("nothing has changed"), "final: {refused}");
    let proxy = after_a_kill(proxy, writer, &path);
    assert_eq!(green(&proxy), 20);
    let (_, history) = ask(&proxy, "GET", "/v1/revisions", "");
    let void = |revision: &Value| revision["cause"]["kind"] == "void";
    let revisions = history["revisions"].as_array().unwrap();
    assert!(
        revisions.iter().any(void),
        "its record was written, and is void: {history}"
    );
}

#[test]
fn every_rollback_beside_a_disk_that_hangs_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = history_path(&folder);
    let proxy = demo(&path);
    for weight in [10, 20, 30, 40] {
        assert_eq!(split(&proxy, weight).0, 200);
    }
    let writer = writer_process(&proxy);
    halt(writer);
    for _ in 0..3 {
        let (status, receipt) = ask(&proxy, "POST", "/v1/rollback", "");
        assert_eq!(
            (status, &receipt["durable"]),
            (200, &false.into()),
            "{receipt}"
        );
    }
    assert_eq!(green(&proxy), 10);
    let proxy = after_a_kill(proxy, writer, &path);
    assert_eq!(green(&proxy), 10);
    let (status, _) = ask(&proxy, "POST", "/v1/rollback", "");
    assert_eq!(
        (status, green(&proxy)),
        (200, 0.into()),
        "and the stack with it"
    );
}

#[test]
fn a_history_writer_that_dies_is_restarted_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = history_path(&folder);
    let mut proxy = demo(&path);
    for (round, weight) in (1..=5).enumerate() {
        let writer = writer_process(&proxy);
        signal::send(writer, Signal::TERM);
        signal::send(writer, Signal::INT);
        assert_eq!(
            split(&proxy, weight).0,
            200,
            "signals to end are not for it"
        );
        signal::send(writer, Signal::KILL);
        wait_until("it is dead", || !is_there(writer));
        let (status, receipt) = if round % 2 == 0 {
            split(&proxy, weight + 50)
        } else {
            ask(&proxy, "POST", "/v1/rollback", "")
        };
        assert_eq!(status, 200, "{receipt}");
        let durable = || ask(&proxy, "GET", "/v1/status", "").1["durability"].clone();
        wait_until("all is durable", || {
            durable()["restart_revision"] == receipt["revision"]
        });
    }
    let (last, live) = (writer_process(&proxy), green(&proxy));
    assert_eq!(proxy.end(Signal::TERM), Some(0));
    assert!(!is_there(last), "the proxy waits for its writer");
    assert_eq!(green(&demo(&path)), live);
}

#[test]
fn a_publish_amid_which_the_history_writer_dies_is_written_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = history_path(&folder);
    let mut proxy = demo(&path);
    let mut live = green(&proxy);
    for weight in 11..=13 {
        let writer = writer_process(&proxy);
        halt(writer);
        let mut publish = asked_to_split(&proxy, weight);
        // Meanwhile the publish goes to the writer, which does not reply.
        assert_eq!(green(&proxy), live);
        signal::send(writer, Signal::KILL);
        let (status, receipt) = answer(&mut publish);
        if status == 200 {
            assert_eq!(receipt["durable"], true, "{receipt}");
            live = weight.into();
        } else {
            // On a very busy machine the next writer may come too late, which is the only reason for a refusal.
            let detail = receipt["detail"].as_str().unwrap();
            assert!(detail.contains("did not respond within"), "{receipt}");
        }
        assert_eq!(green(&proxy), live);
        wait_until("the store is written", || {
            let status = ask(&proxy, "GET", "/v1/status", "").1;
            status["durability"]["healthy"] == true && status["durability"]["pending_records"] == 0
        });
    }
    assert_eq!(proxy.end(Signal::KILL), None);
    assert_eq!(
        green(&demo(&path)),
        live,
        "what was acknowledged, and no more"
    );
}

#[test]
fn the_history_writer_of_a_proxy_that_was_killed_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = history_path(&folder);
    let mut proxy = demo(&path);
    assert_eq!(split(&proxy, 7).0, 200);
    let writer = writer_process(&proxy);
    assert_eq!(proxy.end(Signal::KILL), None);
    wait_until("the writer has ended", || !is_there(writer));
    assert_eq!(green(&demo(&path)), 7);
}

#[test]
fn a_history_writer_without_requests_says_what_it_is_for() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
    let output = command.arg("history-writer").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("`serve`"), "{said}");
}
