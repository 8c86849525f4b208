//! Starts with a history that differs from the file, and the effects of a start that fails.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use switchback::{
    config,
    control::Expected,
    model::Change,
    server::{self, Options, Running, ServerError},
};

use crate::controller_fixture::{author, change, folder};
use crate::support::write;

/// A configuration file with one route over two releases.
fn file(folder: &Path, green: u32, more: &str) -> PathBuf {
    let path = folder.join("switchback.toml");
    let history = folder.join("history");
    let text = format!(
        r#"
workers = 1
[[listeners]]
address = "127.0.0.1:0"
[admin]
address = "127.0.0.1:0"
[history]
path = "{}"
[releases.blue]
endpoints = ["http://127.0.0.1:1001"]
[releases.green]
endpoints = ["http://127.0.0.1:1002"]
[[routes]]
name = "chat"
split = {{ blue = 100, green = {green} }}
{more}
"#,
        history.display()
    );
    write(&path, text);
    path
}

fn start(path: &Path, strict: bool) -> Result<Running, ServerError> {
    let options = Options {
        file: Some(path.to_owned()),
        strict,
        ..Options::default()
    };
    server::start(config::load(path).unwrap(), options)
}

fn green(running: &Running) -> u32 {
    let state = running.controller().live().state();
    let route = state.spec.route(&"chat".parse().unwrap()).unwrap();
    route.split["green"]
}

fn apply(running: &Running, change: Change) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let applied = running
        .controller()
        .apply(change, author(), Expected::Any, true);
    runtime.unwrap().block_on(applied).unwrap();
}

/// A split that was changed live, and in the file to something else.
fn changed_on_both_sides(folder: &Path) -> PathBuf {
    let running = start(&file(folder, 0, ""), false).unwrap();
    let split = r#"{"kind":"set_split","route":"chat","weights":{"blue":100,"green":10}}"#;
    apply(&running, change(split));
    running.stop();
    file(folder, 20, "")
}

#[test]
fn a_start_beside_an_edited_file_serves_what_was_live_and_shows_the_difference() {
    let folder = folder();
    let path = changed_on_both_sides(folder.path());
    let running = start(&path, false).unwrap();
    assert_eq!(green(&running), 10);
    let drift = running.controller().status().drift;
    assert!(drift.refused && drift.drifted, "{drift:?}");
    let shown = serde_json::to_string(&drift.diff).unwrap();
    assert!(
        shown.contains("20") && shown.contains("10"),
        "the file as it is now: {shown}"
    );
    running.stop();
    let Err(ServerError::Import(said)) = start(&path, true).map(Running::stop) else {
        panic!("strict");
    };
    assert!(
        said.contains("`routes.chat`") && said.contains("--wins file"),
        "{said}"
    );
}

#[test]
fn a_file_that_does_not_fit_what_is_live_keeps_no_machine_from_starting() {
    let folder = folder();
    let path = file(folder.path(), 0, "");
    let running = start(&path, false).unwrap();
    let route = r#"{"kind":"put_route","route":{"name":"search","path_prefix":"/search","split":{"green":1}}}"#;
    apply(&running, change(route));
    running.stop();
    // The file loses the release that the new route needs.
    let text = fs::read_to_string(&path).unwrap();
    let release = "[releases.green]\nendpoints = [\"http://127.0.0.1:1002\"]\n";
    write(&path, text.replace(", green = 0", "").replace(release, ""));
    let running = start(&path, false).unwrap();
    assert_eq!(green(&running), 0);
    assert!(running.controller().status().drift.refused);
    running.stop();
    let strict = start(&path, true).map(Running::stop);
    assert!(matches!(strict, Err(ServerError::Control(_))));
}

#[test]
fn a_start_that_fails_leaves_no_gap_in_the_numbers() {
    let folder = folder();
    let path = file(folder.path(), 0, "");
    let running = start(&path, false).unwrap();
    let before = running.controller().live().revision();
    running.stop();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let observe = format!("[observe]\naddress = {address:?}\n");
    let failed = start(&file(folder.path(), 0, &observe), false).map(Running::stop);
    assert!(matches!(failed, Err(ServerError::Bind { .. })));
    let path = changed_on_both_sides(folder.path());
    let failed = start(&path, true).map(Running::stop);
    assert!(matches!(failed, Err(ServerError::Import(_))));
    let running = start(&file(folder.path(), 10, ""), false).unwrap();
    let split = r#"{"kind":"set_split","route":"chat","weights":{"blue":100,"green":30}}"#;
    apply(&running, change(split));
    let after = running.controller().live().revision();
    assert_eq!(after.0, before.0 + 2, "two splits");
    running.stop();
}
