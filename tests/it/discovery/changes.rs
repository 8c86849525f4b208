//! Changes of endpoints to names: they wait for the addresses, and report names without any.

use std::{sync::Arc, time::Duration};

use switchback::{
    config,
    control::{EarlyReceipt, Expected},
    discovery::{self, Resolver},
    model::{Change, HumanDuration},
};
use tokio::task::JoinHandle;

use super::{Answers, Server, holds, ip};
use crate::controller_fixture::{ControllerFixture, author, change, folder, history_path};

/// A controller whose names are resolved.
struct Setup {
    fixture: ControllerFixture,
    server: Server,
    running: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn setup() -> Setup {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    let server = Server::start().await;
    let settings = config::Discovery {
        min_ttl: HumanDuration(Duration::from_millis(20)),
        max_ttl: HumanDuration(Duration::from_millis(50)),
        timeout: HumanDuration(Duration::from_millis(200)),
        kubernetes: None,
    };
    let resolver = Resolver::of_server(server.address, settings.timeout.0).unwrap();
    let fleet = Arc::clone(&fixture.fleet);
    let running = tokio::spawn(discovery::run(
        fleet,
        (resolver, None),
        settings,
        Vec::new(),
    ));
    Setup {
        fixture,
        server,
        running,
        _folder: folder,
    }
}

fn endpoints(urls: &[&str]) -> Change {
    let urls = serde_json::to_string(urls).unwrap();
    change(&format!(
        r#"{{"kind":"set_endpoints","release":"blue","endpoints":{urls}}}"#
    ))
}

impl Setup {
    /// Applies a change; its effects run when the receipt is dropped.
    async fn set(&self, urls: &[&str]) -> EarlyReceipt<'_> {
        self.fixture
            .controller
            .apply_early(endpoints(urls), author(), Expected::Any, false)
            .await
            .unwrap()
    }

    fn roster(&self) -> Arc<switchback::fleet::Roster> {
        let version = "1".to_owned().try_into().unwrap();
        self.fixture
            .fleet
            .roster(&"blue".parse().unwrap(), &version)
    }

    fn addresses(&self) -> Vec<String> {
        let endpoints = self.roster().endpoints();
        let endpoints = endpoints.iter();
        endpoints.map(|one| one.address().to_string()).collect()
    }
}

#[tokio::test]
async fn what_is_converged_holds_the_addresses_of_new_names() {
    let setup = setup().await;
    setup
        .server
        .say("a.test", Answers::Addresses(vec![ip("192.0.2.1")]));
    setup.server.say(
        "b.test",
        Answers::After(Duration::from_millis(100), vec![ip("192.0.2.2")]),
    );
    for (urls, expected) in [
        (vec!["http://a.test:9"], vec!["192.0.2.1:9"]),
        (vec!["http://b.test:9"], vec!["192.0.2.2:9"]),
        (
            vec!["http://192.0.2.3:9", "http://a.test:9"],
            vec!["192.0.2.3:9", "192.0.2.1:9"],
        ),
        (vec!["http://b.test:9"], vec!["192.0.2.2:9"]),
    ] {
        let receipt = setup.set(&urls).await;
        assert_eq!(setup.addresses(), expected);
        assert!(receipt.converged_at.is_some() && receipt.unresolved.is_empty());
        drop(receipt);
        assert_eq!(setup.addresses(), expected, "and it stays so");
    }
    setup.running.abort();
}

#[tokio::test]
async fn a_name_without_an_address_is_reported_with_what_serves_meanwhile() {
    let setup = setup().await;
    let before = setup.addresses();
    let receipt = setup.set(&["http://c.test:9"]).await.into_receipt();
    assert_eq!(setup.addresses(), before, "a release is never emptied");
    assert!(receipt.converged_at.is_none() && receipt.waiting_for.is_empty());
    let [unresolved] = receipt.unresolved.as_slice() else {
        panic!("{receipt:?}");
    };
    assert_eq!(unresolved.release.as_str(), "blue");
    assert_eq!(unresolved.endpoints[0].to_string(), "http://c.test:9");
    assert_eq!(
        unresolved.still_served_by[0].to_string(),
        format!("http://{}", before[0])
    );
    // It joins as soon as its address is known, and the old one leaves.
    setup
        .server
        .say("c.test", Answers::Addresses(vec![ip("192.0.2.4")]));
    holds(&setup.roster(), &["192.0.2.4:9"]).await;
    // Beside an address, nothing is kept because a name is missing.
    let receipt = setup.set(&["http://192.0.2.5:9", "http://d.test:9"]).await;
    assert_eq!(setup.addresses(), ["192.0.2.5:9"]);
    assert!(receipt.converged_at.is_some());
    assert!(receipt.unresolved[0].still_served_by.is_empty());
    setup.running.abort();
}
