//! A whole proxy with its admin API, in front of two releases whose endpoints do what a test says.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use switchback::config::{self, FileCheck};
use switchback::server::{self, Options, Running};

use crate::support::{Client, Origin, TIMEOUT};

/// An endpoint that hands each request to the test, with the connection to write the response to.
pub(super) struct HeldOrigin {
    pub(super) origin: Origin,
    requests: Mutex<Receiver<Held>>,
}

/// A request that an endpoint has: the connection.
pub(super) struct Held {
    pub(super) stream: TcpStream,
}

/// A whole proxy, with a history of its own.
pub(super) struct Served {
    pub(super) running: Running,
    _folder: tempfile::TempDir,
}

/// A proxy before two such endpoints.
pub(super) struct Whole {
    pub(super) blue: HeldOrigin,
    pub(super) green: HeldOrigin,
    served: Served,
}

impl HeldOrigin {
    fn new() -> Self {
        let (sender, requests) = channel();
        let origin = Origin::after_request(move |_, stream, mut reader| {
            let held = Held {
                stream: stream.try_clone().unwrap(),
            };
            if sender.send(held).is_ok() {
                // Until the proxy closes the connection, or the test does.
                let _ = reader.read_to_end(&mut Vec::new());
            }
        });
        Self {
            origin,
            requests: Mutex::new(requests),
        }
    }

    /// The next request.
    pub(super) fn next(&self) -> Held {
        self.requests.lock().unwrap().recv_timeout(TIMEOUT).unwrap()
    }
}

impl Held {
    /// Writes a part of the response.
    pub(super) fn send(&mut self, bytes: &str) -> &mut Self {
        self.stream.write_all(bytes.as_bytes()).unwrap();
        self
    }

    /// Writes a chunk of the body.
    pub(super) fn chunk(&mut self, data: &str) -> &mut Self {
        self.send(&format!("{:x}\r\n{data}\r\n", data.len()))
    }
}

impl Whole {
    /// Starts one with the route `chat`, all of it on blue, and further lines for the route.
    pub(super) fn start(route: &str) -> Self {
        Self::with("", route)
    }

    /// The same with further settings.
    pub(super) fn with(settings: &str, route: &str) -> Self {
        let (blue, green) = (HeldOrigin::new(), HeldOrigin::new());
        let mut text = format!("{settings}\n");
        for (name, held) in [("blue", &blue), ("green", &green)] {
            let url = held.origin.url();
            writeln!(
                text,
                "[releases.{name}]\nversion = \"1\"\nendpoints = [{url:?}]"
            )
            .unwrap();
        }
        writeln!(
            text,
            "[[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\nstable = \"blue\"\n{route}"
        )
        .unwrap();
        let served = Served::start(&text);
        Self {
            blue,
            green,
            served,
        }
    }
}

impl Deref for Whole {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Served {
    /// Starts one with these settings, releases and routes.
    pub(super) fn start(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "workers = 2\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [history]\npath = {:?}\n[access_log]\nformat = \"off\"\n{lines}\n",
            folder.path().display().to_string()
        );
        let config = config::parse(&text, Path::new("/"), FileCheck::MustExist);
        let config = config.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        Self {
            running: server::start(config, Options::default()).unwrap(),
            _folder: folder,
        }
    }

    /// A new connection to the proxy.
    pub(super) fn client(&self) -> Client {
        Client::connect(self.running.listeners()[0])
    }

    /// Sends a request to the admin API.
    pub(super) fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let address = self.running.admin();
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut client = Client::connect(address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        ));
        let response = client.response();
        let json = serde_json::from_slice(&response.body);
        (
            response.status,
            json.unwrap_or_else(|error| panic!("{error}: {}", response.text())),
        )
    }

    /// Sends a change that must succeed.
    pub(super) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, body) = self.admin(method, path, body);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Gives everything to a release.
    pub(super) fn switch(&self, to: &str) -> Value {
        self.done(
            "POST",
            "/v1/routes/chat/switch",
            &serde_json::json!({ "to": to }),
        )
    }

    /// The counters of cuts that are not zero, as `release version class cause count`.
    pub(super) fn cuts(&self) -> Vec<String> {
        let counters = self.counters("switchback_cuts_total");
        let without_route = |line: String| line.split_once(' ').unwrap().1.to_owned();
        counters.into_iter().map(without_route).collect()
    }

    /// The counters of a family, as the values of their labels and the count.
    pub(super) fn counters(&self, family: &str) -> Vec<String> {
        let response = self.metrics();
        let of_family = |line: &str| {
            let (labels, count) = line
                .strip_prefix(family)?
                .strip_prefix('{')?
                .split_once("} ")?;
            let values = labels
                .split(',')
                .map(|label| label.split('"').nth(1).unwrap());
            Some(format!("{} {count}", values.collect::<Vec<_>>().join(" ")))
        };
        response.lines().filter_map(of_family).collect()
    }

    fn metrics(&self) -> String {
        let address = self.running.admin();
        let mut client = Client::connect(address);
        client.send(format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n"));
        client.response().text()
    }

    /// The work in flight on a release.
    pub(super) fn work(&self, release: &str) -> Value {
        self.done("GET", &format!("/v1/releases/{release}/work"), &Value::Null)
    }

    /// The numbers of the work in flight on a release: unary, streams, WebSockets, gRPC.
    pub(super) fn classes(&self, release: &str) -> Vec<u64> {
        let work = self.work(release);
        let classes = work["classes"].as_array().unwrap();
        classes
            .iter()
            .map(|class| class["count"].as_u64().unwrap())
            .collect()
    }
}
