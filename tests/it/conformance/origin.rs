//! An origin that responds with exactly the bytes of a case, and records every byte that it receives.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::AbortHandle,
};

use super::{
    recorder::{End, Recorder, TIMEOUT},
    wire::{self, Read},
};

/// The time of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As soon as the connection is open.
    Accepted,
    /// When the head of a request is there.
    Head,
    /// When a complete request is there.
    Whole,
    /// Never.
    Never,
}

/// The action of an origin after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It ends its direction and goes on reading.
    Close,
    /// It echoes.
    Echo,
    /// It waits for the next request.
    Keep,
    /// It resets the connection.
    Reset,
}

/// The script of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) when: When,
    /// One response for each request; a plain 200 after the last one.
    pub(crate) answers: Vec<(Vec<u8>, Then)>,
}

/// The response of an origin without a script.
const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// The current scripts and their connections.
struct State {
    scripts: Vec<Script>,
    tasks: Vec<AbortHandle>,
    /// The client address of a connection of our own; see [`Origin::settle`].
    own: Option<SocketAddr>,
}

/// The origin.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    connections: Arc<watch::Sender<Vec<Recorder>>>,
    /// Changes whenever anything happens.
    activity: Arc<watch::Sender<u64>>,
    task: AbortHandle,
}

// === impl Script ===

impl Script {
    pub(crate) fn plain() -> Self {
        Self {
            when: When::Whole,
            answers: Vec::new(),
        }
    }

    fn answer(&self, number: usize, request: &[u8]) -> (Vec<u8>, Then) {
        let plain = || {
            let is_head = request.starts_with(b"HEAD ");
            let end = if is_head {
                PLAIN.len() - 2
            } else {
                PLAIN.len()
            };
            (PLAIN[..end].to_vec(), Then::Close)
        };
        self.answers.get(number).cloned().unwrap_or_else(plain)
    }
}

// === impl Origin ===

impl Origin {
    /// Starts an origin on a port of its own.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            scripts: vec![Script::plain()],
            tasks: Vec::new(),
            own: None,
        }));
        let connections = Arc::new(watch::Sender::new(Vec::new()));
        let activity = Arc::new(watch::Sender::new(0));
        let accept = accept(
            listener,
            Arc::clone(&state),
            Arc::clone(&connections),
            Arc::clone(&activity),
        );
        let task = tokio::spawn(accept).abort_handle();
        Self {
            address,
            state,
            connections,
            activity,
            task,
        }
    }

    /// Resets the records, and uses `scripts` from now on: one for each connection, the last one again and again.
    pub(crate) fn begin(&self, scripts: Vec<Script>) {
        let mut state = self.state.lock().unwrap();
        state.scripts = scripts;
        for task in state.tasks.drain(..) {
            task.abort();
        }
        self.connections.send_replace(Vec::new());
    }

    /// The recording of each connection.
    pub(crate) fn recorders(&self) -> Vec<Recorder> {
        self.connections.borrow().clone()
    }

    /// Waits until some connection has received `bytes`.
    pub(crate) async fn until_received(&self, bytes: &[u8]) -> Result<(), String> {
        let is_in = |whole: &[u8]| whole.windows(bytes.len()).any(|part| part == bytes);
        let mut activity = self.activity.subscribe();
        let received = activity.wait_for(|_| {
            self.recorders()
                .iter()
                .any(|recorder| is_in(&recorder.now().bytes))
        });
        let waited = tokio::time::timeout(TIMEOUT, received).await;
        let late = |_| format!("origin receives `{}`: did not happen", bytes.escape_ascii());
        let lost = |_| "the origin is gone".to_string();
        waited.map_err(late)?.map(drop).map_err(lost)
    }

    /// Waits until every connection so far was accepted: the kernel hands them over in order, so once a connection of
    /// our own has come, all before it have.
    pub(crate) async fn settle(&self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        self.state.lock().unwrap().own = Some(socket.local_addr().unwrap());
        let connection = socket.connect(self.address).await.unwrap();
        let mut activity = self.activity.subscribe();
        let came = activity.wait_for(|_| self.state.lock().unwrap().own.is_none());
        tokio::time::timeout(TIMEOUT, came).await.unwrap().unwrap();
        drop(connection);
    }

    /// Waits until the proxy has ended every connection.
    pub(crate) async fn until_ended(&self) -> Result<(), String> {
        for recorder in self.recorders() {
            let what = "the proxy ends its connection to the origin";
            recorder
                .until(what, |recorded| recorded.end.is_some())
                .await?;
        }
        Ok(())
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    state: Arc<Mutex<State>>,
    connections: Arc<watch::Sender<Vec<Recorder>>>,
    activity: Arc<watch::Sender<u64>>,
) {
    loop {
        let Ok((socket, peer)) = listener.accept().await else {
            continue;
        };
        let recorder = Recorder::new();
        let mut state = state.lock().unwrap();
        if state.own == Some(peer) {
            state.own = None;
            drop(state);
            activity.send_modify(|count| *count += 1);
            continue;
        }
        let number = connections.borrow().len().min(state.scripts.len() - 1);
        let script = state.scripts[number].clone();
        connections.send_modify(|recorders| recorders.push(recorder.clone()));
        state.tasks.push(
            tokio::spawn(serve(socket, recorder, script, Arc::clone(&activity))).abort_handle(),
        );
    }
}

