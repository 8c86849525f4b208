//! A conformance case: bytes in, and what either end must see. The tables are written with its builder.

use super::origin::{Script, Then, When};

/// One case.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The requirements that it is about, by their numbers.
    pub(crate) requirements: Vec<u8>,
    pub(crate) listener: Listener,
    pub(crate) steps: Vec<Step>,
    /// The scripts of the public origin, one for each connection.
    pub(crate) scripts: Vec<Script>,
    pub(crate) client: Vec<Answer>,
    pub(crate) after: After,
    pub(crate) origin: Seen,
    /// True if the requests go to the private origin instead of the public one.
    pub(crate) private: bool,
    /// The client address of the probe.
    pub(crate) prober: &'static str,
    /// The expected outcomes of the streams of an HTTP/2 connection; `None` for a case of HTTP/1.1.
    pub(crate) http2: Option<Http2>,
    /// Number of connections that the public origin gets, the probe's included, if that matters.
    pub(crate) connections: Option<usize>,
}

/// The HTTP/2 part of a case.
#[derive(Default)]
pub(crate) struct Http2 {
    /// True if the case sends the preface itself.
    pub(crate) raw: bool,
    pub(crate) streams: Vec<(u32, Outcome)>,
}

/// The outcome of a stream.
pub(crate) enum Outcome {
    /// This response.
    Answer(Answer),
    /// Any end.
    Any,
    /// A reset, an error response, or the end of the connection.
    Refused,
    /// A reset.
    Reset,
}

/// The listener that the client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Listener {
    /// A plain listener with default settings.
    Plain,
    /// A listener whose connections begin with a PROXY protocol header.
    ProxyProtocol,
    /// A plain listener of a proxy with short timeouts.
    ImpatientClient,
    /// A plain listener of a proxy that trusts the client, and allows `_` in names.
    Trusting,
}

/// An action of the client.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// It sends bytes.
    Send(Vec<u8>),
    /// It waits until it has received these bytes.
    Receive(Vec<u8>),
    /// It waits for the response head on this stream.
    StreamHead(u32),
    /// It waits until nothing more can come on this stream.
    StreamOver(u32),
    /// It waits until the origin has received these bytes.
    OriginReceives(Vec<u8>),
    /// It waits until the proxy has ended its connections to the origin.
    OriginEnds,
    /// It ends its direction.
    Shut,
    /// It resets its connection.
    Reset,
}

/// One response that the client must get.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// One of these.
    pub(crate) statuses: Vec<u16>,
    pub(crate) to_head: bool,
    /// True if the client must see that it is truncated.
    pub(crate) cut: bool,
    /// True if no response will do as well.
    pub(crate) or_nothing: bool,
    pub(crate) body: Option<Vec<u8>>,
    /// Fields that must be there, once, with this value.
    pub(crate) has: Vec<(String, String)>,
    /// Fields that must not be there.
    pub(crate) lacks: Vec<String>,
    /// The trailers, if they matter.
    pub(crate) trailers: Vec<(String, String)>,
    /// The interim responses before it, if they matter.
    pub(crate) interim: Option<Vec<u16>>,
}

/// The outcome of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Any outcome.
    Any,
    /// The proxy ends it.
    Closed,
    /// The client ends it, and did.
    Left,
    /// It serves another request, which is sent as a probe.
    Open,
    /// It is a tunnel through which exactly these bytes came back.
    Tunnel(&'static [u8]),
}

/// The requests that the origin must see.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// Nothing at all, not even a connection.
    Nothing,
    /// Nothing, or requests that are visibly truncated, and then the probe.
    Cut(Option<Request>),
    /// Exactly these requests.
    Requests(Vec<Request>),
    /// Anything but a malformed request.
    WellFormed,
}

/// A request as the origin must see it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Request line and fields, without those that the proxy adds to every request.
    pub(crate) head: Vec<String>,
    pub(crate) body: Body,
    /// Fields of the proxy with the value that they must have.
    pub(crate) added: Vec<(String, String)>,
    /// A field that may be there or not.
    pub(crate) maybe: Option<String>,
}

