//! Probes of the keys of the process as a whole.

use std::{
    fs::{File, read_to_string},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use switchback::{
    config,
    server::{self, Options, Running},
};
use tempfile::TempDir;

use super::{
    table::becomes,
    time::{happens, silent},
};
use crate::{
    conformance::child::Switchback,
    support::{Client, Origin, Response},
};

/// A complete switchback within this process. It ends when it is dropped.
pub(super) struct Harness {
    running: Option<Running>,
    _folder: TempDir,
}

/// A configuration file: settings, then listeners and table.
fn text(settings: &str, rest: &str) -> String {
    let mut text = format!("{settings}\nhistory.path = \"history\"\n");
    for (key, line) in [
        ("admin.address", "admin.address = \"127.0.0.1:0\"\n"),
        // The standard output is not compared.
        ("access_log.", "access_log.format = \"off\"\n"),
    ] {
        if !settings.contains(key) {
            text.push_str(line);
        }
    }
    text + "[[listeners]]\naddress = \"127.0.0.1:0\"\n" + rest
}

impl Harness {
    pub(super) fn start(settings: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.toml");
        let mut file = File::create(&path).unwrap();
        file.write_all(text(settings, rest).as_bytes()).unwrap();
        let config = config::load(&path).unwrap();
        let running = server::start(config, Options::default()).unwrap();
        Self {
            running: Some(running),
            _folder: folder,
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(self.running().listeners()[0])
    }

    /// Sends a request to the admin API.
    pub(super) fn ask(&self, method: &str, path: &str) -> Value {
        let response = self.answer(method, path, "");
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        serde_json::from_slice(&response.body).unwrap()
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> Response {
        let (address, length) = (self.running().admin(), body.len());
        let mut client = Client::connect(address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        client.response()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// True if three workers soon have the table.
pub(super) fn workers(settings: &str) -> String {
    let harness = Harness::start(settings, "");
    let are_three = || {
        let status = harness.ask("GET", "/v1/status");
        status["convergence"]["workers"].as_array().unwrap().len() == 3
    };
    becomes(are_three).to_string()
}

/// The address of the observe listener.
pub(crate) fn observe_address(switchback: &Switchback) -> SocketAddr {
    let log = switchback.log();
    let line = log.lines().find(|line| line.contains("kind=\"observe\""));
    let address = line.unwrap().split_once("address=").unwrap().1;
    address.split(' ').next().unwrap().parse().unwrap()
}

/// The address of the liveness probe.
pub(super) fn observed(settings: &str) -> String {
    let switchback = Switchback::start(&[""], settings);
    let address = observe_address(&switchback);
    assert_eq!(Client::connect(address).get("/livez").status, 200);
    address.ip().to_string()
}

/// True if a connection that does not begin with TLS is soon closed.
pub(super) fn handshake(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = write("a.pem", made.cert.pem());
    let key = write("a.key", made.signing_key.serialize_pem());
    let listener = format!("tls.certificates = [{{ cert = {certificate:?}, key = {key:?} }}]");
    let harness = Harness::start(settings, &listener);
    happens(harness.client().reader()).to_string()
}

fn log_to(path: &Path) -> String {
    format!("access_log.path = {:?}", path.to_str().unwrap())
}

/// True if none of many log lines is lost although they were not read meanwhile.
pub(super) fn queue(settings: &str) -> String {
    const LINES: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("log");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // For writing as well: opening a pipe with one end only blocks.
    let mut end = File::options().read(true).write(true).open(&pipe).unwrap();
    let reader = BufReader::new(end.try_clone().unwrap());
    let harness = Harness::start(&format!("{}\n{settings}", log_to(&pipe)), "");
    let mut client = harness.client();
    let path = format!("/{}", "y".repeat(1_000));
    for _ in 0..LINES {
        assert_eq!(client.get(&path).status, 404);
    }
    let reading = thread::spawn(move || {
        let lines = reader.lines().map(Result::unwrap);
        lines.take_while(|line| line != "END").count()
    });
    drop(harness);
    end.write_all(b"END\n").unwrap();
    (reading.join().unwrap() == LINES).to_string()
}

/// True if the first line of the log is an object.
pub(super) fn log_format(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchback.toml");
    let mut file = File::create(&path).unwrap();
    file.write_all(text(settings, "").as_bytes()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchback"))
        .args(["serve", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    log.read_line(&mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!first.is_empty());
    serde_json::from_str::<Value>(&first).is_ok().to_string()
}

/// True if it ends soon after a signal, with a request in flight.
pub(super) fn grace(settings: &str) -> String {
    let origin = silent();
    let mut switchback = Switchback::start(
        &[""],
        &format!(
            "{settings}\n[releases.blue]\nendpoints = [{:?}]\n\
             [[routes]]\nname = \"all\"\nsplit = {{ blue = 1 }}\n",
            origin.url()
        ),
    );
    let mut client = Client::connect(switchback.listeners[0]);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(becomes(|| origin.connections() == 1));
    let id = i32::try_from(switchback.child.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    becomes(|| !switchback.is_alive()).to_string()
}

/// The address of the admin API.
pub(super) fn admin(settings: &str) -> String {
    let harness = Harness::start(settings, "");
    harness.ask("GET", "/v1/status");
    harness.running().admin().ip().to_string()
}

/// The response to a large change.
pub(super) fn long_change(settings: &str) -> String {
    let body = format!("{{\"message\": \"{}\"}}", "y".repeat(2_000));
    let harness = Harness::start(settings, "");
    let answer = harness.answer("POST", "/v1/routes/none/abort", &body);
    answer.status.to_string()
}

/// True if a line of the access log is an object.
pub(super) fn access_format(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let harness = Harness::start(&format!("{}\n{settings}", log_to(&path)), "");
    assert_eq!(harness.client().get("/").status, 404);
    drop(harness);
    let text = read_to_string(path).unwrap();
    let line = text.lines().next().expect("a line");
    serde_json::from_str::<Value>(line).is_ok().to_string()
}

/// True if the log soon has debug messages.
pub(super) fn log_level(settings: &str) -> String {
    let switchback = Switchback::start(&[""], settings);
    Client::connect(switchback.listeners[0]).get("/");
    let has_details = || {
        ["DEBUG", "TRACE"]
            .iter()
            .any(|level| switchback.log().contains(level))
    };
    becomes(has_details).to_string()
}

/// True if a request whose release has left the table ends soon.
pub(super) fn drain(settings: &str) -> String {
    let (blue, green) = (silent(), Origin::replying("green"));
    let harness = Harness::start(
        settings,
        &format!(
            "[releases.blue]\nendpoints = [{:?}]\n[releases.green]\nendpoints = [{:?}]\n\
             [[routes]]\nname = \"all\"\nsplit = {{ blue = 1, green = 0 }}\n",
            blue.url(),
            green.url()
        ),
    );
    let mut client = harness.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(becomes(|| blue.connections() == 1));
    let switched = harness.answer("POST", "/v1/routes/all/switch", "{\"to\": \"green\"}");
    assert_eq!(switched.status, 200, "{}", switched.text());
    harness.ask("DELETE", "/v1/releases/blue?force=true");
    // Drain deadlines are checked once a second.
    let ends = happens(client.reader()) || happens(client.reader());
    ends.to_string()
}
