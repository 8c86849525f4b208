//! A whole proxy with its admin API, in front of two releases whose endpoints do what a test says.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::support::{Origin, Served, TIMEOUT};

/// An endpoint that hands each request to the test, with the connection to write the response to.
pub(super) struct HeldOrigin {
    pub(super) origin: Origin,
    requests: Mutex<Receiver<Held>>,
}

/// A request that an endpoint has: the connection.
pub(super) struct Held {
    pub(super) stream: TcpStream,
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

impl Deref for Whole {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}
