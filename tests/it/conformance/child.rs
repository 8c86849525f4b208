//! The real binary as a child process, with a configuration of its own.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A switchback that runs, until it is dropped.
pub(crate) struct Switchback {
    pub(crate) child: Child,
    folder: TempDir,
    /// Its listeners, in the order of the configuration.
    pub(crate) listeners: Vec<SocketAddr>,
}

/// How long a start may take.
const START: Duration = Duration::from_secs(20);

// === impl Switchback ===

impl Switchback {
    /// Starts one. `listeners` are the keys of each listener beside its address, `rest` the rest of the configuration.
    pub(crate) fn start(listeners: &[&str], rest: &str) -> Self {
        // A port that was free a moment ago may be somebody else's by now.
        for _ in 0..3 {
            match Self::try_start(listeners, rest) {
                Ok(switchback) => return switchback,
                Err(why) if why.contains("in use") => {}
                Err(why) => panic!("switchback did not start:\n{why}"),
            }
        }
        panic!("no free port in three attempts");
    }

    fn try_start(listeners: &[&str], rest: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut addresses = free_addresses(listeners.len() + 1);
        let admin = addresses.pop().unwrap();
        let mut config =
            format!("admin.address = \"{admin}\"\nhistory.path = \"history\"\n{rest}\n");
        for (address, keys) in addresses.iter().zip(listeners) {
            writeln!(config, "[[listeners]]\naddress = \"{address}\"\n{keys}").unwrap();
        }
        let file = folder.path().join("switchback.toml");
        File::create(&file)
            .and_then(|mut file| file.write_all(config.as_bytes()))
            .unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let built = env!("CARGO_BIN_EXE_switchback").to_string();
        let child = Command::new(std::env::var("SWITCHBACK").unwrap_or(built))
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut switchback = Self {
            child,
            folder,
            listeners: addresses,
        };
        switchback.wait_until_it_listens()?;
        Ok(switchback)
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let until = Instant::now() + START;
        while !self
            .listeners
            .iter()
            .all(|address| TcpStream::connect(address).is_ok())
        {
            if self.child.try_wait().unwrap().is_some() || Instant::now() > until {
                return Err(self.log());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The last lines of what it said.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Switchback {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Addresses that were free a moment ago, all different.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let bound: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    bound
        .iter()
        .map(|listener| listener.local_addr().unwrap())
        .collect()
}
