//! Readiness of releases: one that can serve may always get more requests, one that cannot only with force, and an
//! abort stays in the split. Over random tables, health states and commands.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use switchback::{
    api::ConflictPolicy,
    control::{Consent, ControlError, Expected, RollbackTo},
    fleet::Health,
    model::{Change, ReleaseName, Revision, RouteName, TableDocument, TableSpec},
};

use crate::controller_fixture::{
    ControllerFixture, author, change, document, folder, history_path, set_split,
};

const RELEASES: [&str; 3] = ["blue", "green", "red"];
const ROUTES: [&str; 2] = ["chat", "search"];

#[derive(Debug, Clone)]
enum Ask {
    Split(usize, [u32; 3]),
    Switch(usize, usize),
    Promote(usize),
    Abort(usize),
    Back,
    BackTo(u64),
    BackRoute(usize),
    Health(usize, Health),
}

fn weights() -> impl Strategy<Value = [u32; 3]> {
    let some = |weights: &[u32; 3]| weights.iter().any(|weight| *weight > 0);
    [0..4_u32, 0..4_u32, 0..4_u32].prop_filter("a split has a weight", some)
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        Just(Health::Unhealthy),
        Just(Health::Unknown),
        Just(Health::Healthy)
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        (0..2_usize, weights()).prop_map(|(route, weights)| Ask::Split(route, weights)),
        (0..2_usize, 0..3_usize).prop_map(|(route, to)| Ask::Switch(route, to)),
        (0..2_usize).prop_map(Ask::Promote),
        (0..2_usize).prop_map(Ask::Abort),
        Just(Ask::Back),
        (1..12_u64).prop_map(Ask::BackTo),
        (0..2_usize).prop_map(Ask::BackRoute),
        (0..3_usize, health()).prop_map(|(release, health)| Ask::Health(release, health)),
    ]
}

fn split(weights: [u32; 3]) -> BTreeMap<ReleaseName, u32> {
    let pairs = RELEASES.iter().zip(weights);
    pairs
        .map(|(name, weight)| (name.parse().unwrap(), weight))
        .collect()
}

