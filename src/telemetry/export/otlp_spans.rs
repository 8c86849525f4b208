//! Requests as spans of OTLP, by the semantic conventions for HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message as _;

use super::{
    otlp::{KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, TracesRequest},
    outbox::Batch,
};
use crate::telemetry::span::RequestSpan;

/// Requests in one batch: at most two spans each.
const REQUESTS: usize = 512;
/// Kinds of spans, and the status of a failed one.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;
/// Flags of a span: sampled, known whether its parent is remote, remote.
const SAMPLED: u32 = 1;
const KNOWS_REMOTE: u32 = 1 << 8;
const REMOTE: u32 = 1 << 9;
/// Methods with a name of their own in the conventions.
const METHODS: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
];

/// Batches with the spans of these requests.
pub(super) fn batches(resource: &Resource, requests: &[RequestSpan]) -> Vec<Batch> {
    let batch = |requests: &[RequestSpan]| {
        let spans: Vec<_> = requests.iter().flat_map(spans_of).collect();
        let values = spans.len() as u64;
        let scope_spans = vec![ScopeSpans {
            scope: Some(Scope::own()),
            spans,
        }];
        let request = TracesRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource.clone()),
                scope_spans,
            }],
        };
        Batch {
            body: request.encode_to_vec().into(),
            values,
        }
    };
    requests.chunks(REQUESTS).map(batch).collect()
}

fn spans_of(request: &RequestSpan) -> impl Iterator<Item = Span> {
    let client = request.endpoint.is_some().then(|| client_span(request));
    [server_span(request)].into_iter().chain(client)
}

/// The span towards the client.
fn server_span(request: &RequestSpan) -> Span {
    let mut attributes = method(&request.method);
    attributes.push(KeyValue::text("url.scheme", request.scheme));
    attributes.push(KeyValue::text("url.path", &request.path));
    let client = request.client_address.to_string();
    attributes.push(KeyValue::text("client.address", client));
    if !request.host.is_empty() {
        attributes.extend(host(&request.host));
    }
    if let Some(agent) = &request.user_agent {
        attributes.push(KeyValue::text("user_agent.original", &**agent));
    }
    attributes.push(KeyValue::text("network.protocol.version", request.protocol));
    // What the client did wrong is no failure of the server.
    let failed = match request.status {
        Some(400..=499) => false,
        Some(500..) => true,
        _ => request.error.is_some(),
    };
    let mut span = span(request, (SERVER, request.server), attributes, failed);
    if let Some(parent) = request.parent {
        span.parent_span_id = parent.to_be_bytes().to_vec();
        span.flags |= REMOTE;
    }
    span
}

/// The span towards the endpoint: from the last attempt on.
fn client_span(request: &RequestSpan) -> Span {
    let mut attributes = method(&request.method);
    if let Some(endpoint) = request.endpoint {
        let address = endpoint.ip().to_string();
        attributes.push(KeyValue::text("server.address", address));
        attributes.push(KeyValue::int("server.port", endpoint.port().into()));
        let url = format!("{}://{endpoint}{}", request.endpoint_scheme, request.path);
        attributes.push(KeyValue::text("url.full", url));
    }
    if request.attempts > 1 {
        let resent = i64::from(request.attempts - 1);
        attributes.push(KeyValue::int("http.request.resend_count", resent));
    }
    let failed = request.error.is_some() || request.status.is_some_and(|status| status >= 400);
    let mut span = span(request, (CLIENT, request.client), attributes, failed);
    span.parent_span_id = request.server.to_be_bytes().to_vec();
    if let Some(after) = request.sent_after {
        span.start_time_unix_nano = nanos(request.started_at + after);
    }
    span
}

/// The part that both spans have in common.
fn span(
    request: &RequestSpan,
    (kind, id): (i32, u64),
    mut attributes: Vec<KeyValue>,
    failed: bool,
) -> Span {
    let has_status = kind == SERVER || request.is_answered;
    let status = request.status.filter(|_| has_status);
    if let Some(status) = status {
        let status = i64::from(status);
        attributes.push(KeyValue::int("http.response.status_code", status));
    }
    if failed {
        let of_status = || status.map(|status| status.to_string());
        let error = request.error.map(str::to_owned).or_else(of_status);
        let error = error.unwrap_or_else(|| "_OTHER".to_owned());
        attributes.push(KeyValue::text("error.type", error));
    }
    attributes.extend(own(request));
    Span {
        trace_id: request.trace.to_be_bytes().to_vec(),
        id: id.to_be_bytes().to_vec(),
        trace_state: request.tracestate.to_string(),
        parent_span_id: Vec::new(),
        name: name(request, kind),
        kind,
        start_time_unix_nano: nanos(request.started_at),
        end_time_unix_nano: nanos(request.started_at + request.duration),
        attributes,
        status: failed.then_some(Status { code: ERROR }),
        flags: KNOWS_REMOTE | if request.is_sampled { SAMPLED } else { 0 },
    }
}

/// Name of a span: never the path, of which there are too many.
fn name(request: &RequestSpan, kind: i32) -> String {
    let method = known(&request.method).unwrap_or("HTTP");
    match &request.route {
        Some(route) if kind == SERVER => format!("{method} {route}"),
        _ => method.to_owned(),
    }
}

/// Attributes that only switchback knows.
fn own(request: &RequestSpan) -> impl Iterator<Item = KeyValue> {
    let texts = [
        ("switchback.route", request.route.as_deref()),
        ("switchback.release", request.release.as_deref()),
        ("switchback.version", request.version.as_deref()),
        ("switchback.reason", request.reason),
        ("switchback.request_id", Some(request.request_id.as_str())),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(key, value)| Some(KeyValue::text(key, value?)));
    let revision = i64::try_from(request.revision).unwrap_or(i64::MAX);
    texts.chain([KeyValue::int("switchback.revision", revision)])
}

