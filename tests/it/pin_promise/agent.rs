//! An agent that a test can stop and start. It has sessions of every kind, by the first segment of the path.

use std::collections::HashSet;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use switchback::message::handshake;

use crate::support::{Request, read_request};

/// Number of the next address, which no other test uses.
static ADDRESSES: AtomicU16 = AtomicU16::new(1);

/// The agent.
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    // Bound all the time and listening while the agent is up, so that nobody else gets the port meanwhile.
    socket: Socket,
    memory: Arc<Memory>,
    accepting: Option<JoinHandle<()>>,
}

/// All that outlives a stop.
#[derive(Default)]
struct Memory {
    is_up: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    minted: AtomicU16,
    sessions: Mutex<HashSet<String>>,
}

impl Agent {
    pub(super) fn start(name: &str) -> Self {
        let [high, low] = ADDRESSES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let ip = Ipv4Addr::new(127, 77, high, low);
        let free = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Connections that have ended do not keep it from listening again.
        socket.set_reuse_address(true).unwrap();
        // A port that was not asked for by number would be lost with the first stop.
        socket.bind(&free.into()).unwrap();
        let mut agent = Self {
            name: name.to_owned(),
            address: free,
            socket,
            memory: Arc::default(),
            accepting: None,
        };
        agent.set_up(true);
        agent
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn is_up(&self) -> bool {
        self.accepting.is_some()
    }

    /// Starts it, or stops it: its connections end, and new ones are refused.
    pub(super) fn set_up(&mut self, is_up: bool) {
        if is_up == self.is_up() {
            return;
        }
        self.memory.is_up.store(is_up, Ordering::SeqCst);
        if let Some(accepting) = self.accepting.take() {
            // It listens no more, and the thread that accepts ends.
            self.socket.shutdown(Shutdown::Both).unwrap();
            accepting.join().unwrap();
            for stream in self.memory.connections.lock().unwrap().drain(..) {
                let _ended = stream.shutdown(Shutdown::Both);
            }
            return;
        }
        self.socket.listen(128).unwrap();
        let listener: TcpListener = self.socket.try_clone().unwrap().into();
        let (memory, name) = (Arc::clone(&self.memory), self.name.clone());
        self.accepting = Some(thread::spawn(move || accept(&listener, &memory, &name)));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.set_up(false);
    }
}

fn accept(listener: &TcpListener, memory: &Arc<Memory>, name: &str) {
    for stream in listener.incoming() {
        if !memory.is_up.load(Ordering::SeqCst) {
            return;
        }
        let stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        let known = stream.try_clone().unwrap();
        memory.connections.lock().unwrap().push(known);
        let (memory, name) = (Arc::clone(memory), name.to_owned());
        thread::spawn(move || {
            serve(&stream, &memory, &name);
            // There is another handle of it.
            let _ended = stream.shutdown(Shutdown::Both);
        });
    }
}

fn serve(mut stream: &TcpStream, memory: &Memory, name: &str) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let response = memory.answer(name, &request);
        if stream.write_all(response.as_bytes()).is_err() {
            return;
        }
        if response.starts_with("HTTP/1.1 101") {
            return talk(&mut reader, stream, name);
        }
    }
}

/// Sends its name for each message of a WebSocket. Messages are of one byte.
fn talk(reader: &mut impl Read, mut stream: &TcpStream, name: &str) {
    let length = u8::try_from(name.len()).unwrap();
    let frame = [&[0x81, length][..], name.as_bytes()].concat();
    while reader.read_exact(&mut [0; 7]).is_ok() && stream.write_all(&frame).is_ok() {}
}

impl Memory {
    fn answer(&self, name: &str, request: &Request) -> String {
        let path = request.line().split(' ').nth(1).unwrap_or_default();
        match path.split('/').nth(1) {
            Some("socket") => upgraded(request),
            Some("mcp") => self.mcp(name, request),
            Some("a2a") => self.a2a(name, path),
            _ => self.by_field(name, request),
        }
    }

    fn mint(&self, name: &str) -> String {
        format!("{name}-{}", self.minted.fetch_add(1, Ordering::Relaxed))
    }

    /// Any id is taken for its own. The body is the id as the agent knows it.
    fn by_field(&self, name: &str, request: &Request) -> String {
        let cookie = request.value("cookie").unwrap_or_default();
        let cookie = cookie.strip_prefix("agent_sid=");
        let id = request.value("x-session").or(cookie);
        let id = id.map_or_else(|| self.mint(name), ToOwned::to_owned);
        let fields = format!("X-Session: {id}\r\nSet-Cookie: agent_sid={id}\r\n");
        reply("200 OK", name, &fields, &id)
    }

    /// Only sessions that it has begun are known.
    fn mcp(&self, name: &str, request: &Request) -> String {
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if message["method"] == "initialize" {
            let id = self.mint(name);
            self.sessions.lock().unwrap().insert(id.clone());
            let result = json!({
                "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": { "name": name, "version": "1" },
            });
            let fields = format!("Content-Type: application/json\r\nMcp-Session-Id: {id}\r\n");
            return reply("200 OK", name, &fields, &result_of(&message, &result));
        }
        let id = request.value("mcp-session-id").unwrap_or_default();
        if !self.sessions.lock().unwrap().contains(id) {
            return reply("404 Not Found", name, "", "no such session");
        }
        if message["method"] == "notifications/initialized" {
            return reply("202 Accepted", name, "", "");
        }
        let body = result_of(&message, &json!({}));
        reply("200 OK", name, "Content-Type: application/json\r\n", &body)
    }

    /// A task: a new one, or the one that the path names.
    fn a2a(&self, name: &str, path: &str) -> String {
        let named = path.split_once("/tasks/").map(|(_, id)| id.to_owned());
        let id = named.unwrap_or_else(|| self.mint(name));
        let task = json!({ "task": { "id": id, "contextId": format!("c-{id}"), "status": { "state": "x" } } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "result": task }).to_string();
        reply("200 OK", name, "Content-Type: application/json\r\n", &body)
    }
}

fn result_of(message: &Value, result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string()
}

fn reply(status: &str, name: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nX-Agent: {name}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn upgraded(request: &Request) -> String {
    let key = request.value("sec-websocket-key").unwrap_or_default();
    let accept = String::from_utf8(handshake::accept(key.as_bytes()).to_vec()).unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}
