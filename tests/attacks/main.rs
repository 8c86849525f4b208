//! Slow attacks, crowds and floods against the real binary, with a well-behaved client beside them: 99 of 100 of its
//! requests must take less than 100 ms, and the memory of the proxy must stay bounded.
//!
//! The figures are valid only one after the other and against a release build, so `run` beside this file starts them,
//! and
//! `cargo test` alone does not.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

#[expect(dead_code, reason = "the conformance suite uses more of it")]
#[path = "../it/conformance/child.rs"]
mod child;
#[expect(dead_code, reason = "the conformance suite uses more of it")]
#[path = "../it/support/h2"]
mod h2 {
    pub(crate) mod frame;
    pub(crate) mod hpack;
    mod huffman;
}

mod admin;
mod greedy;
mod stalled;

use child::Switchback;
use h2::{
    frame::{
        CONTINUATION, END_STREAM, HEADERS, PREFACE, PRIORITY, data, frame, get, head, ping, rst,
        settings, window,
    },
    hpack::block,
};

/// Duration of an attack.
const ATTACK: Duration = Duration::from_secs(4);

/// Longest time for 99 of 100 requests of the well-behaved client.
const SERVED: Duration = Duration::from_millis(100);

/// Most additional memory of an attack. The largest may hold 1,584 streams with windows of 64 KiB, which is 99 MiB, and
/// the allocator rounds up by an eighth.
const MEMORY: u64 = 128 << 20;

const BIG: usize = 64 << 20;

const MIB: f64 = 1_048_576.0;

/// A proxy, an origin, and the number of bytes that the origin has sent.
struct Setup {
    switchback: Switchback,
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    runtime: Runtime,
    before: u64,
    /// The 99th percentile of the well-behaved client before the attack.
    calm: Duration,
}

/// The response times of the well-behaved client.
struct Served {
    count: usize,
    p50: Duration,
    p99: Duration,
}

// === impl Setup ===

impl Setup {
    fn start(settings: &str) -> Self {
        Self::with_workers(2, settings)
    }

    fn with_workers(workers: usize, settings: &str) -> Self {
        raise_descriptors();
        let runtime = Runtime::new().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let _entered = runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // The endpoint's kernel must not take megabytes for each unread stream: copying them would keep both cores of a
        // small machine busy for seconds.
        socket.set_send_buffer_size(64 << 10).unwrap();
        // The backlog must have room for a crowd: a dropped SYN would cost a second.
        let listener: TcpListener = socket.listen(4_096).unwrap();
        let origin = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, Arc::clone(&sent)));
        let config = format!(
            "workers = {workers}\naccess_log.format = \"off\"\n{settings}\n[releases.one]\nendpoints = [\"http://{origin}\"]\n\
             [[routes]]\nname = \"all\"\npath_prefix = \"/\"\nsplit = {{ one = 1 }}\n"
        );
        let switchback = Switchback::start(&[""], &config);
        let address = switchback.listeners[0];
        let setup = Self {
            before: 0,
            calm: Duration::ZERO,
            switchback,
            address,
            sent,
            runtime,
        };
        let calm = behave(address, Duration::from_millis(500)).p99;
        let before = resident(setup.switchback.child.id());
        Self {
            before,
            calm,
            ..setup
        }
    }

    /// The 99th percentile that is allowed during an attack: on a busy machine, relative to the one before it.
    fn allowed(&self) -> Duration {
        SERVED.max(self.calm * 4)
    }

    /// Runs an attack with the client beside it, prints the figures of both, and compares them with the limits.
    fn withstand<F: Future<Output = u64> + Send + 'static>(
        &self,
        name: &str,
        attack: impl FnOnce(SocketAddr, Arc<AtomicBool>) -> F,
    ) {
        let stop = Arc::new(AtomicBool::new(false));
        let before = worked(self.switchback.child.id());
        let attack = self.runtime.spawn(attack(self.address, Arc::clone(&stop)));
        let served = behave(self.address, ATTACK);
        let resident = resident(self.switchback.child.id());
        let worked = worked(self.switchback.child.id()).saturating_sub(before);
        stop.store(true, Ordering::Relaxed);
        let count = self.runtime.block_on(attack).unwrap();
        let more = resident.saturating_sub(self.before);
        report(
            name,
            &format!(
                "{count} attempts, {served}, {worked:?} of processor time, memory {}",
                mebibytes(self.before, more)
            ),
        );
        assert!(served.p99 < self.allowed(), "{name}: {served}");
        assert!(more < MEMORY, "{name}: {} MiB more", more >> 20);
    }
}