fn table(splits: [[u32; 3]; 2], stable: Option<usize>, checked: [bool; 3]) -> TableDocument {
    let release = |(port, name): (usize, &&str)| {
        let health = if checked[port] {
            r#","health":{"path":"/healthz"}"#
        } else {
            ""
        };
        format!(
            r#""{name}":{{"version":"1","endpoints":["http://127.0.0.1:{}"]{health}}}"#,
            1001 + port
        )
    };
    let releases: Vec<_> = RELEASES.iter().enumerate().map(release).collect();
    let stable = stable.map(|which| format!(r#","stable":"{}""#, RELEASES[which]));
    let route = |(name, weights): (&&str, [u32; 3])| {
        let split = serde_json::to_string(&split(weights)).unwrap();
        let stable = stable.clone().unwrap_or_default();
        format!(r#"{{"name":"{name}","path_prefix":"/{name}","split":{split}{stable}}}"#)
    };
    let routes: Vec<_> = ROUTES.iter().zip(splits).map(route).collect();
    let text = format!(
        r#"{{"releases":{{{}}},"routes":[{}]}}"#,
        releases.join(","),
        routes.join(",")
    );
    serde_json::from_str(&text).unwrap()
}

fn set_health(fixture: &ControllerFixture, release: &str, health: Health) {
    let version = "1".to_owned().try_into().unwrap();
    let roster = fixture.fleet.roster(&release.parse().unwrap(), &version);
    for endpoint in roster.endpoints().iter() {
        endpoint.set_health(health);
    }
}

fn route(which: usize) -> RouteName {
    ROUTES[which].parse().unwrap()
}

fn shares(spec: &TableSpec, which: usize) -> Vec<f64> {
    let split = &spec.route(&route(which)).unwrap().split;
    let total: u32 = split.values().sum();
    let weight = |name: &&str| split.get(*name).copied().unwrap_or_default();
    RELEASES
        .iter()
        .map(|name| f64::from(weight(name)) / f64::from(total))
        .collect()
}

/// The releases that have a larger share of a route than before, though none of their endpoints is available; none for
/// a rollback on a route that could not be served before and now can in part.
fn wrongly_grown(
    before: &TableSpec,
    after: &TableSpec,
    fit: [bool; 3],
    back: bool,
) -> Vec<(usize, usize)> {
    let mut wrong = Vec::new();
    for which in 0..ROUTES.len() {
        let (was, is) = (shares(before, which), shares(after, which));
        let answered = |shares: &[f64]| (0..3).any(|release| shares[release] > 0.0 && fit[release]);
        if back && !answered(&was) && answered(&is) {
            continue;
        }
        let grown = (0..3).filter(|&release| is[release] > was[release] + 1e-9 && !fit[release]);
        wrong.extend(grown.map(|release| (which, release)));
    }
    wrong
}

async fn obey(fixture: &ControllerFixture, ask: &Ask) -> Result<(), ControlError> {
    let apply = |change: Change| fixture.try_apply(change, Expected::Any);
    let named = |which: usize| RELEASES[which].parse().unwrap();
    let done = match ask {
        Ask::Split(which, weights) => {
            let (route, weights) = (route(*which), split(*weights));
            apply(Change::SetSplit { route, weights }).await
        }
        Ask::Switch(which, to) => {
            let (route, to) = (route(*which), named(*to));
            apply(Change::Switch { route, to }).await
        }
        Ask::Promote(which) => {
            let (route, to) = (route(*which), None);
            apply(Change::Promote { route, to }).await
        }
        Ask::Abort(which) => {
            apply(Change::Abort {
                route: route(*which),
            })
            .await
        }
        Ask::Back => fixture.rollback().await,
        Ask::BackTo(revision) => {
            fixture
                .rollback_to(RollbackTo::Revision(Revision(*revision)))
                .await
        }
        Ask::BackRoute(which) => fixture.rollback_to(RollbackTo::Route(route(*which))).await,
        Ask::Health(..) => return Ok(()),
    };
    done.map(|_| ())
}

/// The result of the checks of each release, known or to come.
#[derive(Debug, Clone, Copy)]
struct Checks {
    checked: [bool; 3],
    first: [bool; 3],
}

impl Checks {
    /// The releases that could serve. For a rollback, an unknown health will do.
    fn fit(self, fixture: &ControllerFixture, back: bool) -> [bool; 3] {
        [0, 1, 2].map(|which| match health_of(fixture, RELEASES[which]) {
            Health::Healthy => true,
            Health::Unhealthy => false,
            Health::Unknown => back || !self.checked[which],
        })
    }

    /// Those that could serve once their first check was made.
    fn fit_then(self, fixture: &ControllerFixture) -> [bool; 3] {
        let fit = self.fit(fixture, true);
        [0, 1, 2].map(|which| {
            let unknown = health_of(fixture, RELEASES[which]) == Health::Unknown;
            fit[which] && (!self.checked[which] || !unknown || self.first[which])
        })
    }

    /// Makes the first checks of releases without a result.
    fn check(self, fixture: &ControllerFixture) {
        let unknown = |which: &usize| {
            self.checked[*which] && health_of(fixture, RELEASES[*which]) == Health::Unknown
        };
        for which in (0..3).filter(unknown) {
            let health = if self.first[which] {
                Health::Healthy
            } else {
                Health::Unhealthy
            };
            set_health(fixture, RELEASES[which], health);
        }
    }
}

fn health_of(fixture: &ControllerFixture, release: &str) -> Health {
    let version = "1".to_owned().try_into().unwrap();
    let roster = fixture.fleet.roster(&release.parse().unwrap(), &version);
    roster.endpoints()[0].health()
}

/// Runs a command. Checks are made only while it waits.
async fn obey_and_check(
    fixture: &ControllerFixture,
    ask: &Ask,
    checks: Checks,
) -> Result<(), ControlError> {
    let mut done = std::pin::pin!(obey(fixture, ask));
    loop {
        tokio::select! {
            biased;
            done = &mut done => return done,
            () = tokio::time::sleep(Duration::from_millis(20)) => checks.check(fixture),
        }
    }
}

/// A command that succeeds gives no more requests to a release that cannot serve, and an abort adds nothing to the
/// split.
async fn hold(fixture: &ControllerFixture, ask: &Ask, checks: Checks) {
    let before = fixture.controller.live().state().spec;
    let back = matches!(ask, Ask::Back | Ask::BackTo(_) | Ask::BackRoute(_));
    let waits_for_nothing = back || matches!(ask, Ask::Abort(_));
    // On a busy machine it may take as long as a check, whose result would then be a later one.
    let done = if waits_for_nothing {
        obey(fixture, ask).await
    } else {
        obey_and_check(fixture, ask, checks).await
    };
    let after = fixture.controller.live().state().spec;
    let fit = checks.fit(fixture, waits_for_nothing);
    assert_eq!(
        wrongly_grown(&before, &after, fit, back),
        [],
        "{ask:?} {done:?}"
    );
    if let Ask::Abort(which) = ask {
        let split = |spec: &TableSpec| spec.route(&route(*which)).unwrap().split.clone();
        let (was, is) = (split(&before), split(&after));
        let mut weighed = is.iter().filter(|(_, weight)| **weight > 0);
        assert!(
            weighed.all(|(name, _)| was.contains_key(name)),
            "{was:?} {is:?}"
        );
    }
}

/// A release with an available endpoint gets all requests by one command, though it has to be checked first.
async fn all_fit_can_be_live(fixture: &ControllerFixture, checks: Checks) {
    let fit = checks.fit_then(fixture);
    for which in 0..ROUTES.len() {
        for to in (0..3).filter(|&to| fit[to]) {
            let switched = obey_and_check(fixture, &Ask::Switch(which, to), checks).await;
            assert!(switched.is_ok(), "{which} {to} {switched:?}");
        }
    }
}

async fn history_of_commands(
    splits: [[u32; 3]; 2],
    stable: Option<usize>,
    checks: Checks,
    asks: Vec<Ask>,
) {
    let folder = folder();
    let fixture = ControllerFixture::open(&history_path(&folder));
    let first = Change::Replace {
        table: table(splits, stable, checks.checked),
    };
    let empty = Expected::Unchanged(Revision(0));
    // As at a start.
    fixture
        .controller
        .apply(first, author(), empty, true)
        .await
        .unwrap();
    for ask in &asks {
        if let Ask::Health(release, health) = ask {
            set_health(&fixture, RELEASES[*release], *health);
        }
        hold(&fixture, ask, checks).await;
    }
    let fit = checks.fit(&fixture, true);
    // A rollback to a table that can be served in full is never refused.
    for revision in 1..=fixture.revision().0 {
        let Ok(detail) = fixture.controller.revision(Revision(revision)) else {
            continue;
        };
        let spec = detail
            .table
            .into_state(&fixture.controller.live().state())
            .spec;
        let whole = |which| {
            let shares = shares(&spec, which);
            (0..3).all(|release| shares[release] <= 0.0 || fit[release])
        };
        if (0..ROUTES.len()).all(whole) {
            let back = obey(&fixture, &Ask::BackTo(revision)).await;
            assert!(back.is_ok(), "{revision} {back:?}");
        }
    }
    all_fit_can_be_live(&fixture, checks).await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        // One folder for failed cases, wherever the test is.
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/it/readiness.txt",
        ))),
        ..ProptestConfig::with_cases(48)
    })]

    #[test]
    fn what_can_answer_may_grow_and_what_cannot_may_not(
        splits in [weights(), weights()],
        stable in proptest::option::of(0..3_usize),
        checked in any::<[bool; 3]>(),
        first in any::<[bool; 3]>(),
        asks in proptest::collection::vec(ask(), 1..16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(history_of_commands(splits, stable, Checks { checked, first }, asks));
    }
}

