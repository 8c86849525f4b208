//! Commands for releases, endpoints, routes and tables, and the mistakes of a first hour.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    TestAdmin,
    cli::{file, run_ok, stderr},
};

#[test]
fn a_release_is_registered_scaled_and_removed() {
    let admin = TestAdmin::start();
    let set = ["release", "set", "red", "--version", "3.0.0"];
    let endpoints = [
        "--endpoint",
        "http://127.0.0.1:3",
        "--endpoint",
        "http://127.0.0.1:4",
    ];
    run_ok(&admin, &[&set[..], &endpoints].concat());
    run_ok(
        &admin,
        &[
            "endpoint",
            "add",
            "red",
            "http://127.0.0.1:5",
            "-m",
            "scale up",
        ],
    );
    run_ok(&admin, &["endpoint", "remove", "red", "http://127.0.0.1:3"]);
    let weigh = ["endpoint", "weight", "red", "http://127.0.0.1:5", "0"];
    run_ok(&admin, &weigh);
    run_ok(&admin, &["release", "set", "red", "--health", "/healthz"]);
    let red = admin.get("/v1/releases/red");
    let drained = json!({ "url": "http://127.0.0.1:5", "weight": 0 });
    assert_eq!(red["endpoints"], json!(["http://127.0.0.1:4", drained]));
    let status = admin.get("/v1/status");
    let releases = status["releases"].as_array().unwrap();
    let red_status = releases.iter().find(|one| one["name"] == "red").unwrap();
    assert_eq!(red_status["endpoints"][1]["weight"], 0);
    assert_eq!(
        (&red["version"], &red["health"]["path"]),
        (&json!("3.0.0"), &json!("/healthz"))
    );
    let shown = run_ok(&admin, &["release", "show", "red"]);
    assert!(shown.contains("version = \"3.0.0\""), "{shown}");
    let again = admin.cli(&["endpoint", "add", "red", "http://127.0.0.1:4"]);
    assert_eq!(again.status.code(), Some(65));
    assert!(
        stderr(&again).contains("has `http://127.0.0.1:4` already"),
        "{}",
        stderr(&again)
    );
    let path = file(&admin, "red.toml", &shown);
    run_ok(&admin, &["release", "set", "rot", "--file", &path]);
    assert_eq!(admin.get("/v1/releases/rot"), red);
    run_ok(&admin, &["release", "remove", "rot", "--force"]);
    assert!(
        !admin.get("/v1/releases")["releases"]
            .as_object()
            .unwrap()
            .contains_key("rot")
    );
}

#[test]
fn a_route_is_added_changed_and_removed() {
    let admin = TestAdmin::start();
    run_ok(
        &admin,
        &[
            "route",
            "set",
            "tools",
            "--path-prefix",
            "/tools",
            "--split",
            "blue=1",
        ],
    );
    run_ok(
        &admin,
        &[
            "route",
            "set",
            "tools",
            "--host",
            "a.example",
            "--stable",
            "blue",
        ],
    );
    let tools = admin.get("/v1/routes/tools");
    assert_eq!(tools["path_prefix"], "/tools", "what is not named stays");
    assert_eq!(tools["host"], "a.example");
    let shown = run_ok(&admin, &["route", "show", "tools"]);
    let path = file(&admin, "tools.toml", &shown);
    run_ok(&admin, &["route", "remove", "tools"]);
    run_ok(&admin, &["route", "set", "tools", "--file", &path]);
    assert_eq!(admin.get("/v1/routes/tools"), tools);
    let other = admin.cli(&["route", "set", "chat", "--file", &path]);
    assert_eq!(other.status.code(), Some(78), "{}", stderr(&other));
    let list = run_ok(&admin, &["route", "list"]);
    assert!(
        list.contains("prefix /tools") && !list.contains("/tools*"),
        "{list}"
    );
}

#[test]
fn status_shows_the_header_fields_that_a_route_asks_for() {
    let admin = TestAdmin::start();
    let path = file(
        &admin,
        "preview.toml",
        "path = \"/preview\"\nheaders = { x-preview = \"green\" }\nsplit = { green = 1 }\n",
    );
    run_ok(&admin, &["route", "set", "preview", "--file", &path]);
    let status = run_ok(&admin, &["status"]);
    assert!(
        status.contains("path /preview  x-preview: green"),
        "{status}"
    );
}

#[test]
fn a_release_without_weight_stands_by() {
    let admin = TestAdmin::start();
    let roles = || {
        let status = admin.get("/v1/status");
        let releases = status["releases"].as_array().unwrap();
        let role = |release: &Value| (release["name"].clone(), release["role"].clone());
        releases.iter().map(role).collect::<Vec<_>>()
    };
    assert_eq!(
        roles(),
        [
            (json!("blue"), json!("live")),
            (json!("green"), json!("standby"))
        ]
    );
    run_ok(&admin, &["switch", "chat", "green"]);
    assert_eq!(
        roles(),
        [
            (json!("blue"), json!("standby")),
            (json!("green"), json!("live"))
        ]
    );
    assert!(run_ok(&admin, &["status"]).contains("standby"));
}

