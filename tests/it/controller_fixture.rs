//! A controller with a history of its own and one worker that acknowledges every table at once; no sockets.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use switchback::{
    api::Receipt,
    control::{ControlError, Controller, Expected, RollbackTo, Settings},
    fleet::Fleet,
    history::{FaultInjector, History, Loaded},
    model::{Actor, Author, Change, Revision, TableDocument, Weights},
    table::LiveTable,
};

/// A controller, its fleet and its live table.
pub(crate) struct ControllerFixture {
    pub(crate) controller: Arc<Controller>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) cell: Arc<LiveTable>,
}

/// A folder in memory, if possible: these tests do not depend on the speed of a disk.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn author() -> Author {
    Author {
        actor: Actor::Api,
        name: "test".to_owned(),
        message: None,
        idempotency_key: None,
        group: None,
    }
}

pub(crate) fn keyed(key: &str) -> Author {
    Author {
        idempotency_key: Some(key.to_owned()),
        ..author()
    }
}

pub(crate) fn grouped(group: &str) -> Author {
    Author {
        group: Some(group.to_owned()),
        ..author()
    }
}

/// A table of two routes over two releases: `chat` and `search` are the weights of `green`, of 100.
pub(crate) fn document(chat: u32, search: u32) -> TableDocument {
    let text = format!(
        r#"{{"releases":{{
                "blue":{{"version":"1","endpoints":["http://127.0.0.1:1001"]}},
                "green":{{"version":"1","endpoints":["http://127.0.0.1:1002"]}}}},
            "routes":[
                {{"name":"chat","path_prefix":"/chat","split":{{"blue":{},"green":{chat}}}}},
                {{"name":"search","path_prefix":"/search","split":{{"blue":{},"green":{search}}}}}]}}"#,
        100 - chat,
        100 - search,
    );
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn change(text: &str) -> Change {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn set_split(route: &str, green: u32) -> Change {
    let weights = format!(r#"{{"blue":{},"green":{green}}}"#, 100 - green);
    let weights: Weights = serde_json::from_str(&weights).unwrap();
    Change::SetSplit {
        route: route.parse().unwrap(),
        weights,
    }
}

impl ControllerFixture {
    pub(crate) fn open(path: &Path) -> Self {
        Self::open_with(path, Settings::default(), None)
    }

    pub(crate) fn open_with(path: &Path, settings: Settings, hook: Option<FaultInjector>) -> Self {
        Self::on(History::open_hooked(path, hook).unwrap(), settings)
    }

    /// A fixture whose history is written by a history writer process, as in the program.
    pub(crate) fn open_with_writer_process(path: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_switchback"));
        Self::on(
            History::open_apart(path, program).unwrap(),
            Settings::default(),
        )
    }

    /// The same with these settings.
    pub(crate) fn apart_with(path: &Path, settings: Settings) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_switchback"));
        Self::on(History::open_apart(path, program).unwrap(), settings)
    }

    fn on((history, loaded): (History, Loaded), settings: Settings) -> Self {
        let (cell, fleet) = (Arc::new(LiveTable::new(1)), Arc::new(Fleet::new(1)));
        let controller = Controller::open(
            settings,
            history,
            loaded,
            Arc::clone(&cell),
            Arc::clone(&fleet),
        );
        Self {
            controller: Arc::new(controller.unwrap()),
            fleet,
            cell,
        }
    }

    /// A fixture whose first revision has these weights of `green`.
    pub(crate) async fn with_weights(path: &Path, chat: u32, search: u32) -> Self {
        let fixture = Self::open(path);
        fixture.import_weights(chat, search).await;
        fixture
    }

    pub(crate) async fn import_weights(&self, chat: u32, search: u32) -> Receipt {
        let first = Change::Replace {
            table: document(chat, search),
        };
        let empty = Expected::Unchanged(Revision(0));
        self.controller
            .apply(first, author(), empty, false)
            .await
            .unwrap()
    }

    pub(crate) async fn apply(&self, change: Change) -> Receipt {
        self.try_apply(change, Expected::Any).await.unwrap()
    }

    pub(crate) async fn try_apply(
        &self,
        change: Change,
        expected: Expected,
    ) -> Result<Receipt, ControlError> {
        self.controller
            .apply(change, author(), expected, false)
            .await
    }

    pub(crate) async fn split(&self, route: &str, green: u32) -> Receipt {
        self.apply(set_split(route, green)).await
    }

    pub(crate) async fn rollback(&self) -> Result<Receipt, ControlError> {
        self.rollback_to(RollbackTo::Previous).await
    }

    pub(crate) async fn rollback_to(&self, to: RollbackTo) -> Result<Receipt, ControlError> {
        self.controller
            .rollback(to, author(), Expected::Any, false)
            .await
    }

    /// The weights of `green` on `chat` and `search`.
    pub(crate) fn weights(&self) -> (u32, u32) {
        let state = self.controller.live().state();
        let green = |route: &str| {
            let route = state.spec.route(&route.parse().unwrap()).unwrap();
            route.split.get("green").copied().unwrap_or_default()
        };
        (green("chat"), green("search"))
    }

    pub(crate) fn revision(&self) -> Revision {
        self.controller.live().revision()
    }

    /// Endpoints of a release in the live table.
    pub(crate) fn endpoints(&self, release: &str) -> Vec<String> {
        let state = self.controller.live().state();
        let urls = state.endpoints(&release.parse().unwrap());
        urls.iter().map(ToString::to_string).collect()
    }
}

/// The path of the history in a folder.
pub(crate) fn history_path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("history")
}
