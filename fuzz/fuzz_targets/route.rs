//! A route and a request, a line of JSON each, and what a variable stands for: the request matches as it does by a plain
//! reading, its redirect leads nowhere else, and no header field has a byte that does not belong there.

#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use libfuzzer_sys::{Corpus, fuzz_target};
use serde::Deserialize;
use serde_json::{Value, json};
use switchback_fuzz::{
    fleet::Fleet,
    message::is_token,
    model::{ChangeSet, EndpointUrl, PathMatch, RequestView, RouteSpec, TableDocument, TableState},
    table::{HeaderRules, Redirect, compile},
};

static FLEET: LazyLock<Fleet> = LazyLock::new(|| Fleet::new(1));

#[derive(Deserialize)]
struct Asked {
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl RequestView for Asked {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(|value| value.as_bytes())
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// True if a request matches, read as the documents say it.
fn matches(route: &RouteSpec, asked: &Asked) -> bool {
    let host = asked.host.strip_suffix('.').unwrap_or(&asked.host).to_ascii_lowercase();
    let is_host = |own: &str| match own.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => host == own,
    };
    let has_host = route.all_hosts().next().is_none() || route.all_hosts().any(is_host);
    let has_path = match route.path_match() {
        PathMatch::Exact(path) => asked.path == path,
        PathMatch::Prefix(prefix) => match prefix.strip_suffix('/').unwrap_or(prefix) {
            "" => true,
            prefix => asked.path == prefix || asked.path.starts_with(&format!("{prefix}/")),
        },
    };
    let is_method = |own: &str| own == asked.method || own == "GET" && asked.method == "HEAD";
    let has_method = route.methods.is_empty() || route.methods.iter().any(|own| is_method(own.as_str()));
    let mut headers = route.headers.iter();
    let has_headers = headers.all(|(name, value)| asked.headers.get(name) == Some(value));
    let parameters = parameters(asked.query.as_deref().unwrap_or_default());
    let first = |name: &str| parameters.iter().find(|(own, _)| own == name.as_bytes());
    let mut query = route.query.iter();
    let has_query = query.all(|(name, value)| first(name).is_some_and(|(_, own)| own == value.as_bytes()));
    has_host && has_path && has_method && has_headers && has_query
}

fn parameters(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (unescaped(name), unescaped(value))).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let (text, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < text.len() {
        let is_escape = text[at] == b'%'
            && text.len() > at + 2
            && text[at + 1..at + 3].iter().all(u8::is_ascii_hexdigit);
        if is_escape {
            let digits = std::str::from_utf8(&text[at + 1..at + 3]).expect("they are digits");
            out.push(u8::from_str_radix(digits, 16).expect("they are digits"));
        } else {
            out.push(if text[at] == b'+' { b' ' } else { text[at] });
        }
        at += if is_escape { 3 } else { 1 };
    }
    out
}

fn origin(host: &str) -> Option<EndpointUrl> {
    // An address of IPv6 has no brackets in a route.
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("http://{host}").parse().ok()
}

/// The URL of a redirect has the host of the request or the one that is configured, and leads no request to itself.
fn check_redirect(redirect: &Redirect, route: &RouteSpec, asked: &Asked) {
    // A host that is none is refused with its request.
    let Some(requested) = origin(&asked.host) else {
        return;
    };
    let query = asked.query.as_deref().map(str::as_bytes);
    let Some(url) = redirect.location(&requested, asked.path.as_bytes(), query) else {
        return;
    };
    let url = String::from_utf8(url).expect("it is ASCII");
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['\\', '#', '"', '<', '>']), "{url}");
    let (scheme, rest) = url.split_once("://").expect("it has a scheme");
    let (authority, target) = rest.split_at(rest.find('/').expect("it has a path"));
    let spec = route.redirect.as_ref().expect("it has one");
    let host = spec.host.as_deref().unwrap_or(&asked.host);
    let host = origin(host).expect("it is a host").authority();
    let port = authority.strip_prefix(&*host).expect("it is its host");
    assert!(port.is_empty() || port[1..].parse::<u16>().is_ok_and(|_| port.starts_with(':')), "{url}");
    let there: EndpointUrl = format!("{scheme}://{authority}").parse().expect("it is an origin");
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes())),
        None => (target, None),
    };
    let again = redirect.location(&there, path.as_bytes(), query);
    assert!(again.is_none_or(|again| again != url.as_bytes()), "{url}");
}

fn check_fields(rules: &HeaderRules, value: &[u8]) {
    for (name, template) in rules.written() {
        assert!(is_token(name.as_bytes()), "{name}");
        assert!(!["content-length", "transfer-encoding", "host", "connection"].contains(&&*name.to_ascii_lowercase()));
        let mut out = Vec::new();
        template.write(&mut out, |_, out| out.extend_from_slice(value));
        assert!(out.iter().all(|byte| (b' '..=b'~').contains(byte)), "{name}");
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut lines = data.splitn(3, |&byte| byte == b'\n');
    let (route, asked) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (Ok(route), Ok(asked)) = (serde_json::from_slice::<Value>(route), serde_json::from_slice::<Asked>(asked)) else {
        return Corpus::Reject;
    };
    // A request with another host, or a path that no request line can have, is refused before it is routed.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_target = asked.path.bytes().chain(asked.query.iter().flat_map(|query| query.bytes()));
    if asked.host.is_empty() || !asked.host.bytes().all(is_plain) || is_target.clone().any(|byte| byte <= b' ') {
        return Corpus::Reject;
    }
    let table = json!({ "releases": { "blue": { "endpoints": ["http://127.0.0.1:1"] } }, "routes": [route] });
    let Ok(table) = serde_json::from_value::<TableDocument>(table) else {
        return Corpus::Reject;
    };
    let draft = match compile(table.into_state(&TableState::default()), &ChangeSet::default(), None, &FLEET) {
        Ok(draft) => draft,
        Err(problems) => {
            assert!(problems.iter().all(|problem| !problem.message.is_empty()) && !problems.is_empty());
            return Corpus::Keep;
        }
    };
    let compiled = draft.compiled();
    let spec = compiled.spec().routes().iter().next().expect("there is one");
    let found = compiled.route(&asked, asked.path.as_bytes());
    assert_eq!(found.is_some(), matches(spec, &asked));
    let Some(route) = found else {
        return Corpus::Keep;
    };
    if let Some(redirect) = route.answers().and_then(|answers| answers.redirect()) {
        check_redirect(redirect, spec, &asked);
    }
    let value = lines.next().unwrap_or_default();
    for rules in [route.request_headers(), route.response_headers()].into_iter().flatten() {
        check_fields(rules, value);
    }
    Corpus::Keep
});
