//! Several nodes that share one table, on a store in memory that can be cut off, lose answers and go back in time.

use std::sync::{Arc, atomic::Ordering};

use switchback::{
    api::{FleetSide, FleetState},
    control::{ControlError, Expected},
    model::{Actor, Author, Change},
};

use crate::{
    controller_fixture::{
        ControllerFixture, author, change, document, folder, history_path, set_split,
    },
    fleet_fixture::{Fleet, Node},
};

#[tokio::test]
async fn what_one_node_publishes_is_live_on_all_and_every_undo_stack_goes_the_same_way() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    fleet.all_have(0);
    let [a, b, c] = fleet.three();
    for (node, weight) in [(a, 10), (b, 20), (c, 30)] {
        node.sync().await;
        let receipt = node.fixture.split("chat", weight).await;
        assert!(receipt.changed && receipt.durable && receipt.converged_at.is_some());
    }
    fleet.sync().await;
    fleet.all_have(30);
    // A bare rollback on any node goes one back, on all of them; the next one a further one.
    b.fixture.rollback().await.unwrap();
    fleet.sync().await;
    fleet.all_have(20);
    a.fixture.rollback().await.unwrap();
    fleet.sync().await;
    fleet.all_have(10);
    c.rollback_chat().await;
    fleet.sync().await;
    fleet.all_have(0);
    assert!(matches!(
        a.fixture.rollback().await,
        Err(ControlError::NothingToUndo)
    ));
    let nodes = c.fixture.controller.fleet_status().nodes;
    assert_eq!(
        nodes
            .iter()
            .map(|node| node.node.as_str())
            .collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert!(nodes.iter().all(|node| node.digest == a.digest()));
}

#[tokio::test]
async fn of_two_that_write_at_once_the_second_is_made_on_top_or_told_what_is_live() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, c] = fleet.three();
    let base = Expected::Unchanged(c.fixture.revision());
    a.fixture.split("chat", 10).await;
    // It has not followed yet.
    b.fixture.split("search", 7).await;
    assert_eq!(b.fixture.weights(), (10, 7));
    let stale = c.fixture.try_apply(set_split("chat", 50), base).await;
    assert!(
        matches!(stale, Err(ControlError::Stale { .. })),
        "{stale:?}"
    );
    fleet.sync().await;
    fleet.all_have(10);
    assert_eq!(c.fixture.weights(), (10, 7));
}

#[tokio::test]
async fn without_the_store_changes_are_refused_and_a_rollback_is_live_at_once_and_published_later()
{
    let mut fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 10).await;
    fleet.sync().await;
    fleet.nodes[0].cut(true);
    fleet.nodes[0].sync().await;
    let a = &fleet.nodes[0];
    assert_eq!(a.state(), FleetState::Alone);
    let refused = a
        .fixture
        .try_apply(set_split("chat", 50), Expected::Any)
        .await;
    assert!(
        matches!(&refused, Err(ControlError::NotShared { reason, is_unknown: false }) if reason == "cut off"),
        "{refused:?}"
    );
    assert_eq!(a.chat(), 10);
    a.rollback_chat().await;
    assert_eq!((a.chat(), fleet.nodes[1].chat()), (0, 10));
    // Automation elsewhere does not outlive it.
    let machine = Author {
        actor: Actor::System,
        ..author()
    };
    let step = fleet.nodes[1].fixture.controller.apply(
        set_split("chat", 25),
        machine,
        Expected::Any,
        false,
    );
    step.await.unwrap();
    // Its rollback is in its history: a restart, still without the store, knows of it.
    fleet.restart(0, true).await;
    assert_eq!(fleet.nodes[0].chat(), 0);
    fleet.restart(0, false).await;
    fleet.sync().await;
    fleet.all_have(0);
    assert!(
        fleet.nodes[0]
            .fixture
            .controller
            .fleet_status()
            .rollbacks
            .is_empty()
    );
}

