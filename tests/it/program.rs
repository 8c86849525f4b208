//! The program as a process: its start, the configurations that it refuses, and its end.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{
    Client, Origin,
    signal::{self, Signal},
};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
    command.args(arguments).env_remove("SWITCHBACK_ADMIN");
    command
}

/// A demo on free ports. It is killed if the test does not end it.
pub(crate) struct Demo {
    pub(crate) child: Child,
    lines: String,
    proxy: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Demo {
    pub(crate) fn start(more: &[&str]) -> Self {
        let arguments = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut child = program(&arguments)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = String::new();
        while !lines.ends_with("Ctrl-C ends it.\n") {
            assert_ne!(out.read_line(&mut lines).unwrap(), 0, "it ended: {lines}");
        }
        let first = lines.lines().next().unwrap();
        let mut addresses = first.split("http://").skip(1).map(|rest| {
            let end = rest.find([',', ' ']).unwrap_or(rest.len());
            rest[..end].trim_end_matches('.').parse().unwrap()
        });
        let (proxy, admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        Self {
            child,
            lines,
            proxy,
            admin,
        }
    }

    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        signal::send(self.child.id(), signal);
        self.child.wait().unwrap().code()
    }

    /// Runs a line of the demo's output, after the lines that name the program and the admin API.
    fn paste(&self, part: &str) -> String {
        let is_export = |line: &&str| line.starts_with("export ");
        let (exports, others): (Vec<_>, Vec<_>) = self.lines.lines().partition(is_export);
        let line = others.iter().find(|line| line.contains(part)).unwrap();
        let script: Vec<_> = exports.iter().chain([line]).copied().collect();
        let output = Command::new("bash")
            .args(["-c", &script.join("\n")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_lines_that_a_demo_prints_do_what_they_say() {
    let mut demo = Demo::start(&[]);
    let answers = demo.paste("for i in $(seq 20); do curl -s http");
    assert_eq!(
        answers.matches(r#""release":"blue""#).count(),
        20,
        "{answers}"
    );
    assert!(
        demo.paste("x-switchback-release: green")
            .contains(r#""release":"green""#)
    );
    let receipt: Value = serde_json::from_str(&demo.paste("/split")).unwrap();
    assert_eq!(receipt["durable"], true);
    demo.paste("/switch");
    let mut client = Client::connect(demo.proxy);
    assert_eq!(client.get("/").value("x-release"), Some("green"));
    demo.paste("/v1/rollback");
    demo.paste("switchback rollback");
    assert_eq!(client.get("/").value("x-release"), Some("blue"));
    assert!(
        demo.paste("switchback split")
            .contains("chat: blue 100%→90%  green 0%→10%")
    );
    assert!(demo.paste("switchback history").contains("a first look"));
    assert!(demo.paste("/metrics").contains("switchback_requests_total"));
    let status = program(&["status", "--admin", &demo.admin.to_string()])
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(0));
    drop(client);
    assert_eq!(demo.end(Signal::INT), Some(0));
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (arguments, flag) in [
        (
            ["demo", "--listen", &taken, "--admin", "127.0.0.1:0"],
            "--listen",
        ),
        (
            ["demo", "--listen", "127.0.0.1:0", "--admin", &taken],
            "--admin",
        ),
    ] {
        let output = program(&arguments).output().unwrap();
        let error = error(&output);
        assert_eq!(output.status.code(), Some(78), "{error}");
        assert!(error.contains(&taken) && error.contains(flag), "{error}");
    }
}

#[test]
fn a_history_that_is_in_use_ends_the_second_process_with_74() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let history = ["--history", path.to_str().unwrap()];
    let mut first = Demo::start(&history);
    let second = program(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(history)
        .output()
        .unwrap();
    let error = error(&second);
    assert_eq!(second.status.code(), Some(74), "{error}");
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert_eq!(first.end(Signal::TERM), Some(0));
}

#[test]
fn a_damaged_history_ends_it_with_74_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let history = ["--history", path.to_str().unwrap()];
    drop(Demo::start(&history));
    // Waits for the history writer of the killed process.
    let (opened, _) = switchback::history::History::open(&path).unwrap();
    opened.close(std::time::Duration::from_secs(10));
    let store = path.join("history.redb");
    let whole = std::fs::read(&store).unwrap();
    let mut torn = whole.clone();
    torn[64..4096].fill(0xff);
    for (bytes, said) in [(&whole[..0], "missing or empty"), (&torn[..], "is damaged")] {
        crate::support::write(&store, bytes);
        let output = program(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(history)
            .output()
            .unwrap();
        let error = error(&output);
        assert_eq!(output.status.code(), Some(74), "{error}");
        assert!(
            error.contains(said) && error.contains("move it away"),
            "{error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn it_does_not_start_with_a_configuration_that_is_not_safe_or_not_right() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |text: &str| serve(folder.path(), text);
    for (text, said) in [
        (
            "[admin]\naddress = \"0.0.0.0:0\"\n",
            "there is no operator token",
        ),
        ("[admin]\nadress = \"127.0.0.1:0\"\n", "adress"),
        ("nonsense", "switchback.toml:1"),
    ] {
        let output = serve(text);
        let error = error(&output);
        assert_eq!(output.status.code(), Some(78), "{error}");
        assert!(error.contains(said), "{error}");
    }
    let output = program(&["serve", "--config", "/nowhere/at/all.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(66));
    let output = program(&["serve"])
        .env_remove("SWITCHBACK_CONFIG")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
}

/// Log rotation moves the file away and sends SIGHUP.
#[test]
fn the_access_log_goes_to_a_new_file_after_a_move_and_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[history]\npath = {:?}\n\
         [access_log]\npath = {:?}\n",
        path("history"),
        path("access.log")
    );
    let mut serving = Serving::start(folder.path(), &text);
    let address = serving.address("proxy");
    serving.until("ready");
    std::fs::rename(path("access.log"), path("access.log.1")).unwrap();
    signal::send(serving.child.id(), Signal::HUP);
    serving.until("access log reopened");
    Client::connect(address).get("/after");
    serving.end();
    let read = |name| std::fs::read_to_string(path(name)).unwrap();
    assert!(read("access.log").contains("/after"));
    assert_eq!(read("access.log.1"), "");
}

#[test]
fn a_combined_access_log_without_successes_has_the_others() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), Origin::replying("blue"));
    let path = |name: &str| folder.path().join(name);
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[history]\npath = {:?}\n\
         [access_log]\npath = {:?}\nformat = \"combined\"\nsample = 0\n\
         [releases.blue]\nendpoints = [{:?}]\n[[routes]]\nname = \"chat\"\npath = \"/chat\"\nsplit = {{ blue = 1 }}\n",
        path("history"),
        path("access.log"),
        origin.url()
    );
    let mut serving = Serving::start(folder.path(), &text);
    let address = serving.address("proxy");
    serving.until("ready");
    let mut client = Client::connect(address);
    assert_eq!(client.get("/chat").status, 200);
    client.send(format!(
        "GET /gone?key=1 HTTP/1.1\r\nHost: {address}\r\nReferer: http://a.test/p?key=2\r\n\
         User-Agent: tester \"1\"\r\n\r\n"
    ));
    assert_eq!(client.response().status, 404);
    serving.end();
    let log = std::fs::read_to_string(path("access.log")).unwrap();
    let (begin, end) = log.split_once("] ").unwrap();
    assert!(begin.starts_with("127.0.0.1 - - ["), "{log}");
    let (request, agent) = end.split_once(" 404 ").unwrap();
    assert_eq!(request, "\"GET /gone HTTP/1.1\"", "{log}");
    let (_, agent) = agent.split_once(' ').unwrap();
    assert_eq!(agent, "\"http://a.test/p\" \"tester \\\"1\\\"\"\n", "{log}");
}

#[test]
fn a_file_beside_the_history_that_cannot_be_read_is_in_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history");
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[history]\npath = {history:?}\n",
    );
    for damaged in 0..2 {
        let mut serving = Serving::start(folder.path(), &text);
        let admin = serving.address("admin");
        serving.until("ready");
        let mut client = Client::connect(admin);
        client.send(format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\n\r\n"));
        let page = String::from_utf8(client.response().body).unwrap();
        let line = format!("\nswitchback_history_damaged_files {damaged}\n");
        assert!(page.contains(&line), "{page}");
        serving.end();
        crate::support::write(history.join("quarantine.json"), "{");
    }
}

/// A program that serves, with its log. It is killed if the test does not end it.
struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Serving {
    fn start(folder: &Path, text: &str) -> Self {
        let config = folder.join("switchback.toml");
        crate::support::write(&config, text);
        let mut child = program(&["serve", "--config", config.to_str().unwrap()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The next line of its log with this part.
    fn until(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            let read = self.log.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "{part} did not come");
        }
        line
    }

    /// The address of its next listener of this kind.
    fn address(&mut self, kind: &str) -> SocketAddr {
        let listening = self.until(&format!("kind=\"{kind}\""));
        let address = listening.split_once("address=").unwrap().1;
        address.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn end(&mut self) {
        signal::send(self.child.id(), Signal::TERM);
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(folder: &Path, text: &str) -> Output {
    let path = folder.join("switchback.toml");
    crate::support::write(&path, text);
    program(&["serve", "--config", path.to_str().unwrap()])
        .output()
        .unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_sample_agent_runs_alone_and_ends_on_a_signal() {
    let arguments = [
        "agent",
        "--name",
        "red",
        "--label",
        "3",
        "--address",
        "127.0.0.1:0",
    ];
    let mut child = program(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim_end().rsplit(' ').next().unwrap();
    let answer = Client::connect(address.parse().unwrap()).get("/");
    assert!(answer.text().contains(r#""release":"red""#));
    signal::send(child.id(), Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
