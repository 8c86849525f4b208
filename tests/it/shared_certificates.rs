//! Keepers of certificates on the nodes of a fleet, on a store in memory: one of them orders, all serve and answer.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use rcgen::{CertificateParams, KeyPair, generate_simple_self_signed};
use switchback::{
    acme::{CertificateOutcome, Keeper, Sharing, Tell},
    api::CertificateStatus,
    config::{Acme, AcmeChallenge},
    net::HttpChallenges,
    seal::KeyRing,
    shared_table::{Expected, Lifetime, SharedDocuments as _, Write},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    memory_store::{Content, MemoryStore},
    support::write,
};

/// Nobody listens there, so each order fails at once, and says so.
const DIRECTORY: &str = "https://127.0.0.1:1/dir";
/// Its name as a folder.
const FOLDER: &str = "127.0.0.1-1-dir";
const QUESTION: &[u8] = b"/.well-known/acme-challenge/token-1";

type Store = Arc<Mutex<Content>>;

/// A node with its keeper.
struct Node {
    keeper: Arc<Keeper>,
    store: Arc<MemoryStore>,
    http: Arc<HttpChallenges>,
    /// Outcomes of its orders.
    told: Arc<Mutex<Vec<CertificateOutcome>>>,
    folder: TempDir,
    run: Option<JoinHandle<()>>,
}

impl Node {
    /// A node of a fleet, with certificates for some domains in its folder.
    fn new(name: &str, content: &Store, domains: &[&str], has: &[(&str, &str)]) -> Self {
        Self::with_key(name, content, (domains, has), None)
    }

    fn with_key(
        name: &str,
        content: &Store,
        (domains, has): (&[&str], &[(&str, &str)]),
        key: Option<char>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(FOLDER);
        std::fs::create_dir(&own).unwrap();
        for (domain, pem) in has {
            write(own.join(format!("{domain}.pem")), pem);
        }
        let ca = folder.path().join("ca.pem");
        let authority = generate_simple_self_signed(["ca".to_owned()]).unwrap();
        write(&ca, authority.cert.pem());
        let settings = Acme {
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            contact: Vec::new(),
            eab: None,
            directory: DIRECTORY.to_owned(),
            ca: Some(ca),
            path: None,
            challenge: AcmeChallenge::Http01,
            profile: None,
        };
        let http = Arc::<HttpChallenges>::default();
        let keeper = Keeper::open(&settings, folder.path(), Arc::clone(&http)).unwrap();
        let store = reached(name, content);
        let keys = key.map(|key| {
            let ring = KeyRing::new(&[&key.to_string().repeat(40)]).unwrap();
            Arc::new(ring.unwrap())
        });
        keeper.join(Sharing {
            node: name.to_owned(),
            store: Arc::clone(&store) as _,
            keys,
        });
        Self {
            keeper: Arc::new(keeper),
            store,
            http,
            told: Arc::default(),
            folder,
            run: None,
        }
    }

    fn run(mut self) -> Self {
        let told = Arc::clone(&self.told);
        let tell: Tell = Arc::new(move |outcome| told.lock().unwrap().push(outcome));
        self.run = Some(tokio::spawn(Arc::clone(&self.keeper).run(tell)));
        self
    }

    fn status(&self, domain: &str) -> CertificateStatus {
        let mut all = self.keeper.status().into_iter();
        all.find(|one| one.domain == domain).unwrap()
    }

    fn pem(&self, domain: &str) -> Option<String> {
        std::fs::read_to_string(self.file(domain)).ok()
    }

    fn file(&self, domain: &str) -> PathBuf {
        let own = self.folder.path().join(FOLDER);
        own.join(format!("{domain}.pem"))
    }

    /// True if the lock in the store is its own.
    fn orders(&self) -> bool {
        let content = self.store.content.lock().unwrap();
        let lock = content.documents.get(&format!("acme/{FOLDER}/index/lock"));
        lock.is_some_and(|lock| lock.owner.as_ref() == Some(&self.store.node))
    }

