//! Names under a Service: by a watch once the API server has answered, by DNS before that.

use std::{sync::Arc, time::Duration};

use switchback::{
    config::{Discovery, Kubernetes},
    fleet::Fleet,
    model::HumanDuration,
};

use super::{Answers, Server, holds, ip, start_with, watched};
use crate::{
    kubernetes::api_server::{ApiStandIn, Refusal, TOKEN, ready, slice},
    support::write,
};

/// Starts discovery with an API server in a domain.
async fn start(
    api: &ApiStandIn,
    folder: &tempfile::TempDir,
    domain: &str,
) -> (Server, Arc<Fleet>, tokio::task::JoinHandle<()>) {
    let token_file = folder.path().join("token");
    write(&token_file, TOKEN);
    start_with(Discovery {
        min_ttl: HumanDuration(Duration::from_millis(20)),
        max_ttl: HumanDuration(Duration::from_millis(50)),
        timeout: HumanDuration(Duration::from_millis(500)),
        kubernetes: Some(Kubernetes {
            url: Some(api.url().parse().unwrap()),
            token_file,
            cluster_domain: domain.to_owned(),
            ..Kubernetes::default()
        }),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_does_until_the_api_server_has_answered_once() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiStandIn::start();
    let forbidden = "cannot list resource \"endpointslices\"";
    api.refuse(Some(Refusal::Status(403, forbidden.into())));
    api.put(slice("chat", "a", &[ready("192.0.2.7")], 9000));
    let (server, fleet, running) = start(&api, &folder, "cluster.local").await;
    server.say(
        "chat.agents.svc.cluster.local",
        Answers::Addresses(vec![ip("192.0.2.1")]),
    );
    let url = "http://chat.agents.svc.cluster.local:9000";
    let blue = watched(&fleet, "blue", &[url]);
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    holds(&roster, &["192.0.2.1:9000"]).await;
    let state = fleet.service_watches()[0].state();
    assert_eq!(state.endpoints, None);
    assert!(state.failing.unwrap().error.contains(forbidden));
    api.refuse(None);
    holds(&roster, &["192.0.2.7:9000"]).await;
    // From here on it alone counts, even while it is away.
    api.refuse(Some(Refusal::Away));
    server.say(
        "chat.agents.svc.cluster.local",
        Answers::Addresses(vec![ip("192.0.2.2")]),
    );
    server.say("other.test", Answers::Addresses(vec![ip("192.0.2.3")]));
    let green = watched(&fleet, "green", &["http://other.test:9000"]);
    let (blue, others) = (watched(&fleet, "blue", &[url]), Arc::clone(&green.roster));
    fleet.watch(vec![blue, green]);
    holds(&others, &["192.0.2.3:9000"]).await;
    holds(&roster, &["192.0.2.7:9000"]).await;
    fleet.watch(Vec::new());
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_another_domain_stays_with_dns() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiStandIn::start();
    api.put(slice("chat", "a", &[ready("192.0.2.7")], 9000));
    let (server, fleet, running) = start(&api, &folder, "cluster.example").await;
    for (name, address) in [
        ("chat.agents.svc.cluster.local", "192.0.2.1"),
        ("chat-0.chat.agents.svc", "192.0.2.2"),
    ] {
        server.say(name, Answers::Addresses(vec![ip(address)]));
        let url = format!("http://{name}:9000");
        let blue = watched(&fleet, "blue", &[&url]);
        let roster = Arc::clone(&blue.roster);
        fleet.watch(vec![blue]);
        holds(&roster, &[&format!("{address}:9000")]).await;
    }
    assert!(api.targets().is_empty());
    let blue = watched(
        &fleet,
        "blue",
        &["http://chat.agents.svc.cluster.example:9000"],
    );
    let roster = Arc::clone(&blue.roster);
    fleet.watch(vec![blue]);
    holds(&roster, &["192.0.2.7:9000"]).await;
    running.abort();
}
