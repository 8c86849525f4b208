//! The central promise: a switch and its rollback, over real sockets under load, fail no request.

mod fleet;
mod load;
mod timeline;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchback::{
    api::Receipt,
    config,
    control::{ControlError, Controller, Expected, RollbackTo},
    model::{Actor, Author, Change, ReleaseName, Weights},
    server::{self, Options, Running},
};

use self::{
    fleet::{Agent, Held},
    load::{Load, Seen},
    timeline::Timeline,
};

fn author() -> Author {
    Author {
        actor: Actor::Api,
        name: "test".into(),
        message: None,
        idempotency_key: None,
        group: None,
    }
}

/// Two agents behind a proxy with two workers, and a runtime for the test's own clients.
struct Harness {
    blue: Agent,
    green: Agent,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Harness {
    fn new(runtime: &tokio::runtime::Runtime, limits: &str) -> Self {
        let _entered = runtime.enter();
        let (blue, green) = (Agent::start("blue"), Agent::start("green"));
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "workers = 2\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [history]\npath = \"{}\"\n[access_log]\nformat = \"off\"\n\
             [releases.blue]\nendpoints = [\"http://{}\"]\n{limits}\n[releases.green]\nendpoints = [\"http://{}\"]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n",
            folder.path().display(),
            blue.address,
            green.address
        );
        let file = folder.path().join("switchback.toml");
        let config = config::parse(&text, folder.path(), config::FileCheck::MustExist)
            .unwrap_or_else(|problems| panic!("{problems:?} in {}", file.display()));
        let running = std::thread::scope(|scope| {
            scope
                .spawn(|| server::start(config, Options::default()))
                .join()
        })
        .unwrap()
        .unwrap();
        Self {
            blue,
            green,
            running,
            _folder: folder,
        }
    }

    fn controller(&self) -> &Arc<Controller> {
        self.running.controller()
    }