/// A body as the origin must see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Chunked(Vec<u8>, Vec<(String, String)>),
    Length(Vec<u8>),
    None,
}

/// Starts a case.
pub(crate) fn case(name: impl Into<String>, requirements: &[u8]) -> Case {
    Case {
        name: name.into(),
        requirements: requirements.to_vec(),
        listener: Listener::Plain,
        steps: Vec::new(),
        scripts: Vec::new(),
        client: Vec::new(),
        after: After::Open,
        origin: Seen::Nothing,
        private: false,
        prober: "127.0.0.1",
        http2: None,
        connections: None,
    }
}

/// Starts a case of HTTP/2.
pub(crate) fn h2case(name: impl Into<String>, requirements: &[u8]) -> Case {
    Case {
        http2: Some(Http2::default()),
        ..case(name, requirements)
    }
}

/// A request line and fields as the origin must see them.
pub(crate) fn request(head: &[&str]) -> Request {
    Request {
        head: head.iter().map(ToString::to_string).collect(),
        body: Body::None,
        added: Vec::new(),
        maybe: None,
    }
}

/// A response with one of these statuses.
pub(crate) fn status(statuses: &[u16]) -> Answer {
    Answer {
        statuses: statuses.to_vec(),
        interim: Some(Vec::new()),
        ..Answer::default()
    }
}

// === impl Case ===

impl Case {
    pub(crate) fn listener(mut self, listener: Listener) -> Self {
        self.listener = listener;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    pub(crate) fn receive(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Receive(bytes.as_ref().to_vec()))
    }

