//! What the values of a configuration mean together: the second stage of reading one.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use super::{Config, Files, Listener, ListenerTls, Role};
use crate::{
    fleet::Fleet,
    model::{EndpointUrl, Problem, ReleaseName, Span, TableDocument, TableState, Touched},
    table::compile,
};

/// Everything that is wrong with a configuration that reads.
pub(super) fn problems(config: &mut Config, files: Files) -> Vec<Problem> {
    let mut found = Vec::new();
    listeners(config, &mut found);
    admin(config, &mut found);
    numbers(config, &mut found);
    spans(config, &mut found);
    if files == Files::MustExist {
        missing_files(config, &mut found);
    }
    found.extend(table(config));
    let own: Vec<SocketAddr> = config.listeners.iter().map(|one| one.address).collect();
    found.extend(own_listeners(&config.table(), &own));
    found
}

/// What is wrong with the table, judged by the only thing that can make one live.
fn table(config: &Config) -> Vec<Problem> {
    let state = config.table().into_state(&TableState::default());
    compile(state, &Touched::default(), None, &Fleet::new(1))
        .err()
        .unwrap_or_default()
}

/// Whether a problem is there only because something that was wrong had to be left out.
pub(super) fn follows_from(problem: &Problem, removed: &[String]) -> bool {
    let about = problem.path.as_str();
    removed.iter().any(|gone| {
        let parent = gone.rsplit_once('.').map_or("", |(parent, _)| parent);
        let name = gone.strip_prefix("releases.");
        inside(about, gone)
            || !parent.is_empty() && (about == parent || inside(parent, about))
            || name.is_some_and(|name| about.ends_with(&format!(".{name}")))
    })
}

/// Whether a path is another one or leads on from it.
fn inside(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn listeners(config: &Config, found: &mut Vec<Problem>) {
    if config.listeners.is_empty() {
        found.push(
            Problem::new(
                "listeners",
                "there is no listener, so no client can connect",
            )
            .hint("add `[[listeners]]` with `address = \"127.0.0.1:8080\"`"),
        );
    }
    let mut seen = BTreeMap::new();
    let named = |place: usize| format!("listeners.{place}.address");
    let addresses = config.listeners.iter().enumerate();
    let addresses = addresses
        .map(|(place, listener)| (named(place), listener.address))
        .chain([("admin.address".to_owned(), config.admin.address)])
        .chain(
            config
                .observe
                .iter()
                .map(|one| ("observe.address".to_owned(), one.address)),
        );
    for (path, address) in addresses.filter(|(_, address)| address.port() != 0) {
        if let Some(first) = seen.insert(address, path.clone()) {
            let taken = format!("{address} is taken by `{first}` already");
            found.push(Problem::new(path, taken).hint("give each its own address or port"));
        }
    }
    for (place, listener) in config.listeners.iter().enumerate() {
        listener_itself(place, listener, found);
    }
}

fn listener_itself(place: usize, listener: &Listener, found: &mut Vec<Problem>) {
    let at = format!("listeners.{place}");
    if listener.max_connections == Some(0) {
        let path = format!("{at}.max_connections");
        found.push(Problem::new(
            path,
            "a listener without connections serves nobody",
        ));
    }
    if let Some(tls) = &listener.tls {
        listener_tls(&at, tls, found);
    }
}

fn listener_tls(at: &str, tls: &ListenerTls, found: &mut Vec<Problem>) {
    if tls.certificates.is_empty() {
        found.push(
            Problem::new(format!("{at}.tls.certificates"), "TLS needs a certificate")
                .hint("write `certificates = [{ cert = \"agents.pem\", key = \"agents.key\" }]`"),
        );
    }
    if tls.client_auth.is_some() && tls.client_ca.is_none() {
        let message = "client certificates cannot be checked without `client_ca`";
        found.push(
            Problem::new(format!("{at}.tls.client_auth"), message)
                .hint("name a PEM file of the authorities to trust, or leave `client_auth` out"),
        );
    }
}

fn admin(config: &Config, found: &mut Vec<Problem>) {
    let admin = &config.admin;
    let operator = admin
        .tokens
        .iter()
        .any(|token| token.role == Role::Operator);
    if !admin.address.ip().to_canonical().is_loopback() && !operator {
        let message = format!(
            "{} can be reached from outside, and anybody could change the table",
            admin.address
        );
        found.push(Problem::new("admin.address", message).hint(
            "listen on 127.0.0.1, or add `tokens = [{ role = \"operator\", file = \"/run/secrets/switchback\" }]`",
        ));
    }
    for (place, token) in admin.tokens.iter().enumerate() {
        if token.file.is_some() == token.env.is_some() {
            let path = format!("admin.tokens.{place}");
            found.push(
                Problem::new(path, "a token is read from one place")
                    .hint("give either `file` or `env`"),
            );
        }
    }
}

/// A number that has bounds.
struct Bound {
    path: &'static str,
    value: usize,
    least: usize,
    most: usize,
    hint: &'static str,
}

const WINDOW_MOST: usize = (1 << 31) - 1;

fn numbers(config: &Config, found: &mut Vec<Problem>) {
    for Bound {
        path,
        value,
        least,
        most,
        hint,
    } in bounds(config)
    {
        let message = if value < least {
            format!("{value} is less than {least}")
        } else if value > most {
            format!("{value} is more than {most}")
        } else {
            continue;
        };
        let problem = Problem::new(path, message);
        found.push(if hint.is_empty() {
            problem
        } else {
            problem.hint(hint)
        });
    }
    let (goaway, close) = (
        config.limits.http2.abuse_goaway,
        config.limits.http2.abuse_close,
    );
    if goaway > close {
        found.push(Problem::new(
            "limits.http2.abuse_goaway",
            format!(
                "{goaway} is more than `abuse_close`, {close}, so the connection would close first"
            ),
        ));
    }
}

const fn bound(path: &'static str, value: usize, least: usize, most: usize) -> Bound {
    Bound {
        path,
        value,
        least,
        most,
        hint: "",
    }
}

const fn at_least_one(path: &'static str, value: usize) -> Bound {
    bound(path, value, 1, usize::MAX)
}

impl Bound {
    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }
}

