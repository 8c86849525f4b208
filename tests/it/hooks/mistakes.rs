//! Mistakes in the configuration of hooks, each with its place.

use std::{path::Path, process::Command};

use switchback::config::{self, FileCheck};

use crate::support::write;

const URL: &str = "url = \"https://hooks.example/\"";

/// Lines with a mistake each, and its path; `@` is a URL.
const MISTAKES: &[(&str, &str)] = &[
    ("[hooks.a]", "hooks.a"),
    ("[hooks.a]\n@\ncommand = ['/bin/true']", "hooks.a"),
    ("[hooks.a]\ncommand = ['true']", "hooks.a.command"),
    ("[hooks.a]\nurl = 'hooks.example'", "hooks.a.url"),
    ("[hooks.a]\n@\nevents = ['start']", "hooks.a.events.0"),
    ("[hooks.a]\n@\nformat = 'teams'", "hooks.a.format"),
    ("[hooks.a]\n@\nsecrets = [{}]", "hooks.a.secrets.0"),
    (
        "[hooks.a]\n@\nsecrets = [{ env = 'A', file = 'b' }]",
        "hooks.a.secrets.0",
    ),
    (
        "[hooks.a]\ncommand = ['/bin/true']\nsecrets = [{ env = 'A' }]",
        "hooks.a.secrets",
    ),
    ("[hooks.a]\ncommand = ['/bin/true']\nca = 'x'", "hooks.a.ca"),
    ("[hooks.a]\n@\ntimeout = '2h'", "hooks.a.timeout"),
    ("[hooks.a]\n@\ninterval = '0s'", "hooks.a.interval"),
    (
        "[hooks.a]\n@\ngive_up_after = '31days'",
        "hooks.a.give_up_after",
    ),
    ("[hooks.a]\n@\nretries = 101", "hooks.a.retries"),
    (
        "[plans.p]\nsteps = [{ weight = 5, gate = 'a' }, { weight = 100 }]",
        "plans.p.steps.0.gate",
    ),
    (
        "[plans.p]\ngate = 'a'\nsteps = [{ weight = 100 }]",
        "plans.p.gate",
    ),
];

/// Paths of the problems of a configuration.
fn problems(lines: &str) -> Vec<String> {
    let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{lines}\n");
    let parsed = config::parse(&text, Path::new("/"), FileCheck::MayBeMissing);
    let found = parsed.err().unwrap_or_default();
    let path = |located: &config::LocatedProblem| located.problem.path.clone();
    found.iter().map(path).collect()
}

#[test]
fn a_mistake_in_a_hook_has_its_place_and_a_hint() {
    assert!(problems(&format!("[hooks.a]\n{URL}")).is_empty());
    for (lines, path) in MISTAKES {
        assert_eq!(problems(&lines.replace('@', URL)), [*path], "{lines}");
    }
}

#[test]
fn a_secret_that_is_missing_or_weak_is_found_by_a_check() {
    let url = URL;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("switchback.toml");
    for (secret, text) in [
        ("{ env = \"SWITCHBACK_TEST_NO_SUCH_SECRET\" }", "is not set"),
        ("{ file = \"weak\" }", "24 to 64 bytes"),
        ("{ file = \"missing\" }", "cannot be read"),
    ] {
        write(folder.path().join("weak"), "secret");
        write(
            &file,
            format!(
                "[[listeners]]\naddress = \"127.0.0.1:0\"\n[hooks.a]\n{url}\nsecrets = [{secret}]\n"
            ),
        );
        let output = Command::new(env!("CARGO_BIN_EXE_switchback"))
            .arg("check")
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(
            said.contains(text) && said.contains("hooks.a.secrets"),
            "{said}"
        );
    }
}
