//! A whole proxy: data plane, admin API and a history.

use std::path::Path;

use serde_json::Value;
use switchback::config::{self, FileCheck};
use switchback::server::{self, Options, Running};
use tempfile::TempDir;

use super::Client;

/// A running proxy with two workers, and its folder.
pub(crate) struct Served {
    pub(crate) running: Running,
    folder: TempDir,
    top: String,
    lines: String,
}

impl Served {
    /// Starts one with these settings, releases and routes.
    pub(crate) fn start(lines: &str) -> Self {
        Self::start_with("", lines)
    }

    /// The same with keys before all tables.
    pub(crate) fn start_with(top: &str, lines: &str) -> Self {
        Self::open(
            tempfile::tempdir().unwrap(),
            top.to_owned(),
            lines.to_owned(),
        )
    }

    fn open(folder: TempDir, top: String, lines: String) -> Self {
        let text = format!(
            "workers = 2\n{top}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [history]\npath = {:?}\n[access_log]\nformat = \"off\"\n{lines}\n",
            folder.path().display().to_string()
        );
        let config = config::parse(&text, Path::new("/"), FileCheck::MustExist);
        let config = config.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        Self {
            running: server::start(config, Options::default()).unwrap(),
            folder,
            top,
            lines,
        }
    }

    /// Ends it at once and starts it again on the same history, on other ports.
    pub(crate) fn restart(self) -> Self {
        self.running.stop();
        Self::open(self.folder, self.top, self.lines)
    }

    /// A new connection to the proxy.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.running.listeners()[0])
    }

    /// Sends a request to the admin API.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
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
    pub(crate) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, body) = self.admin(method, path, body);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The counters of a family, as the values of their labels and the count.
    pub(crate) fn counters(&self, family: &str) -> Vec<String> {
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

    /// The page for Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let address = self.running.admin();
        let mut client = Client::connect(address);
        client.send(format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n"));
        client.response().text()
    }
}
