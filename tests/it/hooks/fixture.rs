//! A switchback with hooks, and the servers of those.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;
use switchback::{
    config,
    server::{self, Options, Running},
};
use tempfile::TempDir;

use crate::support::{Client, Origin, Request, reply, wait_until, write};

/// A plan whose first step is never left by itself.
pub(super) const LONG: &str = r#"{"steps":[{"weight":5,"hold":"10m"},{"weight":100}]}"#;
/// A secret of 32 bytes.
pub(super) const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A server of hooks, which keeps what it was sent.
pub(super) struct HookServer {
    origin: Origin,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl HookServer {
    /// Answers as `answer` says; it gets the number of the request, counted from 0.
    pub(super) fn answering(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let origin = Origin::answering(move |request| {
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(request.clone());
                kept.len() - 1
            };
            answer(number)
        });
        Self { origin, seen }
    }

    /// Says the same, whatever it is sent.
    pub(super) fn saying(body: &'static str) -> Self {
        Self::answering(move |_| reply(200, "", body))
    }

    /// Reads, and never answers.
    pub(super) fn hanging() -> Self {
        Self::answering(|_| {
            thread::park();
            Vec::new()
        })
    }

    pub(super) fn url(&self) -> String {
        format!("{}/hook", self.origin.url())
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub(super) fn gets(&self, count: usize) -> Vec<Request> {
        wait_until("the hook is called", || self.requests().len() >= count);
        self.requests()
    }
}

pub(super) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// A switchback with hooks, in front of two origins.
pub(super) struct Bench {
    running: Option<Running>,
    pub(super) folder: TempDir,
    _origins: [Origin; 2],
}

impl Bench {
    pub(super) fn start(hooks: &str) -> Self {
        let origins = [Origin::replying("blue"), Origin::replying("green")];
        let [blue, green] = origins.each_ref().map(Origin::url);
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "history.path = \"history\"\nadmin.address = \"127.0.0.1:0\"\naccess_log.format = \"off\"\nworkers = 1\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n{hooks}"
        );
        write(folder.path().join("switchback.toml"), text);
        write(folder.path().join("secret"), SECRET);
        let mut bench = Self {
            running: None,
            folder,
            _origins: origins,
        };
        bench.run();
        bench
    }

    /// With one hook, at the URL of a server.
    pub(super) fn with(name: &str, server: &HookServer, lines: &str) -> Self {
        Self::start(&format!(
            "[hooks.{name}]\nurl = {:?}\n{lines}\n",
            server.url()
        ))
    }

    pub(super) fn run(&mut self) {
        let path = self.folder.path().join("switchback.toml");
        let options = Options {
            file: Some(path.clone()),
            ..Options::default()
        };
        self.running = Some(server::start(config::load(&path).unwrap(), options).unwrap());
    }

    pub(super) fn restart(&mut self) {
        self.running.take().unwrap().stop();
        self.run();
    }

    pub(super) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        ask(self.running().admin(), method, path, body)
    }

    /// Starts a rollout of green, and returns its path.
    pub(super) fn begin(&self, plan: &str) -> String {
        let body = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
        let (status, rollout) = self.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 201, "{rollout}");
        format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap())
    }

    pub(super) fn command(&self, path: &str, word: &str) -> Value {
        let (status, rollout) = self.ask("POST", &format!("{path}/{word}"), "");
        assert_eq!(status, 200, "{rollout}");
        rollout
    }

    /// Waits until a rollout is so, and returns it.
    pub(super) fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait_until("the rollout", || {
            last = self.ask("GET", path, "").1;
            is_so(&last)
        });
        last
    }

    pub(super) fn reaches(&self, path: &str, state: &str) -> Value {
        self.until(path, |rollout| rollout["state"] == state)
    }

    /// Waits until a hook has taken so many messages, and that nothing is owed is saved. The name of the hook is that of
    /// one test: all of them count in the same metrics.
    pub(super) fn has_delivered(&self, hook: &str, count: usize) {
        let labels = format!("hook=\"{hook}\",outcome=\"delivered\"");
        let counted = format!("switchback_hook_calls_total{{{labels}}} {count}\n");
        wait_until("the messages are taken", || {
            self.metrics().contains(&counted)
        });
        let file = self.folder.path().join("history/rollouts.json");
        wait_until("nothing is owed", || {
            let text = fs::read(&file).unwrap();
            !String::from_utf8_lossy(&text).contains("\"owed\":[{")
        });
    }

    pub(super) fn metrics(&self) -> String {
        let address = self.running().admin();
        let mut client = Client::connect(address);
        client.send(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        String::from_utf8(client.response().body).unwrap()
    }

    /// Requests without a pause, while `during` runs.
    pub(super) fn under_load<T>(&self, during: impl FnOnce() -> T) -> T {
        let (ends, address) = (AtomicBool::new(false), self.running().listeners()[0]);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !ends.load(Ordering::Relaxed) {
                    client.get("/");
                }
            });
            let result = during();
            ends.store(true, Ordering::Relaxed);
            result
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// Asks an admin API.
pub(super) fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let mut client = Client::connect(address);
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ));
    let response = client.response();
    (
        response.status,
        serde_json::from_slice(&response.body).unwrap(),
    )
}

/// True if the log of a rollout has an entry that contains this.
pub(super) fn logs(rollout: &Value, text: &str) -> bool {
    let mut log = rollout["log"].as_array().unwrap().iter();
    log.any(|entry| entry["what"].as_str().unwrap().contains(text))
}
