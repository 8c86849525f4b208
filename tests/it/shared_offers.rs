//! Rollbacks that a node without the store offers to the others: who does the same, who does not, and what the fleet has in
//! the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use switchback::{
    api::{FleetOffer, FleetOfferAnswer, FleetSide, OfferOutcome},
    control::{Controller, Expected, RollbackTo},
    model::{Actor, Author},
    shared_table::{Answer, FleetPeers, StoreError},
};

use tokio::sync::mpsc;

use crate::{
    controller_fixture::{author, set_split},
    fleet_fixture::{Fleet, Node},
};

/// Far more than any of these takes: what waits for it fails.
const LONG: Duration = Duration::from_secs(30);

/// The other nodes, by their controllers; they can be cut off.
#[derive(Debug)]
struct Neighbours {
    urls: Vec<String>,
    nodes: Vec<ByDebug>,
    is_cut: AtomicBool,
    calls: AtomicUsize,
}

struct ByDebug(Arc<Controller>);

impl std::fmt::Debug for ByDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a node")
    }
}

impl FleetPeers for Neighbours {
    fn urls(&self) -> &[String] {
        &self.urls
    }

    fn offer(&self, peer: usize, offer: Vec<u8>) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::AcqRel);
            if self.is_cut.load(Ordering::Acquire) {
                return Err(StoreError {
                    reason: "cut off".to_owned(),
                    is_unknown: true,
                });
            }
            let offer: FleetOffer = serde_json::from_slice(&offer).unwrap();
            let answer = self.nodes[peer].0.take_offer(offer).await.unwrap();
            Ok(serde_json::to_vec(&answer).unwrap())
        })
    }
}

/// Has the loops of a node run, with the others as its neighbours.
fn run(node: &Node, others: &[&Node]) -> (Arc<Neighbours>, tokio::task::JoinHandle<()>) {
    let controllers = others.iter().map(|node| &node.fixture.controller);
    let neighbours = Arc::new(Neighbours {
        urls: others.iter().map(|node| node.store.node.clone()).collect(),
        nodes: controllers.map(|one| ByDebug(Arc::clone(one))).collect(),
        is_cut: AtomicBool::new(false),
        calls: AtomicUsize::new(0),
    });
    let controller = Arc::clone(&node.fixture.controller);
    controller.offer_rollbacks_to(Arc::clone(&neighbours) as Arc<dyn FleetPeers>);
    let task = tokio::spawn(async move { controller.run().await });
    (neighbours, task)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(LONG, wait).await;
    in_time.unwrap_or_else(|_| panic!("{what}"));
}

/// A fleet at which `chat` had these weights, and all of whose nodes are without the store.
async fn apart(weights: &[u32]) -> Fleet {
    let fleet = Fleet::start().await;
    for weight in weights {
        fleet.nodes[0].fixture.split("chat", *weight).await;
    }
    fleet.sync().await;
    for node in &fleet.nodes {
        node.cut(true);
        node.sync().await;
    }
    fleet
}

async fn together(fleet: &Fleet) {
    for node in &fleet.nodes {
        node.cut(false);
    }
    fleet.sync().await;
    fleet.sync().await;
}

/// A neighbour that answers nothing, and keeps what it is offered.
#[derive(Debug)]
struct Catch {
    urls: [String; 1],
    offers: mpsc::Sender<Vec<u8>>,
}

impl FleetPeers for Catch {
    fn urls(&self) -> &[String] {
        &self.urls
    }

    fn offer(&self, _: usize, offer: Vec<u8>) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            self.offers.send(offer).await.unwrap();
            std::future::pending().await
        })
    }
}

/// The offer of a node as its loop makes it.
async fn offer_of(node: &Node) -> FleetOffer {
    let (offers, mut received) = mpsc::channel(1);
    let urls = ["x".to_owned()];
    let controller = Arc::clone(&node.fixture.controller);
    controller.offer_rollbacks_to(Arc::new(Catch { urls, offers }));
    let task = tokio::spawn(async move { controller.run().await });
    let text = tokio::time::timeout(LONG, received.recv()).await;
    task.abort();
    serde_json::from_slice(&text.unwrap().unwrap()).unwrap()
}

async fn answer(node: &Node, offer: &FleetOffer) -> FleetOfferAnswer {
    let taken = node.fixture.controller.take_offer(offer.clone());
    taken.await.unwrap()
}

