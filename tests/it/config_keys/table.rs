//! Probes of the keys of releases and routes, and of how their changes are handled.

use std::{
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use switchback::{
    api::ReleaseRole,
    config::{self, Config, FileCheck},
    control::{Expected, Settings},
    model::Revision,
};

use super::{process::Harness, time::soon};
use crate::{
    controller_fixture::{ControllerFixture, change, folder, history_path, set_split},
    rollback::gate,
    support::{Origin, TestProxy, closed_address, h2::block},
};

/// A configuration with settings only.
pub(crate) fn config(settings: &str) -> Config {
    let text = format!("{settings}\n[[listeners]]\naddress = \"127.0.0.1:0\"");
    config::parse(&text, Path::new("/"), FileCheck::MayBeMissing)
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

/// True if the condition is soon met.
pub(super) fn becomes(mut is_so: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < soon() {
        if is_so() {
            return true;
        }
        sleep(Duration::from_millis(5));
    }
    false
}

fn routed(route: &str, request: &str) -> (Origin, u16) {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], route)
        .start();
    let status = proxy.client().send(request).response().status;
    (origin, status)
}

/// True if a request matches this route.
pub(super) fn host(route: &str) -> String {
    let (_, status) = routed(route, "GET / HTTP/1.1\r\nHost: a.test\r\nX: 1\r\n\r\n");
    status.to_string()
}

