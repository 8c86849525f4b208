//! Publish and rollback on a real history: what is undone, what stays, and which changes are allowed.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use switchback::{
    api::{Receipt, ReleaseRole},
    control::{ControlError, Expected, RollbackTo, Settings},
    history::{AppendError, Entry, FaultInjector, FaultPoint, History},
    model::{Cause, Change, Revision},
};

use crate::{
    controller_fixture::{
        ControllerFixture, author, change, document, folder, grouped, history_path, keyed,
        set_split,
    },
    support::wait_until,
};

#[tokio::test]
async fn rolling_back_twice_goes_two_back_and_restores_the_digests() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let first = fixture.controller.live().digest();
    let (two, three) = (
        fixture.split("chat", 10).await,
        fixture.split("chat", 50).await,
    );
    assert_eq!((two.parent, three.parent), (Revision(1), Revision(2)));
    assert!(three.durable && three.changed && three.converged_at.is_some());
    let back = fixture.rollback().await.unwrap();
    assert_eq!(
        (back.digest, back.undid.clone()),
        (two.digest, vec![Revision(3)])
    );
    assert_eq!(back.cause, Cause::Rollback { to: Revision(2) });
    let back = fixture.rollback().await.unwrap();
    assert_eq!((back.digest, back.undid), (first, vec![Revision(4)]));
    assert!(matches!(
        fixture.rollback().await,
        Err(ControlError::NothingToUndo)
    ));
}

#[tokio::test]
async fn equal_content_makes_no_revision() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 5, 0).await;
    let same = fixture.split("chat", 5).await;
    assert_eq!((same.changed, same.revision), (false, Revision(1)));
    assert!(same.diff.is_empty());
    fixture.split("chat", 6).await;
    fixture.rollback().await.unwrap();
    let same = fixture
        .rollback_to(RollbackTo::Revision(Revision(1)))
        .await
        .unwrap();
    assert!(!same.changed, "revision 1's content is live already");
    assert_eq!(fixture.revision(), Revision(3));
}

#[tokio::test]
async fn a_revision_that_is_not_on_the_chain_goes_on_top_of_what_is_live() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    fixture.rollback().await.unwrap();
    let again = fixture
        .rollback_to(RollbackTo::Revision(Revision(2)))
        .await
        .unwrap();
    assert_eq!(
        (again.cause, again.undid),
        (Cause::Rollback { to: Revision(2) }, vec![])
    );
    assert_eq!(fixture.weights(), (10, 0));
    fixture.rollback().await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
    let unknown = fixture
        .rollback_to(RollbackTo::Revision(Revision(99)))
        .await;
    assert!(matches!(unknown, Err(ControlError::UnknownRevision { .. })));
}

#[tokio::test]
async fn a_bare_rollback_undoes_a_group_and_a_step_one_record_after_a_restart_too() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    for green in [5, 20, 50] {
        let by = grouped("rollout-1");
        fixture
            .controller
            .apply(set_split("chat", green), by, Expected::Any, false)
            .await
            .unwrap();
    }
    fixture.rollback_to(RollbackTo::Step).await.unwrap();
    assert_eq!(fixture.weights(), (20, 0));
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    assert_eq!(fixture.weights(), (20, 0));
    let back = fixture.rollback().await.unwrap();
    assert_eq!(
        (fixture.weights(), back.cause),
        ((0, 0), Cause::Rollback { to: Revision(1) })
    );
}

#[tokio::test]
async fn one_route_goes_back_alone_and_never_forth() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    fixture.split("chat", 60).await;
    fixture.split("search", 30).await;
    let route = || RollbackTo::Route("chat".parse().unwrap());
    let back = fixture.rollback_to(route()).await.unwrap();
    let cause = |to| Cause::RollbackRoute {
        route: Some("chat".parse().unwrap()),
        to: Revision(to),
    };
    assert_eq!((fixture.weights(), back.cause), ((10, 30), cause(2)));
    assert_eq!(
        back.undid,
        [Revision(3)],
        "the revision that had changed the route"
    );
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    assert_eq!(fixture.weights(), (10, 30));
    fixture.rollback_to(route()).await.unwrap();
    assert_eq!(fixture.weights(), (0, 30));
    assert!(matches!(
        fixture.rollback_to(route()).await,
        Err(ControlError::NothingToUndo)
    ));
    fixture.rollback().await.unwrap();
    assert_eq!(
        fixture.weights(),
        (0, 0),
        "a bare rollback does not lead to what was taken back"
    );
}

