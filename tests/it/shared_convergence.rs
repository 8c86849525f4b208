//! The wait for a whole fleet: who has a change, who has it not, and why.

use std::time::Duration;

use switchback::{
    api::{FleetProgress, FleetSide, FleetState, Receipt},
    control::Settings,
};

use crate::{
    controller_fixture::{ControllerFixture, author, folder, history_path},
    fleet_fixture::{Fleet, Node},
};

/// Far more than any of these takes: what waits for it fails.
const LONG: Duration = Duration::from_secs(60);

/// Waits for the fleet on a node, while something else happens.
async fn waited(
    node: &Node,
    receipt: &mut Receipt,
    meanwhile: impl Future<Output = ()>,
) -> FleetProgress {
    let wait = tokio::time::timeout(LONG / 2, node.fixture.controller.wait_fleet(receipt, LONG));
    let (in_time, ()) = tokio::join!(wait, meanwhile);
    in_time.expect("it ends by itself");
    receipt.fleet.clone().expect("it is a node")
}

fn missing(progress: &FleetProgress) -> Vec<(&str, Option<&str>)> {
    let missing = progress.missing.iter();
    missing
        .map(|one| (one.node.as_str(), one.reason.as_deref()))
        .collect()
}

#[tokio::test]
async fn a_receipt_names_the_nodes_that_lack_a_change_until_all_have_it() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, c] = fleet.three();
    let mut receipt = a.fixture.split("chat", 10).await;
    let progress = receipt.fleet.clone().unwrap();
    assert_eq!(
        (progress.revision, progress.nodes, progress.waiting_for),
        (Some(2), 3, 3)
    );
    assert_eq!(missing(&progress), [("a", None), ("b", None), ("c", None)]);
    assert_eq!((progress.converged_at, progress.reason), (None, None));
    let progress = waited(a, &mut receipt, async {
        for node in [a, b, c, a] {
            node.sync().await;
        }
    });
    let progress = progress.await;
    assert!(progress.converged_at.is_some() && receipt.converged_at.is_some());
    assert_eq!((progress.nodes, progress.waiting_for), (3, 0));
    // When the time is over the receipt says who lacks it.
    let mut late = b.fixture.split("chat", 20).await;
    b.sync().await;
    b.fixture
        .controller
        .wait_fleet(&mut late, Duration::ZERO)
        .await;
    assert_eq!(missing(&late.fleet.unwrap()), [("a", None), ("c", None)]);
}

#[tokio::test]
async fn a_rollback_without_the_store_is_live_and_all_have_it_once_it_is_published() {
    let fleet = Fleet::start().await;
    let [a, b, c] = fleet.three();
    a.fixture.split("chat", 10).await;
    fleet.sync().await;
    a.cut(true);
    a.sync().await;
    let mut receipt = a.fixture.rollback().await.unwrap();
    assert!(receipt.converged_at.is_some());
    let progress = receipt.fleet.clone().unwrap();
    assert_eq!((progress.revision, progress.converged_at), (None, None));
    assert_eq!(
        progress.reason.as_deref(),
        Some("this node is without the store: cut off")
    );
    let progress = waited(a, &mut receipt, async {
        a.cut(false);
        for node in [a, b, c, a] {
            node.sync().await;
        }
    });
    let progress = progress.await;
    assert_eq!((progress.revision, progress.waiting_for), (Some(3), 0));
    assert_eq!(progress.reason, None);
    fleet.all_have(0);
}

#[tokio::test]
async fn a_node_that_goes_away_or_keeps_its_own_is_named_and_not_waited_for() {
    let fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 10).await;
    fleet.sync().await;
    let [a, b, c] = fleet.three();
    a.cut(true);
    a.rollback_chat().await;
    b.fixture.split("chat", 50).await;
    a.cut(false);
    fleet.sync().await;
    assert_eq!(a.disputed(), 1);
    let follow = async {
        for node in [a, b, c, b] {
            node.sync().await;
        }
    };
    let mut receipt = b.fixture.split("chat", 60).await;
    let progress = waited(b, &mut receipt, follow).await;
    let disputed = "it keeps a rollback of its own that is in dispute";
    assert_eq!(missing(&progress), [("a", Some(disputed))]);
    // A change of another part is live on it.
    let mut receipt = b.fixture.split("search", 60).await;
    let progress = waited(b, &mut receipt, async {
        for node in [a, b, c, b] {
            node.sync().await;
        }
    });
    assert!(progress.await.converged_at.is_some());
    let mut receipt = b.fixture.split("search", 70).await;
    let progress = waited(b, &mut receipt, async {
        a.sync().await;
        fleet.content.lock().unwrap().end_lease("c");
        b.sync().await;
    });
    let progress = progress.await;
    assert_eq!(
        missing(&progress),
        [("c", Some("it does not report any more"))]
    );
    assert_eq!((progress.nodes, progress.converged_at), (3, None));
}

#[tokio::test]
async fn a_rollback_in_dispute_waits_for_a_person_and_no_longer() {
    let fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 10).await;
    fleet.sync().await;
    let [a, b, _] = fleet.three();
    a.cut(true);
    let mut receipt = a.fixture.rollback().await.unwrap();
    b.fixture.split("chat", 50).await;
    let progress = waited(a, &mut receipt, async {
        a.cut(false);
        a.sync().await;
    });
    let progress = progress.await;
    assert_eq!(progress.revision, None);
    assert_eq!(
        progress.reason.as_deref(),
        Some("the route `chat` is in dispute on this node")
    );
}

#[tokio::test]
async fn without_the_store_a_node_that_has_stopped_stays_so() {
    let fleet = Fleet::with_restored_store(&[10, 20]).await;
    let a = &fleet.nodes[0];
    a.sync().await;
    a.cut(true);
    let controller = &a.fixture.controller;
    let kept = controller.keep_in_fleet(FleetSide::Theirs, author()).await;
    assert_eq!(
        kept.unwrap_err().to_string(),
        "the fleet did not take the change: cut off"
    );
    a.cut(false);
    a.sync().await;
    assert_eq!((a.state(), a.chat()), (FleetState::Stopped, 20));
    a.keep(FleetSide::Theirs).await;
    assert_eq!((a.state(), a.chat()), (FleetState::Following, 10));
}

#[tokio::test]
async fn a_node_reports_when_its_last_worker_has_taken_it_up_and_not_before() {
    let fleet = Fleet::start().await;
    let folder = folder();
    let settings = Settings {
        converge_within: Duration::ZERO,
        ..Settings::default()
    };
    let fixture = ControllerFixture::open_with(&history_path(&folder), settings, None);
    let late = Node::on(fixture, "late", &fleet.content).await;
    let (a, cell) = (&fleet.nodes[0], &late.fixture.cell);
    cell.acknowledge(0, late.fixture.revision());
    a.fixture.split("chat", 10).await;
    late.sync().await;
    assert_eq!(late.chat(), 10);
    let reported = || async {
        a.sync().await;
        let nodes = a.fixture.controller.fleet_status().nodes;
        let node = nodes.into_iter().find(|node| node.node == "late").unwrap();
        (node.followed, node.revision)
    };
    assert_eq!(reported().await, (2, 1));
    cell.acknowledge(0, late.fixture.revision());
    let again = async {
        while reported().await != (2, 2) {
            tokio::task::yield_now().await;
        }
    };
    // Less than the time between two looks at the store.
    let again = tokio::time::timeout(Duration::from_secs(2), again);
    tokio::select! {
        () = late.fixture.controller.run() => panic!("it runs on"),
        in_time = again => in_time.unwrap(),
    }
}