    fn has_tried(&self, domain: &str) -> bool {
        let told = self.told.lock().unwrap();
        told.iter().any(|one| one.domain == domain)
    }

    /// Ends its task, as a takeover does.
    fn leave(&self) {
        self.run.as_ref().unwrap().abort();
    }

    /// Ends it without a word to the store.
    fn die(&self, content: &Store, name: &str) {
        self.store.is_cut.store(true, Ordering::Release);
        self.leave();
        content.lock().unwrap().end_lease(name);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.abort();
        }
    }
}

fn reached(name: &str, content: &Store) -> Arc<MemoryStore> {
    Arc::new(MemoryStore {
        content: Arc::clone(content),
        node: name.to_owned(),
        ..MemoryStore::default()
    })
}

/// A certificate with its key that is valid from a year on.
fn made(domain: &str, year: i32) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([domain.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(4_000, 1, 1);
    key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_node_with_an_empty_folder_takes_what_the_fleet_has_and_orders_nothing() {
    let content = Store::default();
    let pem = made("a.test", 2020);
    let first = Node::new("a", &content, &["a.test"], &[("a.test", &pem)]).run();
    until("a orders", || first.orders()).await;
    let late = Node::new("b", &content, &["a.test"], &[]).run();
    until("b has it", || late.pem("a.test").as_ref() == Some(&pem)).await;
    until("b serves it", || late.status("a.test").not_after.is_some()).await;
    let status = late.status("a.test");
    assert!(status.ordered_elsewhere && status.next_order.is_none());
    assert_eq!(status.ordered_by.as_deref(), Some("a"));
    assert_eq!(status.not_before, first.status("a.test").not_before);
    assert!(!late.has_tried("a.test") && !first.has_tried("a.test"));
    let mode = std::fs::metadata(late.file("a.test"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn one_node_orders_and_another_goes_on_when_it_is_gone() {
    let content = Store::default();
    let a = Node::new("a", &content, &["a.test"], &[]).run();
    until("a tries", || a.has_tried("a.test")).await;
    let (b, c) = (
        Node::new("b", &content, &["a.test"], &[]).run(),
        Node::new("c", &content, &["a.test"], &[]).run(),
    );
    let by = |node: &Node, name: &str| node.status("a.test").ordered_by.as_deref() == Some(name);
    until("all know who orders", || by(&b, "a") && by(&c, "a")).await;
    assert!(!b.has_tried("a.test") && !c.has_tried("a.test"));
    a.die(&content, "a");
    until("another one tries", || {
        b.has_tried("a.test") || c.has_tried("a.test")
    })
    .await;
    until("the third one waits", || by(&b, "c") || by(&c, "b")).await;
    let (second, third, name) = if by(&c, "b") {
        (&b, &c, "c")
    } else {
        (&c, &b, "b")
    };
    assert!(second.orders() && !third.has_tried("a.test"));
    // One that ends in order waits for no lease.
    second.leave();
    until("the last one tries", || third.has_tried("a.test")).await;
    assert!(third.orders(), "{name}");
}

#[tokio::test]
async fn a_lock_whose_answer_was_lost_is_held() {
    let content = Store::default();
    let node = Node::new("a", &content, &["a.test"], &[]);
    node.store.loses_answer.store(true, Ordering::Release);
    let node = node.run();
    until("it orders", || node.has_tried("a.test")).await;
    assert!(!node.store.loses_answer.load(Ordering::Acquire) && node.orders());
}

#[tokio::test]
async fn without_the_store_nothing_is_ordered_and_the_status_says_why() {
    let content = Store::default();
    let pem = made("a.test", 2020);
    let node = Node::new("a", &content, &["a.test", "b.test"], &[("a.test", &pem)]);
    node.store.is_cut.store(true, Ordering::Release);
    let node = node.run();
    let error = || node.status("b.test").error.unwrap_or_default();
    until("it knows", || error().contains("cut off")).await;
    assert!(error().contains("store of the fleet"), "{}", error());
    assert!(!node.has_tried("b.test"));
    let served = node.status("a.test");
    assert!(served.not_after.is_some() && served.error.is_none());
    node.store.is_cut.store(false, Ordering::Release);
    until("it orders", || node.has_tried("b.test")).await;
    assert!(error().contains("directory"), "{}", error());
}

#[tokio::test]
async fn every_node_answers_the_questions_of_an_order_for_as_long_as_it_is_under_way() {
    let content = Store::default();
    let nodes = ["a", "b"].map(|name| Node::new(name, &content, &["a.test"], &[]).run());
    let other = reached("c", &content);
    let ask = |domain: &str, token: &str| {
        Write {
        name: format!("acme/{FOLDER}/index/challenge/{domain}"),
        value: format!(
            r#"{{"domain":"{domain}","challenge":"http-01","token":"{token}","answer":"{token}.thumb"}}"#
        )
        .into_bytes(),
        lifetime: Lifetime::Node,
        expected: Expected::Anything,
    }
    };
    other.write(ask("not-ours.test", "token-2")).await.unwrap();
    other.write(ask("a.test", "token-1")).await.unwrap();
    for node in &nodes {
        until("an answer", || node.http.answer(QUESTION).is_some()).await;
        assert_eq!(node.http.answer(QUESTION).as_deref(), Some("token-1.thumb"));
        let foreign = node.http.answer(b"/.well-known/acme-challenge/token-2");
        assert_eq!(foreign, None, "only questions about its own domains");
    }
    content.lock().unwrap().end_lease("c");
    for node in &nodes {
        until("no answer", || node.http.answer(QUESTION).is_none()).await;
    }
}

#[tokio::test]
async fn private_keys_are_sealed_with_the_key_of_the_configuration() {
    let content = Store::default();
    let pem = made("a.test", 2020);
    let domains: &[&str] = &["a.test"];
    let has: &[(&str, &str)] = &[("a.test", &pem)];
    let with_key = |name, has, key| Node::with_key(name, &content, (domains, has), Some(key)).run();
    let first = with_key("a", has, 'k');
    until("a orders", || first.orders()).await;
    let same = with_key("b", &[], 'k');
    until("b has it", || same.pem("a.test").as_ref() == Some(&pem)).await;
    for (name, document) in &content.lock().unwrap().documents {
        let text = String::from_utf8_lossy(&document.value);
        assert!(!text.contains("PRIVATE KEY"), "{name}");
    }
    let other = with_key("c", &[], 'x');
    let error = || other.status("a.test").error.unwrap_or_default();
    until("c says why", || error().contains("sealed")).await;
    assert_eq!(other.pem("a.test"), None);
    assert!(first.orders() && other.status("a.test").ordered_by.as_deref() == Some("a"));
}

#[tokio::test]
async fn the_newer_certificate_wins_whoever_has_it() {
    let content = Store::default();
    let (old, new) = (made("a.test", 2020), made("a.test", 2021));
    let a = Node::new("a", &content, &["a.test"], &[("a.test", &old)]).run();
    until("a orders", || a.orders()).await;
    let b = Node::new("b", &content, &["a.test"], &[("a.test", &new)]).run();
    let c = Node::new("c", &content, &["a.test"], &[]).run();
    until("c has it", || c.pem("a.test").as_ref() == Some(&old)).await;
    assert_eq!(b.pem("a.test"), Some(new.clone()));
    c.leave();
    until("c is gone", || c.run.as_ref().unwrap().is_finished()).await;
    // Its turn comes, and it gives what it has.
    a.leave();
    until("b orders", || b.orders()).await;
    let late = Node::new("d", &content, &["a.test"], &[("a.test", &old)]).run();
    until("d has the newer", || {
        late.pem("a.test").as_ref() == Some(&new)
    })
    .await;
    let content = content.lock().unwrap();
    let all = content.documents.keys();
    let certificates = all.filter(|name| name.contains("/certificates/"));
    assert_eq!(certificates.count(), 1, "the old one is removed");
}