#[tokio::test]
async fn after_the_rollback_of_a_route_that_alone_has_changed_there_is_nothing_to_undo() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    let back = fixture
        .rollback_to(RollbackTo::Route("chat".parse().unwrap()))
        .await
        .unwrap();
    let cause = Cause::RollbackRoute {
        route: Some("chat".parse().unwrap()),
        to: Revision(1),
    };
    assert_eq!((back.cause, fixture.weights()), (cause, (0, 0)));
    assert!(matches!(
        fixture.rollback().await,
        Err(ControlError::NothingToUndo)
    ));
}

#[tokio::test]
async fn abort_after_a_rollback_of_one_route_goes_to_the_stable_release_of_then() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    fixture.split("chat", 100).await;
    fixture.split("search", 1).await;
    fixture
        .rollback_to(RollbackTo::Route("chat".parse().unwrap()))
        .await
        .unwrap();
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    fixture
        .apply(change(r#"{"kind":"abort","route":"chat"}"#))
        .await;
    assert_eq!(fixture.weights(), (0, 1));
}

#[tokio::test]
async fn endpoints_are_facts_that_a_rollback_carries_forward() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    let fact = r#"{"kind":"set_endpoints","release":"blue","endpoints":["http://127.0.0.1:2001","http://127.0.0.1:2002"]}"#;
    let receipt = fixture.apply(change(fact)).await;
    assert_eq!((receipt.cause, receipt.durable), (Cause::Roster, true));
    let back = fixture.rollback().await.unwrap();
    assert_eq!(
        back.cause,
        Cause::Rollback { to: Revision(1) },
        "a fact is not on the undo stack"
    );
    assert_eq!(fixture.endpoints("blue").len(), 2);
    let roster = fixture.fleet.roster(
        &"blue".parse().unwrap(),
        &"1".to_owned().try_into().unwrap(),
    );
    assert_eq!(roster.endpoints().len(), 2, "the fleet has them as well");
    drop(fixture);
    assert_eq!(
        ControllerFixture::open(&history_path(&folder))
            .endpoints("blue")
            .len(),
        2
    );
}

#[tokio::test]
async fn a_version_that_comes_back_brings_its_last_roster() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let add = r#"{"kind":"set_endpoints","release":"green","endpoints":["http://127.0.0.1:3001"]}"#;
    fixture.apply(change(add)).await;
    let two = r#"{"kind":"put_release","release":"green","document":{"version":"2","endpoints":["http://127.0.0.1:4001"]}}"#;
    fixture.apply(change(two)).await;
    assert_eq!(fixture.endpoints("green"), ["http://127.0.0.1:4001"]);
    let status = fixture.controller.status();
    let role = |version: &str| {
        let mut releases = status.releases.iter();
        let found = releases.find(|release| {
            release.name.as_str() == "green" && release.version.to_string() == version
        });
        found.map(|release| release.role)
    };
    assert_eq!(
        (role("2"), role("1")),
        (Some(ReleaseRole::Standby), Some(ReleaseRole::Warm))
    );
    assert!(status.rollback.ready);
    fixture.rollback().await.unwrap();
    assert_eq!(fixture.endpoints("green"), ["http://127.0.0.1:3001"]);
}

#[tokio::test]
async fn a_predecessor_without_a_healthy_endpoint_is_refused_with_the_nearest_that_has_one() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 100, 0).await;
    fixture.split("chat", 0).await;
    fixture.split("chat", 100).await;
    let blue = fixture.fleet.roster(
        &"blue".parse().unwrap(),
        &"1".to_owned().try_into().unwrap(),
    );
    blue.endpoints()[0].set_health(switchback::fleet::Health::Unhealthy);
    let status = fixture.controller.status().rollback;
    assert!(status.available && !status.ready);
    let refused = fixture.rollback().await;
    let Err(ControlError::NotReady {
        releases, nearest, ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(releases[0].as_str(), "blue");
    assert_eq!(nearest, None, "revision 1 has the content that is live");
    let forced = fixture
        .controller
        .rollback(RollbackTo::Previous, author(), Expected::Any, true)
        .await;
    assert_eq!(forced.unwrap().cause, Cause::Rollback { to: Revision(2) });
    let status = fixture.controller.status().rollback;
    assert!(status.ready, "back on green it could go");
}

#[tokio::test]
async fn a_partial_change_conflicts_only_with_changes_to_its_own_entry() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("search", 5).await;
    let seen = Expected::Unchanged(Revision(1));
    let fine = fixture.try_apply(set_split("chat", 5), seen).await.unwrap();
    assert_eq!((fine.revision, fixture.weights()), (Revision(3), (5, 5)));
    let stale = fixture.try_apply(set_split("chat", 6), seen).await;
    let Err(ControlError::Stale { live, since, .. }) = stale else {
        panic!("{stale:?}");
    };
    assert_eq!(
        (live, since.len(), since[0].revision),
        (Revision(3), 1, Revision(3))
    );
    let whole = Change::Replace {
        table: document(1, 1),
    };
    let refused = fixture.try_apply(whole.clone(), Expected::Any).await;
    assert!(matches!(
        refused,
        Err(ControlError::PreconditionRequired { live: Revision(3) })
    ));
    let refused = fixture
        .try_apply(whole, Expected::Unchanged(Revision(2)))
        .await;
    assert!(matches!(refused, Err(ControlError::Stale { .. })));
    let rollback = fixture
        .controller
        .rollback(RollbackTo::Previous, author(), seen, false)
        .await;
    assert!(matches!(rollback, Err(ControlError::Stale { .. })));
    assert_eq!(fixture.weights(), (5, 5));
}

