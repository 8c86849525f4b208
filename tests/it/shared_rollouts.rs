//! The node that leads a fleet, and rollouts that go from one node of it to another, on a store in memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use switchback::{
    api::{Rollout, RolloutRequest, RolloutState},
    config::Drills,
    control::{ControlError, RolloutError, RolloutOptions, Settings},
    model::HumanDuration,
    rollout::Command,
    shared_table::SharedRevision,
};

use crate::{
    controller_fixture::{ControllerFixture, folder, history_path},
    fleet_fixture::{Fleet, Node},
};

/// A rollout of green on `chat` in three steps that wait for a person.
fn request() -> RolloutRequest {
    let steps = json!([{"weight": 10, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "1h"}]);
    let request = json!({"route": "chat", "to": "green", "plan": {"steps": steps}});
    serde_json::from_value(request).unwrap()
}

impl Node {
    async fn start_rollout(&self) -> Result<Rollout, RolloutError> {
        let controller = &self.fixture.controller;
        controller.start_rollout(request(), "ci".to_owned()).await
    }

    async fn command(&self, command: Command) -> Result<Rollout, RolloutError> {
        let (controller, options) = (&self.fixture.controller, RolloutOptions::default());
        controller
            .command_rollout("chat", command, "ann", options)
            .await
    }

    fn rollout(&self) -> Rollout {
        self.fixture.controller.rollout("chat").unwrap()
    }

    /// The node that runs the rollout, and its step.
    fn place(&self) -> (String, u32) {
        let rollout = self.rollout();
        (rollout.node.unwrap_or_default(), rollout.step)
    }

    fn leader(&self) -> Option<String> {
        let status = self.fixture.controller.fleet_status();
        status.leader.map(|leader| leader.node)
    }

    /// Runs the loops of a node until this holds.
    async fn run_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let controller = Arc::clone(&self.fixture.controller);
        let loops = tokio::spawn(async move { controller.run().await });
        let end = Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(Instant::now() < end, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        loops.abort();
        assert!(loops.await.unwrap_err().is_cancelled());
    }
}

impl Fleet {
    /// A fleet whose second node runs a rollout.
    async fn with_rollout() -> Self {
        let fleet = Self::start().await;
        fleet.sync().await;
        fleet.nodes[1].start_rollout().await.unwrap();
        fleet
    }

    fn end_lease(&self, node: &str) {
        self.content.lock().unwrap().end_lease(node);
    }

    /// Number of revisions of the fleet by which a rollout has changed something.
    fn steps(&self) -> usize {
        let content = self.content.lock().unwrap();
        let revisions = content.revisions.values();
        let revisions = revisions.map(|bytes| SharedRevision::decode(bytes).unwrap());
        revisions
            .filter(|one| one.author.name.starts_with("rollout ") && !one.changes.is_empty())
            .count()
    }

    fn documents(&self) -> Vec<String> {
        let content = self.content.lock().unwrap();
        let names = content.documents.keys();
        names
            .filter(|name| name.starts_with("rollouts/"))
            .cloned()
            .collect()
    }

    fn all_show(&self, node: &str, step: u32) {
        for one in &self.nodes {
            assert_eq!(one.place(), (node.to_owned(), step), "{}", one.store.node);
        }
    }

    /// All of them have this percent of the sessions on the release.
    fn all_are_at(&self, percent: u32) {
        let shares = self.nodes.iter().map(|node| node.rollout().weight);
        let percent = serde_json::from_value(json!(percent)).unwrap();
        assert_eq!(shares.collect::<Vec<_>>(), vec![percent; self.nodes.len()]);
    }
}

fn is_not_shared(answer: &Result<Rollout, RolloutError>) -> bool {
    matches!(
        answer,
        Err(RolloutError::Control(ControlError::NotShared { .. }))
    )
}

#[tokio::test]
async fn one_node_leads_and_another_one_when_its_lease_ends_or_it_leaves() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, c] = fleet.three();
    for node in [a, b, c] {
        assert_eq!(node.leader().as_deref(), Some("a"));
    }
    fleet.end_lease("a");
    b.sync().await;
    a.sync().await;
    assert_eq!(a.leader().as_deref(), Some("b"));
    // Who has not the store knows of no leader, not even of itself.
    b.cut(true);
    b.sync().await;
    assert_eq!(b.leader(), None);
    b.cut(false);
    b.sync().await;
    assert_eq!(b.leader().as_deref(), Some("b"));
    b.fixture.controller.leave_fleet().await;
    c.sync().await;
    b.sync().await;
    for node in [b, c] {
        assert_eq!(node.leader().as_deref(), Some("c"));
    }
}

