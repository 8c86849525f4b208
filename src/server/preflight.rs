//! Preflight: finds what would prevent serving a configuration, before anything is started. `check`, `serve` and a
//! reload read files through here, so that all of them accept the same files.
//!
//! Files are read with the code that serves with them. Nothing is created, bound or locked: a check may run beside a
//! running switchback, and on another machine than the one that will serve.

use std::{
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use super::{collector, flag_tokens, fleet_entry, hooks, listeners::tls_settings, seal_keys};
use crate::{
    acme,
    admin::Access,
    config::{self, AccessLogFormat, Acme, Certificate, Config, ConfigError, ListenerTls},
    model::{Problem, UpstreamTls},
    net::{ClientTls, ClientTlsSettings, IssuedCertificates, NetError, ServerTls},
    telemetry::check_log_level,
};

/// Reads a configuration that can be served.
///
/// # Errors
/// When the file cannot be read, with the reason; when it has problems, with all of them.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    config::load_and(path, problems)
}

/// Problems that prevent serving a configuration whose values are valid in themselves.
fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    for (place, listener) in config.listeners.iter().enumerate() {
        if let Some(tls) = &listener.tls {
            listener_tls(&format!("listeners.{place}.tls"), tls, &mut found);
        }
    }
    if let Some(tls) = &config.admin.tls {
        listener_tls("admin.tls", tls, &mut found);
    }
    for (name, release) in &config.releases {
        if let Some(tls) = &release.spec.tls {
            release_tls(&format!("releases.{name}.tls"), tls, &mut found);
        }
    }
    tokens(config, &mut found);
    seal_keys(config, &mut found);
    found.extend(fleet_entry::check(config));
    let sources = config.hooks.values().flat_map(|hook| &hook.secrets);
    if sources
        .map(|secret| (&secret.file, &secret.env))
        .all(|(file, env)| file.is_some() != env.is_some())
    {
        found.extend(hooks::load(config).err().unwrap_or_default());
    }
    let token = config.prometheus.token.as_ref();
    if token.is_none_or(|token| token.file.is_some() != token.env.is_some()) {
        found.extend(hooks::load_prometheus(config).err());
    }
    let mut tokens = config.ofrep.tokens.iter();
    if tokens.all(|token| token.file.is_some() != token.env.is_some()) {
        found.extend(flag_tokens::access(config).err().unwrap_or_default());
    }
    if let Some(opentelemetry) = &config.opentelemetry {
        found.extend(collector::load(opentelemetry).err().unwrap_or_default());
    }
    access_log(config, &mut found);
    history(config, &mut found);
    if let Err(error) = check_log_level(&config.log.level) {
        found.push(Problem::new("log.level", error.to_string()).hint(error.hint()));
    }
    found
}

/// Checks each certificate by itself, so that all problems are reported, and then the whole.
fn listener_tls(at: &str, tls: &ListenerTls, found: &mut Vec<Problem>) {
    let before = found.len();
    for (place, pair) in tls.certificates.iter().enumerate() {
        let alone = ListenerTls {
            certificates: vec![pair.clone()],
            client_ca: None,
            client_auth: None,
            acme: None,
            ..tls.clone()
        };
        if let Err(error) = ServerTls::load(tls_settings(&alone)) {
            found.push(in_pair(&format!("{at}.certificates.{place}"), pair, &error));
        }
    }
    if let Some(acme) = &tls.acme {
        authority(&format!("{at}.acme"), acme, found);
    }
    let issued = tls
        .acme
        .as_ref()
        .map(|acme| IssuedCertificates::new(acme.domains.clone()));
    let has_some = !tls.certificates.is_empty() || issued.is_some();
    let is_sound = found.len() == before && has_some;
    if is_sound && let Err(error) = ServerTls::load_with(tls_settings(tls), issued, &[]) {
        found.push(in_files(
            at,
            &[("client_ca", tls.client_ca.as_deref())],
            &error,
        ));
    }
}

