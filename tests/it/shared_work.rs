//! A release is drained once it is on all nodes of a fleet of proxies.

use switchback::{
    api::{Work, WorkState},
    fleet::{InFlight, Pick},
    model::Version,
};

use crate::fleet_fixture::{Fleet, Node};

/// A request in flight on blue.
fn request(node: &Node) -> InFlight {
    let fleet = &node.fixture.fleet;
    let roster = fleet.roster(&"blue".parse().unwrap(), &Version::new("1").unwrap());
    let (url, address) = ("http://127.0.0.1:1001", "127.0.0.1:1001");
    roster.set(&[(url.parse().unwrap(), address.parse().unwrap())]);
    roster.pick(&Pick::random(0, 0, 0)).unwrap()
}

async fn work(node: &Node) -> Work {
    let controller = &node.fixture.controller;
    let of = controller.work_of(&"blue".parse().unwrap(), None);
    controller.work(&of.unwrap()).await
}

/// The nodes on which it is not drained, with the reasons.
fn left(work: &Work) -> Vec<String> {
    let nodes = work.nodes.iter();
    nodes
        .map(|one| format!("{}: {}", one.node, one.reason))
        .collect()
}

#[tokio::test]
async fn a_release_is_drained_once_no_node_has_anything_in_flight_on_it() {
    let fleet = Fleet::start().await;
    let [a, b, c] = fleet.three();
    fleet.sync().await;
    let held = request(b);
    fleet.sync().await;
    let status = a.fixture.controller.fleet_status();
    let sums: Vec<_> = status.in_flight.iter().collect();
    assert_eq!((sums.len(), sums[0].in_flight, sums[0].draining), (1, 1, 0));
    a.fixture.split("chat", 100).await;
    a.fixture.split("search", 100).await;
    a.sync().await;
    let seen = work(a).await;
    assert_eq!(seen.state, WorkState::Draining);
    assert_eq!(left(&seen)[0], "b: a route there still gives it requests");
    assert_eq!(
        left(&seen)[1],
        "c: unknown: it has not taken up what the fleet has"
    );
    fleet.sync().await;
    let seen = work(a).await;
    assert_eq!(
        (seen.state, left(&seen)),
        (WorkState::Draining, vec!["b: 1 in flight".to_owned()])
    );
    // On the node that has it, the others are drained.
    let seen = work(b).await;
    assert_eq!((seen.state, seen.in_flight), (WorkState::Draining, 1));
    assert!(seen.nodes.is_empty(), "{seen:?}");
    drop(held);
    fleet.sync().await;
    for node in [a, b, c] {
        let seen = work(node).await;
        assert_eq!(seen.state, WorkState::Drained, "{seen:?}");
    }
}

#[tokio::test]
async fn of_a_node_that_is_gone_nothing_is_known_until_it_is_back() {
    let fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 100).await;
    fleet.nodes[0].fixture.split("search", 100).await;
    fleet.sync().await;
    fleet.content.lock().unwrap().end_lease("b");
    fleet.nodes[0].sync().await;
    let seen = work(&fleet.nodes[0]).await;
    assert_eq!(seen.state, WorkState::Draining);
    let left = left(&seen);
    assert!(
        left.len() == 1 && left[0].starts_with("b: unknown: it has said nothing since 2"),
        "{left:?}"
    );
    let gone = fleet.nodes[0].fixture.controller.fleet_status().gone;
    assert_eq!(gone.len(), 1);
    fleet.sync().await;
    let seen = work(&fleet.nodes[0]).await;
    assert_eq!(seen.state, WorkState::Drained, "{seen:?}");
}
