//! The runner of cases: several proxies, each with origins of its own; each case has one of them for itself, so that
//! every byte at an origin belongs to the case.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
    task::AbortHandle,
    time::timeout,
};

use super::{
    case::{After, Case, Listener, Request, Seen, Step, request},
    check,
    child::Switchback,
    h2::{
        frame,
        view::{self, View},
    },
    origin::{Origin, Script, Then, When},
    recorder::{End, Recorded, Recorder, TIMEOUT},
    wire::{self, Read},
};

/// Number of proxies for the cases of the plain listener.
const PROXIES: usize = 6;

/// Longest time until a client that disconnected frees its origin, with a margin for a machine under load.
const SET_FREE: Duration = Duration::from_millis(1_500);

/// A proxy and its origins.
pub(crate) struct CaseRunner {
    pub(crate) switchback: Switchback,
    pub(crate) public: Origin,
    pub(crate) private: Origin,
}

/// The client's end of its connection.
struct Client {
    writer: Option<OwnedWriteHalf>,
    recorder: AbortHandle,
}

/// The recordings of both ends.
pub(crate) struct Recordings {
    pub(crate) client: Recorded,
    pub(crate) public: Vec<Recorded>,
    pub(crate) private: Vec<Recorded>,
}

/// Runs all cases; panics with both ends of each one that fails.
pub(crate) fn all(cases: Vec<Case>) {
    let chosen = std::env::var("CASE").unwrap_or_default();
    let cases = cases.into_iter().filter(|case| case.name.contains(&chosen));
    let mut by_proxy: BTreeMap<Listener, VecDeque<Case>> = BTreeMap::new();
    for case in cases {
        by_proxy
            .entry(proxy_of(case.listener))
            .or_default()
            .push_back(case);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failures = runtime.block_on(async {
        let mut lanes = Vec::new();
        for (listener, cases) in by_proxy {
            let count = if listener == Listener::Plain {
                PROXIES
            } else {
                2
            }
            .min(cases.len());
            let cases = Arc::new(Mutex::new(cases));
            lanes.extend((0..count).map(|_| tokio::spawn(runner(listener, Arc::clone(&cases)))));
        }
        let mut failures = Vec::new();
        for runner in lanes {
            failures.extend(runner.await.unwrap());
        }
        failures
    });
    assert!(
        failures.is_empty(),
        "{} cases failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// The main listener of the proxy that has this listener.
fn proxy_of(listener: Listener) -> Listener {
    match listener {
        Listener::Plain | Listener::ProxyProtocol => Listener::Plain,
        Listener::ImpatientClient | Listener::Trusting => listener,
    }
}

async fn runner(listener: Listener, cases: Arc<Mutex<VecDeque<Case>>>) -> Vec<String> {
    let mut runner = CaseRunner::start(listener).await;
    let mut failures = Vec::new();
    loop {
        let Some(case) = cases.lock().unwrap().pop_front() else {
            return failures;
        };
        failures.extend(runner.validate(&case).await.err());
        if !runner.switchback.is_alive() {
            failures.push(format!(
                "switchback died\n{}",
                runner.switchback.last_words()
            ));
            runner = CaseRunner::start(listener).await;
        }
    }
}

// === impl Case ===

impl CaseRunner {
    pub(crate) async fn start(listener: Listener) -> Self {
        let (public, private) = (Origin::start().await, Origin::start().await);
        let settings = match listener {
            Listener::Plain | Listener::ProxyProtocol => "",
            Listener::ImpatientClient => {
                "timeouts.head = \"1s\"\ntimeouts.body = \"1s\"\ntimeouts.keep_alive = \"1s\"\n\
                 timeouts.silence = \"1s\"\ntimeouts.http2_idle = \"1s\"\ntimeouts.http2_ping = \"400ms\"\n\
                 timeouts.http2_ping_answer = \"300ms\"\ntimeouts.websocket_idle = \"500ms\"\n"
            }
            Listener::Trusting => {
                "trusted_proxies = [\"127.0.0.0/8\"]\nheaders.underscores = \"pass\"\n"
            }
        };
        let config = format!(
            "workers = 1\nheaders.via = \"switchback\"\nheaders.traceparent = \"create\"\n{settings}\
             [releases.public]\nendpoints = [\"http://{}\"]\n\
             [releases.private]\nendpoints = [\"http://{}\"]\n\
             [releases.refused]\nendpoints = [\"http://127.0.0.1:1\"]\n\
             [[routes]]\nname = \"refused\"\nhost = \"refused.example\"\nsplit = {{ refused = 1 }}\n\
             [[routes]]\nname = \"private-host\"\nhost = \"private.example\"\nsplit = {{ private = 1 }}\n\
             [[routes]]\nname = \"private-path\"\npath_prefix = \"/private\"\nsplit = {{ private = 1 }}\n\
             [[routes]]\nname = \"private-exact\"\npath = \"/exact\"\nsplit = {{ private = 1 }}\n\
             [[routes]]\nname = \"public\"\npath_prefix = \"/\"\nsplit = {{ public = 1 }}\n",
            public.address, private.address
        );
        let listeners: &'static [&str] = match listener {
            Listener::Plain | Listener::ProxyProtocol => &[
                "",
                "proxy_protocol = true\nproxy_protocol_from = [\"127.0.0.1\"]",
            ],
            Listener::ImpatientClient | Listener::Trusting => &[""],
        };
        let start = move || Switchback::start(listeners, &config);
        Self {
            switchback: tokio::task::spawn_blocking(start).await.unwrap(),
            public,
            private,
        }
    }

    /// Runs a case; returns the error, with both ends.
    async fn validate(&mut self, case: &Case) -> Result<(), String> {
        let recorder = Recorder::new();
        self.begin(&case.scripts);
        let played = self.play(case, &recorder).await;
        let sight = self.sight(&recorder);
        self.begin(&[]);
        if case.scripts.iter().any(keeps) {
            self.empty_pool().await;
        }
        let verdict = played.and_then(|()| verify(case, &sight));
        verdict.map_err(|why| {
            let (name, log) = (&case.name, self.switchback.last_words());
            format!(
                "=== {name}: {why}\n{}{}log:\n{log}",
                shown(&case.steps),
                sight.shown()
            )
        })
    }

    /// Removes the connections of a case from the proxy's pool, so that no case begins with a connection that is being
    /// closed. A `GET` tries such connections one after the other, and gets its response on a new one.
    async fn empty_pool(&self) {
        const MOST: usize = 10;
        for _ in 0..MOST {
            let mut client = TcpStream::connect(self.switchback.listeners[0])
                .await
                .unwrap();
            let request =
                b"GET /empty HTTP/1.1\r\nHost: empty.example\r\nConnection: close\r\n\r\n";
            client.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            if answer.starts_with(b"HTTP/1.1 200") {
                return;
            }
        }
        panic!("the proxy's pool does not become empty");
    }

    pub(crate) fn begin(&self, scripts: &[Script]) {
        let plain = || vec![Script::plain()];
        self.private.begin(plain());
        self.public.begin([scripts, &plain()].concat());
    }

    pub(crate) fn sight(&self, client: &Recorder) -> Recordings {
        let recorded = |origin: &Origin| origin.recorders().iter().map(Recorder::now).collect();
        Recordings {
            client: client.now(),
            public: recorded(&self.public),
            private: recorded(&self.private),
        }
    }

    pub(crate) fn address(&self, listener: Listener) -> std::net::SocketAddr {
        self.switchback.listeners[usize::from(listener == Listener::ProxyProtocol)]
    }

    async fn play(&self, case: &Case, recorder: &Recorder) -> Result<(), String> {
        let socket = TcpStream::connect(self.address(case.listener)).await;
        let socket = socket.map_err(|error| format!("client: {error}"))?;
        socket.set_nodelay(true).unwrap();
        let (reader, writer) = socket.into_split();
        let record = recorder.clone();
        let task = tokio::spawn(async move { record.record(reader).await });
        let mut client = Client {
            writer: Some(writer),
            recorder: task.abort_handle(),
        };
        if case.http2.as_ref().is_some_and(|http2| !http2.raw) {
            client
                .send(&[frame::PREFACE, &frame::settings(&[])].concat())
                .await;
            let greeted = |recorded: &Recorded| {
                let view = View::of(&recorded.bytes);
                recorded.end.is_some() || view::has(&view, frame::SETTINGS, false)
            };
            recorder
                .until("the proxy sends its settings", greeted)
                .await?;
            client
                .send(&frame(frame::SETTINGS, frame::ACK, 0, &[]))
                .await;
        }
        for step in &case.steps {
            self.step(step, recorder, &mut client).await?;
        }
        self.finish(case, recorder, &mut client).await
    }

    async fn step(
        &self,
        step: &Step,
        recorder: &Recorder,
        client: &mut Client,
    ) -> Result<(), String> {
        match step {
            Step::Send(bytes) => client.send(bytes).await,
            Step::Receive(bytes) => {
                let what = format!("client receives `{}`", bytes.escape_ascii());
                let is_in = |whole: &[u8]| whole.windows(bytes.len()).any(|part| part == bytes);
                recorder
                    .until(&what, |recorded| is_in(&recorded.bytes))
                    .await?;
            }
            Step::StreamHead(stream) => {
                let has_head = |view: &View| {
                    view.streams
                        .get(stream)
                        .is_some_and(|own| own.head().is_some())
                };
                let done = |recorded: &Recorded| has_head(&View::of(&recorded.bytes));
                recorder.until("a head comes on the stream", done).await?;
            }
            Step::StreamOver(stream) => {
                let done = |recorded: &Recorded| View::of(&recorded.bytes).is_over(*stream);
                recorder.until("the stream ends", done).await?;
            }
            Step::OriginReceives(bytes) => self.public.until_received(bytes).await?,
            Step::OriginEnds => {
                let start = Instant::now();
                self.public.until_ended().await?;
                if start.elapsed() > SET_FREE {
                    return Err(format!(
                        "the origin was set free after {:?}",
                        start.elapsed()
                    ));
                }
            }
            Step::Shut => client.writer = None,
            Step::Reset => client.reset(recorder),
        }
        Ok(())
    }

    /// Waits for what must come after the steps.
    async fn finish(
        &self,
        case: &Case,
        recorder: &Recorder,
        client: &mut Client,
    ) -> Result<(), String> {
        if case.http2.is_some() {
            return self.finish_http2(case, recorder, client).await;
        }
        match case.after {
            After::Left => {}
            After::Any => {
                let enough = |recorded: &Recorded| {
                    recorded.end.is_some() || answers(case, recorded) >= case.client.len()
                };
                recorder.until("all answers come", enough).await?;
            }
            After::Closed => {
                recorder
                    .until("the proxy ends the connection", |recorded| {
                        recorded.end.is_some()
                    })
                    .await?;
            }
            After::Tunnel(bytes) => {
                let what = "the tunnel brings its bytes";
                recorder
                    .until(what, |recorded| {
                        recorded.end.is_some() || recorded.bytes.ends_with(bytes)
                    })
                    .await?;
            }
            After::Open => {
                let enough = |count: usize| {
                    move |recorded: &Recorded| {
                        recorded.end.is_some() || answers(case, recorded) >= count
                    }
                };
                recorder
                    .until("all answers come", enough(case.client.len()))
                    .await?;
                client.send(check::PROBE).await;
                recorder
                    .until("the probe is answered", enough(case.client.len() + 1))
                    .await?;
            }
        }
        self.leave(case, client).await
    }

    /// The same for HTTP/2.
    async fn finish_http2(
        &self,
        case: &Case,
        recorder: &Recorder,
        client: &mut Client,
    ) -> Result<(), String> {
        let streams = &case.http2.as_ref().expect("a case of HTTP/2").streams;
        let over = |recorded: &Recorded| {
            let view = View::of(&recorded.bytes);
            recorded.end.is_some() || streams.iter().all(|(id, _)| view.is_over(*id))
        };
        let recorded = recorder.until("all streams end", over).await?;
        match case.after {
            After::Closed => {
                let ended = |recorded: &Recorded| recorded.end.is_some();
                recorder
                    .until("the proxy ends the connection", ended)
                    .await?;
            }
            After::Any | After::Open if recorded.end.is_none() => {
                let mut fields = frame::get("/probe");
                fields[3].1 = "probe.example";
                client
                    .send(&frame::head(
                        check::PROBE_STREAM,
                        &fields,
                        frame::END_STREAM,
                    ))
                    .await;
                let probed = |recorded: &Recorded| {
                    recorded.end.is_some() || View::of(&recorded.bytes).is_over(check::PROBE_STREAM)
                };
                recorder.until("the probe is answered", probed).await?;
            }
            _ => {}
        }
        self.leave(case, client).await
    }

    /// Ends the client's connection: afterwards, the origin can see nothing but the end.
    async fn leave(&self, case: &Case, client: &mut Client) -> Result<(), String> {
        // A connection that is being opened must be known before its end is waited for.
        self.public.settle().await;
        self.private.settle().await;
        if case.after != After::Open || !case.scripts.iter().any(keeps) {
            client.writer = None;
            self.public.until_ended().await?;
            self.private.until_ended().await?;
        }
        Ok(())
    }
}

// === impl Client ===

impl Client {
    /// Sends; the proxy may have closed already.
    async fn send(&mut self, bytes: &[u8]) {
        if let Some(writer) = &mut self.writer {
            _ = timeout(TIMEOUT, writer.write_all(bytes)).await;
        }
    }

    fn reset(&mut self, recorder: &Recorder) {
        if let Some(writer) = self.writer.take() {
            let socket: &TcpStream = writer.as_ref();
            socket2::SockRef::from(socket)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            writer.forget();
        }
        recorder.ended(End::Reset);
        self.recorder.abort();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.recorder.abort();
    }
}

fn keeps(script: &Script) -> bool {
    script.answers.iter().any(|(_, then)| *then == Then::Keep) || script.when == When::Accepted
}

/// Number of final responses so far.
fn answers(case: &Case, recorded: &Recorded) -> usize {
    let (mut rest, mut count) = (&recorded.bytes[..], 0);
    loop {
        let to_head = case.client.get(count).is_some_and(|answer| answer.to_head);
        match wire::response(rest, to_head, recorded.end == Some(End::Orderly)) {
            Read::Whole(message, length) => {
                rest = &rest[length..];
                count += usize::from(message.status() >= 200 || message.status() == 101);
            }
            Read::Cut | Read::Malformed(_) => return count,
        }
    }
}

fn verify(case: &Case, sight: &Recordings) -> Result<(), String> {
    let mut probe = (case.after == After::Open).then(|| probe(case));
    if case.http2.is_some() {
        check::streams(case, &sight.client)?;
        let was_probed = View::of(&sight.client.bytes)
            .streams
            .contains_key(&check::PROBE_STREAM);
        probe = was_probed.then(|| self::probe(case));
    } else {
        check::client(case, &sight.client)?;
    }
    let connections = sight.public.len();
    if case.connections.is_some_and(|count| count != connections) {
        return Err(format!("origin: {connections} connections"));
    }
    ends(case.private, &case.origin, probe, sight)
}

/// Checks both origins; the other one must see nothing, but the public one always gets the probe.
pub(crate) fn ends(
    private: bool,
    expected: &Seen,
    probe: Option<Request>,
    sight: &Recordings,
) -> Result<(), String> {
    let (mut public, mut other) = (expected.clone(), Seen::Nothing);
    if private {
        (public, other) = (Seen::Nothing, expected.clone());
    }
    if let Some(probe) = probe {
        public = with_probe(public, probe);
    }
    check::origin(&public, &sight.public)?;
    check::origin(&other, &sight.private).map_err(|why| format!("private {why}"))
}

fn probe(case: &Case) -> Request {
    let via = if case.http2.is_some() {
        "2 switchback"
    } else {
        "1.1 switchback"
    };
    request(&["GET /probe HTTP/1.1", "Host: probe.example"])
        .added("x-forwarded-for", case.prober)
        .added("x-real-ip", case.prober)
        .added("via", via)
}

fn with_probe(seen: Seen, probe: Request) -> Seen {
    match seen {
        Seen::Nothing => Seen::Requests(vec![probe]),
        Seen::Requests(mut requests) => {
            requests.push(probe);
            Seen::Requests(requests)
        }
        Seen::WellFormed => Seen::WellFormed,
        Seen::Cut(_) => Seen::Cut(Some(probe)),
    }
}

// === impl Recordings ===

impl Recordings {
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("client got {}\n", one(&self.client));
        for (name, connections) in [("public", &self.public), ("private", &self.private)] {
            if connections.is_empty() {
                writeln!(text, "{name} origin got nothing").unwrap();
            }
            for connection in connections {
                writeln!(text, "{name} origin got {}", one(connection)).unwrap();
            }
        }
        text
    }
}

fn one(recorded: &Recorded) -> String {
    format!("`{}` {:?}", short(&recorded.bytes), recorded.end)
}

fn short(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(2_000)].escape_ascii();
    format!("{shown}{}", if bytes.len() > 2_000 { "…" } else { "" })
}

fn shown(steps: &[Step]) -> String {
    let lines = steps.iter().map(|step| match step {
        Step::Send(bytes) => format!("client sent `{}`\n", short(bytes)),
        other => format!("then {other:?}\n"),
    });
    lines.collect()
}