#[tokio::test]
async fn a_repeated_request_is_recognised_by_its_key_after_a_restart_too() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let apply = |fixture: ControllerFixture, green: u32| async move {
        let made = fixture
            .controller
            .apply(set_split("chat", green), keyed("k1"), Expected::Any, false)
            .await;
        (fixture, made)
    };
    let (fixture, first) = apply(fixture, 10).await;
    let back = fixture
        .controller
        .rollback(RollbackTo::Previous, keyed("k2"), Expected::Any, false)
        .await;
    drop(fixture);
    let (fixture, again) = apply(ControllerFixture::open(&history_path(&folder)), 10).await;
    assert_eq!(again.unwrap().revision, first.unwrap().revision);
    let again = fixture
        .controller
        .rollback(RollbackTo::Previous, keyed("k2"), Expected::Any, false)
        .await;
    let (back, again) = (back.unwrap(), again.unwrap());
    assert_eq!((again.revision, again.undid), (back.revision, back.undid));
    assert_eq!(fixture.weights(), (0, 0), "neither was done twice");
    let (_, other) = apply(fixture, 11).await;
    assert!(matches!(other, Err(ControlError::KeyReused { .. })));
}

#[tokio::test]
async fn a_release_that_a_rollback_needs_goes_only_by_force() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 100, 100).await;
    fixture.split("chat", 0).await;
    fixture.split("search", 0).await;
    let remove = || change(r#"{"kind":"remove_release","release":"green"}"#);
    let refused = fixture.try_apply(remove(), Expected::Any).await;
    assert!(
        matches!(refused, Err(ControlError::ReleaseWanted { .. })),
        "{refused:?}"
    );
    let blue = change(r#"{"kind":"remove_release","release":"blue"}"#);
    let refused = fixture
        .controller
        .apply(blue, author(), Expected::Any, true)
        .await;
    assert!(
        matches!(refused, Err(ControlError::Change(_))),
        "never while it is live: {refused:?}"
    );
    fixture
        .controller
        .apply(remove(), author(), Expected::Any, true)
        .await
        .unwrap();
    assert!(
        !fixture
            .controller
            .live()
            .state()
            .spec
            .releases()
            .contains_key("green")
    );
    let back = fixture.rollback().await.unwrap();
    assert_eq!(back.undid.len(), 1);
    assert_eq!(
        fixture.endpoints("green"),
        ["http://127.0.0.1:1002"],
        "it comes back with its roster"
    );
}

/// Copies a history to the format of an earlier version: rollbacks of routes do not name them.
fn copy_unnamed(from: &Path, to: &Path) {
    let (_, loaded) = History::open(from).unwrap();
    let (history, _) = History::open(to).unwrap();
    for kept in loaded.kept {
        let mut record = (*kept.record).clone();
        assert_eq!(history.reserve(), record.revision);
        if record.cause.is_rollback() {
            let (route, to) = (None, Revision(0));
            record.cause = Cause::RollbackRoute { route, to };
        }
        let entry = Entry {
            record,
            whole: kept.whole,
        };
        let written = history.append(entry, None).unwrap();
        written.blocking_recv().unwrap().unwrap();
    }
    history.close(Duration::from_secs(10));
}

#[tokio::test]
async fn a_rollback_of_a_route_that_an_earlier_version_did_not_name_is_gone_back_over() {
    let folder = folder();
    let old = folder.path().join("old");
    let route = |name: &str| RollbackTo::Route(name.parse().unwrap());
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    fixture.split("search", 20).await;
    fixture.rollback_to(route("chat")).await.unwrap();
    drop(fixture);
    let (from, to) = (history_path(&folder), old.clone());
    let copied = tokio::task::spawn_blocking(move || copy_unnamed(&from, &to));
    copied.await.unwrap();
    let fixture = ControllerFixture::open(&old);
    assert_eq!(
        (fixture.revision(), fixture.weights()),
        (Revision(4), (0, 20))
    );
    let again = fixture.rollback_to(route("chat")).await;
    assert!(
        matches!(again, Err(ControlError::NothingToUndo)),
        "{again:?}"
    );
    fixture.rollback_to(route("search")).await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
}

#[tokio::test]
async fn a_dry_run_with_a_version_that_nothing_holds_any_more_is_answered_as_the_change_is() {
    let folder = folder();
    let two = r#"{"kind":"put_release","release":"green","document":{"version":"2","endpoints":["http://127.0.0.1:4001"]}}"#;
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 50, 50).await;
    fixture.apply(change(two)).await;
    fixture.rollback().await.unwrap();
    drop(fixture);
    // The table of a start has the endpoints of the version, and no roster of it.
    let fixture = ControllerFixture::open(&history_path(&folder));
    let dry_run = fixture
        .controller
        .dry_run(&change(two), Expected::Any, false)
        .unwrap();
    assert!(dry_run.changed && dry_run.not_ready.is_empty());
    fixture.apply(change(two)).await;
    assert_eq!(fixture.endpoints("green"), ["http://127.0.0.1:4001"]);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    let dry_run = fixture
        .controller
        .dry_run(&set_split("chat", 20), Expected::Any, false)
        .unwrap();
    assert!(
        dry_run.changed
            && dry_run
                .diff
                .0
                .iter()
                .any(|entry| entry.path == "routes.chat.split.green")
    );
    let dry_run = fixture
        .controller
        .dry_run_rollback(&RollbackTo::Previous, Expected::Any, false)
        .unwrap();
    assert_eq!(
        (dry_run.to, dry_run.undoes),
        (Some(Revision(1)), vec![Revision(2)])
    );
    let none = change(r#"{"kind":"set_split","route":"chat","weights":{"blue":0}}"#);
    assert!(matches!(
        fixture.controller.dry_run(&none, Expected::Any, false),
        Err(ControlError::Invalid(_))
    ));
    assert_eq!(
        (fixture.revision(), fixture.weights()),
        (Revision(2), (10, 0))
    );
}

#[tokio::test]
async fn a_rollback_to_a_revision_is_no_toggle_after_an_endpoint_changed() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    let fact = r#"{"kind":"set_endpoints","release":"blue","endpoints":["http://127.0.0.1:2001"]}"#;
    fixture.apply(change(fact)).await;
    fixture.split("chat", 90).await;
    let bad = fixture.revision();
    let back = fixture
        .rollback_to(RollbackTo::Revision(Revision(2)))
        .await
        .unwrap();
    assert_eq!((fixture.weights(), back.undid), ((10, 0), vec![bad]));
    fixture.rollback().await.unwrap();
    assert_eq!(fixture.weights(), (0, 0), "never on the bad one again");
}