/// Plays the script on one connection.
async fn serve(
    mut socket: TcpStream,
    recorder: Recorder,
    script: Script,
    activity: Arc<watch::Sender<u64>>,
) {
    socket.set_nodelay(true).unwrap();
    let (mut seen, mut answered, mut echo) = (0, 0, false);
    if script.when == When::Accepted && answer(&mut socket, &script, &mut answered, b"").await {
        return;
    }
    let mut continued = false;
    while recorder.record_some(&mut socket).await {
        activity.send_modify(|count| *count += 1);
        let bytes = recorder.now().bytes;
        if !continued && script.answers.is_empty() && script.when == When::Whole && expects(&bytes)
        {
            continued = true;
            _ = socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        while !echo {
            let Some(length) = next_request(script.when, &bytes[seen..], answered) else {
                break;
            };
            let (text, then) = script.answer(answered, &bytes[seen..]);
            seen += length;
            answered += 1;
            if play(&mut socket, &text, then).await {
                recorder.reset();
                return;
            }
            echo = then == Then::Echo;
        }
        if echo && seen < bytes.len() {
            _ = socket.write_all(&bytes[seen..]).await;
            seen = bytes.len();
        }
    }
}

async fn answer(
    socket: &mut TcpStream,
    script: &Script,
    answered: &mut usize,
    request: &[u8],
) -> bool {
    let (text, then) = script.answer(*answered, request);
    *answered += 1;
    play(socket, &text, then).await
}

/// True if a head expects a 100.
fn expects(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    text.contains("\r\nexpect: 100-continue\r\n") && text.contains("\r\n\r\n")
}

/// The length of the next request to respond to, if it is complete.
fn next_request(when: When, bytes: &[u8], answered: usize) -> Option<usize> {
    match when {
        When::Accepted | When::Never => None,
        When::Head => {
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            head.filter(|_| answered == 0).map(|at| at + 4)
        }
        When::Whole => match wire::request(bytes) {
            Read::Whole(_, length) => Some(length),
            Read::Cut | Read::Malformed(_) => None,
        },
    }
}

/// Sends a response; true if that was the end of the connection.
async fn play(socket: &mut TcpStream, text: &[u8], then: Then) -> bool {
    _ = socket.write_all(text).await;
    match then {
        Then::Close => _ = socket.shutdown().await,
        Then::Reset => {
            let linger = Some(std::time::Duration::ZERO);
            socket2::SockRef::from(&*socket).set_linger(linger).unwrap();
        }
        Then::Echo | Then::Keep => {}
    }
    then == Then::Reset
}

// === impl Recorder ===

impl Recorder {
    fn reset(&self) {
        self.ended(End::Reset);
    }
}
