//! Runs of the command line, and files for it.

use std::process::{Command, Output};

use super::TestAdmin;
use super::write;

/// Runs the program with these variables and without an admin API.
pub(crate) fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
    for name in ["ADMIN", "TOKEN", "TOKEN_FILE", "CA_FILE", "CONFIG"] {
        command.env_remove(format!("SWITCHBACK_{name}"));
    }
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed, and returns its standard output.
pub(crate) fn run_ok(admin: &TestAdmin, arguments: &[&str]) -> String {
    let output = admin.cli(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output)
}

/// Runs a command that must fail, and returns its exit status and its standard error.
pub(crate) fn run_failing(admin: &TestAdmin, arguments: &[&str]) -> (Option<i32>, String) {
    let output = admin.cli(arguments);
    assert!(
        !output.status.success(),
        "{arguments:?}: {}",
        stdout(&output)
    );
    (output.status.code(), stderr(&output))
}

/// Writes a file into the folder of an admin API, and returns its path.
pub(crate) fn file(admin: &TestAdmin, name: &str, text: &str) -> String {
    let path = admin.folder().join(name);
    write(&path, text);
    path.to_str().unwrap().to_owned()
}