#[tokio::test]
async fn the_number_of_a_fact_means_the_decision_beside_it_after_a_restart_too() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    let fact = |port: u16| {
        let text = format!(
            r#"{{"kind":"set_endpoints","release":"blue","endpoints":["http://127.0.0.1:{port}"]}}"#
        );
        change(&text)
    };
    let first = fixture.apply(fact(2001)).await.revision;
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    fixture.split("chat", 90).await;
    let bad = fixture.revision();
    fixture.apply(fact(2002)).await;
    let dry_run = fixture
        .controller
        .dry_run_rollback(&RollbackTo::Revision(first), Expected::Any, false)
        .unwrap();
    assert_eq!(
        (dry_run.to, dry_run.undoes),
        (Some(Revision(2)), vec![bad]),
        "the decision that a fact came after is undone, not the fact"
    );
    let back = fixture
        .rollback_to(RollbackTo::Revision(first))
        .await
        .unwrap();
    assert_eq!((fixture.weights(), back.undid), ((10, 0), vec![bad]));
    assert_eq!(fixture.endpoints("blue"), ["http://127.0.0.1:2002"]);
    fixture.rollback().await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
}

#[tokio::test]
async fn a_rollback_of_one_route_takes_no_step_of_another() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("search", 30).await;
    fixture.split("chat", 10).await;
    fixture.split("chat", 60).await;
    let back = |route: &str| RollbackTo::Route(route.parse().unwrap());
    let dry_run = fixture
        .controller
        .dry_run_rollback(&back("search"), Expected::Any, false)
        .unwrap();
    assert_eq!(
        (dry_run.to, dry_run.undoes, dry_run.takes_along),
        (
            Some(Revision(1)),
            vec![Revision(2)],
            vec![Revision(4), Revision(3)]
        )
    );
    fixture.rollback_to(back("search")).await.unwrap();
    assert_eq!(fixture.weights(), (60, 0));
    fixture.rollback_to(back("chat")).await.unwrap();
    assert_eq!(fixture.weights(), (10, 0), "one step, not two");
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    fixture.rollback_to(back("chat")).await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
    for route in ["chat", "search"] {
        let nothing = fixture.rollback_to(back(route)).await;
        assert!(matches!(nothing, Err(ControlError::NothingToUndo)));
    }
}