#[test]
fn what_is_exported_can_be_taken_over_again() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["split", "chat", "blue=70", "green=30"]);
    let head = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let table = run_ok(&admin, &["export"]);
    let path = file(&admin, "exported.toml", &format!("{head}{table}"));
    run_ok(&admin, &["switch", "chat", "blue"]);
    run_ok(&admin, &["apply", &path, "--wins", "file"]);
    assert_eq!(admin.split("chat"), json!({ "blue": 70, "green": 30 }));
    assert_eq!(admin.get("/v1/status")["drift"]["drifted"], false);
    let whole = run_ok(&admin, &["export", "--config", &path]);
    assert!(
        whole.contains("[[listeners]]") && whole.contains("blue = 70"),
        "{whole}"
    );
    let checked = file(&admin, "whole.toml", &whole);
    assert_eq!(run_ok(&admin, &["check", "--config", &checked]), whole);
}

#[test]
fn a_file_is_looked_at_before_it_is_taken_over_and_static_settings_are_named() {
    let admin = TestAdmin::start();
    let table = run_ok(&admin, &["export"]).replace("blue = 100", "blue = 60");
    let head = "workers = 1\n[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let path = file(&admin, "edited.toml", &format!("{head}{table}"));
    let before = admin.revision();
    let text = run_ok(&admin, &["apply", &path, "--dry-run"]);
    assert!(text.contains("chat: blue 100%→100% (weight 60)"), "{text}");
    assert!(text.contains("need a restart: admin, workers"), "{text}");
    assert_eq!(admin.revision(), before);
    let text = run_ok(&admin, &["apply", &path]);
    assert!(
        text.contains("chat: blue 100%→100% (weight 60)") && text.contains("need a restart"),
        "{text}"
    );
    let text = run_ok(&admin, &["apply", &path]);
    assert!(text.contains("nothing to import"), "{text}");
}

#[test]
fn a_revision_is_shown_with_who_when_why_and_what() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["switch", "chat", "green", "-m", "2.0.0\nfor all"]);
    let shown = run_ok(&admin, &["show", &admin.revision().to_string()]);
    for part in [
        "publish by local at ",
        "2.0.0\u{FFFD}for all",
        "chat: blue 100%→0%  green 0%→100%",
        "[[routes]]",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn mistakes_of_a_file_are_json_for_machines() {
    let admin = TestAdmin::start();
    let path = file(
        &admin,
        "wrong.toml",
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nadres = 1\n",
    );
    let output = admin.cli(&["check", &path, "--json"]);
    assert_eq!(output.status.code(), Some(78));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&list["valid"], &list["problems"][0]["line"]),
        (&json!(false), &json!(3))
    );
    assert!(list["problems"][0]["hint"].is_string(), "{list}");
}

#[test]
fn a_single_mistake_is_printed_once_and_hints_speak_of_flags() {
    let admin = TestAdmin::start();
    run_ok(
        &admin,
        &["release", "set", "red", "--endpoint", "http://127.0.0.1:3"],
    );
    let path = file(
        &admin,
        "three.toml",
        "split = { blue = 1, green = 1, red = 1 }\nstable = \"blue\"\n",
    );
    run_ok(&admin, &["route", "set", "chat", "--file", &path]);
    let output = admin.cli(&["promote", "chat"]);
    assert_eq!(output.status.code(), Some(65), "{}", stderr(&output));
    let text = stderr(&output);
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| line.trim_start_matches("error: ").trim())
        .collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "{text}");
    let output = admin.cli(&["switch", "chat", "blue", "--based-on", "1"]);
    let text = stderr(&output);
    assert!(
        text.contains("hint: ") && !text.contains("?force") && !text.contains("If-Match"),
        "{text}"
    );
}

#[test]
fn the_help_is_a_verb_and_so_is_the_version() {
    let admin = TestAdmin::start();
    assert!(run_ok(&admin, &["help"]).contains("rollback"));
    assert!(run_ok(&admin, &["help", "rollback"]).contains("--route"));
    let version = run_ok(&admin, &["version"]);
    assert_eq!(
        version,
        format!("switchback {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    // The address is accepted, whether or not there is a listener: the command line is not wrong.
    let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["status"])
        .env("SWITCHBACK_ADMIN", "")
        .env("SWITCHBACK_TOKEN_FILE", "")
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(64), "{}", stderr(&output));
}

#[test]
fn another_server_is_not_taken_for_an_admin_api() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answers = [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"answer\":1}",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ];
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let mut byte = [0; 1024];
            let _ = std::io::Read::read(&mut socket, &mut byte).unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    for answer in answers {
        let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
            .args(["status", "--admin", &address])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(69),
            "{answer}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("not to that of a listener"),
            "{}",
            stderr(&output)
        );
    }
    server.join().unwrap();
}