/// CPU time of a process, in steps of ten milliseconds.
fn worked(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name, in parentheses, may have spaces; user and system time are the 12th and 13th words after it.
    let words = stat[stat.rfind(')').unwrap() + 1..].split_whitespace();
    let ticks = words.skip(11).take(2).map(str::parse::<u64>);
    Duration::from_millis(ticks.map(Result::unwrap).sum::<u64>() * 10)
}

/// The resident memory of a process in bytes.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(before: u64, more: u64) -> String {
    format!(
        "{:.1} MiB before and {:.1} more",
        before as f64 / MIB,
        more as f64 / MIB
    )
}

#[expect(clippy::print_stdout, reason = "the figures are what the run is for")]
fn report(name: &str, text: &str) {
    println!("{name}: {text}");
}

impl std::fmt::Display for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} requests served, p50 {:?}, p99 {:?}",
            self.count, self.p50, self.p99
        )
    }
}

/// Raises this process's limit of file descriptors to the maximum; returns it.
fn raise_descriptors() -> u64 {
    let hard = getrlimit(Resource::Nofile).maximum;
    let limits = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, limits).unwrap();
    hard.unwrap_or(1 << 20)
}

/// An origin: `ok` for everything, 64 MiB for `/big`, no response for a body that does not end.
async fn serve(listener: TcpListener, sent: Arc<AtomicU64>) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(answer(socket, Arc::clone(&sent)));
    }
}

async fn answer(mut socket: TcpStream, sent: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
            if socket.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let is_big = read.starts_with(b"GET /big");
        let has_body = !read.starts_with(b"GET ");
        read.drain(..end + 4);
        if has_body {
            // Faster than the proxy, so that bodies do not wait for the origin.
            let mut sink = vec![0; 256 << 10];
            while socket.read(&mut sink).await? > 0 {}
            return Ok(());
        }
        if is_big {
            let start = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
            socket.write_all(start.as_bytes()).await?;
            let piece = vec![b'x'; 16 * 1024];
            for _ in 0..BIG / piece.len() {
                socket.write_all(&piece).await?;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        } else {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await?;
        }
    }
}

/// Runs the well-behaved client on a thread of its own, which the attackers do not slow down.
fn behave(address: SocketAddr, period: Duration) -> Served {
    let client = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(politely(address, period))
    };
    std::thread::spawn(client).join().unwrap()
}

/// A client that sends a request every few milliseconds, on one connection, and each twentieth time on a new one.
async fn politely(address: SocketAddr, period: Duration) -> Served {
    let start = Instant::now();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut taken = Vec::new();
    while start.elapsed() < period {
        let asked = Instant::now();
        if taken.len() % 20 == 19 {
            socket = TcpStream::connect(address).await.unwrap();
        }
        ask(&mut socket).await;
        taken.push(asked.elapsed());
        sleep(Duration::from_millis(4)).await;
    }
    taken.sort_unstable();
    Served {
        count: taken.len(),
        p50: taken[taken.len() / 2],
        p99: taken[taken.len() * 99 / 100],
    }
}

async fn ask(socket: &mut TcpStream) {
    socket.set_nodelay(true).unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await
        .unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"ok") {
        let more = timeout(Duration::from_secs(10), socket.read_buf(&mut read)).await;
        let more = more.expect("an answer within ten seconds").unwrap();
        assert!(
            more > 0,
            "the connection of the well-behaved client was ended"
        );
    }
    assert!(
        read.starts_with(b"HTTP/1.1 200 "),
        "{}",
        read.escape_ascii()
    );
}

/// True if the connection ends in time; reads until then.
async fn is_ended(socket: &mut TcpStream, within: Duration) -> bool {
    let mut sink = vec![0; 4096];
    let drain = async { while matches!(socket.read(&mut sink).await, Ok(1..)) {} };
    timeout(within, drain).await.is_ok()
}

