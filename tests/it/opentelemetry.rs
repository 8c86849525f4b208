//! The exporter to OpenTelemetry: what a collector gets, and that one which hangs or refuses changes nothing else.
//!
//! `tests/exporters` reads what it sends with OpenTelemetry's own messages.

use std::{
    io::Read,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Origin, Request, Served, reply, wait_until, write};

/// Longest time that an end may take: a second for the exporters, and what the rest needs.
const END: Duration = Duration::from_secs(8);

/// A switchback before a release, with this section.
struct Bench {
    served: Served,
    origin: Origin,
}

impl Bench {
    fn start(endpoint: &str, lines: &str) -> Self {
        let origin = Origin::replying("blue");
        let url = origin.url();
        let served = Served::start(&format!(
            "[opentelemetry]\nendpoint = {endpoint:?}\ninterval = \"1s\"\n{lines}\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{url:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\n"
        ));
        Self { served, origin }
    }

    fn send(&self) {
        assert_eq!(self.served.client().get("/").status, 200);
    }

    /// `traceparent` and `tracestate` as the endpoint gets them from a client that sends these fields.
    fn forwarded(&self, fields: &str) -> [Option<String>; 2] {
        let mut client = self.served.client();
        client.send(format!("GET /x HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
        assert_eq!(client.response().status, 200);
        let request = self.origin.last();
        ["traceparent", "tracestate"].map(|name| request.value(name).map(str::to_owned))
    }

    /// Number of values with a result.
    fn exported(&self, result: &str) -> u64 {
        let sample = format!(
            "switchback_export_values_total{{exporter=\"opentelemetry\",result=\"{result}\"}} "
        );
        let page = self.served.metrics();
        let line = page.lines().find_map(|line| line.strip_prefix(&sample));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

fn has(request: &Request, text: &str) -> bool {
    has_bytes(request, text.as_bytes())
}

fn has_bytes(request: &Request, bytes: &[u8]) -> bool {
    let mut parts = request.body.windows(bytes.len());
    parts.any(|part| part == bytes)
}

/// Requests with spans.
fn traces(collector: &Origin) -> Vec<Request> {
    let mut requests = collector.requests();
    requests.retain(|one| one.line() == "POST /v1/traces HTTP/1.1");
    requests
}

#[test]
fn a_collector_gets_all_metrics_with_its_headers_and_the_attributes() {
    let collector = Origin::answering(|_| reply(200, "", ""));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write(&token, "Bearer secret\n");
    let lines = format!(
        "service = \"proxy\"\nversion = \"7\"\ninstance = \"one\"\nenv = \"prod\"\n\
         attributes = {{ \"team.name\" = \"agents\" }}\n\
         headers = {{ authorization = {{ file = {token:?} }}, x-name = {{ env = \"CARGO_PKG_NAME\" }} }}\n"
    );
    let bench = Bench::start(&format!("{}/base/", collector.url()), &lines);
    bench.send();
    wait_until("the requests", || {
        let requests = collector.requests();
        requests.iter().any(|one| has(one, "switchback.requests"))
    });
    let request = collector.last();
    assert_eq!(request.line(), "POST /base/v1/metrics HTTP/1.1");
    for (name, value) in [
        ("content-type", "application/x-protobuf"),
        ("authorization", "Bearer secret"),
        ("x-name", "switchback"),
    ] {
        assert_eq!(request.value(name), Some(value));
    }
    for text in [
        "service.name",
        "proxy",
        "service.version",
        "service.instance.id",
        "one",
        "deployment.environment.name",
        "prod",
        "team.name",
        "agents",
        "switchback.request_duration",
        "switchback.live_revision",
        "chat",
    ] {
        assert!(has(&request, text), "{text}");
    }
    wait_until("a count", || bench.exported("sent") > 0);
}

#[test]
fn a_collector_that_hangs_costs_neither_requests_nor_changes_nor_the_end() {
    let collector = Origin::scripted(|mut stream| {
        // Reads all and says nothing, until the other side ends.
        let mut bytes = [0; 4096];
        while matches!(stream.read(&mut bytes), Ok(1..)) {}
    });
    let bench = Bench::start(&collector.url(), "timeout = \"500ms\"\n");
    // A second attempt: the first one was given up.
    wait_until("a second attempt", || {
        bench.send();
        collector.connections() > 1
    });
    let path = "/v1/routes/chat/switch";
    let (status, _) = bench.served.admin("POST", path, &json!({"to": "blue"}));
    assert_eq!(status, 200);
    let begin = Instant::now();
    bench.served.running.stop();
    assert!(begin.elapsed() < END, "{:?}", begin.elapsed());
}

#[test]
fn what_a_busy_collector_refuses_is_sent_again_and_what_it_never_takes_is_dropped() {
    let asked = AtomicUsize::new(0);
    let collector = Origin::answering(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => reply(503, "Retry-After: 0\r\n", ""),
        1 => reply(200, "", ""),
        2 => reply(400, "", ""),
        // Partial success: 3 points are rejected, with a message.
        _ => reply(200, "", "\x0a\x0b\x08\x03\x12\x07too old"),
    });
    let bench = Bench::start(&collector.url(), "");
    wait_until("the same request again", || collector.requests().len() > 1);
    let requests = collector.requests();
    assert_eq!(requests[0].body, requests[1].body);
    wait_until("a success", || bench.exported("sent") > 0);
    wait_until("a loss", || bench.exported("dropped") > 0);
    let before = bench.exported("dropped");
    wait_until("another answer", || collector.requests().len() > 3);
    assert_ne!(collector.requests()[2].body, collector.requests()[3].body);
    wait_until("a part", || bench.exported("dropped") >= before + 3);
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[test]
fn the_trace_of_a_client_decides_and_goes_on_with_our_span() {
    let collector = Origin::answering(|_| reply(200, "", ""));
    let lines = "traces = { sample = 0 }\n";
    let bench = Bench::start(&collector.url(), lines);
    let sampled = format!("Traceparent: 00-{TRACE}-{PARENT}-01\r\nTracestate: a=b\r\n");
    let [ours, state] = bench.forwarded(&sampled);
    let ours = ours.unwrap();
    let (trace, span) = (&ours[3..35], ours[36..52].to_owned());
    assert_eq!((&ours[..3], trace, &ours[52..]), ("00-", TRACE, "-01"));
    assert_ne!(span, PARENT);
    assert_eq!(state.as_deref(), Some("a=b"));
    wait_until("its spans", || !traces(&collector).is_empty());
    let request = &traces(&collector)[0];
    let bytes = |hex: &str| u64::from_str_radix(hex, 16).unwrap().to_be_bytes();
    for id in [bytes(&TRACE[..16]), bytes(PARENT), bytes(&span)] {
        assert!(has_bytes(request, &id), "{id:x?}");
    }
    for text in ["GET chat", "switchback.release", "blue", "a=b"] {
        assert!(has(request, text), "{text}");
    }
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    let fields = format!("Traceparent: {unsampled}\r\nTracestate: a=b\r\n");
    let state = Some("a=b".to_owned());
    assert_eq!(bench.forwarded(&fields), [Some(unsampled), state]);
    assert_eq!(bench.forwarded(""), [None, None]);
}

#[test]
fn a_request_without_a_trace_begins_one_in_its_share() {
    let collector = Origin::answering(|_| reply(200, "", ""));
    let lines = "traces = { sample = 100 }\n";
    let bench = Bench::start(&collector.url(), lines);
    let [ours, state] = bench.forwarded("Traceparent: nonsense\r\nTracestate: a=b\r\n");
    let id = bench
        .origin
        .last()
        .value("x-request-id")
        .unwrap()
        .to_owned();
    let ours = ours.unwrap();
    assert_eq!((&ours[3..35], &ours[52..]), (id.as_str(), "-01"));
    assert_eq!(state, None, "it belongs to no trace");
    wait_until("its spans", || {
        traces(&collector).iter().any(|one| has(one, &id))
    });
}

#[test]
fn a_failure_is_kept_though_it_is_not_sampled() {
    let collector = Origin::answering(|_| reply(200, "", ""));
    let lines = "traces = { sample = 0, failures = true }\n";
    let bench = Bench::start(&collector.url(), lines);
    assert_eq!(bench.forwarded(""), [None, None]);
    let Bench { served, origin } = bench;
    let good = origin.last().value("x-request-id").unwrap().to_owned();
    drop(origin);
    let failed = served.client().get("/gone");
    assert_eq!(failed.status, 502);
    let id = failed.value("x-request-id").unwrap().to_owned();
    wait_until("its spans", || {
        traces(&collector).iter().any(|one| has(one, &id))
    });
    let all = traces(&collector);
    let failed = all.iter().find(|one| has(one, &id)).unwrap();
    for text in ["error.type", "connect_failed", "/gone"] {
        assert!(has(failed, text), "{text}");
    }
    assert!(all.iter().all(|one| !has(one, &good)));
}
