//! Stand-in for the API server of a cluster: lists and watches of `EndpointSlice` objects as the real one serves them, with
//! versions, pages, bookmarks, and what goes wrong.

use std::{
    collections::BTreeMap,
    io::{BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::{read_request, reply};

/// The token that is accepted at first.
pub(crate) const TOKEN: &str = "token-1";

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The API server. Its connections end when it is dropped.
pub(crate) struct ApiStandIn {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// End of the open watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As after `timeoutSeconds`.
    InOrder,
    /// In the middle of the line of the next event.
    InALine,
    /// With an event that says 410.
    Gone,
}

/// A refusal of requests.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The connection is closed without an answer.
    Away,
    /// A status with its reason, for all requests.
    Status(u16, String),
    /// The same for watches alone.
    OfWatches(u16, String),
    /// The same for pages after the first one, once.
    OfNextPage(u16, String),
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    version: u64,
    /// Slices by namespace and name.
    slices: BTreeMap<(String, String), Value>,
    /// Events by version: the labels of the slice, before or after, and the line.
    events: Vec<(u64, String, Value)>,
    /// The oldest version that a watch may go on from.
    oldest: u64,
    /// True if a watch from an older version is refused with a status, not with an event.
    says_gone_by_status: bool,
    token: String,
    refusal: Option<Refusal>,
    /// Slices in a page, if fewer than were asked for.
    page: Option<usize>,
    end: (u64, End),
    open_watches: usize,
    targets: Vec<String>,
    stopped: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: 100,
            slices: BTreeMap::new(),
            events: Vec::new(),
            oldest: 0,
            says_gone_by_status: false,
            token: TOKEN.to_owned(),
            refusal: None,
            page: None,
            end: (0, End::InOrder),
            open_watches: 0,
            targets: Vec::new(),
            stopped: false,
        }
    }
}

/// A connection of a client.
trait Connection: Read + Write {
    fn socket(&self) -> &TcpStream;

    /// True while the client, which has nothing more to say, has not closed it.
    fn is_open(&self) -> bool {
        let socket = self.socket();
        socket.set_nonblocking(true).unwrap();
        let seen = socket.peek(&mut [0]);
        socket.set_nonblocking(false).unwrap();
        seen.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Connection for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

/// A slice of a Service with these endpoints.
pub(crate) fn slice(service: &str, name: &str, endpoints: &[Value], port: u16) -> Value {
    json!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": { "name": name, "namespace": "agents", "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
    })
}

/// An endpoint that is ready.
pub(crate) fn ready(address: &str) -> Value {
    json!({ "addresses": [address], "conditions": { "ready": true, "serving": true, "terminating": false } })
}

/// An endpoint that finishes what it has.
pub(crate) fn terminating(address: &str) -> Value {
    json!({ "addresses": [address], "conditions": { "ready": false, "serving": true, "terminating": true } })
}

impl ApiStandIn {
    pub(crate) fn start() -> Self {
        Self::serving(None)
    }

    /// With TLS.
    pub(crate) fn with_tls(config: ServerConfig) -> Self {
        Self::serving(Some(Arc::new(config)))
    }