fn not_ready(result: &Result<switchback::api::Receipt, ControlError>) -> Vec<String> {
    match result {
        Err(ControlError::NotReady { releases, .. }) => {
            releases.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_rollback_from_a_dead_canary_asks_only_who_grows() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 5, 0).await;
    fixture.split("chat", 50).await;
    fixture
        .apply(change(r#"{"kind":"promote","route":"chat","to":"green"}"#))
        .await;
    set_health(&fixture, "green", Health::Unhealthy);
    assert!(fixture.controller.status().rollback.ready);
    let back = fixture.rollback().await.unwrap();
    assert_eq!((back.changed, fixture.weights()), (true, (50, 0)));
    fixture
        .rollback_to(RollbackTo::Route("chat".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(fixture.weights(), (5, 0));
}

#[tokio::test]
async fn where_nothing_can_answer_whatever_can_in_part_may_come_back() {
    let folder = folder();
    let fixture = ControllerFixture::open(&history_path(&folder));
    let first = Change::Replace {
        table: table([[50, 0, 50], [1, 0, 0]], None, [false; 3]),
    };
    let empty = Expected::Unchanged(Revision(0));
    let begun = fixture
        .controller
        .apply(first, author(), empty, false)
        .await;
    begun.unwrap();
    obey(&fixture, &Ask::Switch(0, 1)).await.unwrap();
    set_health(&fixture, "red", Health::Unhealthy);
    assert_eq!(
        not_ready(&fixture.rollback().await),
        ["red"],
        "green can answer"
    );
    set_health(&fixture, "green", Health::Unhealthy);
    fixture.rollback().await.unwrap();
}

#[tokio::test]
async fn every_change_that_gives_more_to_a_dead_release_is_refused_without_force() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 5, 0).await;
    set_health(&fixture, "green", Health::Unhealthy);
    let put_route =
        r#"{"kind":"put_route","route":{"name":"new","path_prefix":"/new","split":{"green":1}}}"#;
    for more in [
        r#"{"kind":"switch","route":"chat","to":"green"}"#,
        r#"{"kind":"promote","route":"chat","to":"green"}"#,
        r#"{"kind":"patch_split","route":"chat","weights":{"green":10}}"#,
        put_route,
    ] {
        let refused = fixture.try_apply(change(more), Expected::Any).await;
        assert_eq!(not_ready(&refused), ["green"], "{more}");
        let dry = fixture
            .controller
            .dry_run(&change(more), Expected::Any, false);
        assert!(matches!(dry, Err(ControlError::NotReady { .. })), "{more}");
    }
    let import = |force: bool| {
        let by = author();
        let wins = Some(ConflictPolicy::File);
        fixture
            .controller
            .import(document(6, 0), wins, by, Expected::Any, force)
    };
    assert!(matches!(
        import(false).await,
        Err(ControlError::NotReady { .. })
    ));
    import(true).await.unwrap();
    assert_eq!(fixture.weights(), (6, 0));
    fixture.split("chat", 4).await;
    let forced = fixture
        .controller
        .apply(set_split("chat", 90), author(), Expected::Any, true);
    forced.await.unwrap();
    assert_eq!(fixture.weights(), (90, 0));
}

/// A release without a check result, beside the live ones.
const CHECKED: &str = r#"{"kind":"put_release","release":"red","document":{"version":"1",
    "endpoints":["http://127.0.0.1:1003"],"health":{"path":"/healthz"}}}"#;

#[tokio::test]
async fn a_change_that_waits_is_live_once_a_check_has_succeeded() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.apply(change(CHECKED)).await;
    let wait = |wait: Duration| {
        let by = author();
        let change = change(r#"{"kind":"patch_split","route":"chat","weights":{"red":5}}"#);
        let consent = Consent {
            wait,
            ..Consent::default()
        };
        fixture.controller.apply(change, by, Expected::Any, consent)
    };
    let refused = wait(Duration::from_millis(1)).await;
    assert_eq!(not_ready(&refused), ["red"]);
    let healthy = async {
        tokio::task::yield_now().await;
        set_health(&fixture, "red", Health::Healthy);
    };
    let (done, ()) = tokio::join!(wait(Duration::from_secs(30)), healthy);
    assert!(done.unwrap().changed);
}

#[tokio::test]
async fn a_switch_moves_a_named_stable_and_an_abort_follows_it() {
    let folder = folder();
    let fixture = ControllerFixture::open(&history_path(&folder));
    let first = Change::Replace {
        table: table([[1, 0, 0], [1, 0, 0]], Some(0), [false; 3]),
    };
    let empty = Expected::Unchanged(Revision(0));
    let begun = fixture
        .controller
        .apply(first, author(), empty, false)
        .await;
    begun.unwrap();
    obey(&fixture, &Ask::Switch(0, 1)).await.unwrap();
    obey(&fixture, &Ask::Split(0, [0, 95, 5])).await.unwrap();
    obey(&fixture, &Ask::Abort(0)).await.unwrap();
    let spec = fixture.controller.live().state().spec;
    assert_eq!(shares(&spec, 0), [0.0, 1.0, 0.0]);
}
