//! Health checks against real servers: rise and fall, TLS, HTTP/2, a slow endpoint beside a fast one, endpoints that
//! are added and removed.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use switchback::{
    config::HealthChecks,
    fleet::{Endpoint, Fleet, Health, RosterRole, WatchedRelease},
    health,
    model::{EndpointSpec, Hashed, Protocol, ReleaseName, ReleaseSpec, UpstreamTls, Version},
    net::{CertificateFiles, ClientCertificates, ServerTls, ServerTlsSettings, Stream},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

/// An agent whose response to a check is set by the test: a status, 0 for no response, 1 for a truncated one.
#[derive(Clone)]
struct Agent {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

impl Agent {
    async fn start() -> Self {
        let (agent, listener) = Self::bind().await;
        let own = agent.clone();
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(own.clone().answer(tcp));
            }
        });
        agent
    }

    async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = Self {
            address: listener.local_addr().unwrap(),
            status: Arc::new(AtomicU16::new(200)),
            asked: Arc::default(),
        };
        (agent, listener)
    }

    async fn answer(self, mut tcp: TcpStream) {
        let mut request = [0; 1024];
        let length = tcp.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        assert!(
            request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains(&format!("host: {}\r\n", self.address)),
            "{request}"
        );
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.status.load(Ordering::Relaxed) {
            0 => std::future::pending().await,
            1 => {}
            status => {
                let answer = format!(
                    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\n\r\nhi"
                );
                tcp.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    fn say(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

fn spec(check: &str) -> ReleaseSpec {
    let health = format!(r#"{{"path":"/healthz?deep=1","rise":2,"fall":2,{check}}}"#);
    ReleaseSpec {
        health: Some(serde_json::from_str(&health).unwrap()),
        ..ReleaseSpec::default()
    }
}

const QUICK: &str = r#""interval":"10ms","timeout":"200ms""#;

fn watch(fleet: &Fleet, spec: ReleaseSpec, urls: &[(String, SocketAddr)]) -> Vec<Arc<Endpoint>> {
    let roster = fleet.roster(&ReleaseName::new("blue").unwrap(), &Version::default());
    let parsed = urls
        .iter()
        .map(|(url, address)| (url.parse().unwrap(), *address));
    let members: Vec<(EndpointSpec, SocketAddr)> = parsed.collect();
    roster.set(&members);
    let endpoints = roster.endpoints().to_vec();
    fleet.watch(vec![WatchedRelease {
        roster,
        spec: Arc::new(Hashed::new(spec)),
        urls: members.into_iter().map(|(url, _)| url).collect(),
        role: RosterRole::Live,
    }]);
    endpoints
}

fn plain(agent: &Agent) -> (String, SocketAddr) {
    (format!("http://{}", agent.address), agent.address)
}

async fn becomes(endpoint: &Endpoint, health: Health) {
    let start = Instant::now();
    while endpoint.health() != health {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{health:?} is not {:?}",
            endpoint.health()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn start() -> (Arc<Fleet>, health::Checks) {
    let fleet = Arc::new(Fleet::new(1));
    let checks = health::start(Arc::clone(&fleet), HealthChecks::default()).unwrap();
    (fleet, checks)
}

#[tokio::test]
async fn an_endpoint_falls_and_rises_with_its_answers() {
    let agent = Agent::start().await;
    let (fleet, _checks) = start();
    let endpoints = watch(&fleet, spec(QUICK), &[plain(&agent)]);
    becomes(&endpoints[0], Health::Healthy).await;
    for bad in [503, 404, 302, 0, 1] {
        agent.say(bad);
        becomes(&endpoints[0], Health::Unhealthy).await;
        agent.say(204);
        becomes(&endpoints[0], Health::Healthy).await;
    }
}

/// An agent that serves one request per connection, as the request itself says.
async fn strict_agent(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let length = tcp.read(&mut request).await.unwrap();
                let answer = answer(&String::from_utf8_lossy(&request[..length]));
                tcp.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

/// The verdict of checks with these settings on an agent.
async fn validated(agent: SocketAddr, keys: &str) -> Health {
    let (fleet, _checks) = start();
    let url = format!("http://{agent}");
    let endpoints = watch(&fleet, spec(&format!("{QUICK}{keys}")), &[(url, agent)]);
    let start = Instant::now();
    while endpoints[0].health() == Health::Unknown {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    endpoints[0].health()
}

#[tokio::test]
async fn a_check_sends_and_compares_what_is_configured() {
    let agent = strict_agent(|request| {
        let known = request.contains("host: agents.example.com\r\n");
        let status = if known { 200 } else { 403 };
        let body = "4\r\n{\"re\r\n8\r\nady\":1}\n\r\n0\r\n\r\n";
        let body = if request.starts_with("HEAD ") {
            ""
        } else {
            body
        };
        format!("HTTP/1.1 {status} X\r\ntransfer-encoding: chunked\r\n\r\n{body}")
    });
    let agent = agent.await;
    let known = r#","host":"agents.example.com""#;
    for (keys, health) in [
        ("", Health::Unhealthy),
        (known, Health::Healthy),
        (r#","status":"200-403""#, Health::Healthy),
        (r#","status":403"#, Health::Healthy),
        (r#","status":"404""#, Health::Unhealthy),
        (
            r#","host":"agents.example.com","method":"HEAD""#,
            Health::Healthy,
        ),
        (
            r#","host":"agents.example.com","body":"ready\":1""#,
            Health::Healthy,
        ),
        (
            r#","host":"agents.example.com","body":"ready\":0""#,
            Health::Unhealthy,
        ),
    ] {
        assert_eq!(validated(agent, keys).await, health, "{keys}");
    }
}

#[tokio::test]
async fn a_check_uses_the_port_that_is_configured() {
    let (agent, listener) = Agent::bind().await;
    drop(listener);
    let beside = strict_agent(|request| {
        let port = request.contains("host: 127.0.0.1:");
        format!("HTTP/1.1 {} X\r\n\r\n", if port { 204 } else { 500 })
    });
    let port = format!(r#","port":{}"#, beside.await.port());
    assert_eq!(validated(agent.address, "").await, Health::Unhealthy);
    assert_eq!(validated(agent.address, &port).await, Health::Healthy);
}

#[tokio::test]
async fn a_port_without_a_listener_is_unhealthy() {
    let (agent, listener) = Agent::bind().await;
    drop(listener);
    let (fleet, _checks) = start();
    let endpoints = watch(&fleet, spec(QUICK), &[plain(&agent)]);
    becomes(&endpoints[0], Health::Unhealthy).await;
}

#[tokio::test]
async fn a_slow_endpoint_delays_no_other() {
    let (slow, quick) = (Agent::start().await, Agent::start().await);
    slow.say(0);
    let (fleet, _checks) = start();
    let checks = r#""interval":"10ms","timeout":"1h""#;
    let endpoints = watch(&fleet, spec(checks), &[plain(&slow), plain(&quick)]);
    becomes(&endpoints[1], Health::Healthy).await;
    quick.say(500);
    becomes(&endpoints[1], Health::Unhealthy).await;
    assert_eq!(
        endpoints[0].health(),
        Health::Unknown,
        "its first check is still under way"
    );
}

#[tokio::test]
async fn endpoints_that_come_are_checked_and_those_that_go_are_not() {
    let (first, second) = (Agent::start().await, Agent::start().await);
    let (fleet, _checks) = start();
    let before = watch(&fleet, spec(QUICK), &[plain(&first)]);
    becomes(&before[0], Health::Healthy).await;
    // The roster changes as discovery changes it, without a call of the fleet.
    let roster = Arc::clone(&fleet.watched()[0].roster);
    let url = format!("http://{}", second.address).parse().unwrap();
    roster.set(&[(url, second.address)]);
    let endpoints = roster.endpoints();
    becomes(&endpoints[0], Health::Healthy).await;
    let asked = first.asked.load(Ordering::Relaxed);
    let more = second.asked.load(Ordering::Relaxed) + 10;
    while second.asked.load(Ordering::Relaxed) < more {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(
        first.asked.load(Ordering::Relaxed) <= asked + 1,
        "one check may have been under way"
    );
}

#[tokio::test]
async fn a_release_that_wants_no_checks_any_more_is_taken_as_fit() {
    let agent = Agent::start().await;
    agent.say(500);
    let (fleet, _checks) = start();
    let endpoints = watch(&fleet, spec(QUICK), &[plain(&agent)]);
    becomes(&endpoints[0], Health::Unhealthy).await;
    watch(&fleet, ReleaseSpec::default(), &[plain(&agent)]);
    becomes(&endpoints[0], Health::Unknown).await;
}

/// A TLS server that responds with 200 to everything, over the negotiated protocol. It has a thread of its own, since
/// its connections are bound to the thread that made them.
fn tls_agent(folder: &std::path::Path) -> SocketAddr {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["agents.test".into()]).unwrap();
    for (name, text) in [
        ("cert.pem", cert.pem()),
        ("key.pem", signing_key.serialize_pem()),
    ] {
        let mut file = fs::File::create(folder.join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }
    let settings = ServerTlsSettings {
        certificates: vec![CertificateFiles {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }],
        client_ca: None,
        client_certificates: ClientCertificates::Required,
        tls12: true,
        http2: false,
    };
    let tls = ServerTls::load(settings).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                // A client that does not trust the certificate ends the handshake.
                if let Ok(stream) = tls.accept(tcp).await {
                    say_hello(&stream).await;
                }
            }
        });
    });
    address
}

async fn say_hello(stream: &Stream) {
    stream.readable().await.unwrap();
    let mut request = [0; 1024];
    while stream.try_read(&mut request).is_err() {
        stream.readable().await.unwrap();
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_certificate_is_checked_as_the_release_says() {
    let folder = tempfile::tempdir().unwrap();
    let address = tls_agent(folder.path());
    let urls = [(format!("https://{address}"), address)];
    let (fleet, _checks) = start();
    let trusting = |ca: Option<&str>, server_name: &str| ReleaseSpec {
        tls: Some(UpstreamTls {
            ca: ca.map(|name| folder.path().join(name).to_str().unwrap().into()),
            server_name: Some(server_name.into()),
            ..UpstreamTls::default()
        }),
        ..spec(QUICK)
    };
    let endpoints = watch(&fleet, trusting(Some("cert.pem"), "agents.test"), &urls);
    becomes(&endpoints[0], Health::Healthy).await;
    let others = [
        (None, "agents.test"),
        (Some("cert.pem"), "other.test"),
        (Some("none.pem"), "agents.test"),
    ];
    for (ca, name) in others {
        watch(&fleet, trusting(ca, name), &urls);
        becomes(&endpoints[0], Health::Unhealthy).await;
        watch(&fleet, trusting(Some("cert.pem"), "agents.test"), &urls);
        becomes(&endpoints[0], Health::Healthy).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_only_http2_is_asked_over_http2() {
    let (agent, listener) = Agent::bind().await;
    let status = Arc::clone(&agent.status);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let status = Arc::clone(&status);
            tokio::spawn(async move {
                // A check that is aborted ends its connection at any moment.
                let Ok(mut connection) = h2::server::handshake(tcp).await else {
                    return;
                };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    assert_eq!(request.uri().path(), "/healthz");
                    let response = http::Response::builder().status(status.load(Ordering::Relaxed));
                    respond
                        .send_response(response.body(()).unwrap(), true)
                        .unwrap();
                }
            });
        }
    });
    let (fleet, _checks) = start();
    let spec = ReleaseSpec {
        protocol: Protocol::Http2,
        ..spec(QUICK)
    };
    let endpoints = watch(&fleet, spec, &[plain(&agent)]);
    becomes(&endpoints[0], Health::Healthy).await;
    agent.say(503);
    becomes(&endpoints[0], Health::Unhealthy).await;
}

/// A health service of gRPC. The responses of its two services are set by the test: a status of the service, or of the
/// call if that is above 100.
async fn health_service(whole: Arc<AtomicU16>, chat: Arc<AtomicU16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (whole, chat) = (Arc::clone(&whole), Arc::clone(&chat));
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(tcp).await else {
                    return;
                };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let (whole, chat) = (Arc::clone(&whole), Arc::clone(&chat));
                    tokio::spawn(answer_health(request, respond, whole, chat));
                }
            });
        }
    });
    address
}

async fn answer_health(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    whole: Arc<AtomicU16>,
    chat: Arc<AtomicU16>,
) {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let mut body = request.into_body();
    let mut received = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        received.extend_from_slice(&data);
    }
    let status = match &received[..] {
        [0, 0, 0, 0, 0] => whole,
        [0, 0, 0, 0, 11, 0x0a, 9, name @ ..] if name == b"agents.v1" => chat,
        other => panic!("{other:?}"),
    };
    let status = status.load(Ordering::Relaxed);
    let head = http::Response::builder().header("content-type", "application/grpc");
    if let Some(code) = status.checked_sub(100) {
        let head = head.header("grpc-status", code).body(()).unwrap();
        let _ = respond.send_response(head, true);
        return;
    }
    // Its client may be gone: a check that is aborted ends its connection.
    let Ok(mut out) = respond.send_response(head.body(()).unwrap(), false) else {
        return;
    };
    let message = [0, 0, 0, 0, 2, 8, u8::try_from(status).unwrap()];
    let _ = out.send_data(bytes::Bytes::copy_from_slice(&message), false);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let _ = out.send_trailers(trailers);
}

#[tokio::test]
async fn the_health_service_of_grpc_is_asked_for_one_service_or_the_whole() {
    let (whole, chat) = (Arc::new(AtomicU16::new(1)), Arc::new(AtomicU16::new(2)));
    let address = health_service(Arc::clone(&whole), Arc::clone(&chat)).await;
    let (fleet, _checks) = start();
    let of = |service: &str| {
        let health = format!(r#"{{"grpc":"{service}","rise":1,"fall":1,{QUICK}}}"#);
        ReleaseSpec {
            health: Some(serde_json::from_str(&health).unwrap()),
            protocol: Protocol::Http2,
            ..ReleaseSpec::default()
        }
    };
    let url = [(format!("http://{address}"), address)];
    let endpoints = watch(&fleet, of(""), &url);
    becomes(&endpoints[0], Health::Healthy).await;
    whole.store(112, Ordering::Relaxed);
    becomes(&endpoints[0], Health::Unhealthy).await;
    let endpoints = watch(&fleet, of("agents.v1"), &url);
    becomes(&endpoints[0], Health::Unhealthy).await;
    chat.store(1, Ordering::Relaxed);
    becomes(&endpoints[0], Health::Healthy).await;
    chat.store(3, Ordering::Relaxed);
    becomes(&endpoints[0], Health::Unhealthy).await;
}
