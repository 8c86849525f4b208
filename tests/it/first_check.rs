//! A change that gives requests to a release without a health check result so far: it is checked over real sockets
//! first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use switchback::{
    api::{ConflictPolicy, EndpointHealth, Receipt, ReleaseRole},
    config::HealthChecks,
    control::{Consent, ControlError, Expected},
    fleet::Health,
    health,
    model::{Change, TableDocument},
};

use crate::{
    controller_fixture::{ControllerFixture, author, change, document, folder, history_path},
    support::{Origin, TestAdmin, closed_address},
};

/// Upper bound for waits that should take milliseconds.
const LONG: Duration = Duration::from_secs(20);

/// An address that refuses connections.
fn refusing() -> String {
    format!("http://{}", closed_address())
}

/// An agent that is healthy once the flag is set.
fn starting() -> (Arc<AtomicBool>, Origin) {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let origin = Origin::answering(move |_| {
        let status = if well.load(Ordering::SeqCst) {
            200
        } else {
            503
        };
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    (is_well, origin)
}

/// A release with a check, as a document.
fn checked(version: &str, url: &str) -> String {
    format!(
        r#"{{"version":"{version}","endpoints":["{url}"],"health":{{"path":"/healthz","timeout":"10s"}}}}"#
    )
}

/// The live table, with `green` as this document and this split of `chat`.
fn edited(green: &str, split: &str) -> TableDocument {
    let mut text = serde_json::to_value(document(0, 0)).unwrap();
    text["releases"]["green"] = serde_json::from_str(green).unwrap();
    text["routes"][0]["split"] = serde_json::from_str(split).unwrap();
    serde_json::from_value(text).unwrap()
}

/// Changes that give requests to an unchecked release, each for a table of its own.
fn changes(url: &str) -> Vec<(&'static str, Option<String>, Change)> {
    let replace = |green: &str| Change::Replace {
        table: edited(green, r#"{"blue":50,"green":50}"#),
    };
    let register = |version: &str| {
        let document = checked(version, url);
        format!(r#"{{"kind":"put_release","release":"red","document":{document}}}"#)
    };
    let red = || Some(register("1"));
    let new_version = format!(
        r#"{{"kind":"put_release","release":"blue","document":{}}}"#,
        checked("2", url)
    );
    let put_route =
        r#"{"kind":"put_route","route":{"name":"new","path_prefix":"/new","split":{"red":1}}}"#;
    let patch = r#"{"kind":"patch_split","route":"chat","weights":{"red":5}}"#;
    let percent = r#"{"kind":"set_percents","route":"chat","percents":{"red":5}}"#;
    let switch = r#"{"kind":"switch","route":"chat","to":"red"}"#;
    vec![
        ("patch", red(), change(patch)),
        ("percent", red(), change(percent)),
        ("switch", red(), change(switch)),
        ("put route", red(), change(put_route)),
        ("a new version of what is live", None, change(&new_version)),
        (
            "a table with a new version",
            None,
            replace(&checked("2", url)),
        ),
        // The roster of this version exists, with other endpoints.
        (
            "a table with other endpoints",
            None,
            replace(&checked("1", url)),
        ),
    ]
}

/// A controller with running health checks and all traffic on blue.
async fn fixture(folder: &tempfile::TempDir) -> (ControllerFixture, health::Checks) {
    let fixture = ControllerFixture::with_weights(&history_path(folder), 0, 0).await;
    let checks = health::start(Arc::clone(&fixture.fleet), HealthChecks::default()).unwrap();
    (fixture, checks)
}

fn refused(name: &str, done: &Result<Receipt, ControlError>) {
    assert!(
        matches!(done, Err(ControlError::NotReady { .. })),
        "{name}: {done:?}"
    );
}

#[tokio::test]
async fn what_was_never_checked_and_is_dead_gets_nothing() {
    for (name, before, change) in changes(&refusing()) {
        let folder = folder();
        let (fixture, _checks) = fixture(&folder).await;
        if let Some(before) = before {
            fixture
                .apply(crate::controller_fixture::change(&before))
                .await;
        }
        let (live, start) = (fixture.revision(), Instant::now());
        let done = fixture.try_apply(change.clone(), Expected::Unchanged(live));
        refused(name, &done.await);
        assert!(start.elapsed() < LONG, "{name}");
        assert_eq!(fixture.revision(), live, "{name}");
        let blue = fixture.endpoints("blue");
        assert_eq!(blue, ["http://127.0.0.1:1001"], "{name}");
        let forced = fixture
            .controller
            .apply(change, author(), Expected::Unchanged(live), true);
        assert!(forced.await.unwrap().changed, "{name}");
    }
}

#[tokio::test]
async fn what_was_never_checked_and_is_healthy_is_live_after_its_first_check() {
    let agent = Origin::replying("well");
    for (name, before, change) in changes(&agent.url()) {
        let folder = folder();
        let (fixture, _checks) = fixture(&folder).await;
        if let Some(before) = before {
            fixture
                .apply(crate::controller_fixture::change(&before))
                .await;
        }
        let expected = Expected::Unchanged(fixture.revision());
        let done = fixture.try_apply(change, expected).await;
        assert!(done.unwrap().changed, "{name}");
        let checks = agent.requests();
        let first = checks.first().map(crate::support::Request::line);
        assert_eq!(first, Some("GET /healthz HTTP/1.1"), "{name}");
        let of = |role| {
            let releases = fixture.controller.status().releases;
            releases.iter().filter(|one| one.role == role).count()
        };
        assert_eq!(
            of(ReleaseRole::Candidate),
            0,
            "{name}: nothing waits any more"
        );
    }
}

#[tokio::test]
async fn a_file_with_a_dead_release_is_not_taken_over() {
    let folder = folder();
    let (fixture, _checks) = fixture(&folder).await;
    let import = |url: &str| {
        let file = edited(&checked("3", url), r#"{"blue":90,"green":10}"#);
        let (wins, controller) = (Some(ConflictPolicy::File), Arc::clone(&fixture.controller));
        async move {
            let done = controller.import(file, wins, author(), Expected::Any, false);
            done.await
        }
    };
    let dead = import(&refusing()).await;
    assert!(
        matches!(dead, Err(ControlError::NotReady { .. })),
        "{dead:?}"
    );
    let agent = Origin::replying("well");
    assert!(import(&agent.url()).await.unwrap().receipt.unwrap().changed);
    assert_eq!(fixture.weights(), (10, 0));
}

#[tokio::test]
async fn a_release_that_gets_its_check_by_the_change_is_checked_first() {
    let folder = folder();
    let (fixture, _checks) = fixture(&folder).await;
    let dead = checked("1", "http://127.0.0.1:1002");
    let table = edited(&dead, r#"{"blue":50,"green":50}"#);
    let expected = Expected::Unchanged(fixture.revision());
    let done = fixture.try_apply(Change::Replace { table }, expected).await;
    refused(
        "the endpoints are the same, and nothing had asked them",
        &done,
    );
}

#[tokio::test]
async fn a_silent_endpoint_is_refused_after_its_timeout_and_not_later() {
    let folder = folder();
    let (fixture, _checks) = fixture(&folder).await;
    let silent = Origin::scripted(|mut stream| {
        drop(std::io::Read::read_to_end(&mut stream, &mut Vec::new()));
    });
    let green = checked("2", &silent.url()).replace("10s", "200ms");
    let table = edited(&green, r#"{"blue":95,"green":5}"#);
    let expected = Expected::Unchanged(fixture.revision());
    let start = Instant::now();
    let done = fixture.try_apply(Change::Replace { table }, expected).await;
    refused("silent", &done);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn an_agent_that_starts_is_waited_for_and_found_soon() {
    let folder = folder();
    let (fixture, _checks) = fixture(&folder).await;
    let (is_well, agent) = starting();
    // After its first check, the next one would come after an hour.
    let green = checked("2", &agent.url()).replace("10s\"", "10s\",\"interval\":\"1h\"");
    let table = edited(&green, r#"{"blue":95,"green":5}"#);
    let consent = Consent {
        wait: LONG,
        ..Consent::default()
    };
    let expected = Expected::Unchanged(fixture.revision());
    let change = Change::Replace { table };
    let waits = fixture
        .controller
        .apply(change, author(), expected, consent);
    let candidate = async {
        loop {
            let releases = fixture.controller.status().releases;
            let mut candidates = releases
                .iter()
                .filter(|one| one.role == ReleaseRole::Candidate);
            let seen = candidates.any(|one| one.endpoints[0].health == EndpointHealth::Unhealthy);
            if seen {
                return is_well.store(true, Ordering::SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let (done, ()) = tokio::join!(waits, candidate);
    assert!(done.unwrap().changed);
    let releases = fixture.controller.status().releases;
    let mut endpoints = releases.iter().flat_map(|one| &one.endpoints);
    assert!(endpoints.any(|one| one.health == EndpointHealth::Healthy));
}

/// A controller without running checks, and a release whose first check may take ten milliseconds.
async fn unanswered(folder: &tempfile::TempDir) -> ControllerFixture {
    let fixture = ControllerFixture::with_weights(&history_path(folder), 0, 0).await;
    let red = checked("1", "http://127.0.0.1:1003").replace("10s", "10ms");
    let red = format!(r#"{{"kind":"put_release","release":"red","document":{red}}}"#);
    fixture.apply(change(&red)).await;
    fixture
}

#[tokio::test]
async fn where_no_check_is_answered_a_change_is_refused_and_the_way_back_is_not() {
    let folder = folder();
    let fixture = unanswered(&folder).await;
    let patch = change(r#"{"kind":"patch_split","route":"chat","weights":{"red":50}}"#);
    let dry = fixture
        .controller
        .dry_run(&patch, Expected::Any, false)
        .unwrap();
    let red = vec!["red".parse().unwrap()];
    assert_eq!((dry.unknown, dry.not_ready), (red.clone(), vec![]));
    let Err(error) = fixture.try_apply(patch.clone(), Expected::Any).await else {
        panic!("nothing has said that red is healthy");
    };
    let ControlError::NotReady { ref unknown, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(*unknown, red);
    assert!(
        error
            .to_string()
            .contains("the first check of `red` has no result")
    );
    let forced = fixture
        .controller
        .apply(patch, author(), Expected::Any, true);
    forced.await.unwrap();

    let all = change(r#"{"kind":"switch","route":"chat","to":"red"}"#);
    let forced = fixture.controller.apply(all, author(), Expected::Any, true);
    forced.await.unwrap();
    let canary = change(r#"{"kind":"patch_split","route":"chat","weights":{"blue":1}}"#);
    fixture.apply(canary).await;
    let start = Instant::now();
    let abort = change(r#"{"kind":"abort","route":"chat"}"#);
    assert!(
        fixture.apply(abort).await.changed,
        "back to red, of which nothing is known"
    );
    assert!(fixture.rollback().await.unwrap().changed);
    assert!(fixture.rollback().await.unwrap().changed);
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn a_rollback_onto_what_is_known_to_be_dead_is_refused_as_before() {
    let folder = folder();
    let (fixture, _checks) = fixture(&folder).await;
    let agent = Origin::replying("well");
    let blue = format!(
        r#"{{"kind":"put_release","release":"blue","document":{}}}"#,
        checked("2", &agent.url())
    );
    fixture.apply(change(&blue)).await;
    let version = "1".to_owned().try_into().unwrap();
    let before = fixture.fleet.roster(&"blue".parse().unwrap(), &version);
    before.endpoints()[0].set_health(Health::Unhealthy);
    let back = fixture.rollback().await;
    assert!(
        matches!(back, Err(ControlError::NotReady { .. })),
        "{back:?}"
    );
}

#[test]
fn the_command_line_says_what_was_not_checked_and_what_has_no_check() {
    let admin = TestAdmin::start();
    let run = |arguments: &[&str]| {
        let output = admin.cli(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        (output.status.code().unwrap(), out + &error)
    };
    let (code, text) = run(&[
        "release",
        "set",
        "red",
        "--version",
        "1",
        "--endpoint",
        "http://127.0.0.1:1",
        "--health",
        "/healthz",
    ]);
    assert_eq!(code, 0, "{text}");
    let (_, status) = run(&["status"]);
    let row = |name: &str| {
        let row = status.lines().find(|line| line.starts_with(name)).unwrap();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row("blue    ").contains("unchecked"), "{status}");
    assert!(row("red ").contains("0 of 1, 1 unknown"), "{status}");
    let (_, list) = run(&["release", "list"]);
    let health = |name: &str| {
        let row = list.lines().find(|line| line.starts_with(name)).unwrap();
        row.split_whitespace().nth(5).unwrap().to_owned()
    };
    assert_eq!(
        [health("blue"), health("red")],
        ["unchecked", "unknown"],
        "{list}"
    );
    let (code, dry) = run(&["split", "chat", "red=5", "--dry-run"]);
    assert_eq!(code, 0, "{dry}");
    assert!(dry.contains("unknown: red was not checked yet"), "{dry}");
    let _checks = health::start(Arc::clone(&admin.fleet), HealthChecks::default()).unwrap();
    let (code, refused) = run(&["split", "chat", "red=5"]);
    assert_eq!(code, 75, "{refused}");
    assert!(
        refused.contains("no healthy endpoint in `red`"),
        "{refused}"
    );
    assert!(
        refused.contains("--wait") && refused.contains("--force"),
        "{refused}"
    );
}