fn known(method: &str) -> Option<&str> {
    METHODS.contains(&method).then_some(method)
}

fn method(method: &str) -> Vec<KeyValue> {
    const KEY: &str = "http.request.method";
    match known(method) {
        Some(method) => vec![KeyValue::text(KEY, method)],
        None => vec![
            KeyValue::text(KEY, "_OTHER"),
            KeyValue::text("http.request.method_original", method),
        ],
    }
}

/// A host with a port, as attributes.
fn host(host: &str) -> Vec<KeyValue> {
    let port = host.rsplit_once(':').and_then(|(name, port)| {
        let is_whole = !name.contains(':') || name.ends_with(']');
        Some((name, port.parse::<u16>().ok().filter(|_| is_whole)?))
    });
    let (name, port) = port.map_or((host, None), |(name, port)| (name, Some(port)));
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let port = port.map(|port| KeyValue::int("server.port", port.into()));
    [KeyValue::text("server.address", name)]
        .into_iter()
        .chain(port)
        .collect()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{export::otlp::any_value::Value, span::tests::span};

    fn attribute(span: &Span, key: &str) -> Option<String> {
        let mut found = span.attributes.iter().filter(|one| one.key == key);
        let value = found.next()?.value.clone()?.value?;
        assert!(found.next().is_none(), "{key} is there twice");
        Some(match value {
            Value::String(text) => text,
            Value::Int(number) => number.to_string(),
        })
    }

    fn both(request: &RequestSpan) -> [Span; 2] {
        spans_of(request).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn a_request_is_a_span_towards_its_client_and_one_towards_the_endpoint() {
        let [server, client] = both(&span());
        assert_eq!((server.name.as_str(), server.kind), ("GET chat", SERVER));
        assert_eq!((client.name.as_str(), client.kind), ("GET", CLIENT));
        assert_eq!(server.trace_id, client.trace_id);
        assert_eq!(client.parent_span_id, server.id);
        assert_eq!(
            server.parent_span_id,
            0xb7ad_6b71_6920_3331_u64.to_be_bytes()
        );
        assert_eq!(server.flags, SAMPLED | KNOWS_REMOTE | REMOTE);
        assert_eq!(
            server.end_time_unix_nano - server.start_time_unix_nano,
            20_000_000
        );
        assert_eq!(
            client.start_time_unix_nano - server.start_time_unix_nano,
            1_000_000
        );
        for (key, value) in [
            ("http.request.method", "GET"),
            ("url.scheme", "https"),
            ("url.path", "/x"),
            ("server.address", "a.example"),
            ("server.port", "8443"),
            ("client.address", "192.0.2.1"),
            ("user_agent.original", "curl/8"),
            ("network.protocol.version", "1.1"),
            ("http.response.status_code", "200"),
            ("switchback.route", "chat"),
            ("switchback.release", "blue"),
            ("switchback.version", "1.0.0"),
            ("switchback.revision", "7"),
            ("switchback.reason", "split"),
        ] {
            assert_eq!(attribute(&server, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(attribute(&client, "server.port").as_deref(), Some("9001"));
        assert_eq!(server.status, None);
        assert_eq!(attribute(&server, "error.type"), None);
    }

    #[test]
    fn a_failure_has_a_type_and_an_unknown_method_is_another_one() {
        let mut request = span();
        request.status = Some(502);
        request.is_answered = false;
        request.error = Some("connect_failed");
        request.method = "BREW".to_owned();
        let [server, client] = both(&request);
        for span in [&server, &client] {
            assert_eq!(span.status, Some(Status { code: ERROR }));
            let error = attribute(span, "error.type");
            assert_eq!(error.as_deref(), Some("connect_failed"));
            let method = attribute(span, "http.request.method");
            assert_eq!(method.as_deref(), Some("_OTHER"));
        }
        assert_eq!(attribute(&client, "http.response.status_code"), None);
        request.status = Some(404);
        request.is_answered = true;
        request.error = None;
        let [server, client] = both(&request);
        assert_eq!(server.status, None);
        assert_eq!(client.status, Some(Status { code: ERROR }));
        assert_eq!(attribute(&client, "error.type").as_deref(), Some("404"));
        request.endpoint = None;
        assert_eq!(spans_of(&request).count(), 1);
    }

    #[test]
    fn a_host_is_a_name_and_a_port() {
        for (text, name, port) in [
            ("a.example", "a.example", None),
            ("a.example:80", "a.example", Some("80")),
            ("[::1]:80", "::1", Some("80")),
            ("[::1]", "::1", None),
        ] {
            let mut request = span();
            request.host = text.to_owned();
            let [server, _] = both(&request);
            assert_eq!(attribute(&server, "server.address").as_deref(), Some(name));
            assert_eq!(attribute(&server, "server.port").as_deref(), port);
        }
    }

    #[test]
    fn batches_are_bounded() {
        let batches = batches(&Resource::default(), &vec![span(); REQUESTS + 1]);
        let values: Vec<_> = batches.iter().map(|batch| batch.values).collect();
        assert_eq!(values, [2 * REQUESTS as u64, 2]);
        let request = TracesRequest::decode(batches[1].body.clone()).unwrap();
        assert_eq!(
            request.resource_spans[0].scope_spans[0].spans,
            both(&span())
        );
    }
}
