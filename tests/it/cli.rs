//! The command line against a running admin API: its output and its exit status.

use std::io::Write;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{
    TestAdmin,
    cli::{run_ok, stderr, stdout},
};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn a_shift_and_the_way_back_are_one_line_each() {
    let admin = TestAdmin::start();
    let first = admin.revision();
    let shift = run_ok(
        &admin,
        &["split", "chat", "blue=95", "green=5", "-m", "begin"],
    );
    let second = admin.revision();
    let begin = format!("revision {second}  chat: blue 100%→95%  green 0%→5%   live in ");
    assert!(
        shift.starts_with(&begin) && shift.trim_end().ends_with(", durable"),
        "{shift}"
    );
    let back = run_ok(&admin, &["rollback"]);
    let begin = format!(
        "revision {}  = revision {first}   live in ",
        admin.revision()
    );
    assert!(back.starts_with(&begin), "{back}");
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn percents_are_shown_as_percents_with_all_whose_share_changes() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["split", "chat", "green=5"]);
    let line = "chat: blue 95%→99.95%  green 5%→0.05%";
    let dry = run_ok(&admin, &["split", "chat", "green=0.05", "--dry-run"]);
    assert!(dry.contains(line), "{dry}");
    let before = admin.revision().to_string();
    let done = run_ok(&admin, &["split", "chat", "green=0.05"]);
    assert!(done.contains(line), "{done}");
    let after = admin.revision().to_string();
    let diff = run_ok(&admin, &["diff", &before, &after]);
    assert_eq!(diff.trim_end(), line);
    let status = run_ok(&admin, &["status"]);
    assert!(status.contains("blue 99.95%  green 0.05%"), "{status}");
    assert!(
        status.contains("(chat: blue 99.95%→95%  green 0.05%→5%)"),
        "{status}"
    );
    // Weights that are no percents are shown as weights.
    let weights = run_ok(&admin, &["split", "chat", "blue=3", "green=1", "--replace"]);
    let line = "chat: blue 99.95%→75% (weight 3)  green 0.05%→25% (weight 1)";
    assert!(weights.contains(line), "{weights}");
}

#[test]
fn an_abort_behind_a_promotion_points_to_the_rollback() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["split", "chat", "green=5"]);
    run_ok(&admin, &["promote", "chat"]);
    let before = admin.revision();
    let abort = run_ok(&admin, &["abort", "chat"]);
    assert!(abort.contains("nothing to change"), "{abort}");
    assert!(
        abort.contains("hint:") && abort.contains("`switchback rollback`"),
        "{abort}"
    );
    let json: Value = serde_json::from_str(&run_ok(&admin, &["abort", "chat", "--json"])).unwrap();
    let hint = json["hint"].as_str().unwrap();
    assert!(
        hint.contains("`POST /v1/rollback` restores revision"),
        "{hint}"
    );
    assert_eq!(admin.revision(), before);
}

#[test]
fn every_verb_that_changes_something_does_it() {
    let admin = TestAdmin::start();
    for (arguments, split) in [
        (
            &["split", "chat", "green=25", "--patch"][..],
            json!({ "blue": 100, "green": 25 }),
        ),
        (&["promote", "chat"], json!({ "blue": 0, "green": 125 })),
        (
            &["switch", "chat", "blue"],
            json!({ "blue": 125, "green": 0 }),
        ),
        (
            &["rollback", "--route", "chat"],
            json!({ "blue": 0, "green": 125 }),
        ),
        (&["rollback", "--step"], json!({ "blue": 100, "green": 25 })),
        (
            &["split", "chat", "green=5"],
            json!({ "blue": 95, "green": 5 }),
        ),
        (
            &["split", "chat", "green=12.5%"],
            json!({ "blue": 875, "green": 125 }),
        ),
        (
            &["split", "chat", "blue=1", "green=1", "--replace"],
            json!({ "blue": 1, "green": 1 }),
        ),
        (
            &["split", "chat", "green=1", "--replace", "--drop"],
            json!({ "green": 1 }),
        ),
    ] {
        run_ok(&admin, arguments);
        assert_eq!(admin.split("chat"), split, "{arguments:?}");
    }
    run_ok(&admin, &["split", "chat", "blue=50", "green=50"]);
    run_ok(&admin, &["abort", "chat", "-m", "errors"]);
    let same = run_ok(&admin, &["abort", "chat"]);
    assert!(same.contains("nothing to change"), "{same}");
}

