//! Processes that follow one another on one history, with a configuration that they share.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use crate::support::{Client, Response, wait_until, write};

/// A folder with a configuration, and the processes that were started on it.
pub(super) struct World {
    pub(super) folder: TempDir,
    processes: Vec<Process>,
}

struct Process {
    child: Child,
    log: PathBuf,
}

impl World {
    /// A world without a process. `listeners` are the keys of each listener beside its address.
    pub(super) fn new(listeners: &[&str], rest: &str) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            processes: Vec::new(),
        };
        let mut text =
            format!("admin.address = \"127.0.0.1:0\"\nhistory.path = \"history\"\n{rest}\n");
        for keys in listeners {
            writeln!(text, "[[listeners]]\naddress = \"127.0.0.1:0\"\n{keys}").unwrap();
        }
        write(world.file(), text);
        world
    }

    /// A world with a process that is ready.
    pub(super) fn start(listeners: &[&str], rest: &str) -> Self {
        let mut world = Self::new(listeners, rest);
        world.spawn(&[], &[]);
        world.wait_for(0, ": ready ");
        world
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("switchback.toml")
    }

    /// Starts a process and returns its number.
    pub(super) fn spawn(&mut self, arguments: &[&str], variables: &[(&str, &str)]) -> usize {
        self.spawn_command(Command::new(program()), arguments, variables)
    }

    /// Starts a process by this command, which begins with the program.
    pub(super) fn spawn_command(
        &mut self,
        mut command: Command,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> usize {
        let number = self.processes.len();
        let log = self.folder.path().join(format!("log.{number}"));
        let output = File::create(&log).unwrap();
        let child = command
            .args(["serve", "--config"])
            .arg(self.file())
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        self.processes.push(Process { child, log });
        number
    }

    /// Starts a process that takes over, and waits until it has.
    pub(super) fn take_over(&mut self) -> usize {
        let number = self.spawn(&["--takeover"], &[]);
        self.wait_for(number, ": ready ");
        number
    }

    /// Waits until the log of a process has this text.
    pub(super) fn wait_for(&mut self, number: usize, text: &str) {
        let log = self.processes[number].log.clone();
        let has = || fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
        let child = &mut self.processes[number].child;
        wait_until(text, || {
            let has_ended = child.try_wait().unwrap().is_some();
            let is_there = has();
            assert!(
                is_there || !has_ended,
                "{}",
                fs::read_to_string(&log).unwrap()
            );
            is_there
        });
    }

    /// Waits for the end of a process.
    pub(super) fn end_of(&mut self, number: usize) -> ExitStatus {
        let log = self.processes[number].log.clone();
        let child = &mut self.processes[number].child;
        let mut ended = None;
        wait_until("the process ends", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap_or_else(|| panic!("{}", fs::read_to_string(log).unwrap()))
    }

    pub(super) fn is_alive(&mut self, number: usize) -> bool {
        self.processes[number].child.try_wait().unwrap().is_none()
    }

    pub(super) fn process(&self, number: usize) -> u32 {
        self.processes[number].child.id()
    }

    pub(super) fn log(&self, number: usize) -> String {
        fs::read_to_string(&self.processes[number].log).unwrap()
    }

    /// The addresses of a kind that the first process has logged.
    pub(super) fn addresses(&self, kind: &str) -> Vec<SocketAddr> {
        addresses_in(&self.log(0), kind)
    }

    pub(super) fn listener(&self) -> SocketAddr {
        self.addresses("proxy")[0]
    }

    /// Sends a change to the admin API on a connection of its own.
    pub(super) fn change(&self, path: &str, body: &str) -> Response {
        let host = self.addresses("admin")[0];
        let mut client = Client::connect(host);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        client.response()
    }

    /// Checks that everything can be changed and taken back, by whoever serves.
    pub(super) fn assert_changes_work(&self) {
        let split = self.change("/v1/routes/all/switch", r#"{"to": "green"}"#);
        assert_eq!(split.status, 200, "{}", split.text());
        assert_eq!(Client::connect(self.listener()).get("/").text(), "green");
        let back = self.change("/v1/rollback", "{}");
        assert_eq!(back.status, 200, "{}", back.text());
        assert_eq!(Client::connect(self.listener()).get("/").text(), "blue");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for process in &mut self.processes {
            _ = process.child.kill();
            _ = process.child.wait();
        }
    }
}

/// The program to test.
pub(super) fn program() -> String {
    let built = env!("CARGO_BIN_EXE_switchback").to_string();
    std::env::var("SWITCHBACK").unwrap_or(built)
}

/// The addresses of a kind in a log.
pub(super) fn addresses_in(log: &str, kind: &str) -> Vec<SocketAddr> {
    log.lines()
        .filter(|line| line.contains(&format!("kind=\"{kind}\"")))
        .filter_map(|line| line.split_once("listening address=")?.1.split(' ').next())
        .map(|address| address.parse().unwrap())
        .collect()
}
