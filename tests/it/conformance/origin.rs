//! An origin that answers with exactly the bytes that a case gives it, and remembers every byte that it got.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

use super::{
    tape::{End, PATIENCE, Tape},
    wire::{self, Read},
};

/// When an origin answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As soon as somebody connects.
    Accepted,
    /// When the head of a request is there.
    Head,
    /// When a whole request is there.
    Whole,
    /// Never.
    Never,
}

/// What an origin does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It ends its direction and goes on reading.
    Close,
    /// It sends back whatever comes.
    Echo,
    /// It waits for the next request.
    Keep,
    /// It resets the connection.
    Reset,
}

/// What an origin does on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) when: When,
    /// One answer for each request, the last one again and again. Without any: a plain 200.
    pub(crate) answers: Vec<(Vec<u8>, Then)>,
}

/// The answer of an origin that was not told another one.
const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

struct Turn {
    scripts: Vec<Script>,
    tasks: Vec<AbortHandle>,
}

/// The origin.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    turn: Arc<Mutex<Turn>>,
    connections: Arc<watch::Sender<Vec<Tape>>>,
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
        let last = self.answers.len().checked_sub(1);
        last.map_or_else(plain, |last| self.answers[number.min(last)].clone())
    }
}

// === impl Origin ===

impl Origin {
    /// Starts an origin on a port of its own.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let turn = Arc::new(Mutex::new(Turn {
            scripts: vec![Script::plain()],
            tasks: Vec::new(),
        }));
        let connections = Arc::new(watch::Sender::new(Vec::new()));
        let accept = accept(listener, Arc::clone(&turn), Arc::clone(&connections));
        let task = tokio::spawn(accept).abort_handle();
        Self {
            address,
            turn,
            connections,
            task,
        }
    }

    /// Forgets what was, and does from now on as `scripts` say: one for each connection, the last one again and again.
    pub(crate) fn begin(&self, scripts: Vec<Script>) {
        let mut turn = self.turn.lock().unwrap();
        turn.scripts = scripts;
        for task in turn.tasks.drain(..) {
            task.abort();
        }
        self.connections.send_replace(Vec::new());
    }

    /// What was recorded on each connection.
    pub(crate) fn tapes(&self) -> Vec<Tape> {
        self.connections.borrow().clone()
    }

    /// Waits until some connection has received `bytes`.
    pub(crate) async fn until_received(&self, bytes: &[u8]) -> Result<(), String> {
        let what = format!("origin receives `{}`", bytes.escape_ascii());
        let mut receiver = self.connections.subscribe();
        let connected = receiver.wait_for(|tapes| !tapes.is_empty());
        let tapes = tokio::time::timeout(PATIENCE, connected).await;
        let tapes = tapes.map_err(|_| format!("{what}: nobody connected"))?;
        let tape = tapes.expect("the origin lives").last().cloned();
        let tape = tape.expect("there is a connection");
        let is_in = |whole: &[u8]| whole.windows(bytes.len()).any(|part| part == bytes);
        tape.until(&what, |recorded| is_in(&recorded.bytes)).await?;
        Ok(())
    }

    /// Waits until the proxy has ended every connection.
    pub(crate) async fn until_ended(&self) -> Result<(), String> {
        for tape in self.tapes() {
            let what = "the proxy ends its connection to the origin";
            tape.until(what, |recorded| recorded.end.is_some()).await?;
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
    turn: Arc<Mutex<Turn>>,
    connections: Arc<watch::Sender<Vec<Tape>>>,
) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let tape = Tape::new();
        let mut turn = turn.lock().unwrap();
        let number = connections.borrow().len().min(turn.scripts.len() - 1);
        let script = turn.scripts[number].clone();
        connections.send_modify(|tapes| tapes.push(tape.clone()));
        turn.tasks
            .push(tokio::spawn(serve(socket, tape, script)).abort_handle());
    }
}

/// Plays the script on one connection.
async fn serve(mut socket: TcpStream, tape: Tape, script: Script) {
    socket.set_nodelay(true).unwrap();
    let (mut seen, mut answered, mut echo) = (0, 0, false);
    if script.when == When::Accepted && answer(&mut socket, &script, &mut answered, b"").await {
        return;
    }
    while tape.record_some(&mut socket).await {
        let bytes = tape.now().bytes;
        while !echo {
            let Some(length) = next_request(script.when, &bytes[seen..], answered) else {
                break;
            };
            let (text, then) = script.answer(answered, &bytes[seen..]);
            seen += length;
            answered += 1;
            if play(&mut socket, &text, then).await {
                tape.reset();
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

/// The length of the request to answer now, if there is one.
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

/// Sends an answer; whether that was the end of the connection.
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

// === impl Tape ===

impl Tape {
    fn reset(&self) {
        self.ended(End::Reset);
    }
}