#[tokio::test]
async fn a_rollback_without_the_store_is_live_on_the_nodes_that_can_be_reached_and_published_once()
{
    let fleet = apart(&[10, 20]).await;
    let [a, b, c] = fleet.three();
    let (_, task) = run(a, &[a, b, c]);
    a.rollback_chat().await;
    until("it is live on all", || {
        [b, c].iter().all(|node| node.chat() == 10)
    })
    .await;
    let shown = || a.fixture.controller.fleet_status().peers;
    until("it knows who has it", || {
        shown().iter().map(|peer| peer.taken).eq([0, 1, 1])
    })
    .await;
    assert_eq!(shown()[0].node.as_deref(), Some("a"));
    assert_eq!(shown()[1].node.as_deref(), Some("b"));
    // A second one goes further back, and replaces the first on all of them.
    a.rollback_chat().await;
    until("the second one as well", || {
        [b, c].iter().all(|node| node.chat() == 0)
    })
    .await;
    for node in [b, c] {
        let rollbacks = node.fixture.controller.fleet_status().rollbacks;
        assert_eq!(rollbacks.len(), 1, "{rollbacks:?}");
        assert_eq!(rollbacks[0].replaces.len(), 1);
    }
    task.abort();
    let before = fleet.content.lock().unwrap().revisions.len();
    together(&fleet).await;
    fleet.all_have(0);
    assert_eq!(fleet.content.lock().unwrap().revisions.len(), before + 1);
    for node in &fleet.nodes {
        let status = node.fixture.controller.fleet_status();
        assert!(status.rollbacks.is_empty(), "{status:?}");
    }
}

#[tokio::test]
async fn what_was_taken_is_in_the_history_goes_back_in_the_undo_stack_and_has_its_author() {
    let mut fleet = apart(&[10, 20]).await;
    let [a, b, _] = fleet.three();
    let carla = Author {
        name: "carla".to_owned(),
        ..author()
    };
    let route = RollbackTo::Route("chat".parse().unwrap());
    let back = a
        .fixture
        .controller
        .rollback(route, carla, Expected::Any, false);
    back.await.unwrap();
    let offer = offer_of(a).await;
    assert_eq!(offer.author.name, "carla");
    assert_eq!(answer(b, &offer).await.outcome, OfferOutcome::Taken);
    assert_eq!(answer(b, &offer).await.outcome, OfferOutcome::Known);
    assert_eq!(b.chat(), 10);
    fleet.restart(1, true).await;
    let b = &fleet.nodes[1];
    assert_eq!(b.chat(), 10);
    let rollbacks = b.fixture.controller.fleet_status().rollbacks;
    assert_eq!(rollbacks[0], offer.rollbacks[0].rollback);
    // A bare rollback there goes on from it, not forth again.
    b.fixture.rollback().await.unwrap();
    assert_eq!(b.chat(), 0);
    // It has the store first, and publishes what it has.
    fleet.restart(1, false).await;
    fleet.nodes[1].sync().await;
    together(&fleet).await;
    fleet.all_have(0);
}

#[tokio::test]
async fn a_node_that_has_the_store_takes_an_offer_and_publishes_it() {
    let fleet = apart(&[10]).await;
    let [a, b, c] = fleet.three();
    a.rollback_chat().await;
    let offer = offer_of(a).await;
    b.cut(false);
    b.sync().await;
    assert_eq!(answer(b, &offer).await.outcome, OfferOutcome::Taken);
    b.sync().await;
    c.cut(false);
    c.sync().await;
    assert_eq!((a.chat(), b.chat(), c.chat()), (0, 0, 0));
    // It was published: what a person publishes on top of it stays, and the first node follows.
    c.fixture.split("chat", 40).await;
    together(&fleet).await;
    fleet.all_have(40);
}

#[tokio::test]
async fn who_does_not_serve_what_is_taken_back_refuses_with_the_reason() {
    let fleet = Fleet::start().await;
    let [a, b, c] = fleet.three();
    a.fixture.split("chat", 10).await;
    fleet.sync().await;
    c.cut(true);
    a.fixture.split("chat", 20).await;
    b.sync().await;
    a.cut(true);
    a.sync().await;
    // Another person has gone on elsewhere.
    b.fixture.split("chat", 30).await;
    a.rollback_chat().await;
    let offer = offer_of(a).await;
    let refused = [answer(b, &offer).await, answer(c, &offer).await];
    let reasons = refused.each_ref().map(|one| one.reason.as_deref().unwrap());
    assert!(
        reasons[0].ends_with("it was changed since, as far as this node knows"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].ends_with("this node has not heard of what it takes back"),
        "{reasons:?}"
    );
    assert_eq!((b.chat(), c.chat()), (30, 10));
    // One that has gone back by itself does not do both.
    c.rollback_chat().await;
    c.cut(false);
    c.sync().await;
    assert_eq!(c.disputed(), 1);
    let own = answer(c, &offer).await;
    assert!(
        own.reason
            .unwrap()
            .ends_with("this node has a rollback of its own of it")
    );
    // An offer says what it changes.
    let mut more = offer.clone();
    more.rollbacks[0].change = set_split("search", 50);
    more.rollbacks[0].rollback.id = "other".to_owned();
    more.rollbacks[0].rollback.of = 99;
    let wrong = answer(b, &more).await;
    assert_eq!(wrong.outcome, OfferOutcome::Refused);
    assert!(wrong.reason.unwrap().contains("which it names"));
    // Nor does a node of another store, of which the numbers say nothing.
    let mut foreign = offer.clone();
    (foreign.revision, foreign.revision_id) = (4, Some("elsewhere".to_owned()));
    let reason = answer(b, &foreign).await.reason.unwrap();
    assert_eq!(reason, "this node follows another store");
}