#[tokio::test]
async fn a_rollout_is_listed_on_all_nodes_and_in_the_way_of_another_one() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    fleet.all_show("b", 0);
    fleet.all_are_at(10);
    let refused = fleet.nodes[2].start_rollout().await;
    assert!(
        matches!(refused, Err(RolloutError::Active { .. })),
        "{refused:?}"
    );
    let aborted = fleet.nodes[1].command(Command::Abort).await.unwrap();
    fleet.sync().await;
    for node in &fleet.nodes {
        let shown = node.rollout();
        assert_eq!(
            (shown.state, shown.node.as_deref()),
            (RolloutState::Aborted, Some("b"))
        );
        assert_eq!(shown.log, aborted.log);
    }
    fleet.all_have(0);
}

#[tokio::test]
async fn the_rollout_of_a_node_that_is_gone_goes_on_on_the_leader_and_no_step_is_made_twice() {
    let mut fleet = Fleet::with_rollout().await;
    fleet.end_lease("b");
    fleet.nodes[0].sync().await;
    assert_eq!(fleet.nodes[0].place(), ("a".to_owned(), 0));
    // The store had the order of the first step, and the table has the step: it is found, and not made again.
    let arrived = |node: &Node| {
        let log = node.rollout().log;
        log.iter().any(|entry| entry.what.starts_with("step 1: "))
    };
    fleet.nodes[0].run_until("the step is found", arrived).await;
    assert_eq!(fleet.steps(), 1);
    // The node comes back and has not heard of it: what it orders is refused.
    let b = &fleet.nodes[1];
    let late = b.command(Command::Promote).await;
    assert!(late.is_err(), "{late:?}");
    fleet.nodes[0].command(Command::Skip).await.unwrap();
    fleet.sync().await;
    fleet.all_show("a", 1);
    fleet.all_are_at(50);
    assert_eq!(fleet.steps(), 2);
    // Its file says that it runs the rollout; the store says who does.
    fleet.restart(1, false).await;
    fleet.sync().await;
    fleet.all_show("a", 1);
    let log = fleet.nodes[1].rollout().log;
    assert!(
        log.iter()
            .any(|one| one.what == "goes on on `a`, since `b` is gone"),
        "{log:?}"
    );
    assert!(log.iter().any(|one| one.what == "started"), "{log:?}");
}

#[tokio::test]
async fn what_a_node_orders_of_a_rollout_that_another_one_runs_by_now_is_refused() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    let [a, b, _] = fleet.three();
    fleet.end_lease("b");
    a.sync().await;
    assert_eq!(a.place().0, "a");
    let late = b.command(Command::Skip).await;
    assert!(is_not_shared(&late), "{late:?}");
    assert_eq!(fleet.steps(), 1);
    fleet.sync().await;
    fleet.all_show("a", 0);
    fleet.all_are_at(10);
    // Once it knows that, the same command brings the rollout to it.
    b.command(Command::Skip).await.unwrap();
    fleet.sync().await;
    fleet.all_show("b", 1);
    fleet.all_are_at(50);
    assert_eq!(fleet.steps(), 2);
}

#[tokio::test]
async fn a_command_on_any_node_is_carried_out_there() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    let paused = fleet.nodes[2].command(Command::Pause).await.unwrap();
    assert_eq!(
        (paused.state, paused.node.as_deref()),
        (RolloutState::Paused, Some("c"))
    );
    fleet.sync().await;
    fleet.all_show("c", 0);
    fleet.nodes[0].command(Command::Promote).await.unwrap();
    fleet.sync().await;
    fleet.all_are_at(100);
    // Also one that has ended, for the way back.
    let back = fleet.nodes[1].command(Command::Rollback).await.unwrap();
    assert_eq!(back.state, RolloutState::RolledBack);
    fleet.sync().await;
    fleet.all_have(0);
    let refused = fleet.nodes[2].command(Command::Pause).await;
    assert!(
        matches!(refused, Err(RolloutError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn without_the_store_a_rollout_goes_no_step_further_and_its_way_back_at_once() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    let b = &fleet.nodes[1];
    b.cut(true);
    b.sync().await;
    let refused = b.command(Command::Skip).await;
    assert!(is_not_shared(&refused), "{refused:?}");
    fleet.all_are_at(10);
    let back = b.command(Command::Abort).await.unwrap();
    assert_eq!((back.state, b.chat()), (RolloutState::Aborted, 0));
    b.cut(false);
    fleet.sync().await;
    fleet.all_have(0);
    for node in &fleet.nodes {
        assert_eq!(node.rollout().state, RolloutState::Aborted);
    }
}

#[tokio::test]
async fn the_way_back_of_another_nodes_rollout_waits_for_no_store() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    let c = &fleet.nodes[2];
    c.cut(true);
    c.sync().await;
    let refused = c.command(Command::Pause).await;
    assert!(is_not_shared(&refused), "{refused:?}");
    let back = c.command(Command::Abort).await.unwrap();
    assert_eq!((back.state, c.chat()), (RolloutState::Aborted, 0));
    c.cut(false);
    fleet.sync().await;
    fleet.all_have(0);
    // The node that runs it finds that it was taken back.
    let has_ended = |node: &Node| node.rollout().state == RolloutState::Aborted;
    fleet.nodes[1]
        .run_until("the rollout has ended", has_ended)
        .await;
    fleet.sync().await;
    fleet.all_have(0);
    fleet.all_show("b", 0);
    assert_eq!(c.rollout().state, RolloutState::Aborted);
}

#[tokio::test]
async fn a_start_that_is_refused_leaves_nothing_in_the_store() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let b = &fleet.nodes[1];
    b.cut(true);
    b.sync().await;
    let refused = b.start_rollout().await;
    assert!(is_not_shared(&refused), "{refused:?}");
    b.cut(false);
    b.sync().await;
    assert!(fleet.documents().is_empty());
    // The store has taken the document, and the answer is lost.
    b.store
        .loses_answer
        .store(true, std::sync::atomic::Ordering::Release);
    let refused = b.start_rollout().await;
    assert!(is_not_shared(&refused), "{refused:?}");
    fleet.sync().await;
    assert!(fleet.documents().is_empty());
    fleet.all_have(0);
    b.start_rollout().await.unwrap();
    assert_eq!(fleet.documents().len(), 1);
}