#[test]
fn a_forgotten_release_is_not_dropped_in_silence() {
    let admin = TestAdmin::start();
    let output = admin.cli(&["split", "chat", "green=1", "--replace"]);
    let error = stderr(&output);
    assert!(
        error.contains("`blue`") && error.contains("--drop"),
        "{error}"
    );
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn a_dry_run_of_a_route_says_what_comes_back_and_what_goes_along_later() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["split", "chat", "green=5"]);
    let to = admin.revision();
    run_ok(&admin, &["split", "chat", "green=50"]);
    run_ok(
        &admin,
        &[
            "route",
            "set",
            "other",
            "--path-prefix",
            "/other",
            "--split",
            "blue=1",
        ],
    );
    let other = admin.revision();
    let dry = run_ok(&admin, &["rollback", "--route", "chat", "--dry-run"]);
    let begin = format!("would restore the split of `chat` in revision {to}");
    assert!(dry.starts_with(&begin), "{dry}");
    assert!(dry.contains("chat: blue 50%→95%  green 50%→5%"), "{dry}");
    assert!(dry.contains(&format!("changes: revision {other}")), "{dry}");
    let done = run_ok(&admin, &["rollback", "--route", "chat"]);
    assert!(done.contains(&format!("chat = revision {to}")), "{done}");
    let history = run_ok(&admin, &["history"]);
    assert!(
        history.contains(&format!("rollback of chat to {to}")),
        "{history}"
    );
    let help = run_ok(&admin, &["rollback", "--help"]);
    assert!(help.contains("also undoes their changes"), "{help}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    let text = run_ok(&admin, &["switch", "chat", "green", "--dry-run"]);
    assert!(
        text.contains("nothing has changed") && text.contains("chat: blue 100%→0%  green 0%→100%"),
        "{text}"
    );
    assert_eq!(admin.revision(), before);
}

#[test]
fn what_was_seen_is_a_condition() {
    let admin = TestAdmin::start();
    let seen = admin.revision().to_string();
    run_ok(
        &admin,
        &["switch", "chat", "green", "-m", "by somebody else"],
    );
    let output = admin.cli(&["split", "chat", "blue=1", "--based-on", &seen]);
    assert_eq!(code(&output), 75, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("by somebody else"),
        "{}",
        stderr(&output)
    );
    assert_eq!(admin.split("chat")["green"], 100);
}

#[test]
fn people_get_tables_and_machines_get_json() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["switch", "chat", "green", "-m", "\u{1b}[31mred"]);
    let status = run_ok(&admin, &["status"]);
    for part in [
        "a rollback would restore revision",
        "ROUTE",
        "green 100%",
        "RELEASE",
        "1.0.0",
        "differs from the configuration file",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let history = run_ok(&admin, &["history"]);
    assert!(
        history.contains("live") && history.contains("undoable") && history.contains("import"),
        "{history}"
    );
    assert!(
        !history.contains('\u{1b}'),
        "a message cannot steer the terminal"
    );
    let releases = run_ok(&admin, &["releases"]);
    assert!(releases.contains("http://127.0.0.1:2"), "{releases}");
    let (from, to) = (
        (admin.revision() - 1).to_string(),
        admin.revision().to_string(),
    );
    let diff = run_ok(&admin, &["diff", &from, &to]);
    assert_eq!(
        diff,
        "chat: blue 100%→0%  green 0%→100%\nroutes.chat.stable: blue→green\n"
    );
    for arguments in [
        &["status", "--json"][..],
        &["history", "--json", "-n", "1"],
        &["releases", "--json"],
        &["diff", "--json", &from, &to],
        &["--json", "abort", "chat"],
    ] {
        let json: Result<Value, _> = serde_json::from_str(&run_ok(&admin, arguments));
        assert!(json.is_ok(), "{arguments:?}");
    }
}