/// Checks the files and the folder of an authority, which is not asked.
fn authority(at: &str, acme: &Acme, found: &mut Vec<Problem>) {
    if let Some(ca) = &acme.ca {
        let settings = ClientTlsSettings {
            ca: Some(ca.clone()),
            ..ClientTlsSettings::default()
        };
        if let Err(error) = ClientTls::load(&settings) {
            found.push(in_files(at, &[("ca", Some(ca))], &error));
        }
    }
    if let Some(eab) = &acme.eab
        && let Err(error) = acme::check_binding(eab)
    {
        let problem = Problem::new(format!("{at}.eab.key_file"), error.to_string());
        found.push(problem.hint("the authority shows the key beside its `kid`"));
    }
    if let Some(path) = &acme.path {
        let hint = "set a folder for the account and the certificates";
        found.extend(no_folder(&format!("{at}.path"), path, hint));
    }
}

fn in_pair(at: &str, pair: &Certificate, error: &NetError) -> Problem {
    let files = [
        ("cert", Some(pair.cert.as_path())),
        ("key", Some(pair.key.as_path())),
    ];
    let problem = in_files(at, &files, error);
    let holds = |path: &Path, what: &str| fs::read_to_string(path).is_ok_and(|t| t.contains(what));
    if holds(&pair.cert, "PRIVATE KEY-----") && holds(&pair.key, "BEGIN CERTIFICATE-----") {
        return problem
            .hint("the two files are swapped: `cert` is the certificate, `key` its private key");
    }
    problem
}

fn release_tls(at: &str, tls: &UpstreamTls, found: &mut Vec<Problem>) {
    // An incomplete pair is reported with the table.
    if tls.cert.is_some() != tls.key.is_some() {
        return;
    }
    if let Err(error) = ClientTls::load(&ClientTlsSettings::from(Some(tls))) {
        let files = [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)];
        let files = files.map(|(key, path)| (key, path.as_deref().map(Path::new)));
        found.push(in_files(at, &files, &error));
    }
}

/// The problem of a file, at the key that names it.
fn in_files(at: &str, files: &[(&str, Option<&Path>)], error: &NetError) -> Problem {
    let named = |path: &Path| files.iter().find(|(_, file)| *file == Some(path));
    let at = match error {
        NetError::Pem { path, .. } => {
            named(path).map_or_else(|| at.to_owned(), |(key, _)| format!("{at}.{key}"))
        }
        _ => at.to_owned(),
    };
    Problem::new(at, error.to_string())
}

fn tokens(config: &Config, found: &mut Vec<Problem>) {
    // The token that a public address needs is checked elsewhere.
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for (place, token) in config.admin.tokens.iter().enumerate() {
        if token.file.is_some() == token.env.is_some() {
            continue;
        }
        if let Err(error) = Access::load(std::slice::from_ref(token), here) {
            let key = if token.file.is_some() { "file" } else { "env" };
            found.push(Problem::new(
                format!("admin.tokens.{place}.{key}"),
                error.to_string(),
            ));
        }
    }
}

fn seal_keys(config: &Config, found: &mut Vec<Problem>) {
    let keys = config.sessions.keys.iter().enumerate();
    for (place, spec) in keys.filter(|(_, spec)| spec.file.is_some() != spec.env.is_some()) {
        if let Err(error) = seal_keys::check(spec) {
            let key = if spec.file.is_some() { "file" } else { "env" };
            let problem = Problem::new(format!("sessions.keys.{place}.{key}"), with_cause(&error));
            found.push(problem.hint("make one with `openssl rand -base64 32`"));
        }
    }
}

/// The text of an error with that of its cause.
fn with_cause(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

fn access_log(config: &Config, found: &mut Vec<Problem>) {
    let Some(path) = &config.access_log.path else {
        return;
    };
    if config.access_log.format == AccessLogFormat::Off {
        return;
    }
    let at = "access_log.path";
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        let message = format!("there is no folder `{}`", folder.display());
        found.push(
            Problem::new(at, message)
                .hint("create it first; only the file in it is created automatically"),
        );
    } else if path.exists()
        && let Err(error) = OpenOptions::new().append(true).open(path)
    {
        let message = format!("`{}` cannot be written: {error}", path.display());
        found.push(Problem::new(at, message));
    }
}

fn history(config: &Config, found: &mut Vec<Problem>) {
    let hint = "set a folder for the revisions";
    found.extend(no_folder("history.path", &config.history.path, hint));
}

/// Problem of a folder that is created at the start. The only certain obstacle is a file in its path.
fn no_folder(at: &str, path: &Path, hint: &str) -> Option<Problem> {
    let there = path.ancestors().find(|path| path.exists())?;
    let message = format!("`{}` is not a folder", there.display());
    (!there.is_dir()).then(|| Problem::new(at, message).hint(hint))
}
