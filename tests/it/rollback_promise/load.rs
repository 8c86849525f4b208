//! Load: keep-alive connections that send one request after the other and record which release responded, and when.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::fleet::{read_head, release_of};

/// One response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) sent: Instant,
    pub(crate) received: Instant,
    pub(crate) release: String,
}

/// The results of the load.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<Answer>,
    pub(crate) failed: Vec<String>,
}

impl Seen {
    /// The responses to requests that were sent within an interval.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Self {
        let answers = self
            .answers
            .iter()
            .filter(|answer| answer.sent >= from && answer.received <= until)
            .cloned()
            .collect();
        Self {
            answers,
            failed: self.failed.clone(),
        }
    }
}

/// Load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Seen>>,
}

impl Load {
    pub(crate) fn start(proxy: SocketAddr, connections: usize) -> Self {
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let task = |_| tokio::spawn(ask(proxy, Arc::clone(&stop), Arc::clone(&answered)));
        Self {
            tasks: (0..connections).map(task).collect(),
            stop,
            answered,
        }
    }

    /// Waits for this many more responses.
    pub(crate) async fn until(&self, more: usize) {
        let target = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < target {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        for task in self.tasks {
            let part = task.await.unwrap();
            seen.answers.extend(part.answers);
            seen.failed.extend(part.failed);
        }
        seen
    }
}

async fn ask(proxy: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Seen {
    let mut seen = Seen::default();
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let mut buffer = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let sent = Instant::now();
        match exchange(&mut stream, &mut buffer).await {
            Ok(release) => seen.answers.push(Answer {
                sent,
                received: Instant::now(),
                release,
            }),
            Err(why) => {
                seen.failed.push(why);
                return seen;
            }
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

/// Sends one request on a connection of its own; returns the release that responded.
pub(crate) async fn one(proxy: SocketAddr) -> Result<String, String> {
    let mut stream = TcpStream::connect(proxy)
        .await
        .map_err(|error| error.to_string())?;
    exchange(&mut stream, &mut Vec::new()).await
}

async fn exchange(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<String, String> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: agents.test\r\n\r\n")
        .await
        .map_err(|error| error.to_string())?;
    let head = read_head(stream, buffer)
        .await
        .ok_or("the connection was closed")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(head);
    }
    let release = release_of(&head).ok_or("no release")?.to_owned();
    while buffer.len() < release.len() {
        if stream
            .read_buf(buffer)
            .await
            .map_err(|error| error.to_string())?
            == 0
        {
            return Err("the body was cut".into());
        }
    }
    if buffer.drain(..release.len()).collect::<Vec<_>>() != release.as_bytes() {
        return Err("another body than the head says".into());
    }
    Ok(release)
}