    fn load(&self, connections: usize) -> Load {
        Load::start(self.running.listeners()[0], connections)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn switch(to: &str) -> Change {
    Change::Switch {
        route: "chat".parse().unwrap(),
        to: to.parse().unwrap(),
    }
}

fn weights(blue: u32, green: u32) -> Change {
    let weights: Weights = [("blue", blue), ("green", green)]
        .map(|(name, weight)| (ReleaseName::new(name).unwrap(), weight))
        .into();
    Change::SetSplit {
        route: "chat".parse().unwrap(),
        weights,
    }
}

fn assert_only(seen: &Seen, release: &str) {
    assert_eq!(seen.failed, Vec::<String>::new());
    assert!(
        seen.answers.len() > 100,
        "there was load: {}",
        seen.answers.len()
    );
    let other = seen.answers.iter().find(|answer| answer.release != release);
    assert!(other.is_none(), "everything is {release}, but {other:?}");
}

#[test]
fn switch_to_green_and_back_under_load_and_nothing_fails() {
    let runtime = runtime();
    let harness = Harness::new(&runtime, "");
    runtime.block_on(async {
        let load = harness.load(16);
        let digest = harness.controller().live().digest();
        let turn = async |change: Option<Change>| -> (Receipt, Instant) {
            let receipt = match change {
                Some(change) => harness
                    .controller()
                    .apply(change, author(), Expected::Any, false)
                    .await
                    .unwrap(),
                None => harness
                    .controller()
                    .rollback(RollbackTo::Previous, author(), Expected::Any, false)
                    .await
                    .unwrap(),
            };
            assert!(
                receipt.durable && receipt.converged_at.is_some() && receipt.waiting_for.is_empty(),
                "{receipt:?}"
            );
            (receipt, Instant::now())
        };
        load.until(300).await;
        let (_, green_since) = turn(Some(switch("green"))).await;
        load.until(1_500).await;
        let green_until = Instant::now();
        let (receipt, blue_since) = turn(None).await;
        load.until(1_500).await;
        let seen = load.stop().await;
        assert_eq!(
            receipt.digest, digest,
            "the restored decisions are the original ones"
        );
        assert_eq!(seen.failed, Vec::<String>::new());
        assert_only(&seen.between(green_since, green_until), "green");
        assert_only(&seen.between(blue_since, Instant::now()), "blue");
    });
    harness.running.stop();
}

#[test]
fn no_request_reaches_an_endpoint_that_a_converged_change_took_out() {
    let rounds: usize = std::env::var("ROUNDS").map_or(15, |rounds| rounds.parse().unwrap());
    let runtime = runtime();
    let harness = Harness::new(&runtime, "");
    let (a, b) = (harness.blue.address, harness.green.address);
    // In release `blue`, `a` names itself blue and `b` green. A name is resolved anew in each round.
    let both = [format!("http://{a}"), format!("http://{b}")];
    let named = [format!("http://localhost:{}", b.port())];
    runtime.block_on(async {
        let load = harness.load(8);
        let set = async |urls: &[String]| {
            let urls = serde_json::to_string(urls).unwrap();
            let change =
                format!(r#"{{"kind":"set_endpoints","release":"blue","endpoints":{urls}}}"#);
            let change = serde_json::from_str(&change).unwrap();
            let apply = harness
                .controller()
                .apply(change, author(), Expected::Any, false);
            let receipt = apply.await.unwrap();
            assert!(receipt.converged_at.is_some() && receipt.unresolved.is_empty());
            Instant::now()
        };
        let mut spans = Vec::new();
        for _ in 0..rounds {
            for (urls, only) in [
                (&both[..], None),
                (&both[..1], Some("blue")),
                (&named, Some("green")),
                (&both[..1], Some("blue")),
            ] {
                let since = set(urls).await;
                load.until(12).await;
                spans.extend(only.map(|only| (since, Instant::now(), only)));
            }
        }
        let seen = load.stop().await;
        assert_eq!(seen.failed, Vec::<String>::new());
        let mut strays = 0;
        let mut answers = 0;
        for (since, until, only) in spans {
            let seen = seen.between(since, until);
            answers += seen.answers.len();
            let is_stray = |answer: &&load::Answer| answer.release != only;
            strays += seen.answers.iter().filter(is_stray).count();
        }
        assert_eq!(strays, 0, "of {answers} in {rounds} rounds");
        println!("{answers} answers in {rounds} rounds, none from elsewhere");
    });
    harness.running.stop();
}

#[test]
fn streams_stay_on_their_release_and_receipts_count_them_exactly() {
    let runtime = runtime();
    let harness = Harness::new(&runtime, "");
    runtime.block_on(async {
        let proxy = harness.running.listeners()[0];
        let mut held = Vec::new();
        for _ in 0..7 {
            held.push(Held::open(proxy).await);
        }
        assert!(held.iter().all(|stream| stream.release == "blue"));
        let receipt = harness
            .controller()
            .apply(switch("green"), author(), Expected::Any, false)
            .await
            .unwrap();
        assert_eq!(receipt.in_flight_on_previous, 7);
        let late = Held::open(proxy).await;
        assert_eq!(late.release, "green");
        let receipt = harness
            .controller()
            .rollback(RollbackTo::Previous, author(), Expected::Any, false)
            .await
            .unwrap();
        assert_eq!(receipt.in_flight_on_previous, 8);
        for stream in &mut held {
            stream.next_chunk().await;
        }
        drop((held, late));
        harness.blue.wait_idle().await;
        harness.green.wait_idle().await;
        assert!(in_flight_returns_to_zero(&harness).await);
    });
    harness.running.stop();
}

/// The counts fall when the workers notice that the clients have disconnected; bounded by the two seconds that this may
/// take.
async fn in_flight_returns_to_zero(harness: &Harness) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        let status = harness.controller().status();
        let in_flight: u64 = status
            .releases
            .iter()
            .map(|release| release.in_flight)
            .sum();
        if in_flight == 0 && status.in_flight_on_previous.is_empty() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn queued_requests_follow_the_flip() {
    let runtime = runtime();
    let harness = Harness::new(
        &runtime,
        "limits = { concurrency = 1, queue = 100, queue_timeout = \"30s\" }",
    );
    runtime.block_on(async {
        let proxy = harness.running.listeners()[0];
        let held = Held::open(proxy).await;
        let queued: Vec<_> = (0..20).map(|_| tokio::spawn(load::one(proxy))).collect();
        // They are queued once their release counts them: there is no other sign of it.
        let end = Instant::now() + Duration::from_secs(10);
        while harness
            .controller()
            .status()
            .releases
            .iter()
            .map(|release| release.queued)
            .sum::<u64>()
            < 20
        {
            assert!(Instant::now() < end, "the requests queue for blue");
            tokio::task::yield_now().await;
        }
        let receipt = harness
            .controller()
            .apply(switch("green"), author(), Expected::Any, false)
            .await
            .unwrap();
        assert!(
            receipt.converged_at.is_some(),
            "queued requests do not delay it: {receipt:?}"
        );
        for request in queued {
            assert_eq!(
                request.await.unwrap().unwrap(),
                "green",
                "a request that is not committed selects again"
            );
        }
        drop(held);
    });
    harness.running.stop();
}

/// Number of changes; the distinct tables are the weights of a split in thousandths.
const CHANGES: u32 = 10_000;

#[test]
fn ten_thousand_changes_under_load_by_two_writers_fail_no_request() {
    let runtime = runtime();
    let harness = Harness::new(&runtime, "");
    runtime.block_on(async {
        let proxy = harness.running.listeners()[0];
        let timeline = Timeline::new(&harness.controller().live());
        let load = harness.load(8);
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(Held::open(proxy).await);
        }
        let writers = (0..2).map(|writer| {
            tokio::spawn(write(
                Arc::clone(harness.controller()),
                Arc::clone(&timeline),
                writer,
            ))
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let seen = load.stop().await;
        for stream in &mut held {
            stream.next_chunk().await;
        }
        assert_eq!(seen.failed, Vec::<String>::new());
        assert!(
            timeline.distinct_tables() >= 1_000,
            "{} distinct tables",
            timeline.distinct_tables()
        );
        let checked = timeline.validate(&seen);
        assert!(
            checked > 100,
            "some requests met a table that left no choice: {checked} of {}",
            seen.answers.len()
        );
        drop(held);
        assert!(
            in_flight_returns_to_zero(&harness).await,
            "{:?}",
            harness.controller().status().releases
        );
    });
    harness.running.stop();
}

/// Half of the changes: mostly publishes of weights, every tenth one a rollback; every third change leaves no choice.
async fn write(controller: Arc<Controller>, timeline: Arc<Timeline>, writer: u32) {
    for turn in 0..CHANGES / 2 {
        let number = turn * 2 + writer;
        let before = Instant::now();
        let result = if number % 10 == 9 {
            controller
                .rollback(RollbackTo::Previous, author(), Expected::Any, true)
                .await
        } else {
            publish(&controller, &timeline, number).await
        };
        // Two writers compete: a publish that was overtaken by a rollback says so and changes nothing.
        match result {
            Ok(receipt) => timeline.note(before, &receipt),
            Err(error) => assert!(
                matches!(
                    error,
                    ControlError::Stale { .. } | ControlError::NothingToUndo
                ),
                "{error}"
            ),
        }
    }
}

async fn publish(
    controller: &Controller,
    timeline: &Timeline,
    number: u32,
) -> Result<Receipt, ControlError> {
    let blue = match number % 3 {
        0 => 1_000 * (number / 3 % 2),
        _ => number.wrapping_mul(17) % 1_001,
    };
    let change = weights(blue, 1_000 - blue);
    let receipt = controller
        .apply(change, author(), Expected::Any, false)
        .await?;
    let weighed = [("blue", blue), ("green", 1_000 - blue)];
    let releases = weighed.into_iter().filter(|(_, weight)| *weight > 0);
    timeline.learn(receipt.digest, releases.map(|(name, _)| name).collect());
    Ok(receipt)
}