#[tokio::test]
async fn an_abort_after_a_rollback_of_one_route_goes_nowhere_that_was_taken_back() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 5, 0).await;
    fixture
        .apply(change(r#"{"kind":"promote","route":"chat","to":"green"}"#))
        .await;
    fixture.split("search", 1).await;
    fixture
        .rollback_to(RollbackTo::Route("chat".parse().unwrap()))
        .await
        .unwrap();
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    let abort = change(r#"{"kind":"abort","route":"chat"}"#);
    let refused = fixture.try_apply(abort, Expected::Any).await;
    assert!(
        matches!(&refused, Err(ControlError::Change(_))),
        "nothing was stable then: {refused:?}"
    );
    assert_eq!(fixture.weights(), (5, 1));
}

#[tokio::test]
async fn a_release_that_goes_is_stable_nowhere() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let put = r#"{"kind":"put_route","route":{"name":"chat","path_prefix":"/chat","split":{"blue":1},"stable":"green"}}"#;
    fixture.apply(change(put)).await;
    fixture
        .apply(change(r#"{"kind":"switch","route":"search","to":"blue"}"#))
        .await;
    let gone = change(r#"{"kind":"remove_release","release":"green"}"#);
    let force = true;
    fixture
        .controller
        .apply(gone, author(), Expected::Any, force)
        .await
        .unwrap();
    let status = fixture.controller.status();
    let named = status
        .routes
        .iter()
        .filter_map(|route| route.stable.as_ref());
    assert!(named.clone().all(|stable| stable.as_str() == "blue"));
    fixture
        .apply(change(r#"{"kind":"abort","route":"chat"}"#))
        .await;
}

#[tokio::test]
async fn two_who_go_back_to_one_revision_make_one() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 10).await;
    fixture.rollback().await.unwrap();
    let again = || fixture.rollback_to(RollbackTo::Revision(Revision(2)));
    let (one, two) = tokio::join!(again(), again());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.changed != two.changed, "{one:?} {two:?}");
    assert_eq!(one.revision, two.revision);
}

#[tokio::test]
async fn what_a_switch_of_versions_replaced_is_never_shown_as_live() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let two = r#"{"kind":"put_release","release":"green","document":{"version":"2","endpoints":["http://127.0.0.1:4001"]}}"#;
    // Before the effects of the swap, which would update the supervised releases.
    let _early = fixture
        .controller
        .apply_early(change(two), author(), Expected::Any, false)
        .await
        .unwrap();
    let status = fixture.controller.status();
    let live: Vec<_> = status
        .releases
        .iter()
        .filter(|release| release.role == ReleaseRole::Live && release.name.as_str() == "green")
        .map(|release| release.version.to_string())
        .collect();
    assert!(!live.contains(&"1".to_owned()), "{live:?}");
}

#[tokio::test]
async fn a_dry_run_of_a_routes_rollback_is_refused_where_the_rollback_is() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 50, 0).await;
    fixture
        .apply(change(
            r#"{"kind":"set_split","route":"chat","weights":{"blue":1,"green":0}}"#,
        ))
        .await;
    let gone = change(r#"{"kind":"remove_release","release":"green"}"#);
    fixture
        .apply(change(
            r#"{"kind":"set_split","route":"search","weights":{"blue":1,"green":0}}"#,
        ))
        .await;
    fixture
        .controller
        .apply(gone, author(), Expected::Any, true)
        .await
        .unwrap();
    let back = RollbackTo::Route("chat".parse().unwrap());
    let dry = fixture
        .controller
        .dry_run_rollback(&back, Expected::Any, true)
        .map(|_| ());
    let real = fixture
        .controller
        .rollback(back, author(), Expected::Any, true)
        .await
        .map(|_| ());
    assert!(
        matches!(
            (&dry, &real),
            (Err(ControlError::Invalid(_)), Err(ControlError::Invalid(_)))
        ),
        "{dry:?} {real:?}"
    );
}

#[tokio::test]
async fn the_roster_is_there_before_the_table_that_names_it() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let endpoints = |ports: &[u16]| {
        let urls: Vec<_> = ports
            .iter()
            .map(|port| format!("\"http://127.0.0.1:{port}\""))
            .collect();
        change(&format!(
            r#"{{"kind":"set_endpoints","release":"blue","endpoints":[{}]}}"#,
            urls.join(",")
        ))
    };
    fixture.apply(endpoints(&[1, 2])).await;
    // Before the effects of the swap: convergence includes the endpoints.
    let receipt = fixture
        .controller
        .apply_early(endpoints(&[1]), author(), Expected::Any, false)
        .await
        .unwrap();
    assert!(receipt.converged_at.is_some());
    let version = "1".to_owned().try_into().unwrap();
    let roster = fixture.fleet.roster(&"blue".parse().unwrap(), &version);
    let members = || {
        let endpoints = roster.endpoints();
        endpoints
            .iter()
            .map(|endpoint| (endpoint.spec(), endpoint.address()))
            .collect::<Vec<_>>()
    };
    let now = members();
    assert_eq!(now.len(), 1);
    // The look-up for the previous endpoints comes too late.
    let late = (
        "http://127.0.0.1:2".parse().unwrap(),
        "127.0.0.1:2".parse().unwrap(),
    );
    roster.set(&[now[0].clone(), late]);
    assert_eq!(members(), now);
}

