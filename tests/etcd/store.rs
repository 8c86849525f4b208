//! Reads, transactions and leases.

use std::time::Duration;

use rand::random;
use switchback::etcd::{
    Compare, EtcdClient, EtcdError, KeyRange, LeaseId, Operation, Transaction, WatchEvent,
};

use crate::{cluster::Cluster, create, next_events, put, write};

/// Keys that are always written together.
const TOGETHER: usize = 60;
/// Rounds of two writers.
const ROUNDS: u64 = 200;

#[tokio::test]
async fn all_pages_of_a_range_are_of_one_revision() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    for part in 0..10 {
        let many = (0..100).map(|number| put(&format!("m/{part}{number:02}"), "small"));
        write(&client, many.collect()).await;
    }
    let round = |text: &str| {
        let all = (0..TOGETHER).map(|number| put(&format!("t/{number:03}"), text.repeat(8_000)));
        all.collect::<Vec<_>>()
    };
    write(&client, round("a")).await;
    let writer = client.clone();
    let writing = tokio::spawn(async move {
        loop {
            for text in ["b", "c", "d"] {
                write(&writer, round(text)).await;
            }
        }
    });
    for _ in 0..20 {
        let ranged = client.range(&KeyRange::prefix("t/")).await.unwrap();
        assert_eq!(ranged.pairs.len(), TOGETHER);
        let first = &ranged.pairs[0];
        for pair in &ranged.pairs {
            assert_eq!(
                (pair.mod_revision, &pair.value),
                (first.mod_revision, &first.value)
            );
        }
        assert!(first.mod_revision <= ranged.store.revision);
    }
    writing.abort();
    let many = client.range(&KeyRange::prefix("m/")).await.unwrap().pairs;
    assert_eq!(many.len(), 1000);
    assert!(many.is_sorted_by(|a, b| a.key < b.key));
    assert!(client.get(b"none").await.unwrap().pairs.is_empty());
}

/// One attempt at the next revision of a key; true if it was made.
async fn attempt(client: EtcdClient, seen: u64) -> bool {
    let transaction = Transaction {
        compare: vec![Compare::ModRevision {
            key: b"head".to_vec(),
            equals: seen,
        }],
        then: vec![put("head", seen.to_string())],
        ..Transaction::default()
    };
    client.commit(&transaction).await.unwrap().succeeded
}

#[tokio::test]
async fn of_two_writers_exactly_one_wins() {
    let cluster = Cluster::start(3).await;
    let (one, two) = (cluster.client(0), cluster.client(1));
    let mut seen = 0;
    for _ in 0..ROUNDS {
        let (first, second) = tokio::join!(attempt(one.clone(), seen), attempt(two.clone(), seen));
        assert!(first != second, "both say {first}");
        seen = one.get(b"head").await.unwrap().pairs[0].mod_revision;
    }
    let head = &two.get(b"head").await.unwrap().pairs[0];
    assert_eq!(head.version, ROUNDS);
}

#[tokio::test]
async fn answers_are_read_up_to_the_limit_and_requests_taken_up_to_that_of_etcd() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    for key in ["l/1", "l/2", "l/3", "l/4"] {
        write(&client, vec![put(key, vec![b'x'; 1_400_000])]).await;
    }
    let all = client.range(&KeyRange::prefix("l/")).await.unwrap();
    assert_eq!(
        all.pairs.iter().map(|pair| pair.value.len()).sum::<usize>(),
        5_600_000
    );
    let mut settings = cluster.settings(0);
    settings.largest_answer = 4 << 20;
    let small = EtcdClient::load(settings).unwrap();
    let error = small.range(&KeyRange::prefix("l/")).await.unwrap_err();
    assert!(
        matches!(error, EtcdError::AnswerTooLarge(4_194_304)),
        "{error:?}"
    );
    // The two limits in etcd: that of a request, and that of a message of gRPC.
    for bytes in [1_600_000, 3_000_000] {
        let transaction = Transaction {
            then: vec![put("large", vec![b'x'; bytes])],
            ..Transaction::default()
        };
        let error = client.commit(&transaction).await.unwrap_err();
        assert!(matches!(error, EtcdError::RequestTooLarge), "{error:?}");
        assert!(!error.outcome_is_unknown());
    }
    let many = (0..129).map(|number| put(&format!("m/{number}"), "x"));
    let transaction = Transaction {
        then: many.collect(),
        ..Transaction::default()
    };
    let error = client.commit(&transaction).await.unwrap_err();
    assert!(matches!(error, EtcdError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_transaction_deletes_and_reads_and_shows_an_earlier_attempt_of_its_own() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    let first = client.commit(&create("k", "mine")).await.unwrap();
    assert!(first.succeeded);
    let again = client.commit(&create("k", "mine")).await.unwrap();
    assert!(!again.succeeded && again.holds(b"k", b"mine"));
    let other = client.commit(&create("k", "theirs")).await.unwrap();
    assert!(!other.succeeded && !other.holds(b"k", b"theirs"));
    let transaction = Transaction {
        compare: vec![Compare::Value {
            key: b"k".to_vec(),
            equals: b"mine".to_vec(),
        }],
        then: vec![
            Operation::Delete(KeyRange::one("k")),
            Operation::Get(KeyRange::prefix("k")),
        ],
        ..Transaction::default()
    };
    let deleted = client.commit(&transaction).await.unwrap();
    assert!(deleted.succeeded && deleted.read == [vec![]]);
}

#[tokio::test]
async fn a_lease_that_is_not_kept_alive_takes_its_keys_with_it() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    let (short, kept) = (LeaseId::new(random()), LeaseId::new(random()));
    let ttl = Duration::from_secs(2);
    assert_eq!(client.grant_lease(short, ttl).await.unwrap(), ttl);
    assert_eq!(
        client.grant_lease(short, ttl).await.unwrap(),
        ttl,
        "the same again"
    );
    client
        .grant_lease(kept, Duration::from_secs(600))
        .await
        .unwrap();
    let leased = |key: &str, lease| Operation::Put {
        key: key.into(),
        value: Vec::new(),
        lease: Some(lease),
    };
    let revision = write(
        &client,
        vec![leased("n/short", short), leased("n/kept", kept)],
    )
    .await;
    let pair = client.get(b"n/short").await.unwrap().pairs.remove(0);
    assert_eq!(pair.lease, Some(short));

    let mut watch = client.watch(KeyRange::prefix("n/"), revision + 1);
    let events = next_events(&mut watch).await;
    assert!(matches!(&events[..], [WatchEvent::Deleted { key, .. }] if key == b"n/short"));
    let error = client.keep_alive(short).await.unwrap_err();
    assert!(matches!(error, EtcdError::LeaseNotFound), "{error:?}");
    assert_eq!(
        client.keep_alive(kept).await.unwrap(),
        Duration::from_secs(600)
    );

    client.revoke_lease(kept).await.unwrap();
    client
        .revoke_lease(kept)
        .await
        .expect("what is gone is revoked");
    let events = next_events(&mut watch).await;
    assert!(matches!(&events[..], [WatchEvent::Deleted { key, .. }] if key == b"n/kept"));
}
