//! Discovery against a small DNS server on loopback: a changed answer moves the roster, a failure keeps it, and
//! endpoints that need no look-up are there at once.

mod changes;
mod services;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use switchback::{
    config,
    discovery::{self, ApiServer, Resolver},
    fleet::{Fleet, Roster, RosterRole, WatchedRelease},
    model::{EndpointSpec, Hashed, HumanDuration, ReleaseName, ReleaseSpec, Version},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    time::timeout,
};

/// The answers of the server for a name.
#[derive(Clone)]
enum Answers {
    Addresses(Vec<IpAddr>),
    /// The same, with a time to live of an hour.
    Lasting(Vec<IpAddr>),
    NoSuchName,
    Nothing,
    ServerFailure,
    /// Queries for one type of record get no answer.
    DeafFor(u16, Vec<IpAddr>),
    After(Duration, Vec<IpAddr>),
    /// Answers over UDP are truncated, whatever the query answers.
    OverTcp(Vec<IpAddr>),
    /// Answers over UDP are truncated unless the query has EDNS; TCP gets no answer.
    WithEdns(Vec<IpAddr>),
}

const A: u16 = 1;
const AAAA: u16 = 28;

type Zone = Arc<Mutex<HashMap<String, Answers>>>;

/// A DNS server whose answers are set by the test, with a time to live of 0 by default.
struct Server {
    address: SocketAddr,
    zone: Zone,
    asked: watch::Receiver<u64>,
}

impl Server {
    async fn start() -> Self {
        let (tcp, udp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let zone = Zone::default();
        let zone_of_server = Arc::clone(&zone);
        let (count, asked) = watch::channel(0);
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            let udp = Arc::new(udp);
            loop {
                tokio::select! {
                    Ok((length, from)) = udp.recv_from(&mut packet) => {
                        let query = &packet[..length];
                        let (name, _) = question(query);
                        count.send_modify(|count| *count += u64::from(name == "agents.test"));
                        tokio::spawn(over_udp(Arc::clone(&udp), query.to_vec(), from, said(&zone_of_server, &name)));
                    }
                    Ok((stream, _)) = tcp.accept() => {
                        tokio::spawn(over_tcp(stream, Arc::clone(&zone_of_server)));
                    }
                }
            }
        });
        Self {
            address,
            zone,
            asked,
        }
    }

    /// Waits for a few more queries for `agents.test`, so that answers to earlier ones have been processed.
    async fn asked_again(&self) {
        let mut asked = self.asked.clone();
        let enough = *asked.borrow() + 6;
        let reached = timeout(
            Duration::from_secs(20),
            asked.wait_for(|count| *count >= enough),
        );
        reached.await.unwrap().unwrap();
    }

    fn say(&self, name: &str, answers: Answers) {
        self.zone.lock().unwrap().insert(name.into(), answers);
    }
}

/// Sockets of both kinds on one port.
async fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (tcp, udp);
        }
    }
}

fn said(zone: &Zone, name: &str) -> Answers {
    let answers = zone.lock().unwrap().get(name).cloned();
    answers.unwrap_or(Answers::NoSuchName)
}

async fn over_udp(socket: Arc<UdpSocket>, query: Vec<u8>, from: SocketAddr, answers: Answers) {
    let (_, kind) = question(&query);
    let has_edns = query[11] > 0;
    let answers = match answers {
        Answers::DeafFor(deaf, _) if deaf == kind => return,
        Answers::After(delay, addresses) => {
            tokio::time::sleep(delay).await;
            Answers::Addresses(addresses)
        }
        Answers::WithEdns(addresses) if has_edns => Answers::Addresses(addresses),
        Answers::OverTcp(_) | Answers::WithEdns(_) => {
            let mut cut = answer(&query, kind, Answers::Addresses(Vec::new())).unwrap();
            cut[2] |= 2;
            socket.send_to(&cut, from).await.unwrap();
            return;
        }
        answers => answers,
    };
    if let Some(answer) = answer(&query, kind, answers) {
        socket.send_to(&answer, from).await.unwrap();
    }
}

async fn over_tcp(mut stream: TcpStream, zone: Zone) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await.unwrap();
        let (name, kind) = question(&query);
        let Answers::OverTcp(addresses) = said(&zone, &name) else {
            return;
        };
        let answer = answer(&query, kind, Answers::Addresses(addresses)).unwrap();
        let length = u16::try_from(answer.len()).unwrap();
        stream.write_u16(length).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}