/// True if the endpoint receives the `Host` of the client.
pub(super) fn host_header(route: &str) -> String {
    let (origin, _) = routed(route, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    (origin.last().value("host") == Some("a.test")).to_string()
}

/// True if a request that finds the first endpoint closed is answered by the second.
pub(super) fn other_endpoints(route: &str) -> String {
    let origin = Origin::replying("x");
    let gone = closed_address();
    let proxy = TestProxy::builder()
        .release_with(
            "blue",
            &format!("endpoints = [\"http://{gone}\", {:?}]", origin.url()),
        )
        .route_with("all", &[("blue", 1)], route)
        .start();
    let tries = 20;
    let answered = (0..tries).filter(|_| {
        for endpoint in proxy.roster("blue").endpoints().iter() {
            endpoint.connected();
        }
        proxy.client().get("/").status == 200
    });
    (answered.count() == tries).to_string()
}

/// The release that an abort leads to.
pub(super) fn stable(route: &str) -> String {
    let harness = Harness::start(
        "",
        &format!(
            "[releases.blue]\nendpoints = [\"http://127.0.0.1:1\"]\n\
             [releases.green]\nendpoints = [\"http://127.0.0.1:2\"]\n\
             [[routes]]\nname = \"all\"\nsplit = {{ blue = 1, green = 1 }}\n{route}"
        ),
    );
    harness.ask("POST", "/v1/routes/all/abort");
    harness.ask("GET", "/v1/routes/all")["split"].to_string()
}

fn checked(origins: &[&Origin], settings: &str, health: &str) -> Harness {
    let urls: Vec<_> = origins.iter().map(|origin| origin.url()).collect();
    let interval = if health.contains("interval") {
        ""
    } else {
        "health.interval = \"10ms\""
    };
    Harness::start(
        settings,
        &format!(
            "[releases.blue]\nendpoints = {urls:?}\nhealth.path = \"/\"\n{interval}\n{health}\n\
             [[routes]]\nname = \"all\"\nsplit = {{ blue = 1 }}\n"
        ),
    )
}

fn is(harness: &Harness, health: &str) -> bool {
    let status = harness.ask("GET", "/v1/status");
    let releases = status["releases"].as_array().cloned();
    let endpoints = releases.unwrap_or_default().into_iter();
    let mut endpoints =
        endpoints.flat_map(|one| one["endpoints"].as_array().cloned().unwrap_or_default());
    endpoints.any(|endpoint: Value| endpoint["health"] == health)
}

/// An endpoint whose health is set by the test, and a proxy that checks it.
fn switched(release: &str) -> (Arc<AtomicBool>, Origin, Harness) {
    let is_well = Arc::new(AtomicBool::new(true));
    let well = Arc::clone(&is_well);
    let origin = Origin::answering(move |_| {
        let status = if well.load(Ordering::SeqCst) {
            200
        } else {
            500
        };
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let harness = checked(&[&origin], "", release);
    assert!(becomes(|| is(&harness, "healthy")));
    (is_well, origin, harness)
}

/// True if an endpoint that begins to fail is soon unhealthy.
pub(super) fn falls(release: &str) -> String {
    let (is_well, _origin, harness) = switched(release);
    is_well.store(false, Ordering::SeqCst);
    becomes(|| is(&harness, "unhealthy")).to_string()
}

/// True if an endpoint is soon healthy again after it has failed.
pub(super) fn rises(release: &str) -> String {
    let (is_well, _origin, harness) = switched(&format!("health.fall = 1\n{release}"));
    is_well.store(false, Ordering::SeqCst);
    assert!(becomes(|| is(&harness, "unhealthy")));
    is_well.store(true, Ordering::SeqCst);
    becomes(|| is(&harness, "healthy")).to_string()
}

/// True if a second endpoint is checked while the check of the first one is pending.
pub(super) fn checks_at_a_time(settings: &str) -> String {
    let origins = [super::time::silent(), super::time::silent()];
    let [one, other] = &origins;
    let _house = checked(&[one, other], settings, "health.timeout = \"1h\"");
    becomes(|| one.connections() + other.connections() == 2).to_string()
}

/// True if the receipt of a change comes soon although a worker does not acknowledge the table.
pub(super) fn converge(settings: &str) -> String {
    let folder = folder();
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        Settings::new(&config(settings)),
        None,
    );
    block(async {
        fixture.import_weights(0, 0).await;
        fixture.cell.acknowledge(0, Revision(0));
        let applied = fixture.apply(set_split("chat", 10));
        tokio::time::timeout(soon(), applied)
            .await
            .is_ok()
            .to_string()
    })
}

/// True if a release that only an earlier revision has is kept warm.
pub(super) fn warm(settings: &str) -> String {
    let folder = folder();
    let settings = Settings::new(&config(settings));
    let fixture = ControllerFixture::open_with(&history_path(&folder), settings, None);
    let two = r#"{"kind":"put_release","release":"green","document":{"version":"2","endpoints":["http://127.0.0.1:4001"]}}"#;
    block(async {
        fixture.import_weights(0, 0).await;
        fixture.apply(change(two)).await;
    });
    let releases = fixture.controller.status().releases;
    let mut roles = releases.iter().map(|release| release.role);
    roles.any(|role| role == ReleaseRole::Warm).to_string()
}

/// True if an endpoint is soon checked several times.
pub(super) fn check_interval(release: &str) -> String {
    let origin = Origin::replying("x");
    let _house = checked(&[&origin], "", release);
    becomes(|| origin.requests().len() >= 4).to_string()
}

/// True if an endpoint that does not respond to its check is soon unhealthy.
pub(super) fn check_timeout(release: &str) -> String {
    let origin = super::time::silent();
    let harness = checked(&[&origin], "", &format!("health.fall = 1\n{release}"));
    becomes(|| is(&harness, "unhealthy")).to_string()
}

/// True if most of a hundred revisions are soon pruned.
pub(super) fn kept_revisions(settings: &str) -> String {
    let folder = folder();
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        Settings::new(&config(settings)),
        None,
    );
    block(async {
        fixture.import_weights(0, 0).await;
        for green in 0..100 {
            fixture.split("chat", 1 + green % 2).await;
        }
    });
    becomes(|| fixture.controller.status().durability.kept_revisions < 50).to_string()
}

/// True if a change that the disk does not accept is soon refused.
pub(super) fn durable_within(settings: &str) -> String {
    let folder = folder();
    let gate = gate();
    // Without the limit: the first one is to be written, however long that takes.
    drop(block(ControllerFixture::with_weights(
        &history_path(&folder),
        0,
        0,
    )));
    let settings = Settings::new(&config(settings));
    let fixture = ControllerFixture::open_with(
        &history_path(&folder),
        settings,
        Some(Arc::clone(&gate.hook)),
    );
    let is_refused = block(async {
        gate.slots_too.store(true, Ordering::SeqCst);
        gate.closed.store(true, Ordering::SeqCst);
        let applied = fixture.try_apply(set_split("chat", 50), Expected::Any);
        tokio::time::timeout(soon(), applied).await.is_ok()
    });
    gate.closed.store(false, Ordering::SeqCst);
    drop(gate.open);
    is_refused.to_string()
}

/// The decision that a response names.
pub(super) fn decision(route: &str) -> String {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], route)
        .start();
    let answer = proxy.client().get("/");
    format!("{:?}", answer.value("x-switchback-decision"))
}