#[tokio::test]
async fn what_a_person_contradicts_is_in_dispute_until_a_person_decides() {
    for (side, chat) in [(FleetSide::Mine, 0), (FleetSide::Theirs, 50)] {
        let fleet = Fleet::start().await;
        fleet.nodes[0].fixture.split("chat", 10).await;
        fleet.sync().await;
        let [a, b, _] = fleet.three();
        a.cut(true);
        a.rollback_chat().await;
        b.fixture.split("chat", 50).await;
        b.fixture.split("search", 9).await;
        a.cut(false);
        fleet.sync().await;
        // What is not in dispute is followed.
        assert_eq!(
            (a.fixture.weights(), b.fixture.weights()),
            ((0, 9), (50, 9))
        );
        assert_eq!(a.disputed(), 1);
        let nodes = b.fixture.controller.fleet_status().nodes;
        assert_eq!(nodes[0].disputed, 1);
        a.keep(side).await;
        fleet.sync().await;
        fleet.all_have(chat);
        assert_eq!(a.disputed(), 0);
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_said_to_be_unknown_and_made_once() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, _] = fleet.three();
    a.store.loses_answer.store(true, Ordering::Release);
    let unknown = a
        .fixture
        .try_apply(set_split("chat", 10), Expected::Any)
        .await;
    assert!(matches!(
        unknown,
        Err(ControlError::NotShared {
            is_unknown: true,
            ..
        })
    ));
    assert_eq!(a.chat(), 0);
    fleet.sync().await;
    fleet.all_have(10);
    // The same with a rollback: it is found in the store, and not published again.
    b.store.loses_answer.store(true, Ordering::Release);
    b.rollback_chat().await;
    fleet.sync().await;
    fleet.all_have(0);
    let count = fleet.content.lock().unwrap().revisions.len();
    fleet.sync().await;
    assert_eq!(fleet.content.lock().unwrap().revisions.len(), count);
}

#[tokio::test]
async fn a_store_that_went_back_is_not_followed_before_a_person_has_decided() {
    for (side, chat) in [(FleetSide::Mine, 20), (FleetSide::Theirs, 10)] {
        let fleet = Fleet::with_restored_store(&[10, 20]).await;
        let a = &fleet.nodes[0];
        a.sync().await;
        assert_eq!((a.state(), a.chat()), (FleetState::Stopped, 20));
        let refused = a
            .fixture
            .try_apply(set_split("chat", 50), Expected::Any)
            .await;
        assert!(matches!(refused, Err(ControlError::NotShared { .. })));
        for node in &fleet.nodes {
            node.sync().await;
        }
        a.keep(side).await;
        for node in &fleet.nodes[1..] {
            node.keep(FleetSide::Theirs).await;
        }
        fleet.sync().await;
        fleet.all_have(chat);
    }
}

#[tokio::test]
async fn what_a_restored_store_has_is_live_at_once_and_not_all_that_led_there() {
    let fleet = Fleet::with_restored_store(&[10, 90, 30, 40]).await;
    let a = &fleet.nodes[0];
    a.sync().await;
    assert_eq!(a.state(), FleetState::Stopped);
    let revision = a.fixture.revision();
    a.keep(FleetSide::Theirs).await;
    assert_eq!((a.state(), a.chat()), (FleetState::Following, 30));
    assert_eq!(a.fixture.revision().0, revision.0 + 1);
}

#[tokio::test]
async fn another_revision_of_the_same_number_is_another_store() {
    let fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 10).await;
    let before = fleet.content.lock().unwrap().clone();
    fleet.nodes[0].fixture.split("chat", 20).await;
    fleet.sync().await;
    let [a, b, _] = fleet.three();
    a.cut(true);
    a.sync().await;
    *fleet.content.lock().unwrap() = before;
    b.sync().await;
    b.keep(FleetSide::Mine).await;
    a.cut(false);
    a.sync().await;
    assert_eq!((a.state(), a.chat()), (FleetState::Stopped, 20));
    a.keep(FleetSide::Theirs).await;
    fleet.sync().await;
    fleet.all_have(20);
}

