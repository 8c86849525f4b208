//! The two processes after a takeover, while the old one finishes: the new one tells what becomes live, the old one what is
//! still in flight.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    channel::Channel,
    message::{FromNew, FromOld},
};
use crate::{
    control::{Controller, FollowedTable},
    fleet::{Fleet, Roster},
    model::{ReleaseName, Version},
    table::LiveTable,
};

/// The end of an old process: its channel is closed then.
pub(in crate::server) type PredecessorEnd = watch::Receiver<()>;

/// Interval in which the old process tells what is in flight.
const REPORT: Duration = Duration::from_millis(100);
/// Interval in which the new process tells that it still prepares.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// Time that the new process waits for the first report.
const FIRST_REPORT: Duration = Duration::from_secs(2);

/// The new process, as the old one sees it.
pub(in crate::server) struct Successor {
    channel: Arc<Channel>,
}

/// The old process, as the new one sees it.
pub(in crate::server) struct Predecessor {
    channel: Arc<Channel>,
}

/// Signs of life of a process that prepares; they end when this is dropped.
pub(in crate::server) struct Preparing {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Successor ===

impl Successor {
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        Self { channel }
    }

    /// Its process id.
    pub(in crate::server) fn process(&self) -> i32 {
        self.channel.process()
    }

    /// Makes live here what becomes live there, and reports what is in flight, until one of the two ends.
    pub(in crate::server) fn follow(self, controller: &Arc<Controller>, fleet: &Arc<Fleet>) {
        let (reporting, fleet) = (Arc::clone(&self.channel), Arc::clone(fleet));
        spawn("takeover-report", move || {
            while reporting
                .send(&FromOld::InFlight(in_flight(&fleet)))
                .is_ok()
            {
                thread::sleep(REPORT);
            }
        });
        let controller = Arc::clone(controller);
        spawn("takeover-follow", move || {
            while let Ok((FromNew::Live(table), _)) = self.channel.receive(None) {
                if let Err(error) = controller.follow(*table) {
                    tracing::warn!(%error, "a change of the new process cannot be followed here; what is in flight ends by \
                         the earlier table");
                }
            }
        });
    }
}

fn in_flight(fleet: &Fleet) -> Vec<(ReleaseName, Version, u64)> {
    let watched = fleet.watched();
    let counts = watched.iter().map(|watched| {
        let roster = &watched.roster;
        (
            roster.release().clone(),
            roster.version().clone(),
            roster.in_flight(),
        )
    });
    counts.filter(|(_, _, count)| *count > 0).collect()
}

// === impl Predecessor ===

impl Predecessor {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel: Arc::new(channel),
        }
    }

    /// Its process id.
    pub(in crate::server) fn process(&self) -> i32 {
        self.channel.process()
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Tells it that this process still prepares, until what is returned is dropped.
    pub(in crate::server) fn preparing(&self) -> Preparing {
        let (stop, stopped) = mpsc::channel::<()>();
        let channel = Arc::clone(&self.channel);
        let told = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SIGN_OF_LIFE) {
                if channel.send(&FromNew::Preparing).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("takeover-prepare".to_owned());
        let thread = thread.spawn(told).inspect_err(|error| {
            tracing::warn!(%error, "a thread of the takeover cannot be started");
        });
        Preparing {
            stop: Some(stop),
            thread: thread.ok(),
        }
    }

    /// Tells it what becomes live, and counts what is in flight there as in flight on its release, until it ends. Returns
    /// once it has reported. Called within a runtime.
    pub(in crate::server) fn watch(
        self,
        table: &Arc<LiveTable>,
        fleet: &Arc<Fleet>,
    ) -> PredecessorEnd {
        let (reported, first) = sync_channel(1);
        let (lives, ended) = watch::channel(());
        let (channel, fleet) = (Arc::clone(&self.channel), Arc::clone(fleet));
        spawn("takeover-report", move || {
            count_elsewhere(&channel, &fleet, &reported);
            drop(lives);
        });
        if first.recv_timeout(FIRST_REPORT).is_err() {
            tracing::warn!("the old process does not tell what is in flight there");
        }
        let table = Arc::clone(table);
        tokio::spawn(async move {
            let mut swaps = table.follow();
            swaps.mark_changed();
            while swaps.changed().await.is_ok() {
                let (channel, live) = (Arc::clone(&self.channel), table.load());
                let sent = tokio::task::spawn_blocking(move || {
                    let live = Box::new(FollowedTable::of(&live));
                    channel.send(&FromNew::Live(live))
                });
                if !matches!(sent.await, Ok(Ok(()))) {
                    return;
                }
            }
        });
        ended
    }
}

// === impl Preparing ===

impl Drop for Preparing {
    fn drop(&mut self) {
        drop(self.stop.take());
        // What is sent next must not come amid a sign of life.
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread.
            drop(thread.join());
        }
    }
}

/// Keeps the counts of the old process until it ends; then they are 0.
fn count_elsewhere(channel: &Channel, fleet: &Fleet, reported: &SyncSender<()>) {
    let mut counted: HashMap<(ReleaseName, Version), Arc<Roster>> = HashMap::new();
    while let Ok((FromOld::InFlight(counts), _)) = channel.receive(None) {
        let mut now = HashMap::new();
        for (release, version, count) in counts {
            let roster = fleet.roster(&release, &version);
            roster.set_elsewhere(count);
            now.insert((release, version), roster);
        }
        for (key, roster) in &counted {
            if !now.contains_key(key) {
                roster.set_elsewhere(0);
            }
        }
        counted = now;
        // Only the first one is waited for.
        let _first = reported.try_send(());
    }
    for roster in counted.values() {
        roster.set_elsewhere(0);
    }
    tracing::info!("the process that was taken over from has ended");
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    if let Err(error) = spawned {
        tracing::warn!(%error, name, "a thread of the takeover cannot be started");
    }
}
