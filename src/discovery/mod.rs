//! Service discovery: keeps the rosters of all watched releases up to date, by DNS and by watches of Services in a
//! Kubernetes cluster; every address is an endpoint.
//!
//! A name is resolved when a release that uses it is first watched, and again when its TTL has expired, within the
//! configured bounds. IPv4 and IPv6 addresses are queried at once and separately: any result is used, and a server
//! that ignores one kind does not delay the other. If DNS fails, or says that there is no such name, the last result
//! is kept and the next query follows after a doubling backoff. IP addresses need no query and are used at once.
//! `dns_cache` decides when to query and which result counts, without a clock; [`run`] does the waiting. `kubernetes`
//! watches the Services, and leaves to DNS what it knows nothing of.

mod dns_cache;
mod kubernetes;
mod resolver;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use self::{
    dns_cache::{DnsCache, Family, News, Outcome, Question},
    kubernetes::{ServiceAnswer, ServiceWatches},
};
pub use self::{
    kubernetes::ApiServer,
    resolver::{DiscoveryError, Resolver},
};
use crate::{
    config,
    fleet::{Fleet, WatchedRelease},
    model::EndpointSpec,
};

/// Concurrent queries of each family: those of one never wait for those of the other.
const MOST_LOOKUPS: usize = 32;

type Lookups = JoinSet<(Question, Result<Outcome, DiscoveryError>)>;

type Members = Vec<(EndpointSpec, SocketAddr)>;

/// Answers that are there: those of DNS, and those of the watches.
struct Answers {
    cache: DnsCache,
    services: ServiceWatches,
}