#[tokio::test]
async fn what_was_taken_up_once_and_is_read_wrongly_is_read_anew_and_stops_nobody() {
    let mut fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 10).await;
    fleet.nodes[0].fixture.split("chat", 20).await;
    fleet.sync().await;
    let right = fleet.content.lock().unwrap().clone();
    {
        let mut content = fleet.content.lock().unwrap();
        let mut latest = content.revisions.values_mut().rev();
        let (last, before) = (latest.next().unwrap(), latest.next().unwrap());
        let mut wrong: serde_json::Value = serde_json::from_slice(before).unwrap();
        let last: serde_json::Value = serde_json::from_slice(last).unwrap();
        wrong["changes"] = last["changes"].clone();
        *before = wrong.to_string().into_bytes();
    }
    fleet.restart(1, false).await;
    let b = &fleet.nodes[1];
    assert_eq!((b.state(), b.chat()), (FleetState::Alone, 20));
    *fleet.content.lock().unwrap() = right;
    fleet.sync().await;
    fleet.all_have(20);
}

#[tokio::test]
async fn what_is_kept_without_an_answer_stays_live() {
    let fleet = Fleet::with_restored_store(&[10, 20]).await;
    let a = &fleet.nodes[0];
    a.sync().await;
    a.cut(true);
    let controller = &a.fixture.controller;
    assert!(
        controller
            .keep_in_fleet(FleetSide::Mine, author())
            .await
            .is_err()
    );
    a.cut(false);
    a.sync().await;
    assert_eq!((a.state(), a.chat()), (FleetState::Stopped, 20));
    a.keep(FleetSide::Mine).await;
    assert_eq!((a.state(), a.chat()), (FleetState::Following, 20));
}

#[tokio::test]
async fn what_does_not_fit_the_fleet_is_refused_or_disputed_and_holds_up_nobody_else() {
    let put = |name: &str, prefix: &str| {
        let route = format!(r#"{{"name":"{name}","path_prefix":"{prefix}","split":{{"blue":1}}}}"#);
        Change::PutRoute {
            route: Box::new(serde_json::from_str(&route).unwrap()),
        }
    };
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, _] = fleet.three();
    a.fixture.apply(put("tools", "/old")).await;
    a.fixture.apply(put("tools", "/new")).await;
    fleet.sync().await;
    a.cut(true);
    a.fixture.rollback().await.unwrap();
    b.fixture.apply(put("other", "/old")).await;
    a.cut(false);
    fleet.sync().await;
    let count = fleet.content.lock().unwrap().revisions.len();
    assert_eq!(a.disputed(), 1);
    // On this node there is room for it, in the fleet there is none.
    let more = a
        .fixture
        .try_apply(put("more", "/new"), Expected::Any)
        .await;
    assert!(matches!(more, Err(ControlError::Invalid(_))), "{more:?}");
    let controller = &a.fixture.controller;
    let mine = controller.keep_in_fleet(FleetSide::Mine, author()).await;
    assert!(matches!(mine, Err(ControlError::Invalid(_))), "{mine:?}");
    assert_eq!(fleet.content.lock().unwrap().revisions.len(), count);
    b.fixture.split("chat", 5).await;
    assert_eq!(fleet.nodes[2].state(), FleetState::Following);
    a.keep(FleetSide::Theirs).await;
    fleet.sync().await;
    fleet.all_have(5);
}

#[tokio::test]
async fn a_process_that_has_handed_its_history_over_is_no_node_any_more() {
    let fleet = Fleet::start().await;
    let folder = folder();
    let fixture = ControllerFixture::open_with_writer_process(&history_path(&folder));
    let old = Node::on(fixture, "d", &fleet.content).await;
    let within = std::time::Duration::from_secs(5);
    old.fixture.controller.release_history(within).unwrap();
    fleet.content.lock().unwrap().nodes.remove("d");
    fleet.nodes[1].fixture.split("chat", 10).await;
    old.sync().await;
    assert_eq!((old.chat(), old.state()), (0, FleetState::Following));
    assert!(!fleet.content.lock().unwrap().nodes.contains_key("d"));
}