/// A disk whose writes wait until they are released.
pub(crate) struct Gate {
    pub(crate) closed: Arc<AtomicBool>,
    pub(crate) slots_too: Arc<AtomicBool>,
    waiting: Arc<AtomicBool>,
    pub(crate) open: mpsc::Sender<()>,
    pub(crate) hook: FaultInjector,
}

pub(crate) fn gate() -> Gate {
    let (open, gate) = mpsc::channel::<()>();
    let (closed, slots_too, waiting) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (is_closed, slots, waits) = (
        Arc::clone(&closed),
        Arc::clone(&slots_too),
        Arc::clone(&waiting),
    );
    let gate = Mutex::new(gate);
    let hook: FaultInjector = Arc::new(move |moment| {
        let held = is_closed.load(Ordering::SeqCst)
            && (moment == FaultPoint::Commit || slots.load(Ordering::SeqCst));
        if held {
            waits.store(true, Ordering::SeqCst);
            gate.lock().unwrap().recv().map_err(io::Error::other)?;
        }
        Ok(())
    });
    Gate {
        closed,
        slots_too,
        waiting,
        open,
        hook,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_while_a_publish_is_being_written_wins() {
    let folder = folder();
    let gate = gate();
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        Settings::default(),
        Some(Arc::clone(&gate.hook)),
    );
    fixture.import_weights(0, 0).await;
    fixture.split("chat", 10).await;
    gate.closed.store(true, Ordering::SeqCst);
    let controller = Arc::clone(&fixture.controller);
    let publish = tokio::spawn(async move {
        controller
            .apply(set_split("chat", 50), author(), Expected::Any, false)
            .await
    });
    wait_until("the publish is being written", || {
        gate.waiting.load(Ordering::SeqCst)
    });
    let begin = Instant::now();
    let back = fixture.rollback().await.unwrap();
    let durable = || fixture.controller.status().durability.durable;
    wait_until("it is durable by its slot, while the store hangs", durable);
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "it waits for no disk: {:?}",
        begin.elapsed()
    );
    gate.closed.store(false, Ordering::SeqCst);
    gate.open.send(()).unwrap();
    let lost = publish.await.unwrap();
    assert!(
        matches!(&lost, Err(ControlError::Stale { since, .. }) if since[0].revision == back.revision),
        "{lost:?}"
    );
    assert_eq!(
        (fixture.weights(), fixture.revision()),
        ((0, 0), back.revision)
    );
    let page = fixture.controller.revisions(None, 10);
    assert!(
        page.revisions
            .iter()
            .any(|summary| summary.cause == Cause::Void)
    );
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    assert_eq!(
        (fixture.weights(), fixture.revision()),
        ((0, 0), back.revision)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_nothing_waits_for_no_disk_and_for_no_other_change() {
    let folder = folder();
    let gate = gate();
    let settings = Settings {
        durable_within: Duration::from_secs(10),
        ..Settings::default()
    };
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        settings,
        Some(Arc::clone(&gate.hook)),
    );
    fixture.import_weights(0, 0).await;
    let live = fixture.split("chat", 10).await;
    gate.closed.store(true, Ordering::SeqCst);
    let controller = Arc::clone(&fixture.controller);
    let publish = tokio::spawn(async move {
        controller
            .apply(set_split("chat", 50), author(), Expected::Any, false)
            .await
    });
    wait_until("the publish is being written", || {
        gate.waiting.load(Ordering::SeqCst)
    });
    let same = set_split("chat", 10);
    let nothing = fixture
        .controller
        .apply(same, author(), Expected::Any, false)
        .await;
    assert!(!publish.is_finished(), "it came first, and is not written");
    let nothing = nothing.unwrap();
    assert_eq!((nothing.changed, nothing.revision), (false, live.revision));
    gate.closed.store(false, Ordering::SeqCst);
    gate.open.send(()).unwrap();
    assert!(publish.await.unwrap().unwrap().changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_refuses_publishes_in_time_and_no_rollback() {
    let folder = folder();
    let gate = gate();
    // Without the limit: the first one is to be written, however long that takes.
    let first = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    first.split("chat", 10).await;
    drop(first);
    let settings = Settings {
        durable_within: Duration::from_millis(100),
        ..Settings::default()
    };
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        settings,
        Some(Arc::clone(&gate.hook)),
    );
    gate.slots_too.store(true, Ordering::SeqCst);
    gate.closed.store(true, Ordering::SeqCst);
    let refused = fixture
        .try_apply(set_split("chat", 50), Expected::Any)
        .await;
    assert!(
        matches!(
            &refused,
            Err(ControlError::NotDurable(AppendError::Unknown(_)))
        ),
        "{refused:?}"
    );
    assert_eq!(fixture.weights(), (10, 0), "nothing of it is live");
    let back = fixture.rollback().await.unwrap();
    assert_eq!(
        (back.durable, back.restart_revision),
        (false, Some(Revision(2)))
    );
    assert_eq!(fixture.weights(), (0, 0));
    let status = fixture.controller.status().durability;
    assert!(
        !status.healthy && !status.durable && status.pending_records >= 1,
        "{status:?}"
    );
    gate.closed.store(false, Ordering::SeqCst);
    drop(gate.open);
    wait_until("what was pending has landed", || {
        fixture.controller.status().durability.healthy
    });
    drop(fixture);
    assert_eq!(
        ControllerFixture::open(&history_path(&folder)).weights(),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_to_a_revision_off_the_stack_waits_for_no_disk() {
    let folder = folder();
    let gate = gate();
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        Settings::default(),
        Some(Arc::clone(&gate.hook)),
    );
    fixture.import_weights(0, 0).await;
    fixture.split("chat", 10).await;
    fixture.rollback().await.unwrap();
    gate.slots_too.store(true, Ordering::SeqCst);
    gate.closed.store(true, Ordering::SeqCst);
    let again = fixture
        .rollback_to(RollbackTo::Revision(Revision(2)))
        .await
        .unwrap();
    assert_eq!((again.durable, fixture.weights()), (false, (10, 0)));
    gate.closed.store(false, Ordering::SeqCst);
    drop(gate.open);
    wait_until("what was pending has landed", || {
        fixture.controller.status().durability.healthy
    });
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    assert_eq!(fixture.weights(), (10, 0));
    fixture.rollback().await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
}

#[tokio::test]
async fn warm_predecessors_are_ready_after_a_restart_too() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let two = r#"{"kind":"put_release","release":"green","document":{"version":"2","endpoints":["http://127.0.0.1:4001"]}}"#;
    fixture.apply(change(two)).await;
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    let status = fixture.controller.status();
    assert!(status.rollback.ready, "{:?}", status.rollback);
    let warm = status
        .releases
        .iter()
        .find(|release| release.role == ReleaseRole::Warm)
        .unwrap();
    assert_eq!((warm.name.as_str(), warm.endpoints.len()), ("green", 1));
}

#[tokio::test]
async fn many_revisions_are_pruned_and_the_chain_stays_usable_after_a_restart() {
    let folder = folder();
    let settings = Settings {
        keep: 20,
        ..Settings::default()
    };
    let fixture = ControllerFixture::open_with(&history_path(&folder), settings.clone(), None);
    fixture.import_weights(0, 0).await;
    fixture.split("search", 7).await;
    for port in 1..=150 {
        let fact = format!(
            r#"{{"kind":"set_endpoints","release":"blue","endpoints":["http://127.0.0.1:{port}"]}}"#
        );
        fixture.apply(change(&fact)).await;
    }
    let kept_now = fixture.controller.status().durability.kept_revisions;
    assert!(kept_now <= 40, "{kept_now}");
    drop(fixture);
    let fixture = ControllerFixture::open_with(&history_path(&folder), settings, None);
    assert_eq!(
        fixture.controller.status().durability.kept_revisions,
        kept_now
    );
    assert_eq!(
        (fixture.weights(), fixture.endpoints("blue")),
        ((0, 7), vec!["http://127.0.0.1:150".to_owned()])
    );
    fixture.rollback().await.unwrap();
    assert_eq!(
        (fixture.weights(), fixture.endpoints("blue")),
        ((0, 0), vec!["http://127.0.0.1:150".to_owned()])
    );
}

/// The position of one reply in the order of changes.
struct Reply {
    receipt: Receipt,
    asked: Action,
}

#[derive(Clone, Copy)]
enum Action {
    Back,
    Split(&'static str, u32),
}

/// Runs one action; of two concurrent ones, one may be refused with a conflict.
async fn reply_to(fixture: &ControllerFixture, asked: Action) -> Option<Reply> {
    let answer = match asked {
        Action::Back => fixture.rollback().await,
        Action::Split(route, green) => {
            fixture
                .try_apply(set_split(route, green), Expected::Any)
                .await
        }
    };
    match answer {
        Ok(receipt) => receipt.changed.then_some(Reply { receipt, asked }),
        Err(ControlError::Stale { .. } | ControlError::NothingToUndo) => None,
        Err(error) => panic!("{error:?}"),
    }
}

async fn publish_all(fixture: Arc<ControllerFixture>, asks: Vec<Action>) -> Vec<Reply> {
    let mut all = Vec::new();
    for asked in asks {
        all.extend(reply_to(&fixture, asked).await);
    }
    all
}

/// Rolls back at random moments until the publishers have ended.
async fn roll_back_until(fixture: Arc<ControllerFixture>, done: Arc<AtomicBool>) -> Vec<Reply> {
    let mut all = Vec::new();
    for n in 1_u64.. {
        tokio::time::sleep(Duration::from_micros(n * 7_919 % 9_000)).await;
        all.extend(reply_to(&fixture, Action::Back).await);
        if done.load(Ordering::SeqCst) {
            break;
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_that_meet_are_as_if_one_came_after_the_other() {
    let folder = folder();
    // Each write takes some time, so that rollbacks hit every point of it.
    let count = AtomicU64::new(7);
    let hook: FaultInjector = Arc::new(move |_| {
        let n = count.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros((n >> 40) % 3_000));
        Ok(())
    });
    let fixture = Arc::new(ControllerFixture::open_with(
        &history_path(&folder),
        Settings::default(),
        Some(hook),
    ));
    let first = fixture.import_weights(0, 0).await;
    let splits = |route: &'static str, step: u32| {
        (1..60)
            .map(|n| Action::Split(route, (n * step) % 101))
            .collect()
    };
    let publishing = [splits("chat", 7), splits("search", 11)]
        .map(|asks: Vec<Action>| tokio::spawn(publish_all(Arc::clone(&fixture), asks)));
    let done = Arc::new(AtomicBool::new(false));
    let back = tokio::spawn(roll_back_until(Arc::clone(&fixture), Arc::clone(&done)));
    let mut replies = Vec::new();
    for task in publishing {
        replies.extend(task.await.unwrap());
    }
    done.store(true, Ordering::SeqCst);
    replies.extend(back.await.unwrap());
    let (live, content, depth) = replayed(&fixture, first.revision, replies);
    assert_eq!((fixture.revision(), fixture.weights()), (live, content));
    let fixture = Arc::into_inner(fixture).expect("all tasks have ended");
    wait_until("all is written", || {
        fixture.controller.status().durability.healthy
    });
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    assert_eq!((fixture.revision(), fixture.weights()), (live, content));
    assert_eq!(fixture.controller.status().rollback.depth, depth);
}

/// Replays the replies in the order of their revisions: each has to follow from the one before it.
fn replayed(
    fixture: &ControllerFixture,
    first: Revision,
    mut replies: Vec<Reply>,
) -> (Revision, (u32, u32), usize) {
    replies.sort_by_key(|reply| reply.receipt.revision);
    let (mut live, mut content, mut stack) = (first, (0, 0), Vec::new());
    for Reply { receipt, asked } in &replies {
        assert_eq!(receipt.parent, live, "each is based on the one before it");
        match asked {
            Action::Back => (_, content) = stack.pop().expect("something was undone"),
            Action::Split(route, green) => {
                stack.push((live, content));
                if *route == "chat" {
                    content.0 = *green;
                } else {
                    content.1 = *green;
                }
            }
        }
        live = receipt.revision;
        let detail = fixture.controller.revision(live).unwrap();
        let green = |place: usize| {
            detail.table.routes[place]
                .split
                .get("green")
                .copied()
                .unwrap_or_default()
        };
        assert_eq!((green(0), green(1)), content, "{receipt:?}");
    }
    let is_back = |reply: &&Reply| matches!(reply.asked, Action::Back);
    let backs = replies.iter().filter(is_back).count();
    // Each rollback undid a publish, so there are at least as many of those; at the end all may be undone.
    assert!(backs > 5, "{backs} of {}", replies.len());
    (live, content, stack.len())
}
