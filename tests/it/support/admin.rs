//! An admin API with a controller and a history of its own, without a data plane: decisions need no traffic.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use switchback::admin::{
    self, Access, AdminState, FeedbackState, ProbeState, Readiness, RunningSettings,
};
use switchback::config::{self, FileCheck};
use switchback::control::{Controller, Expected, Settings};
use switchback::fleet::Fleet;
use switchback::history::History;
use switchback::model::{Actor, Author};
use switchback::seal::KeyRing;
use switchback::table::LiveTable;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::proxy::SECRET;
use super::{Client, Response};

/// Two releases and a route: the configuration file of the start.
pub(crate) const TABLE: &str = r#"
[releases.blue]
version = "1.0.0"
endpoints = ["http://127.0.0.1:1"]
[releases.green]
version = "2.0.0"
endpoints = ["http://127.0.0.1:2"]
[[routes]]
name = "chat"
split = { blue = 100, green = 0 }
stable = "blue"
"#;

/// A running admin API and an observe listener. Both end when it is dropped.
pub(crate) struct TestAdmin {
    pub(crate) address: SocketAddr,
    pub(crate) observe: SocketAddr,
    pub(crate) controller: Arc<Controller>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) cell: Arc<LiveTable>,
    pub(crate) readiness: Arc<Readiness>,
    stop: watch::Sender<bool>,
    // The fields below are dropped in this order: tasks, then the folder of the history.
    _runtime: Runtime,
    folder: TempDir,
}

impl TestAdmin {
    /// Starts one with two releases and a route.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// Starts one with further lines in `[admin]`.
    pub(crate) fn with(lines: &str) -> Self {
        Self::rendering(lines, || "switchback_up 1\n".to_owned())
    }

    /// The same, with a function that makes the text of the metrics.
    pub(crate) fn rendering(
        lines: &str,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let text = format!(
            "[admin]\naddress = \"127.0.0.1:0\"\n{lines}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n{TABLE}"
        );
        let config = config::parse(&text, Path::new("/"), FileCheck::MustExist);
        let config = config.unwrap_or_else(|problems| panic!("{problems:#?}"));
        let folder = tempfile::tempdir().unwrap();
        let (cell, fleet) = (Arc::new(LiveTable::new(1)), Arc::new(Fleet::new(1)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let controller = open(&folder, &cell, &fleet);
        runtime
            .block_on(controller.import(config.table(), None, author(), Expected::Any, true))
            .unwrap();
        let readiness = Arc::new(Readiness::default());
        let observed = ProbeState::new(render, Arc::clone(&readiness));
        let (stop, stopped) = watch::channel(false);
        let (listener, address) = bind(&runtime);
        let access = Access::load(&config.admin.tokens, address).unwrap();
        // There is no handler of reloads: no process surrounds this API.
        let settings = Arc::new(RunningSettings::new(config.settings_digests()).0);
        let seal = Arc::new(KeyRing::new(&[SECRET]).unwrap().unwrap());
        let desk = FeedbackState::new(Arc::clone(&controller), Arc::clone(&seal), &config.feedback);
        let state = AdminState::new(
            Arc::clone(&controller),
            observed.clone(),
            settings,
            desk,
            seal,
        );
        let router = admin::router(state, access, &config.admin, address);
        runtime.spawn(admin::serve(listener, None, router, until(stopped.clone())));
        let (listener, observe) = bind(&runtime);
        runtime.spawn(admin::serve(
            listener,
            None,
            admin::observe_router(observed),
            until(stopped),
        ));
        drop(entered);
        Self {
            address,
            observe,
            controller,
            fleet,
            cell,
            readiness,
            stop,
            _runtime: runtime,
            folder,
        }
    }

    /// A folder for the files of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address as an URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request with these header fields, on a connection of its own.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !fields.iter().any(|(name, _)| *name == "host") {
            write!(head, "host: {}\r\n", self.address).unwrap();
        }
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "content-length: {}\r\n", body.len()).unwrap();
        }
        let mut client = Client::connect(self.address);
        client.send(format!("{head}\r\n")).send(body);
        if method == "HEAD" {
            client.head_response()
        } else {
            client.response()
        }
    }

    /// Sends JSON, or nothing, and reads JSON.
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.json_with(method, path, &[], body)
    }

    /// The same with header fields.
    pub(crate) fn json_with(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &Value,
    ) -> (u16, Value) {
        let (text, kind) = if body.is_null() {
            (String::new(), None)
        } else {
            (body.to_string(), Some(("content-type", "application/json")))
        };
        let fields: Vec<_> = fields.iter().copied().chain(kind).collect();
        let response = self.request(method, path, &fields, &text);
        let json = serde_json::from_slice(&response.body);
        (
            response.status,
            json.unwrap_or_else(|error| panic!("{error}: {}", response.text())),
        )
    }

    /// Reads JSON.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.json("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends a change that must succeed, and reads its receipt.
    pub(crate) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, body) = self.json(method, path, body);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The number of the live revision.
    pub(crate) fn revision(&self) -> u64 {
        self.controller.live().revision().0
    }

    /// Weights of a route as they are live.
    pub(crate) fn split(&self, route: &str) -> Value {
        self.get(&format!("/v1/routes/{route}"))["split"].clone()
    }

    /// Runs the program with this admin API as its own.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_switchback"))
            .args(arguments)
            .env_remove("SWITCHBACK_TOKEN")
            .env("SWITCHBACK_ADMIN", self.url())
            .output()
            .unwrap()
    }
}

impl Drop for TestAdmin {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn open(folder: &TempDir, cell: &Arc<LiveTable>, fleet: &Arc<Fleet>) -> Arc<Controller> {
    let (history, loaded) = History::open(&folder.path().join("history")).unwrap();
    let settings = Settings {
        warm_for: Duration::from_secs(3600),
        ..Settings::default()
    };
    let (cell, fleet) = (Arc::clone(cell), Arc::clone(fleet));
    Arc::new(Controller::open(settings, history, loaded, cell, fleet).unwrap())
}

fn author() -> Author {
    Author {
        actor: Actor::File,
        name: "test".to_owned(),
        message: None,
        idempotency_key: None,
        group: None,
    }
}

fn bind(runtime: &Runtime) -> (TcpListener, SocketAddr) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
