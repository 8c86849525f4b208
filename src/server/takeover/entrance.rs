//! The socket at which a new process asks for what a running one has, and the answer up to the moment when the new one is
//! prepared.
//!
//! One new process at a time. Nothing changes for the running one here, whatever the new one does.

use std::{
    fs, io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use super::{
    super::inherited::ListenerSockets,
    channel::{Channel, MOST_DESCRIPTORS, is_late},
    launch::{Launcher, Service, Turn},
    message::{FolderId, FromNew, FromOld, PROTOCOL},
};
use crate::{
    control::Controller,
    history::{TAKEOVER_SOCKET, TAKEOVER_SOCKET_NEW},
    model::TableDocument,
    net::ServerTls,
};

/// Timeout for the first message.
const GREETING: Duration = Duration::from_secs(5);
/// Timeout for the preparation of the new process: its first checks may take a while.
const PREPARATION: Duration = Duration::from_secs(120);
/// Timeout for each sign that it is still at it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Number of processes that may wait at the socket.
const WAITING: usize = 1;

/// A listener that can be passed on.
pub(in crate::server) struct Held {
    pub(in crate::server) sockets: ListenerSockets,
    pub(in crate::server) tls: Option<Arc<ServerTls>>,
}

/// All that is passed on before the history is.
pub(in crate::server) struct Estate {
    pub(in crate::server) listeners: Vec<Held>,
    pub(in crate::server) controller: Arc<Controller>,
    pub(in crate::server) folder: PathBuf,
}

/// The place where new processes ask. Without an estate nobody is served.
#[derive(Default)]
pub(in crate::server) struct Entrance {
    estate: Arc<Mutex<Option<Estate>>>,
    prepared: Option<mpsc::Receiver<Prepared>>,
    accepting: Option<AbortHandle>,
    launcher: Launcher,
}

/// A new process that waits for the history. The next one is served once this is dropped.
pub(super) struct PreparedProcess {
    pub(super) channel: Channel,
    pub(super) version: String,
}

/// The same, with the sender that ends its turn.
pub(in crate::server) struct Prepared {
    pub(super) process: PreparedProcess,
    _turn: oneshot::Sender<()>,
}

impl Entrance {
    /// Listens in the folder of the history, which must be open, in the place of an earlier process. Called within a
    /// runtime.
    pub(in crate::server) fn open(estate: Estate) -> io::Result<Self> {
        let listener = listen(&estate.folder)?;
        let estate = Arc::new(Mutex::new(Some(estate)));
        let (sender, prepared) = mpsc::channel(WAITING);
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let of_estate = Arc::clone(&estate);
        let launcher = Launcher::default();
        let of_launcher = launcher.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = stream.into_std() else {
                    continue;
                };
                let (estate, sender) = (Arc::clone(&of_estate), sender.clone());
                let turn = of_launcher.turn();
                let served =
                    tokio::task::spawn_blocking(move || serve(stream, &estate, &sender, &turn));
                // A panic was reported by its thread.
                drop(served.await);
            }
        });
        Ok(Self {
            estate,
            prepared: Some(prepared),
            accepting: Some(accepting.abort_handle()),
            launcher,
        })
    }

    /// Starts a new process that asks here.
    pub(in crate::server) fn launch(&self, service: &Service) {
        self.launcher.launch(service);
    }

    /// The next process that is prepared. Cancelling it loses nothing.
    pub(in crate::server) async fn next(&mut self) -> Prepared {
        if let Some(prepared) = &mut self.prepared
            && let Some(prepared) = prepared.recv().await
        {
            return prepared;
        }
        std::future::pending().await
    }

    /// Serves nobody any more, and closes its copies of the sockets.
    pub(in crate::server) fn close(&mut self) {
        let mut estate = self.estate.lock().unwrap_or_else(PoisonError::into_inner);
        drop(estate.take());
        drop(self.prepared.take());
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.close();
    }
}

