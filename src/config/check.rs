//! Second stage of reading a configuration: validates its values against each other.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use super::{
    Config, Listener, ListenerTls, Network, TokenRole, bounds, calibrate, check_acme, check_hooks,
    drills, feedback, kubernetes::SERVICE_ACCOUNT, ofrep, own_listeners, sessions,
};
use crate::{
    fleet::Fleet,
    model::{ChangeSet, Problem, TableState},
    table::compile,
};

/// Policy for the files that a configuration names (certificates, keys, tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileCheck {
    /// Files are not checked.
    MayBeMissing,
    /// A missing file is a problem.
    MustExist,
}

/// Finds every problem of a configuration that parsed.
pub(super) fn problems(config: &mut Config, files: FileCheck) -> Vec<Problem> {
    let mut found = Vec::new();
    listeners(config, &mut found);
    check_acme::check(config, &mut found);
    admin(config, &mut found);
    sessions::check(&config.sessions, &mut found);
    drills::check(&config.drills, &config.routes, &mut found);
    calibrate::check(&config.calibrate, &config.routes, &config.plans, &mut found);
    feedback::check(&config.feedback, &mut found);
    ofrep::check(&config.ofrep, &mut found);
    for (name, plan) in &config.plans {
        found.extend(plan.problems(&format!("plans.{name}")));
        if !plan.metrics.is_empty() && config.prometheus.url.is_none() {
            let path = format!("plans.{name}.metrics");
            let problem = Problem::new(path, "there is no Prometheus to ask");
            found.push(problem.hint("add `[prometheus]` with `url = \"http://127.0.0.1:9090\"`"));
        }
    }
    check_hooks::check(config, &mut found);
    names(config, &mut found);
    globs(config, &mut found);
    bounds::numbers(config, &mut found);
    bounds::spans(config, &mut found);
    config.verification.check(&mut found);
    config.backup.check(&config.history, &mut found);
    if let Some(cloudwatch) = &config.cloudwatch {
        cloudwatch.check(&mut found);
    }
    if let Some(datadog) = &config.datadog {
        datadog.check(&mut found);
    }
    if let Some(opentelemetry) = &config.opentelemetry {
        opentelemetry.check(&mut found);
    }
    config.prometheus.check(&mut found);
    if let Some(fleet) = &config.fleet {
        fleet.check(&mut found);
    }
    if let Some(kubernetes) = &config.discovery.kubernetes {
        kubernetes.check(&mut found);
    }
    found.extend(config.shutdown.problem());
    empty_paths(config, &mut found);
    if files == FileCheck::MustExist {
        missing_files(config, &mut found);
        found.extend(config.backup.missing_program());
    }
    found.extend(table(config));
    let own: Vec<SocketAddr> = config.listeners.iter().map(|one| one.address).collect();
    found.extend(own_listeners(&config.table(), &own));
    found
}

/// Problems of the table, validated by the compiler that publishes tables.
fn table(config: &Config) -> Vec<Problem> {
    let state = config.table().into_state(&TableState::default());
    compile(state, &ChangeSet::default(), None, &Fleet::new(1))
        .err()
        .unwrap_or_default()
}

/// True if a problem only follows from a value that was removed because it was wrong.
pub(super) fn follows_from(problem: &Problem, removed: &[String]) -> bool {
    let about = problem.path.as_str();
    let of_release = about.contains(".split.") || about.ends_with(".stable");
    if of_release && removed.iter().any(|gone| gone == "releases") {
        return true;
    }
    removed.iter().any(|gone| {
        let parent = gone.rsplit_once('.').map_or("", |(parent, _)| parent);
        let name = gone.strip_prefix("releases.");
        inside(about, gone)
            || !parent.is_empty() && (about == parent || inside(parent, about))
            || name.is_some_and(|name| about.ends_with(&format!(".{name}")))
    })
}

/// True if `path` is `outer` or lies below it.
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
        )
        .chain(
            config
                .feedback
                .address
                .map(|address| ("feedback.address".to_owned(), address)),
        )
        .chain(
            config
                .ofrep
                .address
                .map(|address| ("ofrep.address".to_owned(), address)),
        );
    for (path, address) in addresses.filter(|(_, address)| address.port() != 0) {
        if let Some(first) = seen.insert(address, path.clone()) {
            let taken = format!("{address} is already used by `{first}`");
            found.push(Problem::new(path, taken).hint("give each its own address or port"));
        }
    }
    for (place, listener) in config.listeners.iter().enumerate() {
        listener_itself(place, listener, &config.trusted_proxies, found);
    }
}

fn listener_itself(
    place: usize,
    listener: &Listener,
    trusted: &[Network],
    found: &mut Vec<Problem>,
) {
    let at = format!("listeners.{place}");
    if listener.max_connections == Some(0) {
        let path = format!("{at}.max_connections");
        found.push(Problem::new(path, "a limit of 0 refuses every connection"));
    }
    proxy_senders(&at, listener, trusted, found);
    if let Some(tls) = &listener.tls {
        listener_tls(&at, tls, found);
    }
}

