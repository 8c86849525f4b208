//! Endpoints of tests: threads that read and write raw bytes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use http::StatusCode;
use socket2::{Domain, Socket, Type};

use super::TIMEOUT;

/// An endpoint on a port of its own. It ends when it is dropped, and its connections with it.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    open: Mutex<Open>,
    requests: Mutex<Vec<Request>>,
}

/// The open connections of an endpoint.
#[derive(Default)]
struct Open {
    ended: bool,
    streams: HashMap<usize, TcpStream>,
}

/// A connection that is being served.
struct Served {
    shared: Arc<Shared>,
    number: usize,
}

/// A request as the origin received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Start line and fields, with the empty line.
    pub(crate) head: String,
    /// The body, decoded.
    pub(crate) body: Vec<u8>,
    /// The trailer section as it came.
    pub(crate) trailers: String,
}

impl Request {
    /// The first line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// All values of a field; names match in any case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.head, name)
    }

    /// The only value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(
            values.len() <= 1,
            "{name} stands there {} times: {}",
            values.len(),
            self.head
        );
        values.first().copied()
    }
}

pub(super) fn values<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

impl Origin {
    /// Responds to every request with 200 and this body, keeps connections open, records requests.
    pub(crate) fn replying(body: &'static str) -> Self {
        Self::answering(move |_| reply(200, "", body))
    }

    /// Responds to every request with the bytes that `answer` makes, keeps connections open, records requests.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serving(move |stream, shared| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some(request) = read_request(&mut reader) {
                let bytes = answer(&request);
                shared.requests.lock().unwrap().push(request);
                if (&stream).write_all(&bytes).is_err() {
                    return;
                }
            }
        })
    }

    /// Runs `script` on every connection, in a thread of its own; the connection is closed when that returns.
    pub(crate) fn scripted(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::serving(move |stream, _| script(stream))
    }

    /// The same, with the first request of the connection read.
    pub(crate) fn after_request(
        script: impl Fn(Request, TcpStream, BufReader<TcpStream>) + Send + Sync + 'static,
    ) -> Self {
        Self::scripted(move |stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            if let Some(request) = read_request(&mut reader) {
                script(request, stream, reader);
            }
        })
    }

    /// Reports the first line of each request, and responds with `ok` once it is released.
    pub(crate) fn holding() -> (Self, Receiver<String>, Sender<()>) {
        let (arrived, arrivals) = channel();
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let origin = Self::answering(move |request| {
            arrived.send(request.line().to_owned()).unwrap();
            released.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
            reply(200, "", "ok")
        });
        (origin, arrivals, release)
    }

    fn serving(serve: impl Fn(TcpStream, &Shared) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (serve, own) = (Arc::new(serve), Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(served) = Served::begin(&own, &stream) else {
                    return;
                };
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                stream.set_write_timeout(Some(TIMEOUT)).unwrap();
                stream.set_nodelay(true).unwrap();
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream, &served.shared));
            }
        });
        Self { address, shared }
    }

    /// Its listen address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as the URL of an endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of accepted connections.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests so far (not recorded by scripted origins).
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Request {
        self.requests().pop().expect("it was asked something")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let streams = {
            let mut open = self.shared.open.lock().unwrap();
            open.ended = true;
            std::mem::take(&mut open.streams)
        };
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        for stream in streams.into_values() {
            // Its peer may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Served {
    /// Counts a connection; `None` if the endpoint has ended.
    fn begin(shared: &Arc<Shared>, stream: &TcpStream) -> Option<Self> {
        let mut open = shared.open.lock().unwrap();
        if open.ended {
            return None;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        open.streams.insert(number, stream.try_clone().unwrap());
        let shared = Arc::clone(shared);
        Some(Self { shared, number })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It is closed now, unless its script has handed it on.
        self.shared
            .open
            .lock()
            .unwrap()
            .streams
            .remove(&self.number);
    }
}

/// A port on which nothing listens until [`ReservedPort::listen`]; it is given to no other socket.
pub(crate) struct ReservedPort {
    socket: Socket,
    address: SocketAddr,
}

impl ReservedPort {
    /// Reserves one.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { socket, address }
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on it.
    pub(crate) fn listen(&self) -> TcpListener {
        self.socket.listen(128).unwrap();
        self.socket.try_clone().unwrap().into()
    }
}

/// An address that refuses connections as long as the tests run.
pub(crate) fn closed_address() -> SocketAddr {
    Box::leak(Box::new(ReservedPort::new())).address
}

/// A response with a body of known length.
pub(crate) fn reply(status: u16, fields: &str, body: &str) -> Vec<u8> {
    let status = StatusCode::from_u16(status).unwrap();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Reads one request, or nothing at the end of the connection.
pub(crate) fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let head = read_head(reader)?;
    let mut request = Request {
        head,
        ..Request::default()
    };
    if request.value("transfer-encoding").is_some() {
        (request.body, request.trailers) = read_chunks(reader)?;
    } else if let Some(length) = request.value("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

/// Reads a head with its empty line.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let start = head.len();
        match reader.read_line(&mut head) {
            Ok(1..) if &head[start..] == "\r\n" => return Some(head),
            Ok(1..) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Reads chunks to their end: the data and the trailer section.
pub(super) fn read_chunks(reader: &mut impl BufRead) -> Option<(Vec<u8>, String)> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end().split(';').next()?, 16).ok()?;
        if size == 0 {
            let mut trailers = String::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                if line == "\r\n" {
                    return Some((body, trailers));
                }
                if line.is_empty() {
                    return None;
                }
                trailers.push_str(&line);
            }
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        let mut end = [0; 2];
        reader.read_exact(&mut end).ok()?;
    }
}
