//! Validation of health checks.

use std::time::Duration;

use crate::message::normal_path;
use crate::model::{
    EndpointUrl, HealthMethod, HealthSpec, HumanDuration, Problem, Protocol, StatusRange,
};

/// Maximum length of the text that is searched in a body.
const LONGEST_TEXT: usize = 1024;
/// Maximum length of the name of a service.
const LONGEST_SERVICE: usize = 200;

pub(super) fn problems(
    at: &str,
    check: &HealthSpec,
    protocol: Protocol,
    problems: &mut Vec<Problem>,
) {
    match &check.grpc {
        Some(service) => grpc(at, check, service, protocol, problems),
        None if check.path.is_empty() => {
            problems.push(Problem::new(at, "missing key `path`").hint(
                "write `path = \"/healthz\"`, or `grpc = \"\"` for the health service of gRPC",
            ));
        }
        None => path(at, check, problems),
    }
    times(at, check, problems);
    answer(at, check, problems);
}

/// A check by the health service of gRPC, which has a path and a response of its own.
fn grpc(
    at: &str,
    check: &HealthSpec,
    service: &str,
    protocol: Protocol,
    problems: &mut Vec<Problem>,
) {
    if protocol != Protocol::Http2 {
        problems.push(
            Problem::new(format!("{at}.grpc"), "gRPC needs HTTP/2")
                .hint("write `protocol = \"h2\"` on the release"),
        );
    }
    if service.len() > LONGEST_SERVICE || !service.bytes().all(|b| b.is_ascii_graphic()) {
        problems.push(
            Problem::new(
                format!("{at}.grpc"),
                format!("`{service}` is not a service"),
            )
            .hint("such as `agents.v1.Chat`, or `\"\"` for the server as a whole"),
        );
    }
    let is_plain = check.path.is_empty()
        && check.body.is_none()
        && check.method == HealthMethod::default()
        && check.status == StatusRange::default();
    if !is_plain {
        problems.push(
            Problem::new(
                at,
                "`grpc` cannot be combined with `path`, `method`, `status` or `body`",
            )
            .hint("the health service of gRPC has its own"),
        );
    }
}

fn path(at: &str, check: &HealthSpec, problems: &mut Vec<Problem>) {
    let odd = |b: u8| !b.is_ascii_graphic() || b == b'#';
    let path = check
        .path
        .split_once('?')
        .map_or(&*check.path, |(path, _)| path);
    if !check.path.starts_with('/')
        || check.path.bytes().any(odd)
        || normal_path(path.as_bytes()).is_err()
    {
        problems.push(
            Problem::new(
                format!("{at}.path"),
                format!("`{}` is not a path", check.path),
            )
            .hint("such as `/healthz`"),
        );
    }
}

fn times(at: &str, check: &HealthSpec, problems: &mut Vec<Problem>) {
    for (key, span) in [("interval", check.interval), ("timeout", check.timeout)] {
        if span < HumanDuration(Duration::from_millis(10)) {
            problems.push(
                Problem::new(format!("{at}.{key}"), format!("`{span}` is too short"))
                    .hint("the minimum is 10ms"),
            );
        }
    }
    if check.rise == 0 || check.fall == 0 {
        problems.push(Problem::new(
            at,
            "`rise` and `fall` count results in a row and are at least 1",
        ));
    }
}

fn answer(at: &str, check: &HealthSpec, problems: &mut Vec<Problem>) {
    if let Some(host) = &check.host
        && format!("http://{host}").parse::<EndpointUrl>().is_err()
    {
        problems.push(
            Problem::new(format!("{at}.host"), format!("`{host}` is not a host"))
                .hint("such as `agents.example.com`, with a port where the endpoint expects one"),
        );
    }
    if check.port == Some(0) {
        problems.push(
            Problem::new(format!("{at}.port"), "nothing can listen on port 0")
                .hint("leave it out to use the endpoint's own port"),
        );
    }
    let Some(text) = &check.body else { return };
    let at = format!("{at}.body");
    if text.is_empty() || text.len() > LONGEST_TEXT {
        problems.push(
            Problem::new(
                at,
                format!("a text of {} bytes cannot be searched for", text.len()),
            )
            .hint("write 1 to 1024 bytes, or leave it out"),
        );
    } else if check.method == HealthMethod::Head {
        problems.push(
            Problem::new(at, "the response to HEAD has no body").hint("use `method = \"GET\"`"),
        );
    }
}
