//! Exporters: what another monitoring tool gets, and that a tool which takes nothing changes nothing else.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Origin, Served, reply};

/// Timeout for a flush.
const FLUSH: Duration = Duration::from_secs(20);

/// A switchback with an exporter, and two releases.
struct Bench {
    served: Served,
    _origins: [Origin; 2],
}

impl Bench {
    fn start(exporter: &str) -> Self {
        let origins =
            ["blue", "green"].map(|name| Origin::answering(move |_| reply(200, "", name)));
        let [blue, green] = origins.each_ref().map(Origin::url);
        let served = Served::start(&format!(
            "{exporter}\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n"
        ));
        Self {
            served,
            _origins: origins,
        }
    }

    fn send(&self, requests: usize) {
        let mut client = self.served.client();
        for _ in 0..requests {
            assert_eq!(client.get("/").status, 200);
        }
    }

    /// Value of a sample in `/metrics`.
    fn metric(&self, sample: &str) -> Option<f64> {
        let page = self.served.metrics();
        let line = page.lines().find(|line| line.starts_with(sample))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }
}

/// Receives lines until one begins with each of the texts; returns all of them.
fn lines_until(
    mut receive: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    wanted: &[&str],
) -> Vec<String> {
    let end = Instant::now() + FLUSH;
    let mut lines: Vec<String> = Vec::new();
    let mut buffer = vec![0; 10_000];
    loop {
        let missing: Vec<_> = wanted
            .iter()
            .filter(|start| !lines.iter().any(|line| line.starts_with(**start)))
            .collect();
        if missing.is_empty() {
            return lines;
        }
        assert!(Instant::now() < end, "missing {missing:?} in {lines:#?}");
        if let Ok(length) = receive(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            lines.extend(text.split('\n').map(str::to_owned));
        }
    }
}

#[test]
fn datadog_gets_metrics_events_and_readiness_with_the_unified_tags() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    agent
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let address = agent.local_addr().unwrap();
    let bench = Bench::start(&format!(
        "[datadog]\naddress = \"{address}\"\ninterval = \"1s\"\nservice = \"proxy\"\nenv = \"prod\"\n\
         version = \"7\"\ntags = [\"team:agents\"]\n"
    ));
    bench.send(3);
    let (status, _) = bench
        .served
        .admin("POST", "/v1/routes/chat/switch", &json!({"to": "green"}));
    assert_eq!(status, 200);
    let (status, _) = bench.served.admin("POST", "/v1/rollback", &Value::Null);
    assert_eq!(status, 200);
    let lines = lines_until(
        |buffer| agent.recv(buffer),
        &[
            "_sc|switchback.ready|0|#",
            "switchback.requests:3|c|#",
            "switchback.request_duration_seconds:",
            "switchback.request_duration_seconds.count:3|c|#",
            "switchback.live_revision:3|g|#",
            "switchback.swaps:",
            "switchback.export_values:",
        ],
    );
    let tags = "|#service:proxy,env:prod,version:7,team:agents";
    for line in &lines {
        assert!(line.contains(tags), "{line}");
    }
    let requests = lines
        .iter()
        .find(|line| line.starts_with("switchback.requests:"));
    let expected = format!(
        "switchback.requests:3|c{tags},route:chat,release:blue,release_version:1,outcome:good,code:200"
    );
    assert_eq!(requests, Some(&expected));
    let titles: BTreeSet<_> = lines
        .iter()
        .filter(|line| line.starts_with("_e{"))
        .filter_map(|line| line.split_once(':')?.1.split_once(" by "))
        .map(|(title, _)| title)
        .collect();
    let expected = [
        "switchback revision 1: import",
        "switchback revision 2: publish",
        "switchback revision 3: rollback to 1",
    ];
    assert_eq!(titles, BTreeSet::from(expected));
}

#[test]
fn a_hanging_agent_costs_values_that_are_counted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsd.socket");
    let agent = UnixDatagram::bind(&path).unwrap();
    // The queue of its socket is full before the first flush.
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"full", &path).is_ok() {}
    let bench = Bench::start(&format!(
        "[datadog]\nsocket = {path:?}\ninterval = \"1s\"\n"
    ));
    let dropped = "switchback_export_values_total{exporter=\"datadog\",result=\"dropped\"}";
    let end = Instant::now() + FLUSH;
    while bench.metric(dropped).is_none_or(|dropped| dropped == 0.0) {
        assert!(Instant::now() < end, "nothing is counted as dropped");
        bench.send(20);
    }
    let (status, _) = bench
        .served
        .admin("POST", "/v1/routes/chat/switch", &json!({"to": "green"}));
    assert_eq!(status, 200);
    // Once the agent reads, it gets what is live by then.
    agent
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    lines_until(
        |buffer| agent.recv(buffer),
        &["switchback.live_revision:2|g|#service:switchback"],
    );
}

#[test]
fn cloudwatch_gets_events_of_each_release_with_its_dimensions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emf.log");
    let bench = Bench::start(&format!(
        "[cloudwatch]\nto = \"file:{}\"\nnamespace = \"agents\"\nservice = \"proxy\"\ninterval = \"1s\"\n",
        path.display()
    ));
    bench.send(3);
    let end = Instant::now() + FLUSH;
    let events = loop {
        assert!(Instant::now() < end, "no event has the requests");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events: Vec<_> = events.collect();
        if events.iter().any(|event| event.get("Requests").is_some()) {
            break events;
        }
        std::thread::yield_now();
    };
    for event in &events {
        assert_eq!(event["Service"], "proxy");
        assert_eq!(event["_aws"]["CloudWatchMetrics"][0]["Namespace"], "agents");
    }
    let requests: u64 = events
        .iter()
        .filter_map(|event| event["Requests"].as_u64())
        .sum();
    assert_eq!(requests, 3);
    let of_blue = events
        .iter()
        .find(|event| event.get("Requests").is_some())
        .unwrap();
    assert_eq!(
        (
            &of_blue["Route"],
            &of_blue["Release"],
            &of_blue["RequestDuration"]["Count"]
        ),
        (&json!("chat"), &json!("blue"), &of_blue["Requests"])
    );
}
