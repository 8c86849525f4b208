//! Several nodes that share one table, on a store in memory.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
};

use switchback::{
    api::{FleetSide, FleetState},
    control::RollbackTo,
    model::Digest,
    shared_table::SharedStore,
};

use crate::{
    controller_fixture::{ControllerFixture, author, folder, history_path},
    memory_store::{Content, MemoryStore},
};

/// One proxy of a fleet.
pub(crate) struct Node {
    pub(crate) fixture: ControllerFixture,
    pub(crate) store: Arc<MemoryStore>,
}

impl Node {
    pub(crate) async fn open(path: &Path, name: &str, content: &Arc<Mutex<Content>>) -> Self {
        Self::on(ControllerFixture::open(path), name, content).await
    }

    pub(crate) async fn on(
        fixture: ControllerFixture,
        name: &str,
        content: &Arc<Mutex<Content>>,
    ) -> Self {
        let store = Arc::new(MemoryStore {
            content: Arc::clone(content),
            node: name.to_owned(),
            ..MemoryStore::default()
        });
        let shared = Arc::clone(&store) as Arc<dyn SharedStore>;
        fixture.controller.join_fleet(name.to_owned(), shared);
        let node = Self { fixture, store };
        node.sync().await;
        node
    }

    /// Takes up what the store has, and publishes what was rolled back here.
    pub(crate) async fn sync(&self) {
        self.fixture.controller.follow_fleet_first().await;
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        self.store.is_cut.store(is_cut, Ordering::Release);
    }

    pub(crate) fn digest(&self) -> Digest {
        self.fixture.controller.live().digest()
    }

    pub(crate) fn chat(&self) -> u32 {
        self.fixture.weights().0
    }

    pub(crate) async fn rollback_chat(&self) {
        let route = RollbackTo::Route("chat".parse().unwrap());
        self.fixture.rollback_to(route).await.unwrap();
    }

    pub(crate) fn state(&self) -> FleetState {
        self.fixture.controller.fleet_status().state
    }

    pub(crate) fn disputed(&self) -> usize {
        let status = self.fixture.controller.fleet_status();
        status.rollbacks.iter().filter(|one| one.disputed).count()
    }

    pub(crate) async fn keep(&self, side: FleetSide) {
        let kept = self.fixture.controller.keep_in_fleet(side, author()).await;
        kept.unwrap();
    }
}

/// A fleet of three nodes, with a table that the first one has brought.
pub(crate) struct Fleet {
    pub(crate) content: Arc<Mutex<Content>>,
    pub(crate) nodes: Vec<Node>,
    folders: Vec<tempfile::TempDir>,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        let content = Arc::<Mutex<Content>>::default();
        let mut fleet = Self {
            content,
            nodes: Vec::new(),
            folders: Vec::new(),
        };
        for name in ["a", "b", "c"] {
            fleet.add(name).await;
            if name == "a" {
                fleet.nodes[0].fixture.import_weights(0, 0).await;
            }
        }
        fleet
    }

    /// A fleet whose first node gave `chat` these weights, and whose store went back to what it had before the last one.
    pub(crate) async fn with_restored_store(weights: &[u32]) -> Self {
        let fleet = Self::start().await;
        let mut before = fleet.content.lock().unwrap().clone();
        for weight in weights {
            before = fleet.content.lock().unwrap().clone();
            fleet.nodes[0].fixture.split("chat", *weight).await;
        }
        fleet.sync().await;
        *fleet.content.lock().unwrap() = before;
        fleet
    }

    /// The nodes, while there are three.
    pub(crate) fn three(&self) -> [&Node; 3] {
        let [a, b, c] = self.nodes.as_slice() else {
            panic!("three nodes")
        };
        [a, b, c]
    }

    pub(crate) async fn add(&mut self, name: &str) -> &Node {
        let folder = folder();
        let node = Node::open(&history_path(&folder), name, &self.content).await;
        self.folders.push(folder);
        self.nodes.push(node);
        self.nodes.last().unwrap()
    }

    /// Ends a node and starts it again.
    pub(crate) async fn restart(&mut self, number: usize, is_cut: bool) {
        let name = self.nodes[number].store.node.clone();
        let old = self.nodes.remove(number);
        old.fixture
            .controller
            .close(std::time::Duration::from_secs(5));
        drop(old);
        let path = history_path(&self.folders[number]);
        let content = if is_cut {
            Arc::default()
        } else {
            Arc::clone(&self.content)
        };
        let node = Node::open(&path, &name, &content).await;
        self.nodes.insert(number, node);
    }

    pub(crate) async fn sync(&self) {
        for node in self.nodes.iter().chain(&self.nodes) {
            node.sync().await;
        }
    }

    pub(crate) fn all_have(&self, chat: u32) {
        let (first, have) = (self.nodes[0].digest(), |node: &Node| node.chat());
        assert_eq!(
            self.nodes.iter().map(have).collect::<Vec<_>>(),
            vec![chat; self.nodes.len()]
        );
        assert!(self.nodes.iter().all(|node| node.digest() == first));
        assert!(
            self.nodes
                .iter()
                .all(|node| node.state() == FleetState::Following)
        );
    }
}