    pub(crate) fn origin_receives(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::OriginReceives(bytes.as_ref().to_vec()))
    }

    pub(crate) fn origin_ends(self) -> Self {
        self.step(Step::OriginEnds)
    }

    pub(crate) fn shut(self) -> Self {
        self.step(Step::Shut)
    }

    pub(crate) fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// The origin's response on the next connection: when, which bytes, and what then.
    pub(crate) fn answers(mut self, when: When, bytes: impl AsRef<[u8]>, then: Then) -> Self {
        self.scripts.push(Script {
            when,
            answers: vec![(bytes.as_ref().to_vec(), then)],
        });
        self
    }

    /// The origin's response to one more request on the same connection.
    pub(crate) fn and(mut self, bytes: impl AsRef<[u8]>, then: Then) -> Self {
        let last = self.scripts.last_mut().expect("an answer comes before");
        last.answers.push((bytes.as_ref().to_vec(), then));
        self
    }

    /// The client gets this response next.
    pub(crate) fn gets(mut self, answer: Answer) -> Self {
        self.client.push(answer);
        self
    }

    pub(crate) fn then(mut self, after: After) -> Self {
        self.after = after;
        self
    }

    /// The origin sees one more request.
    pub(crate) fn sees(mut self, request: Request) -> Self {
        match &mut self.origin {
            Seen::Requests(requests) => requests.push(request),
            Seen::Nothing | Seen::Cut(_) | Seen::WellFormed => {
                self.origin = Seen::Requests(vec![request]);
            }
        }
        self
    }

    /// The origin sees nothing, or a request that is visibly truncated.
    pub(crate) fn sees_a_cut(mut self) -> Self {
        self.origin = Seen::Cut(None);
        self
    }

    /// The public origin gets so many connections, the probe's included.
    pub(crate) fn connections(mut self, count: usize) -> Self {
        self.connections = Some(count);
        self
    }

    /// The origin sees anything that is well-formed.
    pub(crate) fn sees_whatever(mut self) -> Self {
        self.origin = Seen::WellFormed;
        self
    }

    /// The probe comes from this address.
    pub(crate) fn probed_by(mut self, address: &'static str) -> Self {
        self.prober = address;
        self
    }

    /// The requests go to the private origin.
    pub(crate) fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// The client gets an error and the end of the connection; the origin sees nothing.
    pub(crate) fn refused(self, statuses: &[u16]) -> Self {
        self.gets(status(statuses)).then(After::Closed)
    }

    /// As [`Case::refused`], but the origin may have seen a request that is visibly truncated.
    pub(crate) fn aborted(self, statuses: &[u16]) -> Self {
        self.refused(statuses).sees_a_cut()
    }

    /// The case sends the preface of HTTP/2 itself.
    pub(crate) fn raw(mut self) -> Self {
        self.http2.get_or_insert_default().raw = true;
        self
    }

    /// The client waits for the head on a stream.
    pub(crate) fn head_on(self, stream: u32) -> Self {
        self.step(Step::StreamHead(stream))
    }

    /// The client waits for the end of a stream.
    pub(crate) fn stream_over(self, stream: u32) -> Self {
        self.step(Step::StreamOver(stream))
    }

    fn on(mut self, stream: u32, outcome: Outcome) -> Self {
        self.http2
            .get_or_insert_default()
            .streams
            .push((stream, outcome));
        self
    }

    /// The client gets this response on a stream.
    pub(crate) fn gets_on(self, stream: u32, answer: Answer) -> Self {
        self.on(stream, Outcome::Answer(answer))
    }

    /// The client gets the response of the origin on a stream; the origin sees exactly this request.
    pub(crate) fn passes_on(self, stream: u32, request: Request) -> Self {
        self.gets_on(stream, status(&[200]).body("ok"))
            .sees(request)
    }

    /// The client is refused on a stream; the connection may end with it.
    pub(crate) fn refused_on(mut self, stream: u32) -> Self {
        self.after = After::Any;
        self.on(stream, Outcome::Refused)
    }

    /// The stream is reset.
    pub(crate) fn resets_on(self, stream: u32) -> Self {
        self.on(stream, Outcome::Reset)
    }

    /// The stream ends in any way; the origin sees nothing malformed.
    pub(crate) fn ends_on(self, stream: u32) -> Self {
        self.on(stream, Outcome::Any).sees_whatever()
    }

    /// The public origin never responds.
    pub(crate) fn never(mut self) -> Self {
        let never = Script {
            when: When::Never,
            answers: Vec::new(),
        };
        self.scripts.extend(vec![never; 1_000]);
        self
    }

    /// The client gets the origin's response and may go on; the origin sees exactly this request.
    pub(crate) fn passes(self, request: Request) -> Self {
        self.gets(status(&[200]).body("ok")).sees(request)
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn or_nothing(mut self) -> Self {
        self.or_nothing = true;
        self
    }

    pub(crate) fn for_head(mut self) -> Self {
        self.to_head = true;
        self
    }

    pub(crate) fn has(mut self, name: &str, value: &str) -> Self {
        self.has.push((name.into(), value.into()));
        self
    }

    pub(crate) fn lacks(mut self, name: &str) -> Self {
        self.lacks.push(name.into());
        self
    }

    pub(crate) fn interim(mut self, statuses: &[u16]) -> Self {
        self.interim = Some(statuses.to_vec());
        self
    }

    pub(crate) fn any_interim(mut self) -> Self {
        self.interim = None;
        self
    }
}

// === impl Request ===

impl Request {
    pub(crate) fn length(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Body::Length(body.as_ref().to_vec());
        self
    }

    pub(crate) fn chunked(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Body::Chunked(body.as_ref().to_vec(), Vec::new());
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        if let Body::Chunked(_, trailers) = &mut self.body {
            trailers.push((name.into(), value.into()));
        }
        self
    }

    /// This field may be there or not.
    pub(crate) fn maybe(mut self, field: &str) -> Self {
        self.maybe = Some(field.into());
        self
    }

    /// A field of the proxy has this value. `start*` and `*end` stand for values that start and end so, `!other` for
    /// any other value.
    pub(crate) fn added(mut self, name: &str, value: &str) -> Self {
        self.added.push((name.into(), value.into()));
        self
    }
}