/// Binds the socket for its owner only. It has its name once it listens, so that nobody finds it before.
fn listen(folder: &Path) -> io::Result<UnixListener> {
    // Paths of sockets are short; that of the folder may be long.
    let handle = fs::File::open(folder)?;
    let short = short_path(&handle);
    let new = short.join(TAKEOVER_SOCKET_NEW);
    drop(fs::remove_file(&new));
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, short.join(TAKEOVER_SOCKET))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A short path of an open folder.
pub(super) fn short_path(folder: &fs::File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// Serves one process until its turn is over.
fn serve(
    stream: UnixStream,
    estate: &Mutex<Option<Estate>>,
    sender: &mpsc::Sender<Prepared>,
    turn: &Turn,
) {
    let Ok(channel) = Channel::new(stream) else {
        return;
    };
    let process = channel.process();
    match prepare(&channel, estate, turn) {
        Ok(version) => {
            let (turn, is_over) = oneshot::channel();
            let process = PreparedProcess { channel, version };
            let prepared = Prepared {
                process,
                _turn: turn,
            };
            if sender.blocking_send(prepared).is_ok() {
                drop(is_over.blocking_recv());
            }
        }
        Err(reason) => {
            tracing::warn!(process, %reason, "a takeover was given up; this process serves on");
            // The process may be gone.
            drop(channel.send(&FromOld::Refused { reason }));
        }
    }
}

/// Sends what a new process needs, and waits until it is prepared. Returns its version.
fn prepare(
    channel: &Channel,
    estate: &Mutex<Option<Estate>>,
    turn: &Turn,
) -> Result<String, String> {
    if !channel.is_of_same_user() {
        return Err("it has another user".to_owned());
    }
    let version = greeted(channel, estate)?;
    turn.asked();
    tracing::info!(process = channel.process(), %version, "a new process asks to take over");
    let offered = offer(channel, estate);
    offered.map_err(|error| format!("the sockets could not be sent: {error}"))?;
    match wait_until_prepared(channel) {
        Ok(()) => Ok(version),
        Err(Unprepared::Hangs(reason)) if turn.is_of(channel.process()) => {
            // It was started here, so nobody else looks after it.
            channel.kill_peer();
            Err(format!("{reason}, and was ended"))
        }
        Err(Unprepared::Ended(reason) | Unprepared::Hangs(reason)) => Err(reason),
    }
}

/// Reason why a process was not prepared.
enum Unprepared {
    /// It ended, or said something else.
    Ended(String),
    /// It is silent, or takes too long.
    Hangs(String),
}

fn wait_until_prepared(channel: &Channel) -> Result<(), Unprepared> {
    let late_at = Instant::now() + PREPARATION;
    loop {
        let left = late_at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let reason = format!("it was not prepared within {PREPARATION:?}");
            return Err(Unprepared::Hangs(reason));
        }
        match channel.receive(Some(SIGN_OF_LIFE.min(left))) {
            Ok((FromNew::Preparing, _)) => {}
            Ok((FromNew::Prepared, _)) => return Ok(()),
            Ok(_) => {
                let reason = "it sent another message than expected".to_owned();
                return Err(Unprepared::Ended(reason));
            }
            Err(error) if is_late(&error) && left > SIGN_OF_LIFE => {
                let reason = format!("it was silent for {SIGN_OF_LIFE:?} before it was prepared");
                return Err(Unprepared::Hangs(reason));
            }
            Err(error) if is_late(&error) => {}
            Err(_) => {
                let reason = "it ended before it was prepared; its own log says why".to_owned();
                return Err(Unprepared::Ended(reason));
            }
        }
    }
}

fn greeted(channel: &Channel, estate: &Mutex<Option<Estate>>) -> Result<String, String> {
    let (hello, _) = channel
        .receive(Some(GREETING))
        .map_err(|error| format!("its first message cannot be read: {error}"))?;
    let FromNew::Hello {
        protocol,
        version,
        history,
    } = hello
    else {
        return Err("its first message is another one than expected".to_owned());
    };
    if protocol != PROTOCOL {
        return Err(format!(
            "version {version} takes over by protocol {protocol}, version {} hands over by protocol {PROTOCOL}; restart \
             instead",
            env!("CARGO_PKG_VERSION")
        ));
    }
    let estate = estate.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(estate) = estate.as_ref() else {
        return Err("it is about to end".to_owned());
    };
    if FolderId::of(&estate.folder) != Some(history) {
        return Err(format!(
            "its history is another one than `{}`",
            estate.folder.display()
        ));
    }
    Ok(version)
}

fn offer(channel: &Channel, estate: &Mutex<Option<Estate>>) -> io::Result<()> {
    let estate = estate.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Estate {
        listeners,
        controller,
        ..
    }) = estate.as_ref()
    else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    for Held { sockets: held, tls } in listeners {
        let Some(section) = held.section else {
            continue;
        };
        let descriptors: Vec<BorrowedFd<'_>> =
            held.sockets.iter().map(|socket| socket.as_fd()).collect();
        for part in descriptors.chunks(MOST_DESCRIPTORS) {
            let message = FromOld::Sockets {
                section,
                configured: held.configured,
                address: held.address,
                tickets: tls.as_ref().map_or_else(Vec::new, |tls| tls.ticket_keys()),
            };
            channel.send_with(&message, part)?;
        }
    }
    channel.send(&FromOld::Offer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        table: Box::new(TableDocument::of(&controller.live().state())),
    })
}
