//! The start of a new process by the running one, on SIGUSR2.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Argument by which a process takes over.
const TAKEOVER: &str = "--takeover";
/// Variables that are for one process only.
const OF_ONE_PROCESS: [&str; 4] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID"];
/// Time for the new process to ask. It only reads its configuration before that.
const ASKS_WITHIN: Duration = Duration::from_secs(15);
/// Interval of looking, until it has asked.
const LOOK: Duration = Duration::from_millis(100);

/// A process that is a service: it tells its supervisor what it does, and hands over to a new process.
#[derive(Debug, Clone)]
pub struct Service {
    /// Path of its program, where a new version may be by then.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The start of processes that take over, one at a time. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Launcher(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Id of the process that was started and runs; 0 without one.
    running: AtomicU32,
    /// True once some process has asked since then. It may be another one than was started: that of a wrapper.
    is_asked: AtomicBool,
    /// True while a process has its turn, and others wait.
    is_busy: AtomicBool,
}

/// The turn of a process that asks; it is over when this is dropped.
pub(super) struct Turn(Launcher);

impl Launcher {
    /// Starts the program of a service once more, to take over, unless the one before still runs.
    pub(super) fn launch(&self, service: &Service) {
        let running = self.0.running.load(Ordering::Relaxed);
        if running != 0 {
            tracing::warn!(
                process = running,
                "SIGUSR2: a new process is taking over already; end it, and try again"
            );
            return;
        }
        let program = service.program.display();
        self.0.is_asked.store(false, Ordering::Relaxed);
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

    /// Notes the end of the process, which mostly outlives this one; ends it if it does not ask.
    fn watch(&self, mut child: Child) {
        let launcher = self.clone();
        launcher.0.running.store(child.id(), Ordering::Relaxed);
        let watching = thread::Builder::new().name("takeover-child".to_owned()).spawn(move || {
            match launcher.end_of(&mut child) {
                Ok(status) => tracing::warn!(%status, "the process that was started to take over has ended"),
                Err(error) => tracing::warn!(%error, "the process that was started to take over cannot be watched"),
            }
            launcher.0.running.store(0, Ordering::Relaxed);
        });
        if let Err(error) = watching {
            tracing::warn!(%error, "the process that was started to take over cannot be watched");
        }
    }

    fn end_of(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let mut late_at = Instant::now() + ASKS_WITHIN;
        while !self.0.is_asked.load(Ordering::Relaxed) {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            // It may wait for the turn of another one.
            if self.0.is_busy.load(Ordering::Relaxed) {
                late_at = Instant::now() + ASKS_WITHIN;
            }
            if Instant::now() >= late_at {
                tracing::error!(
                    process = child.id(),
                    "the process that was started to take over has not asked for anything within {ASKS_WITHIN:?}, and is \
                     ended; this one serves on"
                );
                child.kill()?;
                break;
            }
            thread::sleep(LOOK);
        }
        child.wait()
    }

    /// Begins the turn of a process.
    pub(super) fn turn(&self) -> Turn {
        self.0.is_busy.store(true, Ordering::Relaxed);
        Turn(self.clone())
    }
}

impl Turn {
    /// Notes that the process has asked.
    pub(super) fn asked(&self) {
        self.0.0.is_asked.store(true, Ordering::Relaxed);
    }

    /// True if it is the process that was started here.
    pub(super) fn is_of(&self, process: i32) -> bool {
        u32::try_from(process)
            .is_ok_and(|process| self.0.0.running.load(Ordering::Relaxed) == process)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.is_busy.store(false, Ordering::Relaxed);
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
