//! Notes to the supervisor of the service, by systemd's protocol (`NOTIFY_SOCKET`): ready, reloading, stopping, alive.
//!
//! A note is one datagram. Without a supervisor nothing is sent; one that takes none is logged once.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Time for a supervisor that reads slowly.
const PATIENCE: Duration = Duration::from_secs(1);

/// The supervisor's socket, if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Supervisor(Option<Arc<Notes>>);

#[derive(Debug)]
struct Notes {
    socket: UnixDatagram,
    // Its notes are lost rather than waited for.
    alive: UnixDatagram,
    address: SocketAddr,
    has_failed: AtomicBool,
}

impl Supervisor {
    /// The supervisor that the environment names.
    pub(super) fn of_environment() -> Self {
        let Ok(name) = env::var("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let notes = Notes::open(&name);
        let unusable = |error: &io::Error| tracing::warn!(%error, %name, "the supervisor's socket cannot be used");
        Self(notes.inspect_err(unusable).ok().map(Arc::new))
    }

    /// This process serves, and is the service's main one.
    pub(super) fn ready(&self) {
        self.send(&format!("READY=1\nMAINPID={}", std::process::id()));
    }

    /// Another process is the service's main one from now on.
    pub(super) fn main_process(&self, process: i32) {
        self.send(&format!("MAINPID={process}"));
    }

    /// A reload has begun; [`Supervisor::reloaded`] follows.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The reload is over.
    pub(super) fn reloaded(&self) {
        self.send("READY=1");
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Tells that the process lives, at half the interval that the supervisor asks for. Never returns, unless it asks for
    /// none.
    pub(super) async fn keep_alive(self) {
        let Some(interval) = self.0.is_some().then(watchdog_interval).flatten() else {
            return;
        };
        let mut ticks = tokio::time::interval(interval / 2);
        loop {
            ticks.tick().await;
            if let Some(notes) = &self.0 {
                notes.send(&notes.alive, "WATCHDOG=1");
            }
        }
    }

    fn send(&self, note: &str) {
        if let Some(notes) = &self.0 {
            notes.send(&notes.socket, note);
        }
    }
}

impl Notes {
    fn open(name: &str) -> io::Result<Self> {
        // A name that begins with `@` has no file.
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let (socket, alive) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
        // A supervisor that does not read must not hold anything up for long.
        socket.set_write_timeout(Some(PATIENCE))?;
        alive.set_nonblocking(true)?;
        Ok(Self {
            socket,
            alive,
            address,
            has_failed: AtomicBool::new(false),
        })
    }

    fn send(&self, socket: &UnixDatagram, note: &str) {
        let sent = socket.send_to_addr(note.as_bytes(), &self.address);
        if let Err(error) = sent
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the supervisor takes no notes");
        }
    }
}

/// The interval in which the supervisor wants to hear of this process.
fn watchdog_interval() -> Option<Duration> {
    let process = env::var("WATCHDOG_PID").ok();
    if process.is_some_and(|process| process.parse() != Ok(std::process::id())) {
        return None;
    }
    let micros = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(micros)).filter(|interval| !interval.is_zero())
}