/// Updates the rosters until it is dropped. With the API server of a cluster, endpoints under a Service are found by a watch.
/// `own` are the addresses of our listeners, which are never endpoints: requests would loop.
pub async fn run(
    fleet: Arc<Fleet>,
    (resolver, api): (Resolver, Option<ApiServer>),
    settings: config::Discovery,
    own: Vec<SocketAddr>,
) {
    let mut changes = fleet.subscribe();
    let mut answers = Answers {
        cache: DnsCache::new(settings.min_ttl.0, settings.max_ttl.0),
        services: ServiceWatches::new(api, Arc::clone(&fleet)),
    };
    let [mut v4, mut v6] = [Lookups::new(), Lookups::new()];
    loop {
        changes.mark_unchanged();
        let (watched, lookups) = (fleet.watched(), fleet.lookups());
        answers.register(&[&watched, &lookups]);
        set_rosters(&watched, &answers, &own);
        set_rosters(&lookups, &answers, &own);
        let Answers { cache, services } = &mut answers;
        ask(cache, Family::V4, &mut v4, &resolver);
        ask(cache, Family::V6, &mut v6, &resolver);
        let lookups = [(Family::V4, v4.len()), (Family::V6, v6.len())];
        let with_room = lookups
            .iter()
            .filter(|(_, running)| *running < MOST_LOOKUPS);
        let due = with_room
            .filter_map(|(family, _)| cache.next_due(*family))
            .min();
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(Ok((question, result))) = v4.join_next() => note(cache, &question, result),
            Some(Ok((question, result))) = v6.join_next() => note(cache, &question, result),
            () = services.changed() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
}

impl Answers {
    /// Looks for the endpoints of these releases, and for no other.
    fn register(&mut self, all: &[&[WatchedRelease]]) {
        let urls = || {
            let all = all.iter().copied().flatten();
            all.flat_map(|one| one.urls.iter()).map(EndpointSpec::url)
        };
        self.services.watch(urls());
        let by_dns = urls().filter(|url| url.ip().is_none()).filter(|url| {
            let answer = self.services.answer(url);
            answer == ServiceAnswer::Unwatched
        });
        let hosts = by_dns.map(|url| url.host().into()).collect();
        self.cache.register(&hosts, Instant::now());
    }
}

/// Starts the due queries of a family.
fn ask(cache: &mut DnsCache, family: Family, lookups: &mut Lookups, resolver: &Resolver) {
    let room = MOST_LOOKUPS - lookups.len();
    for question in cache.take_due(family, Instant::now(), room) {
        let resolver = resolver.clone();
        lookups.spawn(async move {
            let result = resolver.lookup(&question).await;
            (question, result)
        });
    }
}

fn note(cache: &mut DnsCache, question: &Question, result: Result<Outcome, DiscoveryError>) {
    let Question { host, family, .. } = question;
    let (outcome, error) = match result {
        Ok(outcome) => (outcome, DiscoveryError::NoAddress),
        Err(error) => (Outcome::Failed, error),
    };
    let news = cache.note(host, *family, outcome, Instant::now());
    let addresses: Vec<_> = cache.known(host).addresses().collect();
    match news {
        News::Unchanged => {}
        News::Resolved => info!(%host, ?addresses, "resolved"),
        News::Failing => {
            let records = family.record();
            warn!(%host, records, %error, kept = ?addresses, "cannot be resolved");
        }
    }
}

fn set_rosters(watched: &[WatchedRelease], answers: &Answers, own: &[SocketAddr]) {
    for one in watched {
        let roster = &one.roster;
        let now = roster.endpoints();
        let now: Vec<_> = now
            .iter()
            .map(|endpoint| (endpoint.spec(), endpoint.address()))
            .collect();
        let Some(members) = members(&one.urls, &now, answers) else {
            continue;
        };
        let (circles, members): (Members, Members) = members
            .into_iter()
            .partition(|(_, address)| config::is_own_listener(*address, own));
        if members == now && roster.resolved() {
            continue;
        }
        for (endpoint, address) in circles {
            warn!(release = %roster.release(), %endpoint, %address, "left out: it is this proxy's own listener");
        }
        roster.set(&members);
    }
}

/// Members for a roster; `None` while nothing is known.
fn members(
    endpoints: &[EndpointSpec],
    now: &[(EndpointSpec, SocketAddr)],
    answers: &Answers,
) -> Option<Members> {
    let mut members = Members::new();
    let mut waiting = false;
    for endpoint in endpoints {
        let url = endpoint.url();
        let mut add = |address: SocketAddr| {
            let member = (endpoint.clone(), address);
            if !members.contains(&member) {
                members.push(member);
            }
        };
        let at_port = |ip: IpAddr| SocketAddr::new(ip, url.port());
        if let Some(ip) = url.ip() {
            add(at_port(ip));
            continue;
        }
        let now_of_url = || now.iter().filter(|(other, _)| other.url() == url);
        match answers.services.answer(url) {
            ServiceAnswer::Unwatched => {}
            ServiceAnswer::Known(addresses) => {
                addresses.into_iter().for_each(add);
                continue;
            }
            ServiceAnswer::Waiting => {
                now_of_url().for_each(|(_, address)| add(*address));
                waiting = true;
                continue;
            }
        }
        let known = answers.cache.known(url.host());
        known.addresses().map(at_port).for_each(&mut add);
        // Current members of this host stay until there is a response.
        let kept = now_of_url().filter(|(_, address)| !known.has(Family::of(address.ip())));
        kept.for_each(|(_, address)| add(*address));
        waiting |= known.waiting;
    }
    (!waiting || !members.is_empty()).then_some(members)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn urls(texts: &[&str]) -> Vec<EndpointSpec> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn shown(members: Option<Members>) -> Option<Vec<String>> {
        let show =
            |(url, address): &(EndpointSpec, SocketAddr)| format!("{} {address}", url.url().host());
        Some(members?.iter().map(show).collect())
    }

    fn answers_of(hosts: &[&str]) -> Answers {
        let mut cache = DnsCache::new(Duration::from_secs(1), Duration::from_secs(60));
        let hosts = hosts.iter().map(|host| Arc::from(*host)).collect();
        cache.register(&hosts, Instant::now());
        let services = ServiceWatches::new(None, Arc::new(Fleet::new(1)));
        Answers { cache, services }
    }

    #[test]
    fn addresses_are_there_at_once_and_names_when_they_are_known() {
        let mut answers = answers_of(&["a.test"]);
        let urls = urls(&["http://a.test:9", "http://192.0.2.1:9"]);
        let members_now = |answers: &Answers| shown(members(&urls, &[], answers));
        assert_eq!(members_now(&answers).unwrap(), ["192.0.2.1 192.0.2.1:9"]);
        let two = vec!["192.0.2.3".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let two = Outcome::Addresses(two, Duration::from_secs(5));
        answers
            .cache
            .note("a.test", Family::V4, two, Instant::now());
        assert_eq!(
            members_now(&answers).unwrap(),
            [
                "a.test 192.0.2.2:9",
                "a.test 192.0.2.3:9",
                "192.0.2.1 192.0.2.1:9"
            ]
        );
    }

    #[test]
    fn before_the_first_answer_nothing_is_said_and_what_is_there_stays() {
        let mut answers = answers_of(&["a.test"]);
        let urls = urls(&["http://a.test:9"]);
        assert_eq!(members(&urls, &[], &answers), None);
        let now = [(urls[0].clone(), "192.0.2.7:9".parse().unwrap())];
        assert_eq!(members(&urls, &now, &answers).unwrap(), now);
        for family in Family::BOTH {
            answers
                .cache
                .note("a.test", family, Outcome::Failed, Instant::now());
        }
        assert_eq!(
            members(&urls, &[], &answers),
            Some(vec![]),
            "asked, and nothing is known"
        );
        assert_eq!(members(&urls, &now, &answers).unwrap(), now, "a failure");
    }

    #[test]
    fn an_answer_of_one_family_leaves_what_is_there_of_the_other() {
        let mut answers = answers_of(&["a.test"]);
        let urls = urls(&["http://a.test:9"]);
        let now = ["192.0.2.7:9", "[2001:db8::7]:9"];
        let now = now.map(|address| (urls[0].clone(), address.parse().unwrap()));
        let one = vec!["192.0.2.8".parse().unwrap()];
        let one = Outcome::Addresses(one, Duration::from_secs(5));
        answers
            .cache
            .note("a.test", Family::V4, one, Instant::now());
        assert_eq!(
            shown(members(&urls, &now, &answers)).unwrap(),
            ["a.test 192.0.2.8:9", "a.test [2001:db8::7]:9"]
        );
    }
}
