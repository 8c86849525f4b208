//! Mistakes on the command line: each error says what was meant, in flags and not in the words of the API, and has the
//! exit status that `--help` lists for it.

use serde_json::{Value, json};

use crate::support::{
    TABLE, TestAdmin,
    cli::{file, program, run_failing, run_ok, stderr, stdout},
};

#[test]
fn a_hint_names_the_flag_that_mends_it() {
    let admin = TestAdmin::start();
    run_ok(
        &admin,
        &["release", "set", "red", "--endpoint", "http://127.0.0.1:3"],
    );
    for (arguments, code, hint) in [
        (
            &["promote", "chat"][..],
            65,
            "promote with `--to`: `blue` or `green`",
        ),
        (&["split", "chat", "blue=120"], 64, "with `--replace`"),
        (
            &["split", "chat", "blue=80", "green=30"],
            65,
            "with `--replace`",
        ),
        (
            &["route", "set", "new", "--path-prefix", "/new"],
            64,
            "`--split blue=100`",
        ),
        (
            &["split", "chat", "green=5", "--wait", "90s"],
            64,
            "the maximum is 60s",
        ),
        (
            &["switch", "chat", "green", "--group", "a b"],
            64,
            "`group` is not",
        ),
        (&["promot", "chat"], 64, "'promote'"),
        (&["release", "set", "new"], 65, "add `--endpoint http://"),
    ] {
        let (status, said) = run_failing(&admin, arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(hint), "{arguments:?}: {said}");
    }
    let even = "host = \"even.test\"\nsplit = { blue = 1, green = 1 }\n";
    let even = file(&admin, "even.toml", even);
    run_ok(&admin, &["route", "set", "even", "--file", &even]);
    let (_, said) = run_failing(&admin, &["abort", "even"]);
    for command in ["route set even --stable RELEASE", "switch even RELEASE"] {
        assert!(said.contains(&format!("`switchback {command}`")), "{said}");
    }
}

#[test]
fn a_time_or_a_number_that_does_not_fit_says_what_does() {
    let admin = TestAdmin::start();
    for (arguments, hint) in [
        (
            &["rollback", "--over", "-5s"][..],
            "`-5s` is not a duration: write a number with a unit",
        ),
        (&["abort", "chat", "--over", "2h"], "over 1s to 1h"),
        (
            &["rollout", "abort", "chat", "--over", "-5s"],
            "`-5s` is not a duration",
        ),
        (&["watch", "--last", "-1"], "write one from 0 to 1024"),
        (
            &["rollback", "--over", "5s", "--step"],
            "'--over <TIME>' cannot be used with '--step'",
        ),
    ] {
        let (status, said) = run_failing(&admin, arguments);
        assert_eq!(status, Some(64), "{arguments:?}: {said}");
        assert!(said.contains(hint), "{arguments:?}: {said}");
    }
}

#[test]
fn what_the_environment_says_is_not_shown_as_if_it_had_to_be_typed() {
    let variables = [
        ("SWITCHBACK_ADMIN", "http://127.0.0.1:1"),
        ("SWITCHBACK_CONFIG", "switchback.toml"),
    ];
    let usage = stderr(&program(&["split", "chat"], &variables));
    assert!(
        usage.contains("split <ROUTE> <RELEASE=PERCENT>...") && !usage.contains("--admin"),
        "{usage}"
    );
    let usage = stderr(&program(&["serve", "--what"], &variables));
    assert!(!usage.contains("--config"), "{usage}");
    let output = program(&["status"], &[("SWITCHBACK_ADMIN", "ftp://127.0.0.1")]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("SWITCHBACK_ADMIN: `ftp://127.0.0.1` is not"),
        "{said}"
    );
    let help = stdout(&program(&["status", "--help"], &variables));
    for name in ["ADMIN", "TOKEN_FILE", "CA_FILE", "CERT_FILE", "KEY_FILE"] {
        assert!(help.contains(&format!("SWITCHBACK_{name}")), "{help}");
    }
}

#[test]
fn a_port_alone_is_one_of_this_machine() {
    let admin = TestAdmin::start();
    let port = admin.address.port().to_string();
    for address in [port.clone(), format!(":{port}")] {
        let output = program(&["status", "--admin", &address], &[]);
        assert!(output.status.success(), "{address}: {}", stderr(&output));
    }
}

