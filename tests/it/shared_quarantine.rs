//! The quarantine of a fleet: a version that one node puts in is in quarantine on all, and lifted on all.

use crate::fleet_fixture::{Fleet, Node};

async fn put(node: &Node, reason: &str) {
    let green = "green".parse().unwrap();
    let controller = &node.fixture.controller;
    let put = controller.put_in_quarantine(green, reason.to_owned(), "test".to_owned());
    assert!(put.await.unwrap().1);
}

async fn lift(node: &Node) {
    let green = "green".parse().unwrap();
    let (lifted, is_saved) = node
        .fixture
        .controller
        .lift_quarantine(&green, None, "test")
        .await;
    assert!(lifted.len() == 1 && is_saved);
}

fn reasons(node: &Node) -> Vec<String> {
    let all = node.fixture.controller.quarantined();
    all.iter().map(|one| one.reason.clone()).collect()
}

#[tokio::test]
async fn what_is_put_in_quarantine_on_one_node_is_there_on_all_until_any_lifts_it() {
    let mut fleet = Fleet::start().await;
    fleet.sync().await;
    put(&fleet.nodes[0], "bad").await;
    fleet.sync().await;
    assert!(fleet.nodes.iter().all(|node| reasons(node) == ["bad"]));
    // It is in the history of each.
    fleet.restart(1, true).await;
    assert_eq!(reasons(&fleet.nodes[1]), ["bad"]);
    fleet.restart(1, false).await;
    lift(&fleet.nodes[2]).await;
    fleet.sync().await;
    assert!(fleet.nodes.iter().all(|node| reasons(node).is_empty()));
}

#[tokio::test]
async fn a_node_without_the_store_holds_its_own_and_tells_it_later() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, _] = fleet.three();
    a.cut(true);
    put(a, "alone").await;
    fleet.sync().await;
    assert_eq!((reasons(a).len(), reasons(b).len()), (1, 0));
    a.cut(false);
    fleet.sync().await;
    assert!(fleet.nodes.iter().all(|node| reasons(node) == ["alone"]));
}

#[tokio::test]
async fn a_document_that_nobody_can_read_takes_nothing_away() {
    let fleet = Fleet::start().await;
    put(&fleet.nodes[0], "bad").await;
    fleet.sync().await;
    for value in [&b"{\"format\":2}"[..], b"{\"format\":1,\"entries\":", b""] {
        {
            let mut content = fleet.content.lock().unwrap();
            let document = content.documents.get_mut("quarantine/all").unwrap();
            document.value = value.to_vec();
        }
        fleet.sync().await;
        assert!(fleet.nodes.iter().all(|node| reasons(node) == ["bad"]));
    }
}
