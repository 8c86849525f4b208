//! Watches of one member.

use std::time::{Duration, Instant};

use switchback::etcd::{EtcdClient, EtcdError, KeyRange, Operation, WatchEvent, WatchMessage};

use crate::{cluster::Cluster, next, next_events, put, write};

fn revisions(events: &[WatchEvent]) -> Vec<u64> {
    events.iter().map(WatchEvent::revision).collect()
}

#[tokio::test]
async fn a_watch_brings_every_change_once_and_in_order_through_a_restart_of_the_member() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    let first = write(&client, vec![put("w/0", "0")]).await;
    let mut watch = client.watch(KeyRange::prefix("w/"), first);
    let mut expected = vec![first];
    let mut seen = revisions(&next_events(&mut watch).await);
    for round in 0..3 {
        for number in 0..10 {
            let key = format!("w/{number}");
            let operations = match number % 3 {
                0 => vec![Operation::Delete(KeyRange::prefix("w/")), put("other", "x")],
                1 => vec![put(&key, "x"), put(&format!("{key}b"), "y")],
                _ => vec![put(&key, vec![b'x'; 700_000])],
            };
            // A deletion of nothing is no event.
            let gone = client
                .range(&KeyRange::prefix("w/"))
                .await
                .unwrap()
                .pairs
                .len();
            let revision = write(&client, operations).await;
            let count = [gone, 2, 1][number % 3];
            expected.extend(vec![revision; count]);
        }
        while seen.len() < expected.len() {
            seen.extend(revisions(&next_events(&mut watch).await));
        }
        assert_eq!(seen, expected, "round {round}");
        cluster.kill(0);
        cluster.start_again(0, None);
        let interrupted = next(&mut watch).await;
        assert!(
            matches!(interrupted, WatchMessage::Interrupted(_)),
            "{interrupted:?}"
        );
        cluster.until_ready().await;
    }
}

#[tokio::test]
async fn a_change_of_several_large_values_comes_whole() {
    let cluster = Cluster::start_with(
        1,
        tempfile::tempdir().unwrap(),
        false,
        &["--max-request-bytes", "8388608"],
    )
    .await;
    let client = cluster.client(0);
    let large = |text: u8| (0..4).map(move |n| put(&format!("w/{n}"), vec![text; 1_000_000]));
    let first = write(&client, large(b'a').collect()).await;
    let second = write(&client, large(b'b').collect()).await;
    // Below that of one message, so that etcd has to send them in parts.
    let mut watch = client.watch(KeyRange::prefix("w/"), first);
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let events = next_events(&mut watch).await;
        let revisions = revisions(&events);
        for revision in [first, second] {
            let count = revisions.iter().filter(|&&found| found == revision).count();
            assert!(count == 0 || count == 4, "{revisions:?}");
        }
        seen.extend(revisions);
    }
    assert_eq!(seen, [[first; 4], [second; 4]].concat());
}

#[tokio::test]
async fn a_watch_below_the_compaction_says_so_and_goes_on_after_a_new_read() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    let first = write(&client, vec![put("w/1", "a")]).await;
    write(&client, vec![put("w/1", "b")]).await;
    let last = write(&client, vec![put("w/1", "c")]).await;
    cluster.ctl(&["compact", &last.to_string()]);

    let mut watch = client.watch(KeyRange::prefix("w/"), first);
    while !matches!(next(&mut watch).await, WatchMessage::Compacted { at } if at == last) {}
    let again = next(&mut watch).await;
    assert!(
        matches!(again, WatchMessage::Compacted { at } if at == last),
        "{again:?}"
    );

    let ranged = client.range(&KeyRange::prefix("w/")).await.unwrap();
    assert_eq!(ranged.pairs[0].value, b"c");
    watch.restart(ranged.store.revision + 1);
    let progress = next(&mut watch).await;
    assert!(
        matches!(progress, WatchMessage::Progress(_)),
        "{progress:?}"
    );
    let revision = write(&client, vec![put("w/1", "d")]).await;
    assert_eq!(revisions(&next_events(&mut watch).await), [revision]);
}

#[tokio::test]
async fn an_idle_watch_shows_that_it_lives_and_a_frozen_member_that_it_does_not() {
    let cluster = Cluster::start(1).await;
    let mut settings = cluster.settings(0);
    settings.silence = Duration::from_secs(1);
    settings.timeout = Duration::from_secs(1);
    let client = EtcdClient::load(settings).unwrap();
    let mut watch = client.watch(KeyRange::prefix("w/"), 0);
    for _ in 0..4 {
        let message = next(&mut watch).await;
        assert!(matches!(message, WatchMessage::Progress(_)), "{message:?}");
    }
    cluster.freeze(0);
    let frozen = Instant::now();
    let message = loop {
        match next(&mut watch).await {
            WatchMessage::Progress(_) => {}
            message => break message,
        }
    };
    assert!(
        matches!(message, WatchMessage::Interrupted(EtcdError::Silent(_))),
        "{message:?}"
    );
    assert!(
        frozen.elapsed() < Duration::from_secs(3),
        "{:?}",
        frozen.elapsed()
    );
    cluster.thaw(0);
    let revision = write(&cluster.client(0), vec![put("w/1", "a")]).await;
    assert_eq!(revisions(&next_events(&mut watch).await), [revision]);
}

#[tokio::test]
async fn a_store_that_was_put_back_is_told_from_one_that_goes_on() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    write(&client, vec![put("w/1", "a")]).await;
    cluster.ctl(&["snapshot", "save", "snapshot"]);
    assert!(cluster.path("snapshot").exists());
    let last = write(&client, vec![put("w/1", "b")]).await;
    let mut watch = client.watch(KeyRange::prefix("w/"), last);
    assert_eq!(revisions(&next_events(&mut watch).await), [last]);

    cluster.kill(0);
    cluster.restore("snapshot", "restored");
    cluster.start_again(0, Some("restored"));
    let message = loop {
        match next(&mut watch).await {
            WatchMessage::Interrupted(_) => {}
            message => break message,
        }
    };
    let WatchMessage::StoreReplaced { seen, now } = message else {
        panic!("{message:?}");
    };
    assert_eq!(seen, last);
    assert!(now < last);
    watch.restart(now + 1);
    let revision = write(&client, vec![put("w/1", "c")]).await;
    assert_eq!(revisions(&next_events(&mut watch).await), [revision]);
}
