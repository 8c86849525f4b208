//! The real binary as a child process, with a configuration of its own.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A running switchback. It ends when it is dropped.
pub(crate) struct Switchback {
    pub(crate) child: Child,
    folder: TempDir,
    /// Its listeners, in the order of the configuration.
    pub(crate) listeners: Vec<SocketAddr>,
}

/// Timeout for a start.
const START: Duration = Duration::from_secs(20);

// === impl Switchback ===

impl Switchback {
    /// Starts one. `listeners` are the keys of each listener beside its address, `rest` the rest of the configuration.
    pub(crate) fn start(listeners: &[&str], rest: &str) -> Self {
        Self::start_with(&[], listeners, rest)
    }

    /// The same with variables of its environment.
    pub(crate) fn start_with(variables: &[(&str, &str)], listeners: &[&str], rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Ports chosen by the system, as in the log: a port that was free a moment ago may be taken.
        let mut config =
            format!("admin.address = \"127.0.0.1:0\"\nhistory.path = \"history\"\n{rest}\n");
        for keys in listeners {
            writeln!(config, "[[listeners]]\naddress = \"127.0.0.1:0\"\n{keys}").unwrap();
        }
        let file = folder.path().join("switchback.toml");
        let mut written = File::create(&file).unwrap();
        written.write_all(config.as_bytes()).unwrap();
        let child = spawn(&folder, variables);
        let mut switchback = Self {
            child,
            folder,
            listeners: Vec::new(),
        };
        switchback.wait_until_it_is_ready();
        assert_eq!(switchback.listeners.len(), listeners.len());
        switchback
    }

    /// Kills it, and starts it again with the same configuration and history. Its addresses are others then.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.folder, &[]);
        self.wait_until_it_is_ready();
    }

    fn wait_until_it_is_ready(&mut self) {
        let until = Instant::now() + START;
        while !self.log().contains(": ready ") {
            let is_over = self.child.try_wait().unwrap().is_some() || Instant::now() > until;
            assert!(!is_over, "switchback did not start:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
        let log = self.log();
        let proxies = log
            .lines()
            .filter(|line| line.contains("kind=\"proxy\""))
            .filter_map(|line| line.split_once("listening address=")?.1.split(' ').next());
        self.listeners = proxies.map(|address| address.parse().unwrap()).collect();
    }

    /// The address of its admin API.
    pub(crate) fn admin(&self) -> SocketAddr {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("kind=\"admin\""));
        let address =
            line.and_then(|line| line.split_once("listening address=")?.1.split(' ').next());
        address.unwrap_or_else(|| panic!("{log}")).parse().unwrap()
    }

    /// Its configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("switchback.toml")
    }

    /// Its output so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The last lines of its output.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// True if it is still running.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

fn spawn(folder: &TempDir, variables: &[(&str, &str)]) -> Child {
    let log = File::create(folder.path().join("log")).unwrap();
    let built = env!("CARGO_BIN_EXE_switchback").to_string();
    Command::new(std::env::var("SWITCHBACK").unwrap_or(built))
        .args(["serve", "--config"])
        .arg(folder.path().join("switchback.toml"))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Switchback {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