#[test]
fn a_file_is_checked_and_taken_over() {
    let admin = TestAdmin::start();
    let path = admin.folder().join("edited.toml");
    let file = path.to_str().unwrap();
    let write = |text: &str| {
        let mut file = std::fs::File::create(&path).unwrap();
        write!(file, "[[listeners]]\naddress = \"127.0.0.1:0\"\n{text}").unwrap();
    };
    let table = |split: &str| {
        format!(
            "[releases.blue]\nversion = \"1.0.0\"\nendpoints = [\"http://127.0.0.1:1\"]\n[releases.green]\n\
             version = \"2.0.0\"\nendpoints = [\"http://127.0.0.1:2\"]\n[[routes]]\nname = \"chat\"\nsplit = {split}\n\
             stable = \"blue\"\n"
        )
    };
    write(&table("{ blue = 9, green = 1 }"));
    assert!(run_ok(&admin, &["check", file]).contains("[[routes]]"));
    let websockets = "timeouts = { websocket_idle = \"5m\" }\n[releases.blue]\nprotocol = \"h2\"\n";
    let (routes, releases) = websockets.split_once('\n').unwrap();
    let text = table("{ blue = 9, green = 1 }").replacen("[releases.blue]\n", releases, 1);
    write(&format!("{text}{routes}\n"));
    let output = admin.cli(&["check", file]);
    let warning = "warning: routes.chat.timeouts.websocket_idle: WebSockets to `blue`";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    write(&table("{ blue = 9, green = 1 }"));
    assert_eq!(stderr(&admin.cli(&["check", file])), "");
    let applied = run_ok(&admin, &["apply", file]);
    assert!(
        applied.contains("chat: blue 100%→90% (weight 9)  green 0%→10% (weight 1)"),
        "{applied}"
    );
    assert!(run_ok(&admin, &["apply", file]).contains("nothing to import"));

    run_ok(&admin, &["switch", "chat", "green"]);
    write(&table("{ blue = 8, green = 2 }"));
    let output = admin.cli(&["apply", file]);
    assert_eq!(code(&output), 75, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("routes.chat changed in the file and live"),
        "{}",
        stderr(&output)
    );
    run_ok(
        &admin,
        &["apply", file, "--wins", "file", "-m", "as agreed"],
    );
    assert_eq!(admin.split("chat"), json!({ "blue": 8, "green": 2 }));

    write(&table("{ blue = 8, gren = 2 }"));
    for verb in ["check", "apply"] {
        let output = admin.cli(&[verb, file]);
        assert_eq!(code(&output), 78);
        assert!(
            stderr(&output).contains("did you mean `green`?"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(admin.split("chat"), json!({ "blue": 8, "green": 2 }));
}

#[test]
fn how_it_ends_tells_why() {
    let admin = TestAdmin::start();
    let nobody = "http://127.0.0.1:9";
    for (arguments, expected) in [
        (&["--help"][..], 0),
        (&["split", "--help"], 0),
        (&["--version"], 0),
        (&["frobnicate"], 64),
        (&["split", "chat", "blue"], 64),
        (&["split", "chat", "blue=1", "blue=2"], 64),
        (&["rollback", "--to", "1", "--step"], 64),
        (&["status", "--admin", "ftp://x"], 64),
        (&["switch", "chat", "gren"], 65),
        (&["switch", "chta", "green"], 65),
        (&["split", "chat", "blue=0"], 65),
        (&["split", "chat", "blue=60", "green=60"], 65),
        (&["split", "chat", "green=1", "--replace"], 65),
        (&["split", "chat", "green=101"], 64),
        (&["split", "chat", "green=1.5", "--patch"], 64),
        (&["switch", "chat", "green", "--wait", "2h"], 64),
        (&["rollback", "--to", "99999"], 65),
        (&["diff", "1", "99999"], 65),
        (&["check", "/nowhere/at/all.toml"], 66),
        (&["status", "--token-file", "/nowhere/at/all"], 66),
        (&["status", "--admin", nobody], 69),
        (&["split", "chat", "blue=1", "--based-on", "99999"], 75),
    ] {
        let output = admin.cli(arguments);
        assert_eq!(
            code(&output),
            expected,
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let output = admin.cli(&["switch", "chat", "gren", "--json"]);
    let problem: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(problem["known"], json!(["blue", "green"]));
    assert!(stderr(&output).contains("did you mean `green`?"));
}

#[test]
fn a_token_comes_from_a_file_or_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    writeln!(
        std::fs::File::create(&path).unwrap(),
        "operator-0123456789abcdef"
    )
    .unwrap();
    let file = path.to_str().unwrap();
    let admin = TestAdmin::with(&format!(
        "tokens = [{{ role = \"operator\", file = {file:?} }}]"
    ));
    assert_eq!(code(&admin.cli(&["status"])), 77);
    run_ok(&admin, &["status", "--token-file", file]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["--admin", &admin.url(), "switch", "chat", "green"])
        .env("SWITCHBACK_TOKEN", "operator-0123456789abcdef")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