#[tokio::test]
async fn drills_that_begin_by_themselves_run_on_the_leader_alone() {
    let fleet = Fleet::start().await;
    let open = async |name: &str| {
        let folder = folder();
        let settings = Settings {
            drills: Drills {
                every: Some(HumanDuration::seconds(1)),
                ..Drills::default()
            },
            ..Settings::default()
        };
        let fixture = ControllerFixture::open_with(&history_path(&folder), settings, None);
        (Node::on(fixture, name, &fleet.content).await, folder)
    };
    fleet.end_lease("a");
    let (leader, _leader_folder) = open("d").await;
    let (other, _other_folder) = open("e").await;
    assert_eq!(other.leader().as_deref(), Some("d"));
    let noted = |_: &Node| {
        let content = fleet.content.lock().unwrap();
        content.documents.contains_key("leader/drills")
    };
    let never = |node: &Node| !node.fixture.controller.drills().is_empty() || noted(node);
    tokio::join!(
        leader.run_until("a drill is noted", noted),
        other.run_until("the other one looks", never)
    );
    assert!(!leader.fixture.controller.drills().is_empty());
    assert!(other.fixture.controller.drills().is_empty());
    fleet.end_lease("d");
    other.sync().await;
    assert_eq!(other.leader().as_deref(), Some("e"));
}

#[tokio::test]
async fn a_damaged_document_of_a_rollout_is_written_again_by_the_node_that_runs_it() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    {
        let mut content = fleet.content.lock().unwrap();
        let mut documents = content.documents.iter_mut();
        let (_, document) = documents
            .find(|(name, _)| name.starts_with("rollouts/"))
            .unwrap();
        document.value.truncate(50);
        document.version += 1_000;
    }
    fleet.nodes[1].command(Command::Pause).await.unwrap();
    fleet.sync().await;
    for node in &fleet.nodes {
        assert_eq!(node.rollout().state, RolloutState::Paused);
        assert_eq!(node.place().0, "b");
    }
}

#[tokio::test]
async fn a_command_on_a_node_that_does_not_know_that_it_has_lost_the_rollout_is_refused() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    let [_, b, c] = fleet.three();
    c.command(Command::Pause).await.unwrap();
    c.command(Command::Resume).await.unwrap();
    // It has not followed yet.
    let lost = b.command(Command::Pause).await;
    assert!(
        matches!(&lost, Err(RolloutError::Control(ControlError::NotShared { reason, .. })) if reason.contains("another node")),
        "{lost:?}"
    );
    fleet.sync().await;
    assert_eq!(b.rollout().state, RolloutState::Running);
    b.command(Command::Pause).await.unwrap();
    fleet.sync().await;
    for node in &fleet.nodes {
        assert_eq!(node.rollout().state, RolloutState::Paused);
    }
}

#[tokio::test]
async fn a_pause_that_the_store_does_not_take_holds_here_and_says_so() {
    let fleet = Fleet::with_rollout().await;
    fleet.sync().await;
    let b = &fleet.nodes[1];
    b.cut(true);
    let unknown = b.command(Command::Pause).await;
    assert!(
        matches!(&unknown, Err(RolloutError::Control(ControlError::NotShared { reason, is_unknown: true })) if reason.contains("holds on this node")),
        "{unknown:?}"
    );
    assert_eq!(b.rollout().state, RolloutState::Paused);
    b.cut(false);
    fleet.sync().await;
    assert_eq!(fleet.nodes[0].rollout().state, RolloutState::Paused);
}