fn proxy_senders(at: &str, listener: &Listener, trusted: &[Network], found: &mut Vec<Problem>) {
    if listener.proxy_senders(trusted).is_some_and(<[_]>::is_empty) {
        found.push(
            Problem::new(
                format!("{at}.proxy_protocol"),
                "no peer is trusted to send PROXY headers, which set the client's address",
            )
            .hint("list the load balancers: `proxy_protocol_from = [\"10.0.0.0/8\"]`, or in `trusted_proxies`"),
        );
    }
    if listener.proxy_protocol_from.is_some() && !listener.proxy_protocol {
        found.push(
            Problem::new(
                format!("{at}.proxy_protocol_from"),
                "it has no effect without `proxy_protocol`",
            )
            .hint("add `proxy_protocol = true`, or remove it"),
        );
    }
}

fn listener_tls(at: &str, tls: &ListenerTls, found: &mut Vec<Problem>) {
    if tls.certificates.is_empty() && tls.acme.is_none() {
        found.push(
            Problem::new(format!("{at}.tls"), "TLS needs a certificate")
                .hint("write `certificates = [{ cert = \"agents.pem\", key = \"agents.key\" }]`"),
        );
    }
    if tls.client_auth.is_some() && tls.client_ca.is_none() {
        let message = "client certificates cannot be verified without `client_ca`";
        found.push(
            Problem::new(format!("{at}.tls.client_auth"), message)
                .hint("give a PEM file of the trusted CAs, or leave `client_auth` out"),
        );
    }
}

fn admin(config: &Config, found: &mut Vec<Problem>) {
    let admin = &config.admin;
    if let Some(tls) = &admin.tls {
        listener_tls("admin", tls, found);
    }
    let operator = admin
        .tokens
        .iter()
        .any(|token| token.role == TokenRole::Operator);
    if !admin.address.ip().to_canonical().is_loopback() && !operator {
        let message = format!(
            "{} is not loopback, and there is no operator token",
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
                Problem::new(path, "a token needs exactly one source")
                    .hint("give either `file` or `env`"),
            );
        }
    }
}

/// Rejects paths with a `*`, which would match literally. The table itself allows them: `*` is a valid path character.
fn globs(config: &Config, found: &mut Vec<Problem>) {
    for route in &config.routes {
        let paths = [("path", &route.path), ("path_prefix", &route.path_prefix)];
        for (key, path) in paths {
            let Some(path) = path
                .as_ref()
                .filter(|path| path.starts_with('/') && path.contains('*'))
            else {
                continue;
            };
            let front = path.split('*').next().unwrap_or_default();
            let front = match front.trim_end_matches('/') {
                "" => "/",
                front => front,
            };
            found.push(
                Problem::new(
                    format!("routes.{}.{key}", route.name),
                    format!("`{path}` has a `*`, which matches only itself"),
                )
                .hint(format!(
                    "a prefix matches everything below it: `path_prefix = \"{front}\"`"
                )),
            );
        }
    }
}

fn names(config: &Config, found: &mut Vec<Problem>) {
    let Some(via) = &config.headers.via else {
        return;
    };
    let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if via.is_empty() || via.len() > 64 || !via.bytes().all(token) {
        let message = format!("`{via}` is not a valid name for `Via`");
        found.push(Problem::new("headers.via", message).hint(
            "use 1 to 64 letters, digits, `.`, `_` or `-`; `send_via = false` leaves it out",
        ));
    }
}

/// Reports paths that name nothing.
fn empty_paths(config: &mut Config, found: &mut Vec<Problem>) {
    let mut look = |at: String, is_empty: bool| {
        if is_empty {
            let problem = Problem::new(at, "the path is empty");
            found.push(problem.hint("name a file or a folder, or leave the key out"));
        }
    };
    config.each_path(|at, path| look(at, path.as_os_str().is_empty()));
    for (at, path) in tls_paths(config) {
        look(at, path.is_empty());
    }
}

/// Files of the TLS settings towards endpoints, with their configuration paths.
fn tls_paths(config: &Config) -> impl Iterator<Item = (String, &str)> {
    let all = config.releases.iter().filter_map(|(name, release)| {
        let tls = release.spec.tls.as_ref()?;
        let files = [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)];
        Some(files.map(|(key, path)| (format!("releases.{name}.tls.{key}"), path.as_deref())))
    });
    all.flatten().filter_map(|(at, path)| Some((at, path?)))
}

/// Reports read-only files that do not exist.
fn missing_files(config: &mut Config, found: &mut Vec<Problem>) {
    let mut look = |at: String, path: &Path| {
        // An empty one is told as such.
        if path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = std::fs::File::open(path) {
            let message = format!("`{}` cannot be read: {error}", path.display());
            found.push(
                Problem::new(at, message).hint("a relative path starts at the folder of this file"),
            );
        }
    };
    config.each_path(|at, path| {
        // The folder of certificates is created.
        if at.ends_with(".acme.path") {
            return;
        }
        // A pod has those of its account; the configuration may be checked elsewhere.
        if at.starts_with("discovery.") && path.starts_with(SERVICE_ACCOUNT) {
            return;
        }
        let read_only = [
            "listeners.",
            "admin.",
            "sessions.",
            "hooks.",
            "prometheus.",
            "discovery.",
            "fleet.",
        ];
        if read_only.iter().any(|part| at.starts_with(part)) {
            look(at, path);
        }
    });
    for (at, path) in tls_paths(config) {
        look(at, Path::new(path));
    }
}