    fn serving(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((tcp, _)) = listener.accept() {
                if own.lock().stopped {
                    return;
                }
                let (own, tls) = (Arc::clone(&own), tls.clone());
                thread::spawn(move || match tls {
                    None => own.answer(tcp),
                    Some(config) => {
                        let tls = ServerConnection::new(config).unwrap();
                        own.answer(StreamOwned::new(tls, tcp));
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Its URL for a configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates or replaces a slice.
    pub(crate) fn put(&self, slice: Value) {
        self.shared.change(|state| state.put(slice));
    }

    /// Deletes a slice.
    pub(crate) fn delete(&self, name: &str) {
        self.shared.change(|state| state.delete(name));
    }

    /// Tells all watches the version that everything is at.
    pub(crate) fn bookmark(&self) {
        self.shared.change(State::bookmark);
    }

    /// Ends the open watches.
    pub(crate) fn end(&self, end: End) {
        self.shared
            .change(|state| state.end = (state.end.0 + 1, end));
    }

    /// Makes a change and ends the watches in the middle of the line that tells it.
    pub(crate) fn put_and_cut(&self, slice: Value) {
        self.shared.change(|state| {
            state.put(slice);
            state.end = (state.end.0 + 1, End::InALine);
        });
    }

    /// Forgets all events, as the real one does after some minutes.
    pub(crate) fn compact(&self, says_gone_by_status: bool) {
        self.shared.change(|state| {
            state.version += 1;
            state.oldest = state.version;
            state.events.clear();
            state.says_gone_by_status = says_gone_by_status;
        });
    }

    /// Refuses requests from now on, or no longer.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.shared.change(|state| state.refusal = refusal);
    }

    /// Accepts this token alone.
    pub(crate) fn accept(&self, token: &str) {
        self.shared
            .change(|state| token.clone_into(&mut state.token));
    }

    /// Sends pages of so many slices.
    pub(crate) fn page(&self, slices: usize) {
        self.shared.change(|state| state.page = Some(slices));
    }

    /// Number of open watches.
    pub(crate) fn open_watches(&self) -> usize {
        self.shared.lock().open_watches
    }

    /// The targets of the requests so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.shared.lock().targets.clone()
    }

    /// The versions that watches were opened from so far.
    pub(crate) fn watched_from(&self) -> Vec<u64> {
        let targets = self.targets();
        let watches = targets
            .iter()
            .filter(|target| target.contains("watch=true"));
        watches
            .map(|target| {
                parameter(target, "resourceVersion")
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect()
    }

    /// Number of lists so far, each of their first pages.
    pub(crate) fn lists(&self) -> usize {
        let targets = self.targets();
        let is_first =
            |target: &&String| !target.contains("watch=true") && !target.contains("continue=");
        targets.iter().filter(is_first).count()
    }
}

impl Drop for ApiStandIn {
    fn drop(&mut self) {
        self.shared.change(|state| state.stopped = true);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn record(&mut self, kind: &str, mut slice: Value) {
        self.version += 1;
        slice["metadata"]["resourceVersion"] = self.version.to_string().into();
        let service = slice["metadata"]["labels"]["kubernetes.io/service-name"].clone();
        let service = service.as_str().unwrap().to_owned();
        if kind != "DELETED" {
            self.slices.insert(key(&slice), slice.clone());
        }
        let event = json!({ "type": kind, "object": slice });
        self.events.push((self.version, service, event));
    }

    fn put(&mut self, slice: Value) {
        let is_there = self.slices.contains_key(&key(&slice));
        self.record(if is_there { "MODIFIED" } else { "ADDED" }, slice);
    }

    fn delete(&mut self, name: &str) {
        let slice = self.slices.remove(&("agents".to_owned(), name.to_owned()));
        self.record("DELETED", slice.unwrap());
    }

    fn bookmark(&mut self) {
        self.version += 1;
        let object = json!({
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": { "resourceVersion": self.version.to_string(), "creationTimestamp": null },
            "addressType": "",
            "endpoints": null,
            "ports": null,
        });
        let event = json!({ "type": "BOOKMARK", "object": object });
        self.events.push((self.version, String::new(), event));
    }

    /// The next event that a watch of a Service is told, as a line with its version.
    fn next(&self, version: u64, service: &str) -> Option<(u64, String)> {
        let is_next =
            |(at, of, _): &&(u64, String, Value)| *at > version && (of.is_empty() || of == service);
        let (at, _, event) = self.events.iter().find(is_next)?;
        Some((*at, format!("{event}\n")))
    }

    /// A page of the slices of a Service.
    fn page(&self, service: &str, target: &str) -> Value {
        let of_service: Vec<_> = self
            .slices
            .values()
            .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service)
            .collect();
        let limit: usize = parameter(target, "limit").unwrap().parse().unwrap();
        let limit = self.page.unwrap_or(limit).min(limit);
        let begin: usize = parameter(target, "continue").map_or(0, |at| at.parse().unwrap());
        let end = (begin + limit).min(of_service.len());
        let mut metadata = json!({ "resourceVersion": self.version.to_string() });
        if end < of_service.len() {
            metadata["continue"] = end.to_string().into();
            metadata["remainingItemCount"] = (of_service.len() - end).into();
        }
        json!({ "kind": "EndpointSliceList", "metadata": metadata, "items": of_service[begin..end] })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn answer(&self, stream: impl Connection) {
        let mut reader = BufReader::new(stream);
        let Some(request) = read_request(&mut reader) else {
            return;
        };
        let stream = reader.get_mut();
        let target = request.line().split(' ').nth(1).unwrap().to_owned();
        let mut state = self.lock();
        state.targets.push(target.clone());
        let is_watch = target.contains("watch=true");
        let refused = match state.refusal.clone() {
            Some(Refusal::Away) => return,
            Some(Refusal::Status(status, reason)) => Some((status, reason)),
            Some(Refusal::OfWatches(status, reason)) if is_watch => Some((status, reason)),
            Some(Refusal::OfNextPage(status, reason)) if target.contains("continue=") => {
                state.refusal = None;
                Some((status, reason))
            }
            _ if request.value("authorization") != Some(&format!("Bearer {}", state.token)) => {
                Some((401, "Unauthorized".to_owned()))
            }
            _ => None,
        };
        if let Some((status, reason)) = refused {
            return refuse(stream, status, &reason);
        }
        let selector = parameter(&target, "labelSelector").unwrap();
        let service = selector
            .strip_prefix("kubernetes.io/service-name=")
            .unwrap();
        assert!(
            target.starts_with("/apis/discovery.k8s.io/v1/namespaces/agents/endpointslices?"),
            "{target}"
        );
        if is_watch {
            self.watch(stream, state, service, &target);
        } else {
            let page = state.page(service, &target).to_string();
            drop(state);
            let _ = stream.write_all(&reply(200, "Content-Type: application/json\r\n", &page));
        }
    }

    fn watch(
        &self,
        stream: &mut impl Connection,
        mut state: MutexGuard<'_, State>,
        service: &str,
        target: &str,
    ) {
        let mut version: u64 = parameter(target, "resourceVersion")
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            parameter(target, "allowWatchBookmarks").as_deref(),
            Some("true")
        );
        let is_too_old = version < state.oldest;
        if is_too_old && state.says_gone_by_status {
            return refuse(stream, 410, "too old resource version");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut is_open = sent(stream, head.as_bytes());
        if is_too_old {
            sent(stream, &chunk(&gone()));
            sent(stream, LAST_CHUNK);
            return;
        }
        let begun = state.end.0;
        state.open_watches += 1;
        while is_open && !state.stopped {
            let next = state.next(version, service);
            let end = (state.end.0 > begun).then_some(state.end.1);
            match (end, next) {
                (Some(End::InALine), Some((_, line))) => {
                    sent(stream, &chunk(&line[..line.len() / 2]));
                    break;
                }
                (None, Some((at, line))) => {
                    version = at;
                    // In two chunks: their bounds say nothing about lines.
                    let (first, second) = line.split_at(line.len() / 3);
                    let bytes = [chunk(first), chunk(second)].concat();
                    is_open = sent(stream, &bytes);
                }
                (Some(end), _) => {
                    if end == End::Gone {
                        sent(stream, &chunk(&gone()));
                    }
                    sent(stream, LAST_CHUNK);
                    break;
                }
                (None, None) => {
                    let waited = self.changed.wait_timeout(state, Duration::from_millis(100));
                    state = waited.unwrap().0;
                    is_open = stream.is_open();
                }
            }
        }
        state.open_watches -= 1;
    }
}

/// Sends bytes at once; true if the client is still there.
fn sent(stream: &mut impl Write, bytes: &[u8]) -> bool {
    stream
        .write_all(bytes)
        .and_then(|()| stream.flush())
        .is_ok()
}

fn key(slice: &Value) -> (String, String) {
    let part = |name: &str| slice["metadata"][name].as_str().unwrap().to_owned();
    (part("namespace"), part("name"))
}

fn status(code: u16, reason: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "code": code })
}

fn refuse(stream: &mut impl Write, code: u16, reason: &str) {
    let body = status(code, reason).to_string();
    let _ = stream.write_all(&reply(code, "Content-Type: application/json\r\n", &body));
}

fn gone() -> String {
    let event =
        json!({ "type": "ERROR", "object": status(410, "too old resource version: 1 (2)") });
    format!("{event}\n")
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// A parameter of a query, decoded.
fn parameter(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let decoded = percent_encoding::percent_decode_str(value);
    Some(decoded.decode_utf8().unwrap().into_owned())
}