/// `count` connections that send `start` and then a byte now and then; all must be closed soon.
async fn crowd(
    address: SocketAddr,
    count: usize,
    start: &'static [u8],
    drip: &'static [u8],
) -> u64 {
    let mut crowd = JoinSet::new();
    for _ in 0..count {
        crowd.spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            _ = socket.write_all(start).await;
            for byte in drip {
                sleep(Duration::from_millis(100)).await;
                if socket.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
            assert!(
                is_ended(&mut socket, Duration::from_secs(10)).await,
                "a slow connection was left alone"
            );
        });
    }
    crowd.join_all().await.len() as u64
}

#[test]
fn slow_heads_are_cut() {
    let setup = Setup::start("timeouts.head = \"2s\"");
    setup.withstand("slow heads", |address, _| {
        crowd(
            address,
            1_000,
            b"GET / HTTP/1.1\r\nHost: a",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        )
    });
}

#[test]
fn slow_bodies_are_cut() {
    let setup = Setup::start("timeouts.body = \"2s\"");
    setup.withstand("slow bodies", |address, _| {
        crowd(
            address,
            1_000,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx",
            b"yz",
        )
    });
}

#[test]
fn silent_connections_are_cut() {
    let setup = Setup::start("timeouts.head = \"2s\"\ntimeouts.keep_alive = \"2s\"");
    setup.withstand("silent connections", |address, _| {
        crowd(address, 2_000, b"", b"")
    });
}

#[test]
fn slow_readers_cost_little() {
    let setup = Setup::start("");
    let readers = 20;
    let sent = Arc::clone(&setup.sent);
    setup.withstand("slow readers", move |address, stop| async move {
        let mut sockets = Vec::new();
        for _ in 0..readers {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket
                .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
            sockets.push(socket);
        }
        until(&stop).await;
        sockets.len() as u64
    });
    let each = sent.load(Ordering::Relaxed) / readers;
    report(
        "slow readers",
        &format!("{} KiB in flight for each", each >> 10),
    );
    assert!(
        each <= 12 << 20,
        "{each} bytes in flight for a reader that does not read"
    );
}

async fn until(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn idle_connections_cost_little() {
    let hard = raise_descriptors();
    // The proxy uses half of its file descriptors for clients.
    let count = usize::try_from(10_000.min((hard - 256) / 2 - 50)).unwrap();
    let setup = Setup::start("timeouts.keep_alive = \"10m\"");
    let sockets = setup.runtime.block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..count {
            let mut socket = TcpStream::connect(setup.address).await.unwrap();
            ask(&mut socket).await;
            sockets.push(socket);
        }
        sockets
    });
    let served = behave(setup.address, ATTACK);
    let more = resident(setup.switchback.child.id()).saturating_sub(setup.before);
    let each = more / sockets.len() as u64;
    let figures = format!(
        "{count}, {served}, memory {}, {each} bytes each",
        mebibytes(setup.before, more)
    );
    report("idle connections", &figures);
    assert!(served.p99 < setup.allowed(), "{served}");
    assert!(each < 8_192, "{each} bytes for an idle connection");
}

/// A flood of HTTP/2 on ten connections, each opened again when it is closed. `make` builds the frames for the stream
/// numbers from the given one on.
fn flood(name: &str, make: fn(u32) -> Vec<u8>) {
    let setup = Setup::start("");
    setup.withstand(name, |address, stop| async move {
        let mut attackers = JoinSet::new();
        for _ in 0..10 {
            attackers.spawn(attack(address, Arc::clone(&stop), make));
        }
        attackers.join_all().await.into_iter().sum()
    });
}

async fn attack(address: SocketAddr, stop: Arc<AtomicBool>, make: fn(u32) -> Vec<u8>) -> u64 {
    let mut connections = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut socket) = TcpStream::connect(address).await else {
            continue;
        };
        connections += 1;
        let (mut reader, mut writer) = socket.split();
        let write = async {
            let start = [PREFACE, &settings(&[])].concat();
            writer.write_all(&start).await?;
            for round in 0_u32..10_000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                writer.write_all(&make(round * 200 + 1)).await?;
            }
            std::io::Result::Ok(())
        };
        let mut sink = vec![0; 65_536];
        let read = async { while matches!(reader.read(&mut sink).await, Ok(1..)) {} };
        tokio::select! {
            _ = write => {}
            () = read => {}
        }
        sleep(Duration::from_millis(10)).await;
    }
    connections
}

