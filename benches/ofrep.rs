//! OFREP over a socket: evaluations of one flag with five rules, beside a server of hyper that answers the same fixed
//! JSON without a look at the request.
//!
//! Both are measured in turns within one process, and in processor time of their own threads, so that other work on the
//! machine and the clients take no part in it. `cargo bench --bench ofrep` prints the figures; anything else runs a few
//! requests.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program that prints statistics"
)]

use std::{
    convert::Infallible,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use switchback::{
    config::{self, FileCheck},
    server::{self, Options, Running},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime, task::LocalSet};

/// Connections that are kept, each with one request at a time.
const CONNECTIONS: usize = 16;
/// Pairs of turns; each is a figure of both.
const ROUNDS: usize = 7;

const FLAGS: &str = r#"
[flags.planner]
type = "boolean"
variants = { on = true, off = false }
default = "off"
rules = [
  { when = [{ attribute = "plan", in = ["team", "enterprise"] }], split = { on = 1 } },
  { when = [{ attribute = "email", ends_with = "@example.org" }], split = { on = 1 } },
  { when = [{ attribute = "version", semver = { at_least = "3.0.0" } }], split = { on = 1 } },
  { when = [{ attribute = "age", number = { below = 18 } }], split = { on = 1 } },
  { split = { on = 5, off = 95 } },
]
"#;

const CONTEXT: &str = r#"{"context":{"targetingKey":"user-4711","plan":"pro","email":"ann@example.com","version":"2.3.0","age":40}}"#;

fn main() {
    let is_full = std::env::args().any(|argument| argument == "--bench");
    let requests = if is_full { 2_000 } else { 2 };
    let (running, _folder) = switchback();
    let ours = running.ofrep().expect("it is configured");
    let mut own = Client::connect(ours);
    let reference = reference(own.body.clone());
    let mut other = Client::connect(reference);
    assert_eq!(own.body, other.body, "both answer the same");
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let pair = (
            spent("control", || own.ask(requests)),
            spent("reference", || other.ask(requests)),
        );
        // The first one warms both up.
        if round > 0 {
            let each = (requests * CONNECTIONS) as f64;
            rounds.push((pair.0 / each, pair.1 / each));
        }
    }
    if is_full {
        print(&rounds);
    } else {
        println!("Testing ofrep/one flag\nSuccess");
    }
    running.stop();
}

fn print(rounds: &[(f64, f64)]) {
    let of = |value: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        (
            values[values.len() / 2],
            values[0],
            values[values.len() - 1],
        )
    };
    for (name, (median, low, high)) in [
        ("switchback", of(|(own, _)| *own)),
        ("reference", of(|(_, other)| *other)),
    ] {
        println!(
            "ofrep/one flag, {name}: {:.1} µs of processor time ({:.1} to {:.1}), {:.0} a second on one core",
            median / 1e3,
            low / 1e3,
            high / 1e3,
            1e9 / median
        );
    }
    let (median, low, high) = of(|(own, other)| other / own);
    println!("evaluations for each answer of the reference: {median:.2} ({low:.2} to {high:.2})");
}

/// A whole switchback with one flag, and its folder.
fn switchback() -> (Running, TempDir) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let text = format!(
        "workers = 1\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [history]\npath = {:?}\n[access_log]\nformat = \"off\"\n[ofrep]\naddress = \"127.0.0.1:0\"\n\
         [releases.blue]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\n{FLAGS}",
        folder.path().display().to_string()
    );
    let config = config::parse(&text, Path::new("/"), FileCheck::MustExist);
    let config = config.unwrap_or_else(|problems| panic!("{problems:?}"));
    let running = server::start(config, Options::default());
    (running.expect("it starts"), folder)
}

/// Starts a server on a thread of its own that answers every request with this body.
fn reference(body: Vec<u8>) -> SocketAddr {
    let (bound, address) = mpsc::channel();
    let serve = async move {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        bound.send(address).expect("it is waited for");
        let body = Bytes::from(body);
        loop {
            let (stream, _) = listener.accept().await.expect("a client connects");
            stream.set_nodelay(true).expect("it is a TCP socket");
            let body = body.clone();
            let service = service_fn(move |request| answer(request, body.clone()));
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // It ends when the client does.
            tokio::task::spawn_local(async move { drop(serving.await) });
        }
    };
    let thread = thread::Builder::new().name("reference".into());
    let thread = thread.spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("there is a reactor");
        LocalSet::new().block_on(&runtime, serve);
    });
    thread.expect("a thread can be started");
    address.recv().expect("it is bound")
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(request.into_body().collect().await);
    let response = Response::builder().header("content-type", "application/json");
    let response = response.body(Full::new(body));
    Ok(response.expect("the field is valid"))
}

/// Kept connections to a server, whose answers all have the same length.
struct Client {
    connections: Vec<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("it listens");
            stream.set_nodelay(true).expect("it is a TCP socket");
            let limit = Some(Duration::from_secs(20));
            stream.set_read_timeout(limit).expect("it is not zero");
            stream
        };
        let request = format!(
            "POST /ofrep/v1/evaluate/flags/planner HTTP/1.1\r\nHost: {address}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{CONTEXT}",
            CONTEXT.len()
        );
        let mut client = Self {
            connections: (0..CONNECTIONS).map(connect).collect(),
            request: request.into_bytes(),
            answer: Vec::new(),
            body: Vec::new(),
        };
        client.learn();
        client
    }

    /// Reads one answer, byte by byte, to know the length of all.
    fn learn(&mut self) {
        let stream = &mut self.connections[0];
        stream.write_all(&self.request).expect("it is open");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("it answers");
            head.push(byte[0]);
        }
        let text = String::from_utf8(head)
            .expect("a head is text")
            .to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200 "), "{text}");
        let length = text
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next());
        let length = length.and_then(|length| length.parse().ok());
        let length: usize = length.expect("it has a length");
        self.body = vec![0; length];
        stream.read_exact(&mut self.body).expect("it is whole");
        self.answer = vec![0; text.len() + length];
    }

    /// Sends so many requests on each connection, and reads the answers.
    fn ask(&mut self, requests: usize) {
        for _ in 0..requests {
            for stream in &mut self.connections {
                stream.write_all(&self.request).expect("it is open");
            }
            for stream in &mut self.connections {
                stream.read_exact(&mut self.answer).expect("it answers");
                assert!(self.answer.ends_with(&self.body));
            }
        }
    }
}

/// Processor time in nanoseconds that the threads of this name spend meanwhile.
fn spent(name: &str, work: impl FnOnce()) -> f64 {
    let before = processor_time(name);
    work();
    (processor_time(name) - before) as f64
}

fn processor_time(name: &str) -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("it is Linux");
    let of = |folder: &Path| {
        let is_named = fs::read_to_string(folder.join("comm")).ok()?.trim_end() == name;
        let time = fs::read_to_string(folder.join("schedstat")).ok()?;
        is_named.then_some(time.split(' ').next()?.parse::<u64>().ok()?)
    };
    let times = tasks.filter_map(|task| of(&task.ok()?.path()));
    times.sum()
}