#[test]
fn a_file_that_protects_nothing_is_an_error_that_names_it() {
    let admin = TestAdmin::start();
    for flag in ["--ca-file", "--cert-file", "--key-file"] {
        let (status, said) = run_failing(&admin, &["status", flag, "/nope.pem"]);
        assert_eq!(status, Some(64), "{said}");
        assert!(
            said.contains("/nope.pem") && said.contains("https://"),
            "{said}"
        );
    }
    let empty = file(&admin, "empty", "\n");
    let (status, said) = run_failing(&admin, &["status", "--token-file", &empty]);
    assert_eq!(status, Some(66), "{said}");
    assert!(
        said.contains(&format!("the token file `{empty}` is empty")),
        "{said}"
    );
    let https = [
        "status",
        "--admin",
        "https://127.0.0.1:1",
        "--cert-file",
        "a.pem",
    ];
    let (status, said) = run_failing(&admin, &https);
    assert_eq!(status, Some(64), "{said}");
    assert!(
        said.contains("a.pem") && said.contains("--key-file"),
        "{said}"
    );
}

/// The table of the test's admin API with one more route.
fn file_with_one_more_route() -> String {
    let more = "[[routes]]\nname = \"more\"\nhost = \"more.test\"\nsplit = { blue = 1 }\n";
    format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{TABLE}{more}")
}

#[test]
fn one_rollback_undoes_a_group_of_any_verbs() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    let group = ["--group", "deploy-7"];
    let equal = file(&admin, "table.toml", &file_with_one_more_route());
    let verbs: &[&[&str]] = &[
        &[
            "release",
            "set",
            "red",
            "--version",
            "3",
            "--endpoint",
            "http://127.0.0.1:3",
        ],
        &["endpoint", "add", "red", "http://127.0.0.1:4"],
        &[
            "route",
            "set",
            "tools",
            "--path-prefix",
            "/tools",
            "--split",
            "red=1",
        ],
        &["split", "chat", "green=5"],
        &["promote", "chat"],
        &["switch", "chat", "blue"],
        &["split", "chat", "green=5"],
        &["abort", "chat"],
        &["apply", &equal],
        &["route", "remove", "tools"],
        &["release", "remove", "red", "--force"],
        &["split", "chat", "blue=1", "green=1", "--replace"],
    ];
    for verb in verbs {
        run_ok(&admin, &[verb, &group[..]].concat());
    }
    let history = admin.get("/v1/revisions?limit=50");
    let of_group = |revision: &&Value| revision["author"]["group"] == json!("deploy-7");
    let revisions = history["revisions"].as_array().unwrap();
    let count = revisions.iter().filter(of_group).count();
    assert_eq!(count, verbs.len(), "{history}");
    let shown = run_ok(&admin, &["show", &admin.revision().to_string()]);
    assert!(shown.contains("group deploy-7"), "{shown}");
    run_ok(&admin, &["rollback"]);
    let diff = run_ok(
        &admin,
        &["diff", &before.to_string(), &admin.revision().to_string()],
    );
    assert!(diff.contains("are equal"), "{diff}");
    assert!(
        run_ok(&admin, &["split", "--help"]).contains("--group"),
        "it is in the help"
    );
}

#[test]
fn a_route_that_goes_moves_no_other() {
    let admin = TestAdmin::start();
    for name in ["one", "two", "three"] {
        let host = format!("{name}.test");
        run_ok(
            &admin,
            &["route", "set", name, "--host", &host, "--split", "blue=1"],
        );
    }
    let said = run_ok(&admin, &["route", "remove", "one"]);
    assert!(said.contains("routes.one: removed"), "{said}");
    assert!(!said.contains("two") && !said.contains("place"), "{said}");
}

#[test]
fn hosts_that_are_named_take_the_place_of_those_of_now() {
    let admin = TestAdmin::start();
    let set = |hosts: &[&str]| {
        let hosts = hosts.iter().flat_map(|host| ["--host", host]);
        let set = ["route", "set", "chat"];
        run_ok(&admin, &set.into_iter().chain(hosts).collect::<Vec<_>>());
        let route = admin.get("/v1/routes/chat");
        (route["host"].clone(), route["hosts"].clone())
    };
    let both = json!(["a.test", "b.test"]);
    assert_eq!(set(&["a.test", "b.test"]), (Value::Null, both.clone()));
    assert_eq!(set(&[]), (Value::Null, both));
    assert_eq!(set(&["c.test"]), (json!("c.test"), Value::Null));
}