fn bounds(config: &Config) -> Vec<Bound> {
    let (limits, http2) = (&config.limits, &config.limits.http2);
    let largest = 1 << 24;
    let workers = config.workers.unwrap_or(1);
    let (window, connection) = (http2.stream_window.0, http2.connection_window.0);
    vec![
        bound("workers", workers, 1, 1_024).hint("leave it out to have one for each core"),
        bound("limits.head", limits.head.0, 1_024, largest),
        bound(
            "limits.response_head",
            limits.response_head.0,
            1_024,
            largest,
        ),
        bound("limits.head_fields", limits.head_fields, 16, 10_000),
        bound("limits.target", limits.target.0, 8_000, 1 << 20)
            .hint("HTTP asks every server to take 8000 bytes"),
        bound("limits.method", limits.method.0, 16, 256),
        bound("limits.buffer", limits.buffer.0, 4_096, largest),
        at_least_one("limits.connections", limits.connections),
        at_least_one("limits.requests", limits.requests),
        at_least_one("limits.http2.streams", http2.streams as usize),
        bound("limits.http2.stream_window", window, 16_384, WINDOW_MOST),
        bound(
            "limits.http2.connection_window",
            connection,
            65_535,
            WINDOW_MOST,
        ),
        bound("limits.http2.frame", http2.frame.0, 16_384, 16_777_215)
            .hint("HTTP/2 allows 16384 to 16777215"),
        bound(
            "limits.http2.header_list",
            http2.header_list.0,
            1_024,
            largest,
        ),
        bound(
            "limits.http2.send_buffer",
            http2.send_buffer.0,
            4_096,
            largest,
        ),
        at_least_one("limits.http2.abuse_close", http2.abuse_close as usize),
        at_least_one("history.keep", config.history.keep),
        at_least_one(
            "health_checks.concurrency",
            config.health_checks.concurrency,
        ),
        at_least_one("access_log.queue", config.access_log.queue),
        bound("admin.max_body", config.admin.max_body.0, 1_024, 1 << 30),
        bound("admin.max_table", config.admin.max_table.0, 1_024, 1 << 30),
    ]
}

