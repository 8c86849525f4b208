//! A rollout in a fleet of proxies is judged by what all nodes have counted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchback::{
    control::Expected,
    model::{Outcome, Version},
    stats::{BadUnit, OutcomeTable},
};
use tokio::task::JoinHandle;

use crate::{
    controller_fixture::change,
    fleet_fixture::{Fleet, Node},
};

const QUICK: Duration = Duration::from_millis(1);

/// A fleet whose nodes run.
struct Bench {
    fleet: Fleet,
    running: Vec<JoinHandle<()>>,
}

fn run(node: &Node) -> JoinHandle<()> {
    let controller = Arc::clone(&node.fixture.controller);
    tokio::spawn(async move { controller.run().await })
}

impl Bench {
    async fn start() -> Self {
        let fleet = Fleet::start().await;
        fleet.sync().await;
        let running = fleet.nodes.iter().map(run).collect();
        Self { fleet, running }
    }

    fn node(&self, number: usize) -> &Node {
        &self.fleet.nodes[number]
    }

    /// Begins a rollout on the first node, which gives green 5 percent of `chat`.
    async fn begin(&self) {
        let request = json!({
            "route": "chat",
            "to": "green",
            "plan": {"steps": [{"weight": 5, "hold": "10m"}, {"weight": 100}]},
        });
        let request = serde_json::from_value(request).unwrap();
        let controller = &self.node(0).fixture.controller;
        controller
            .start_rollout(request, "test".to_owned())
            .await
            .unwrap();
    }

    /// The rollout as the first node shows it.
    fn rollout(&self) -> Value {
        let rollout = self.node(0).fixture.controller.rollout("chat");
        serde_json::to_value(rollout.unwrap()).unwrap()
    }

    /// Failures of green in the verdict, and the nodes that they were counted on.
    fn failures(&self) -> (u64, u64) {
        let rollout = self.rollout();
        let verdict = &rollout["verdict"];
        let metrics = verdict["metrics"].as_array().unwrap().iter();
        let mut failures = metrics.filter(|metric| metric["name"] == "failures");
        let bad = &failures.next().unwrap()["canary"]["bad"];
        (
            bad.as_u64().unwrap(),
            verdict["nodes"].as_u64().unwrap_or_default(),
        )
    }

    fn cells(&self, number: usize, release: &str) -> Arc<OutcomeTable> {
        let fleet = &self.node(number).fixture.fleet;
        let (route, release) = ("chat".parse().unwrap(), release.parse().unwrap());
        fleet.cells(&route, &release, &Version::new("1").unwrap())
    }

    /// Requests of green that fail on a node, and some of blue that do not.
    fn fail(&self, number: usize, failures: usize) {
        let (canary, stable) = (self.cells(number, "green"), self.cells(number, "blue"));
        for _ in 0..failures {
            canary.record(0, Outcome::Failed(502), QUICK, None);
        }
        for _ in 0..19 * failures {
            stable.record(0, Outcome::Answered(200), QUICK, None);
        }
    }

    /// True if a node tells what it counts.
    fn tells(&self, node: &str) -> bool {
        let content = self.fleet.content.lock().unwrap();
        content.documents.contains_key(&format!("figures/{node}"))
    }

    /// True if a node says what it judges.
    fn judges(&self, node: &str) -> bool {
        let content = self.fleet.content.lock().unwrap();
        content.documents.contains_key(&format!("judged/{node}"))
    }

    async fn all_count(&self) {
        reached("all count", || self.tells("b") && self.tells("c")).await;
    }

