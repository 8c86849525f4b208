//! The start of a new process by the running one, on SIGUSR2.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// Argument by which a process takes over.
const TAKEOVER: &str = "--takeover";
/// Variables that are for one process only.
const OF_ONE_PROCESS: [&str; 4] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID"];

/// A process that is a service: it tells its supervisor what it does, and hands over to a new process.
#[derive(Debug, Clone)]
pub struct Service {
    /// Path of its program, where a new version may be by then.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The start of processes that take over, one at a time.
#[derive(Debug, Default)]
pub(in crate::server) struct Launcher {
    // Its process id; 0 without one.
    running: Arc<AtomicU32>,
}

impl Launcher {
    /// Starts the program of a service once more, to take over, unless the one before still runs.
    pub(in crate::server) fn launch(&self, service: &Service) {
        let running = self.running.load(Ordering::Relaxed);
        if running != 0 {
            tracing::warn!(
                process = running,
                "SIGUSR2: a new process is taking over already; end it if it hangs, and try again"
            );
            return;
        }
        let program = service.program.display();
        match command(service).spawn() {
            Ok(child) => {
                tracing::info!(process = child.id(), %program, "SIGUSR2: a new process is started to take over");
                self.watch(child);
            }
            Err(error) => {
                tracing::error!(%error, %program, "SIGUSR2: no new process can be started; this one serves on");
            }
        }
    }

    /// Notes the end of the process, which mostly outlives this one.
    fn watch(&self, mut child: Child) {
        let running = Arc::clone(&self.running);
        running.store(child.id(), Ordering::Relaxed);
        let watching = thread::Builder::new().name("takeover-child".to_owned()).spawn(move || {
            match child.wait() {
                Ok(status) => tracing::warn!(%status, "the process that was started to take over has ended"),
                Err(error) => tracing::warn!(%error, "the process that was started to take over cannot be watched"),
            }
            running.store(0, Ordering::Relaxed);
        });
        if let Err(error) = watching {
            tracing::warn!(%error, "the process that was started to take over cannot be watched");
        }
    }
}

fn command(service: &Service) -> Command {
    let arguments = service.arguments.iter();
    let arguments = arguments.filter(|argument| *argument != TAKEOVER);
    let mut command = Command::new(&service.program);
    command.args(arguments).arg(TAKEOVER);
    for variable in OF_ONE_PROCESS {
        command.env_remove(variable);
    }
    command
}
