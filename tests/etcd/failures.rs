//! Three members, of which some are frozen or dead.

use std::time::{Duration, Instant};

use switchback::etcd::{EtcdClient, EtcdError, KeyRange, WatchMessage};

use crate::{cluster::Cluster, create, next, next_events, put, write};

#[tokio::test]
async fn without_a_quorum_calls_fail_in_time_and_the_watch_says_so() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let mut settings = cluster.settings(leader);
    settings.timeout = Duration::from_secs(3);
    let client = EtcdClient::load(settings).unwrap();
    let only = cluster.client_of(leader);
    let revision = write(&client, vec![put("w/1", "a")]).await;
    let mut watch = only.watch(KeyRange::prefix("w/"), revision + 1);
    assert!(matches!(next(&mut watch).await, WatchMessage::Progress(_)));
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    for member in others {
        cluster.freeze(member);
    }

    let message = next(&mut watch).await;
    assert!(
        matches!(message, WatchMessage::Interrupted(EtcdError::NoLeader)),
        "{message:?}"
    );
    for _ in 0..2 {
        let begin = Instant::now();
        let error = client.get(b"w/1").await.unwrap_err();
        assert!(matches!(error, EtcdError::TimedOut(_)), "{error:?}");
        let error = client.commit(&create("w/2", "b")).await.unwrap_err();
        assert!(error.outcome_is_unknown(), "{error:?}");
        assert!(
            begin.elapsed() < Duration::from_millis(6_800),
            "{:?}",
            begin.elapsed()
        );
    }
    let begin = Instant::now();
    let error = only.commit(&create("w/2", "b")).await.unwrap_err();
    assert!(matches!(error, EtcdError::NoLeader), "{error:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(
        only.status().await.unwrap().leader,
        0,
        "the status needs no leader"
    );

    for member in others {
        cluster.thaw(member);
    }
    cluster.until_ready().await;
    let revision = write(&client, vec![put("w/1", "c")]).await;
    loop {
        let events = next_events(&mut watch).await;
        if events.last().unwrap().revision() == revision {
            break;
        }
    }
}

#[tokio::test]
async fn a_write_is_done_once_while_the_leader_freezes() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let mut settings = cluster.settings(leader);
    // Followers are asked a second time, which has to be after the election.
    settings.hedge_after = Duration::from_millis(500);
    let client = EtcdClient::load(settings).unwrap();
    client.get(b"k").await.unwrap();
    cluster.freeze(leader);
    let begin = Instant::now();
    let committed = client.commit(&create("k", "mine")).await.unwrap();
    let took = begin.elapsed();
    assert!(committed.succeeded || committed.holds(b"k", b"mine"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let read = Instant::now();
    assert_eq!(client.get(b"k").await.unwrap().pairs[0].version, 1);
    assert!(
        read.elapsed() < Duration::from_secs(3),
        "{:?}",
        read.elapsed()
    );
    cluster.thaw(leader);
    cluster.until_ready().await;
    let pair = client.get(b"k").await.unwrap().pairs.remove(0);
    assert_eq!((pair.version, &pair.value[..]), (1, &b"mine"[..]));
    println!("a write while the leader froze took {took:?}");
}

#[tokio::test]
async fn a_dead_member_costs_a_call_nothing_and_a_watch_a_pause() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let client = cluster.client(follower);
    let revision = write(&client, vec![put("w/1", "a")]).await;
    let mut watch = client.watch(KeyRange::prefix("w/"), revision + 1);
    assert!(matches!(next(&mut watch).await, WatchMessage::Progress(_)));
    cluster.kill(follower);
    let begin = Instant::now();
    let revision = write(&client, vec![put("w/1", "b")]).await;
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    let message = next(&mut watch).await;
    assert!(
        matches!(message, WatchMessage::Interrupted(_)),
        "{message:?}"
    );
    let events = next_events(&mut watch).await;
    assert_eq!(events[0].revision(), revision);
}
