//! Keeps the rosters of all watched releases up to date: host names become addresses, and every address is an endpoint.
//!
//! A name is looked up when a release that has it is first watched and again whenever its time to live is over, within
//! the bounds of the configuration. When DNS fails, or says that there is no such name, the last answer is kept and the
//! next try comes after a pause that doubles. Addresses need no look-up and are there at once. What decides when to ask
//! and what holds is `book`, without a clock; what waits is [`run`].

mod book;
mod resolver;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

pub use self::resolver::{DiscoveryError, Resolver};
use self::{
    book::{Book, Known},
    resolver::Answer,
};
use crate::{
    config,
    fleet::{Fleet, Watched},
    model::EndpointUrl,
};

/// Look-ups at a time.
const MOST_LOOKUPS: usize = 32;

type Members = Vec<(EndpointUrl, SocketAddr)>;

/// Looks after the rosters until it is dropped. `own` are the addresses of our listeners, which are never endpoints:
/// requests would go round in a circle.
pub async fn run(
    fleet: Arc<Fleet>,
    resolver: Resolver,
    settings: config::Discovery,
    own: Vec<SocketAddr>,
) {
    let mut changes = fleet.subscribe();
    let mut book = Book::new(settings.min_ttl.0, settings.max_ttl.0);
    let mut lookups = JoinSet::new();
    loop {
        changes.mark_unchanged();
        let watched = fleet.watched();
        book.need(&hosts(&watched), Instant::now());
        set_rosters(&watched, &book, &own);
        let room = MOST_LOOKUPS - lookups.len();
        for host in book.take_due(Instant::now(), room) {
            let resolver = resolver.clone();
            lookups.spawn(async move {
                let result = resolver.lookup(&host).await;
                (host, result)
            });
        }
        let due = book.next_due().filter(|_| lookups.len() < MOST_LOOKUPS);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(Ok((host, result))) = lookups.join_next() => {
                note(&mut book, &host, result, Instant::now());
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
}

fn hosts(watched: &[Watched]) -> BTreeSet<Arc<str>> {
    let urls = watched.iter().flat_map(|one| one.urls.iter());
    urls.filter(|url| url.ip().is_none())
        .map(|url| url.host().into())
        .collect()
}

fn note(book: &mut Book, host: &Arc<str>, result: Result<Answer, DiscoveryError>, now: Instant) {
    match result {
        Ok(Answer { addresses, ttl }) => {
            if book.answered(host, addresses, ttl, now) {
                info!(%host, addresses = ?book.addresses(host), "resolved");
            }
        }
        Err(error) => {
            if book.failed(host, now) {
                warn!(%host, %error, kept = ?book.addresses(host), "cannot be resolved");
            }
        }
    }
}

fn set_rosters(watched: &[Watched], book: &Book, own: &[SocketAddr]) {
    for one in watched {
        let roster = &one.roster;
        let now = roster.endpoints();
        let now: Vec<_> = now
            .iter()
            .map(|endpoint| (endpoint.url().clone(), endpoint.address()))
            .collect();
        let Some(members) = members(&one.urls, &now, book) else {
            continue;
        };
        let (circles, members): (Members, Members) = members
            .into_iter()
            .partition(|(_, address)| config::is_own_listener(*address, own));
        if members == now && roster.resolved() {
            continue;
        }
        for (endpoint, address) in circles {
            warn!(release = %roster.release(), %endpoint, %address, "left out: it is our own listener");
        }
        roster.set(&members);
    }
}

/// What a roster is to hold; `None` as long as nothing can be said.
fn members(
    urls: &[EndpointUrl],
    now: &[(EndpointUrl, SocketAddr)],
    book: &Book,
) -> Option<Members> {
    let mut members = Members::new();
    let mut waiting = false;
    for url in urls {
        let mut add = |ip: IpAddr| {
            let member = (url.clone(), SocketAddr::new(ip, url.port()));
            if !members.contains(&member) {
                members.push(member);
            }
        };
        if let Some(ip) = url.ip() {
            add(ip);
            continue;
        }
        match book.addresses(url.host()) {
            Known::Addresses(addresses) => addresses.iter().copied().for_each(add),
            Known::Nothing => {}
            Known::NotYet => {
                // What the roster has of this host already stays until there is an answer.
                let kept = now.iter().filter(|(other, _)| other == url);
                kept.for_each(|(_, address)| add(address.ip()));
                waiting = true;
            }
        }
    }
    (!waiting || !members.is_empty()).then_some(members)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn urls(texts: &[&str]) -> Vec<EndpointUrl> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn shown(members: Option<Members>) -> Option<Vec<String>> {
        let show = |(url, address): &(EndpointUrl, SocketAddr)| format!("{} {address}", url.host());
        Some(members?.iter().map(show).collect())
    }

    fn book_of(hosts: &[&str]) -> Book {
        let mut book = Book::new(Duration::from_secs(1), Duration::from_secs(60));
        let hosts = hosts.iter().map(|host| Arc::from(*host)).collect();
        book.need(&hosts, Instant::now());
        book
    }

    #[test]
    fn addresses_are_there_at_once_and_names_when_they_are_known() {
        let mut book = book_of(&["a.test"]);
        let urls = urls(&["http://a.test:9", "http://192.0.2.1:9"]);
        let members_now = |book: &Book| shown(members(&urls, &[], book));
        assert_eq!(members_now(&book).unwrap(), ["192.0.2.1 192.0.2.1:9"]);
        let two = vec!["192.0.2.3".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        book.answered("a.test", two, Duration::from_secs(5), Instant::now());
        assert_eq!(
            members_now(&book).unwrap(),
            [
                "a.test 192.0.2.2:9",
                "a.test 192.0.2.3:9",
                "192.0.2.1 192.0.2.1:9"
            ]
        );
    }

    #[test]
    fn before_the_first_answer_nothing_is_said_and_what_is_there_stays() {
        let mut book = book_of(&["a.test"]);
        let urls = urls(&["http://a.test:9"]);
        assert_eq!(members(&urls, &[], &book), None);
        let now = [(urls[0].clone(), "192.0.2.7:9".parse().unwrap())];
        assert_eq!(members(&urls, &now, &book).unwrap(), now);
        book.failed("a.test", Instant::now());
        assert_eq!(
            members(&urls, &[], &book),
            Some(vec![]),
            "asked, and nothing is known"
        );
    }
}