#[tokio::test]
async fn the_file_of_a_node_that_joins_brings_back_nothing() {
    let mut fleet = Fleet::start().await;
    fleet.nodes[0].fixture.split("chat", 10).await;
    let content = Arc::clone(&fleet.content);
    let count = content.lock().unwrap().revisions.len();
    let by = Author {
        actor: Actor::File,
        ..author()
    };
    let node = fleet.add("d").await;
    let controller = &node.fixture.controller;
    let import = controller.import(document(70, 20), None, by, Expected::Any, true);
    assert!(import.await.unwrap().first);
    assert_eq!(node.fixture.weights(), (10, 0));
    assert_eq!(content.lock().unwrap().revisions.len(), count);
}

#[tokio::test]
async fn a_new_node_and_one_that_was_away_for_long_begin_with_a_whole_table() {
    let mut fleet = Fleet::start().await;
    fleet.sync().await;
    fleet.nodes[1].cut(true);
    for number in 0..1_200_u32 {
        fleet.nodes[0].fixture.split("chat", number % 97 + 1).await;
    }
    assert!(!fleet.content.lock().unwrap().revisions.contains_key(&2));
    fleet.nodes[1].cut(false);
    fleet.add("d").await;
    fleet.sync().await;
    fleet.all_have(1_199 % 97 + 1);
    // What it had before it joined is one rollback away, on this node alone.
    assert!(fleet.nodes[1].fixture.rollback().await.is_ok());
}

#[tokio::test]
async fn a_whole_table_a_removal_and_endpoints_are_followed_like_a_split() {
    let fleet = Fleet::start().await;
    fleet.sync().await;
    let [a, b, c] = fleet.three();
    let table = document(40, 60);
    let live = Expected::Unchanged(b.fixture.revision());
    b.fixture
        .try_apply(Change::Replace { table }, live)
        .await
        .unwrap();
    fleet.sync().await;
    fleet.all_have(40);
    let text =
        r#"{"kind":"set_endpoints","release":"green","endpoints":["http://127.0.0.1:1003"]}"#;
    let endpoints: Change = serde_json::from_str(text).unwrap();
    c.fixture.apply(endpoints).await;
    fleet.sync().await;
    assert_eq!(a.fixture.endpoints("green"), ["http://127.0.0.1:1003"]);
    let remove = r#"{"kind":"remove_route","route":"search"}"#;
    a.fixture.apply(serde_json::from_str(remove).unwrap()).await;
    for node in &fleet.nodes {
        node.sync().await;
        let state = node.fixture.controller.live().state();
        assert_eq!(state.spec.routes().len(), 1);
        assert_eq!(node.digest(), a.digest());
    }
}

#[tokio::test]
async fn steps_that_fit_the_fleet_only_together_are_published_together() {
    let fleet = Fleet::start().await;
    let [a, b, _] = fleet.three();
    a.fixture.split("chat", 10).await;
    let red = r#"{"kind":"put_release","release":"red","document":{"version":"1","endpoints":["http://127.0.0.1:1003"]}}"#;
    let split = r#"{"kind":"set_split","route":"chat","weights":{"blue":50,"green":0,"red":50}}"#;
    let both = change(&format!(r#"{{"kind":"batch","changes":[{red},{split}]}}"#));
    a.fixture.apply(both).await;
    fleet.sync().await;
    a.cut(true);
    a.sync().await;
    a.fixture.rollback().await.unwrap();
    // Further back on the route: without that the release would still be in use.
    a.rollback_chat().await;
    let left = a.fixture.controller.fleet_status().rollbacks;
    assert_eq!(left.len(), 2, "{left:?}");
    assert_ne!(left[0].step(), left[1].step());
    a.cut(false);
    fleet.sync().await;
    fleet.all_have(0);
    assert_eq!(a.disputed(), 0);
    let releases = b.fixture.controller.live().state();
    assert!(releases.spec.release(&"red".parse().unwrap()).is_none());
}