#[test]
fn a_file_of_one_release_or_route_is_validated_as_a_configuration_is() {
    let admin = TestAdmin::start();
    let mistake = file(
        &admin,
        "green.toml",
        "version = \"2.1.0\"\nendpoints = [\"http://127.0.0.1:2\"]\nhealth = \"/healthz\"\n",
    );
    let (status, said) = run_failing(&admin, &["release", "set", "green", "--file", &mistake]);
    assert_eq!(status, Some(78), "{said}");
    assert_eq!(
        said,
        format!(
            "error: {mistake}:3: releases.green.health: a health check is a table\n  hint: write `health = {{ path = \"/healthz\" }}`\n"
        )
    );
    let mistake = file(
        &admin,
        "chat.toml",
        "split = { blue = \"95%\" }\npaths = \"/chat\"\n",
    );
    let (status, said) = run_failing(&admin, &["route", "set", "chat", "--file", &mistake]);
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains(&format!(
            "{mistake}:1: routes.chat.split.blue: a weight is a whole number"
        )) && said.contains(&format!(
            "{mistake}:2: routes.chat.paths: unexpected key `paths`"
        )),
        "{said}"
    );
    let missing = file(&admin, "missing.toml", "version = \"1\"\n");
    let (_, said) = run_failing(&admin, &["release", "set", "green", "--file", &missing]);
    assert!(
        said.contains(":1: releases.green: missing key `endpoints`"),
        "{said}"
    );
    let whole = file(&admin, "whole.toml", &run_ok(&admin, &["export"]));
    run_ok(&admin, &["release", "set", "green", "--file", &whole]);
    let (status, said) = run_failing(&admin, &["release", "set", "grey", "--file", &whole]);
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains("no release `grey`") && said.contains("`blue`, `green`"),
        "{said}"
    );
    let other = file(
        &admin,
        "other.toml",
        "name = \"talk\"\nsplit = { blue = 1 }\n",
    );
    let (_, said) = run_failing(&admin, &["route", "set", "chat", "--file", &other]);
    assert!(
        said.contains("no route `chat`") && said.contains("`talk`"),
        "{said}"
    );
}

#[test]
fn what_is_shown_has_no_table_that_says_nothing() {
    let admin = TestAdmin::start();
    let live = admin.revision().to_string();
    for arguments in [
        &["export"][..],
        &["release", "show", "blue"],
        &["show", &live],
    ] {
        let said = run_ok(&admin, arguments);
        assert!(!said.contains("limits"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_dry_run_needs_no_value() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    let path = "/v1/routes/chat/switch?dry_run";
    let dry_run = admin.done("POST", path, &json!({ "to": "green" }));
    assert_eq!(dry_run["changed"], json!(true), "{dry_run}");
    assert_eq!(admin.revision(), before);
    let path = "/v1/routes/chat/switch?dry_run=maybe";
    let (status, body) = admin.json("POST", path, &json!({ "to": "green" }));
    assert_eq!(status, 400, "{body}");
    assert_eq!(admin.revision(), before);
}

#[test]
fn a_conflict_of_a_file_ends_with_one_status_wherever_it_is_found() {
    let admin = TestAdmin::start();
    run_ok(&admin, &["split", "chat", "green=5"]);
    let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{TABLE}");
    let text = text.replace("blue = 100", "blue = 50");
    let edited = file(&admin, "edited.toml", &text);
    let (status, said) = run_failing(&admin, &["apply", &edited]);
    assert_eq!(status, Some(75), "{said}");
    assert!(said.contains("--wins file"), "{said}");
}

#[test]
fn the_exit_statuses_of_the_help_stand_in_the_readme() {
    let help = stdout(&program(&["--help"], &[]));
    let (_, table) = help.split_once("Exit status:\n").unwrap();
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let numbers = table.lines().filter_map(|line| {
        let word = line.split_whitespace().next()?;
        line.starts_with("  ").then(|| word.parse::<u8>().ok())?
    });
    let numbers: Vec<u8> = numbers.collect();
    let known = [
        0, 64, 65, 66, 69, 70, 73, 74, 75, 77, 78, 80, 81, 82, 83, 84, 85,
    ];
    assert_eq!(numbers, known);
    for number in numbers {
        assert!(readme.contains(&format!("| {number} |")), "{number}");
    }
}

#[test]
fn a_shell_completes_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&program(&["completions", shell], &[]));
        for word in ["rollback", "dry-run", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("history-writer"), "{shell}");
    }
    assert_eq!(
        program(&["completions", "tcsh"], &[]).status.code(),
        Some(64)
    );
}