/// Time limits of nothing would refuse everything; one that is not wanted is left out or made long.
fn spans(config: &Config, found: &mut Vec<Problem>) {
    let (times, dns) = (&config.timeouts, &config.discovery);
    let always = [
        ("timeouts.tls_handshake", times.tls_handshake),
        ("timeouts.head", times.head),
        ("timeouts.body", times.body),
        ("timeouts.keep_alive", times.keep_alive),
        ("timeouts.http2_idle", times.http2_idle),
        ("timeouts.http2_ping", times.http2_ping),
        ("timeouts.http2_ping_answer", times.http2_ping_answer),
        ("timeouts.connect", times.connect),
        ("timeouts.silence", times.silence),
        ("timeouts.websocket_idle", times.websocket_idle),
        ("timeouts.converge", times.converge),
        ("history.durable_within", config.history.durable_within),
        (
            "limits.http2.abuse_window",
            config.limits.http2.abuse_window,
        ),
        ("discovery.min_ttl", dns.min_ttl),
        ("discovery.timeout", dns.timeout),
    ];
    let sometimes = [
        ("timeouts.request", times.request),
        ("timeouts.connection_age", times.connection_age),
    ];
    let sometimes = sometimes
        .into_iter()
        .filter_map(|(path, span)| Some((path, span?)));
    for (path, Span(span)) in always.into_iter().chain(sometimes) {
        if span.is_zero() {
            found.push(
                Problem::new(path, "a time limit of nothing refuses everything")
                    .hint("leave it out to have the default"),
            );
        }
    }
    if dns.max_ttl < dns.min_ttl {
        let message = format!("{} is less than `min_ttl`, {}", dns.max_ttl, dns.min_ttl);
        found.push(Problem::new("discovery.max_ttl", message));
    }
    names(config, found);
}

fn names(config: &Config, found: &mut Vec<Problem>) {
    let via = &config.headers.via;
    let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if via.is_empty() || via.len() > 64 || !via.bytes().all(token) {
        let message = format!("`{via}` is not a name for `Via`");
        found.push(
            Problem::new("headers.via", message)
                .hint("use 1 to 64 letters, digits, `.`, `_` or `-`"),
        );
    }
}

/// Files that are only read, so that they have to be there.
fn missing_files(config: &mut Config, found: &mut Vec<Problem>) {
    let mut look = |at: String, path: &mut PathBuf| {
        if let Err(error) = std::fs::File::open(&path) {
            let message = format!("`{}` cannot be read: {error}", path.display());
            found.push(
                Problem::new(at, message)
                    .hint("a relative path is seen from the folder of this file"),
            );
        }
    };
    config.each_path(|at, path| {
        if at.starts_with("listeners.") || at.starts_with("admin.") {
            look(at, path);
        }
    });
    for (name, release) in &config.releases {
        let Some(tls) = &release.spec.tls else {
            continue;
        };
        for (key, path) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
            if let Some(path) = path {
                look(
                    format!("releases.{name}.tls.{key}"),
                    &mut PathBuf::from(path),
                );
            }
        }
    }
}

/// Endpoints that are listeners of ours: requests to them would go round in a circle.
///
/// Host names other than `localhost` are not looked up here.
pub fn own_listeners(table: &TableDocument, own: &[SocketAddr]) -> Vec<Problem> {
    let mut found = Vec::new();
    let endpoints = table.releases.iter().flat_map(|(name, release)| {
        let numbered = release.endpoints.iter().enumerate();
        numbered.map(move |(place, url)| (name, place, url))
    });
    for (name, place, url) in endpoints {
        if let Some(listener) = own.iter().find(|own| is_same(url, **own)) {
            found.push(in_a_circle(name, place, url, *listener));
        }
    }
    found
}

fn in_a_circle(name: &ReleaseName, place: usize, url: &EndpointUrl, own: SocketAddr) -> Problem {
    let message = format!("`{url}` is our own listener {own}: requests would go round in a circle");
    Problem::new(format!("releases.{name}.endpoints.{place}"), message)
        .hint("name the address that the agent itself listens on")
}

fn is_same(url: &EndpointUrl, own: SocketAddr) -> bool {
    if own.port() == 0 || url.port() != own.port() {
        return false;
    }
    let named: Vec<IpAddr> = match url.ip() {
        Some(ip) => vec![ip.to_canonical()],
        None if url.host() == "localhost" => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        None => Vec::new(),
    };
    let listens = own.ip().to_canonical();
    named
        .into_iter()
        .any(|ip| ip == listens || listens.is_unspecified() && is_ours(ip))
}

/// Whether an address belongs to this machine: only then can a socket be bound to it.
fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}