/// The ids of a hundred streams.
fn hundred(first: u32) -> impl Iterator<Item = u32> {
    (0..100).map(move |at| first + 2 * at)
}

#[test]
fn rapid_resets_are_withstood() {
    flood("rapid reset", |first| {
        hundred(first)
            .flat_map(|id| [head(id, &get("/"), END_STREAM), rst(id, 8)].concat())
            .collect()
    });
}

#[test]
fn made_resets_are_withstood() {
    flood("made you reset", |first| {
        hundred(first)
            .flat_map(|id| [head(id, &get("/"), END_STREAM), window(id, 0)].concat())
            .collect()
    });
}

#[test]
fn continuations_are_withstood() {
    flood("continuation", |first| {
        let more = frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(1_000))]));
        let start = frame(HEADERS, END_STREAM, 1, &block(&get("/")));
        if first == 1 {
            [start, more].concat()
        } else {
            more.repeat(10)
        }
    });
}

#[test]
fn settings_are_withstood() {
    flood("settings", |_| settings(&[(1, 0), (1, 4_096)]).repeat(100));
}

#[test]
fn pings_are_withstood() {
    flood("ping", |_| ping(0).repeat(100));
}

#[test]
fn priorities_are_withstood() {
    flood("priority", |first| {
        hundred(first)
            .flat_map(|id| frame(PRIORITY, 0, id, &[0, 0, 0, 0, 9]))
            .collect()
    });
}

#[test]
fn empty_data_is_withstood() {
    flood("empty data", |first| {
        let start = if first == 1 {
            head(1, &get("/"), 0)
        } else {
            Vec::new()
        };
        [start, data(1, "", 0).repeat(100)].concat()
    });
}

#[test]
fn readers_without_a_window_cost_little() {
    let setup = Setup::start("");
    let connections = 4;
    let sent = Arc::clone(&setup.sent);
    setup.withstand("window 0", move |address, stop| async move {
        let mut sockets = Vec::new();
        for _ in 0..connections {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let start = [PREFACE, &settings(&[(4, 0)])].concat();
            socket.write_all(&start).await.unwrap();
            let asked: Vec<u8> = hundred(1)
                .take(25)
                .flat_map(|id| head(id, &get("/big"), END_STREAM))
                .collect();
            socket.write_all(&asked).await.unwrap();
            sockets.push(socket);
        }
        until(&stop).await;
        sockets.len() as u64
    });
    let each = sent.load(Ordering::Relaxed) / (connections * 25);
    report(
        "window 0",
        &format!(
            "{} KiB in flight for each of {} streams",
            each >> 10,
            connections * 25
        ),
    );
    assert!(
        each <= 12 << 20,
        "{each} bytes in flight for a stream that is not read"
    );
}

#[test]
fn the_accept_loop_survives_without_descriptors() {
    let setup = Setup::start("timeouts.head = \"2s\"");
    let id = i32::try_from(setup.switchback.child.id()).unwrap();
    let pid = Pid::from_raw(id);
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count() as u64;
    let few = Rlimit {
        current: Some(open + 20),
        maximum: Some(open + 20),
    };
    prlimit(pid, Resource::Nofile, few).unwrap();
    let served = setup.runtime.block_on(async {
        // A client with an open connection is still served, on an open connection to the origin.
        let mut socket = TcpStream::connect(setup.address).await.unwrap();
        ask(&mut socket).await;
        let mut crowd = Vec::new();
        for _ in 0..200 {
            crowd.push(TcpStream::connect(setup.address).await.unwrap());
        }
        let mut taken = Vec::new();
        for _ in 0..200 {
            let asked = Instant::now();
            ask(&mut socket).await;
            taken.push(asked.elapsed());
            sleep(Duration::from_millis(4)).await;
        }
        taken.sort_unstable();
        drop(crowd);
        // And once there are free descriptors again, new clients are.
        politely(setup.address, Duration::from_secs(1)).await;
        taken[taken.len() * 99 / 100]
    });
    report(
        "no descriptors",
        &format!("p99 {served:?} for a connection that was there before"),
    );
    assert!(served < setup.allowed(), "{served:?}");
}