/// The name and the type of a query.
fn question(packet: &[u8]) -> (String, u16) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    (
        labels.join("."),
        u16::from_be_bytes([packet[at + 1], packet[at + 2]]),
    )
}

fn answer(query: &[u8], kind: u16, answers: Answers) -> Option<Vec<u8>> {
    let ttl: u32 = if matches!(answers, Answers::Lasting(_)) {
        3600
    } else {
        0
    };
    let (code, addresses) = match answers {
        Answers::Addresses(addresses)
        | Answers::Lasting(addresses)
        | Answers::DeafFor(_, addresses)
        | Answers::After(_, addresses)
        | Answers::OverTcp(addresses)
        | Answers::WithEdns(addresses) => (0, addresses),
        Answers::NoSuchName => (3, Vec::new()),
        Answers::Nothing => return None,
        Answers::ServerFailure => (2, Vec::new()),
    };
    let bytes = addresses
        .iter()
        .filter_map(|address| match (kind, address) {
            (A, IpAddr::V4(four)) => Some(four.octets().to_vec()),
            (AAAA, IpAddr::V6(six)) => Some(six.octets().to_vec()),
            _ => None,
        });
    let records: Vec<_> = bytes.collect();
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut packet = query[..2].to_vec();
    packet.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(records.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    packet.extend(&query[12..end]);
    for bytes in records {
        packet.extend([0xC0, 12]);
        packet.extend(kind.to_be_bytes());
        packet.extend([0, 1]);
        packet.extend(ttl.to_be_bytes());
        packet.extend([0, u8::try_from(bytes.len()).unwrap()]);
        packet.extend(bytes);
    }
    Some(packet)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn watched(fleet: &Fleet, name: &str, urls: &[&str]) -> WatchedRelease {
    let urls: Vec<EndpointSpec> = urls.iter().map(|url| url.parse().unwrap()).collect();
    WatchedRelease {
        roster: fleet.roster(&ReleaseName::new(name).unwrap(), &Version::default()),
        spec: Arc::new(Hashed::new(ReleaseSpec::default())),
        urls: urls.into(),
        role: RosterRole::Live,
    }
}

/// Waits until a roster holds exactly these addresses.
async fn holds(roster: &Roster, expected: &[&str]) {
    let mut changes = roster.subscribe();
    let reached = async {
        loop {
            let endpoints = roster.endpoints();
            let now: Vec<_> = endpoints
                .iter()
                .map(|one| one.address().to_string())
                .collect();
            if now == expected {
                return;
            }
            changes.changed().await.unwrap();
        }
    };
    let reached = timeout(Duration::from_secs(20), reached).await;
    assert!(
        reached.is_ok(),
        "{expected:?} is not {:?}",
        roster.endpoints()
    );
}

async fn start() -> (Server, Arc<Fleet>, tokio::task::JoinHandle<()>) {
    start_within(Duration::from_millis(200)).await
}

async fn start_within(limit: Duration) -> (Server, Arc<Fleet>, tokio::task::JoinHandle<()>) {
    start_with(config::Discovery {
        min_ttl: HumanDuration(Duration::from_millis(20)),
        max_ttl: HumanDuration(Duration::from_millis(50)),
        timeout: HumanDuration(limit),
        kubernetes: None,
    })
    .await
}

async fn start_with(
    settings: config::Discovery,
) -> (Server, Arc<Fleet>, tokio::task::JoinHandle<()>) {
    let server = Server::start().await;
    let fleet = Arc::new(Fleet::new(1));
    let resolver = Resolver::of_server(server.address, settings.timeout.0).unwrap();
    let own = vec!["127.0.0.1:8080".parse().unwrap()];
    let variable = |_: &str| None;
    let api = settings.kubernetes.as_ref();
    let api = api.map(|api| ApiServer::new(api, settings.timeout.0, variable).unwrap());
    let running = tokio::spawn(discovery::run(
        Arc::clone(&fleet),
        (resolver, api),
        settings,
        own,
    ));
    (server, fleet, running)
}

#[tokio::test]
async fn a_change_of_answer_moves_the_roster_and_a_failure_keeps_it() {
    let (server, fleet, running) = start().await;
    server.say(
        "agents.test",
        Answers::Addresses(vec![ip("192.0.2.2"), ip("192.0.2.1"), ip("2001:db8::1")]),
    );
    let blue = watched(&fleet, "blue", &["http://agents.test:9000"]);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    holds(
        &roster,
        &["192.0.2.1:9000", "192.0.2.2:9000", "[2001:db8::1]:9000"],
    )
    .await;
    let first = Arc::clone(&roster.endpoints()[0]);

    server.say(
        "agents.test",
        Answers::Addresses(vec![ip("192.0.2.3"), ip("192.0.2.1")]),
    );
    holds(&roster, &["192.0.2.1:9000", "192.0.2.3:9000"]).await;
    assert!(
        Arc::ptr_eq(&first, &roster.endpoints()[0]),
        "who stays keeps its counts"
    );

    for failure in [
        Answers::NoSuchName,
        Answers::ServerFailure,
        Answers::Nothing,
    ] {
        server.say("agents.test", failure);
        // A second name, first queried after the failure began, shows that the loop goes on.
        server.say("other.test", Answers::Addresses(vec![ip("192.0.2.9")]));
        let two = [
            ("blue", "http://agents.test:9000"),
            ("green", "http://other.test:9000"),
        ];
        fleet.watch(
            two.map(|(name, url)| watched(&fleet, name, &[url]))
                .to_vec(),
        );
        let green = fleet.watched()[1].roster.clone();
        holds(&green, &["192.0.2.9:9000"]).await;
        server.asked_again().await;
        holds(&roster, &["192.0.2.1:9000", "192.0.2.3:9000"]).await;
        fleet.watch(vec![watched(&fleet, "blue", &["http://agents.test:9000"])]);
    }

    server.say("agents.test", Answers::Addresses(vec![ip("192.0.2.4")]));
    holds(&roster, &["192.0.2.4:9000"]).await;
    running.abort();
}

#[tokio::test]
async fn addresses_are_there_at_once_and_our_own_listener_never() {
    let (server, fleet, running) = start().await;
    server.say("slow.test", Answers::Nothing);
    server.say("circle.test", Answers::Addresses(vec![ip("127.0.0.1")]));
    let urls = [
        "http://192.0.2.1:9000",
        "http://slow.test:9000",
        "http://circle.test:8080",
        "http://circle.test:8081",
    ];
    let blue = watched(&fleet, "blue", &urls);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    timeout(Duration::from_secs(5), roster.wait_resolved())
        .await
        .unwrap();
    assert_eq!(
        roster.endpoints()[0].address(),
        "192.0.2.1:9000".parse().unwrap()
    );
    holds(&roster, &["192.0.2.1:9000", "127.0.0.1:8081"]).await;
    running.abort();
}

#[tokio::test]
async fn an_unknown_name_leaves_an_empty_roster_that_is_resolved() {
    let (_server, fleet, running) = start().await;
    let blue = watched(&fleet, "blue", &["http://nobody.test:9000"]);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    timeout(Duration::from_secs(5), roster.wait_resolved())
        .await
        .unwrap();
    assert!(roster.endpoints().is_empty());
    running.abort();
}

#[tokio::test]
async fn the_hosts_file_answers_for_localhost() {
    let (_server, fleet, running) = start().await;
    let blue = watched(&fleet, "blue", &["http://localhost:9000"]);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    timeout(Duration::from_secs(5), roster.wait_resolved())
        .await
        .unwrap();
    let loopback = |one: &Arc<switchback::fleet::Endpoint>| one.address().ip().is_loopback();
    assert!(!roster.endpoints().is_empty() && roster.endpoints().iter().all(loopback));
    running.abort();
}

/// The addresses of `agents.test` that a server of that kind yields.
async fn resolves(limit: u64, answers: Answers, expected: &[&str]) {
    let (server, fleet, running) = start_within(Duration::from_millis(limit)).await;
    server.say("agents.test", answers);
    let blue = watched(&fleet, "blue", &["http://agents.test:9000"]);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    holds(&roster, expected).await;
    server.asked_again().await;
    holds(&roster, expected).await;
    running.abort();
}

#[tokio::test]
async fn a_server_that_is_deaf_for_one_kind_of_address_gives_the_other() {
    let both = || vec![ip("192.0.2.1"), ip("2001:db8::1")];
    resolves(200, Answers::DeafFor(AAAA, both()), &["192.0.2.1:9000"]).await;
    resolves(200, Answers::DeafFor(A, both()), &["[2001:db8::1]:9000"]).await;
}

#[tokio::test]
async fn what_one_kind_brings_is_used_at_once_and_the_other_one_later() {
    // No test waits for the end of a query without an answer.
    let (server, fleet, running) = start_within(Duration::from_secs(3600)).await;
    let both = vec![ip("192.0.2.1"), ip("2001:db8::1")];
    server.say("agents.test", Answers::DeafFor(AAAA, both));
    let names: Vec<_> = (0..40).map(|n| format!("deaf{n}.test")).collect();
    for name in &names {
        server.say(name, Answers::DeafFor(AAAA, vec![ip("192.0.2.7")]));
    }
    let urls = names.iter().map(|name| format!("http://{name}:9000"));
    let urls: Vec<_> = urls.chain(["http://agents.test:9000".into()]).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let blue = watched(&fleet, "blue", &urls);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    let mut expected = vec!["192.0.2.7:9000"; 40];
    expected.push("192.0.2.1:9000");
    holds(&roster, &expected).await;
    running.abort();
}

#[tokio::test]
async fn a_server_that_is_slow_is_heard() {
    let slow = Answers::After(Duration::from_millis(600), vec![ip("192.0.2.1")]);
    let (server, fleet, running) = start_within(Duration::from_secs(1)).await;
    server.say("agents.test", slow);
    let blue = watched(&fleet, "blue", &["http://agents.test:9000"]);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    holds(&roster, &["192.0.2.1:9000"]).await;
    running.abort();
}

#[tokio::test]
async fn an_answer_that_is_cut_off_comes_over_tcp_or_with_edns() {
    let both = || vec![ip("192.0.2.1"), ip("2001:db8::1")];
    let expected = ["192.0.2.1:9000", "[2001:db8::1]:9000"];
    resolves(1000, Answers::OverTcp(both()), &expected).await;
    resolves(1000, Answers::WithEdns(both()), &expected).await;
}

/// Probes of the configuration keys.
pub(crate) mod probes {
    use super::{Answers, Server, ip, start_with, watched};
    use crate::{config_keys::table::config, support::h2::block};
    use std::{sync::Arc, time::Duration};
    use switchback::fleet::Roster;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(1_500);

    /// Starts discovery with these settings and these answers.
    async fn seen(
        settings: &str,
        answers: fn(Vec<std::net::IpAddr>) -> Answers,
        is_so: impl AsyncFnOnce(Server, Arc<Roster>),
    ) -> String {
        let (server, fleet, running) = start_with(config(settings).discovery).await;
        server.say(
            "agents.test",
            answers(vec![ip("192.0.2.1"), ip("2001:db8::1")]),
        );
        let blue = watched(&fleet, "blue", &["http://agents.test:9000"]);
        let roster = Arc::clone(&blue.roster);
        fleet.watch(vec![blue]);
        let is_so = timeout(SOON, is_so(server, roster)).await.is_ok();
        running.abort();
        is_so.to_string()
    }

    async fn again(server: Server, _: Arc<Roster>) {
        server.asked_again().await;
    }

    async fn is_known(_server: Server, roster: Arc<Roster>) {
        let mut changes = roster.subscribe();
        while roster.endpoints().is_empty() {
            changes.changed().await.unwrap();
        }
    }

    /// True if a name with a time to live of 0 is soon queried again.
    pub(crate) fn min_ttl(settings: &str) -> String {
        let settings = format!("discovery.max_ttl = \"2h\"\n{settings}");
        block(seen(&settings, Answers::Addresses, again))
    }

    /// True if a name with a time to live of an hour is soon queried again.
    pub(crate) fn max_ttl(settings: &str) -> String {
        let settings = format!("discovery.min_ttl = \"10ms\"\n{settings}");
        block(seen(&settings, Answers::Lasting, again))
    }

    /// True if a slow answer is accepted.
    pub(crate) fn slow_answer(settings: &str) -> String {
        let slow = |addresses| Answers::After(Duration::from_millis(300), addresses);
        block(seen(settings, slow, is_known))
    }
}