#[tokio::test]
async fn a_person_who_contradicts_what_was_taken_is_asked_once() {
    let fleet = apart(&[10]).await;
    let [a, b, c] = fleet.three();
    a.rollback_chat().await;
    let offer = offer_of(a).await;
    assert_eq!(answer(b, &offer).await.outcome, OfferOutcome::Taken);
    c.cut(false);
    c.sync().await;
    c.fixture.split("chat", 40).await;
    together(&fleet).await;
    assert_eq!((a.chat(), b.chat(), c.chat()), (0, 0, 40));
    assert_eq!((a.disputed(), b.disputed()), (1, 1));
    b.keep(FleetSide::Mine).await;
    fleet.sync().await;
    fleet.all_have(0);
    assert_eq!((a.disputed(), b.disputed()), (0, 0));
}

#[tokio::test]
async fn a_rollback_to_what_the_fleet_has_is_a_decision_about_it_all_the_same() {
    let fleet = apart(&[20, 10, 20]).await;
    let [a, b, _] = fleet.three();
    a.rollback_chat().await;
    b.rollback_chat().await;
    // Further back, to the value that the fleet has.
    a.rollback_chat().await;
    assert_eq!((a.chat(), b.chat()), (20, 10));
    together(&fleet).await;
    // One of the two was published; nobody has decided which of them holds.
    let disputed: Vec<_> = fleet.nodes.iter().map(Node::disputed).collect();
    assert_eq!(disputed.iter().sum::<usize>(), 1, "{disputed:?}");
    assert_eq!((a.chat(), b.chat()), (20, 10));
}

#[tokio::test]
async fn rollbacks_of_two_people_that_are_published_by_one_node_keep_their_authors() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    a.fixture.split("chat", 10).await;
    a.fixture.split("search", 7).await;
    fleet.sync().await;
    for (node, name) in [(a, "search"), (b, "chat")] {
        node.cut(true);
        node.sync().await;
        let route = RollbackTo::Route(name.parse().unwrap());
        let by = Author {
            name: format!("who rolled {name} back"),
            ..author()
        };
        let controller = &node.fixture.controller;
        let back = controller.rollback(route, by, Expected::Any, false);
        back.await.unwrap();
    }
    assert_eq!(
        answer(b, &offer_of(a).await).await.outcome,
        OfferOutcome::Taken
    );
    b.cut(false);
    b.sync().await;
    let content = fleet.content.lock().unwrap().clone();
    let last = content.revisions.values().rev().take(2);
    let author_of = |text: &Vec<u8>| {
        let revision: serde_json::Value = serde_json::from_slice(text).unwrap();
        revision["author"]["name"].as_str().unwrap().to_owned()
    };
    let mut authors: Vec<String> = last.map(author_of).collect();
    authors.sort();
    assert_eq!(authors, ["who rolled chat back", "who rolled search back"]);
}

#[tokio::test]
async fn what_automation_took_back_is_offered_as_that() {
    let fleet = apart(&[10]).await;
    let [a, b, c] = fleet.three();
    let machine = Author {
        actor: Actor::System,
        ..author()
    };
    let route = RollbackTo::Route("chat".parse().unwrap());
    let back = a
        .fixture
        .controller
        .rollback(route, machine, Expected::Any, true);
    back.await.unwrap();
    assert_eq!(
        answer(b, &offer_of(a).await).await.outcome,
        OfferOutcome::Taken
    );
    c.cut(false);
    c.sync().await;
    c.fixture.split("chat", 40).await;
    together(&fleet).await;
    fleet.all_have(40);
}

#[tokio::test]
async fn nodes_that_cannot_be_reached_are_asked_again_and_named() {
    let fleet = apart(&[10]).await;
    let [a, b, _] = fleet.three();
    let (neighbours, task) = run(a, &[b]);
    neighbours.is_cut.store(true, Ordering::Release);
    a.rollback_chat().await;
    let shown = || a.fixture.controller.fleet_status().peers;
    until("the reason is told", || {
        shown()[0].reason.as_deref() == Some("cut off")
    })
    .await;
    assert_eq!(b.chat(), 10);
    neighbours.is_cut.store(false, Ordering::Release);
    until("it is asked again", || b.chat() == 0).await;
    until("and is fine", || {
        shown()[0].reason.is_none() && shown()[0].taken == 1
    })
    .await;
    // Nothing is offered any more once the fleet has it.
    together(&fleet).await;
    until("the fleet has it", || shown()[0].taken == 0).await;
    let calls = neighbours.calls.load(Ordering::Acquire);
    a.fixture.split("chat", 30).await;
    assert_eq!(neighbours.calls.load(Ordering::Acquire), calls);
    task.abort();
}