    async fn restart(&mut self, number: usize) {
        let running = self.running.remove(number);
        running.abort();
        drop(running.await);
        self.fleet.restart(number, false).await;
        let running = run(self.node(number));
        self.running.insert(number, running);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

/// Waits until something is so.
async fn reached(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_release_whose_failures_are_spread_over_three_nodes_is_taken_back_by_their_sum() {
    let bench = Bench::start().await;
    bench.begin().await;
    bench.fleet.sync().await;
    bench.fleet.all_have(5);
    bench.all_count().await;
    bench.fail(0, 1);
    bench.fail(1, 1);
    reached("two are counted", || bench.failures().0 == 2).await;
    assert_eq!(bench.rollout()["state"], "running");
    bench.fail(2, 1);
    reached("it is back", || bench.rollout()["state"] == "rolled_back").await;
    assert_eq!(bench.failures(), (3, 3));
    let words = bench.rollout()["verdict"]["words"].to_string();
    assert!(words.contains("(3 of 3)"), "{words}");
    assert!(words.contains("; counted on 3 of 3 nodes"), "{words}");
    bench.fleet.sync().await;
    bench.fleet.all_have(0);
    // Nothing is judged any more, so nothing is written.
    let is_empty = || {
        let content = bench.fleet.content.lock().unwrap();
        let mut names = content.documents.keys();
        !names.any(|name| name.starts_with("judged/") || name.starts_with("figures/"))
    };
    reached("the documents are gone", is_empty).await;
}

#[tokio::test]
async fn what_a_node_has_counted_stays_when_it_restarts_and_counts_once() {
    let mut bench = Bench::start().await;
    bench.begin().await;
    bench.fleet.sync().await;
    bench.all_count().await;
    bench.fail(1, 1);
    reached("it is counted", || bench.failures() == (1, 3)).await;
    bench.restart(1).await;
    // Its counters begin at nothing, and so do its figures: this one makes them what they were before.
    let before = told(&bench, "b");
    bench.fleet.sync().await;
    reached("it counts again", || told(&bench, "b") != before).await;
    bench.fail(1, 1);
    reached("the second one is counted", || bench.failures().0 == 2).await;
    assert_eq!(bench.rollout()["state"], "running");
    bench.fail(1, 1);
    reached("it is back", || bench.rollout()["state"] == "rolled_back").await;
    assert_eq!(bench.failures().0, 3);
}

/// Number of the run of a node's figures.
fn told(bench: &Bench, node: &str) -> u64 {
    let content = bench.fleet.content.lock().unwrap();
    let document = &content.documents[&format!("figures/{node}")];
    let figures: Value = serde_json::from_slice(&document.value).unwrap();
    figures["all"][0]["run"].as_u64().unwrap()
}

#[tokio::test]
async fn a_node_that_has_not_taken_up_the_step_is_not_counted() {
    let bench = Bench::start().await;
    bench.node(2).cut(true);
    bench.begin().await;
    bench.node(1).sync().await;
    assert_eq!(bench.node(2).chat(), 0, "it does not have the step");
    bench.fail(2, 5);
    reached("b counts", || bench.tells("b")).await;
    bench.fail(1, 1);
    reached("b is counted", || bench.failures() == (1, 2)).await;
    // It sees the order before it has the step.
    assert!(!bench.tells("c"));
    bench.node(2).cut(false);
    bench.fleet.sync().await;
    bench.all_count().await;
    reached("c is counted", || bench.failures().1 == 3).await;
    assert_eq!(
        bench.failures().0,
        1,
        "what it had before is not of this step"
    );
    bench.fail(2, 1);
    reached("two are counted", || bench.failures().0 == 2).await;
    // A rollback on that node alone changes its share: nothing of it counts.
    bench.node(2).cut(true);
    bench.node(2).rollback_chat().await;
    bench.node(2).cut(false);
    reached("it does not count", || !bench.tells("c")).await;
    bench.fail(2, 5);
    bench.fail(1, 1);
    let is_over = || bench.rollout()["state"] != "running";
    reached("the rollback is everywhere", is_over).await;
    assert!(bench.failures().0 <= 3, "{:?}", bench.failures());
}

#[tokio::test]
async fn a_session_that_fails_on_three_nodes_is_one_session() {
    let bench = Bench::start().await;
    let table = r#"{"kind":"replace","table":{"releases":{
            "blue":{"version":"1","endpoints":["http://127.0.0.1:1001"]},
            "green":{"version":"1","endpoints":["http://127.0.0.1:1002"]}},
        "routes":[{"name":"chat","path_prefix":"/chat","affinity":[{"header":"x-session"}],
            "split":{"blue":100,"green":0}}]}}"#;
    let fixture = &bench.node(0).fixture;
    let live = Expected::Unchanged(fixture.revision());
    fixture.try_apply(change(table), live).await.unwrap();
    bench.begin().await;
    bench.fleet.sync().await;
    bench.all_count().await;
    let note = |number, unit| {
        let cells = bench.cells(number, "green");
        cells.record(0, Outcome::Failed(502), QUICK, None);
        assert!(cells.notes(Outcome::Failed(502), QUICK, None));
        cells.note(BadUnit {
            unit,
            outcome: Outcome::Failed(502),
            duration: QUICK,
            first_byte: None,
        });
    };
    let distinct = || {
        let rollout = bench.rollout();
        let metrics = rollout["verdict"]["metrics"].as_array().unwrap().clone();
        let failures = metrics.iter().find(|metric| metric["name"] == "failures");
        let canary = &failures.unwrap()["canary"];
        let count = |name: &str| canary[name].as_u64().unwrap();
        (count("bad"), count("distinct"))
    };
    (0..3).for_each(|number| note(number, 7));
    reached("all are counted", || distinct().0 >= 3).await;
    assert_eq!(distinct().1, 1);
    assert_eq!(bench.rollout()["state"], "running");
    note(1, 8);
    reached("another one", || distinct().1 == 2).await;
    note(2, 9);
    reached("it is back", || bench.rollout()["state"] == "rolled_back").await;
    assert_eq!(distinct().1, 3);
}

#[tokio::test]
async fn what_a_node_judges_ends_with_its_lease() {
    let mut bench = Bench::start().await;
    bench.begin().await;
    bench.fleet.sync().await;
    bench.all_count().await;
    let judge = bench.running.remove(0);
    judge.abort();
    drop(judge.await);
    bench.fleet.content.lock().unwrap().end_lease("a");
    // Another node goes on with the rollout: it judges, and who is there counts for it.
    let goes_on = |judge: &str, other: &str| bench.judges(judge) && bench.tells(other);
    reached("another one judges", || {
        !bench.judges("a") && (goes_on("b", "c") || goes_on("c", "b"))
    })
    .await;
    bench.running.push(run(bench.node(0)));
    reached("it counts for it", || bench.tells("a")).await;
}
