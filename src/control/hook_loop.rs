//! Hooks of rollouts: what they are owed, and the loop that delivers it.
//!
//! A rollout never waits for a delivery: what has happened is put into its outbox, which is saved with it, and the loop
//! here delivers it until it is taken or given up. A hook that hangs holds a few deliveries of its own.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tokio::{task::JoinSet, time::sleep_until};

use super::{
    Controller,
    clock::{now, now_ms},
    hook_outbox::{Owed, next_weight},
    metrics,
    rollout_record::RolloutRecord,
    rollout_registry::{RolloutEntry, RunningRollout},
};
use crate::{
    hooks::{
        CallError, DeliveryKey, Failure, Hook, HookMessage, HookSet, Prometheus, Schedule, deliver,
    },
    rollout::Happened,
};

/// A delivery that is owed.
struct Delivery {
    entry: Arc<RolloutEntry>,
    message: Arc<HookMessage>,
}

/// Result of a delivery.
struct Delivered {
    key: DeliveryKey,
    entry: Arc<RolloutEntry>,
    message: Arc<HookMessage>,
    result: Result<(), CallError>,
}

impl Controller {
    /// Replaces the hooks. A delivery that runs ends with the hook that it began with.
    pub fn set_hooks(&self, hooks: HookSet) {
        self.hooks.replace(hooks);
    }

    /// Sets the Prometheus that plans query; the first one stays.
    pub fn set_prometheus(&self, prometheus: Prometheus) {
        let _first = self.prometheus.set(Arc::new(prometheus));
    }

    /// Owes the hooks of a rollout what has happened since the last time.
    pub(super) fn owe(&self, run: &mut RunningRollout) {
        let happened = run.record.machine.take_happened();
        let (hooks, routes) = (self.hooks.set(), run.record.tracks.routes());
        for Happened { event, target } in happened {
            self.events
                .publish(super::event_bodies::rollout(&run.record, event));
            let listening = hooks.listening(event, &routes);
            let to: Vec<_> = listening.map(|hook| hook.name().clone()).collect();
            if to.is_empty() {
                continue;
            }
            let record = &run.record;
            let dropped = record.outbox.add(to, |id| {
                let message = HookMessage {
                    id,
                    event,
                    at: now(),
                    next: target.map(|target| next_weight(&record.machine, target)),
                    gate: None,
                    rollout: record.show(&self.weights_of(record)),
                };
                message.bounded()
            });
            if let Some(Owed { message, to }) = dropped {
                tracing::warn!(
                    rollout = record.id,
                    id = message.id,
                    "too many messages to hooks: the oldest is dropped"
                );
                for hook in &to {
                    metrics::count_hook(hook, "dropped");
                }
            }
            self.hooks.owed.notify_one();
        }
    }

    /// Delivers what hooks are owed, for as long as it is polled. With nothing owed it waits without a timer.
    pub(super) async fn run_hooks(&self) {
        self.owe_what_was_saved().await;
        let mut schedule = Schedule::default();
        let mut running = JoinSet::new();
        let mut notes = JoinSet::new();
        loop {
            let deliveries = self.deliveries();
            metrics::set_hooks_owed(deliveries.len());
            schedule.update(deliveries.keys().cloned(), Instant::now());
            self.begin_due(&mut schedule, &deliveries, (&mut running, &mut notes));
            while notes.try_join_next().is_some() {}
            let next = schedule.next_due();
            tokio::select! {
                () = self.hooks.owed.notified() => {}
                Some(done) = running.join_next() => {
                    if let Ok(done) = done {
                        self.take_result(&mut schedule, done, &mut notes);
                        self.save_settled().await;
                    }
                }
                () = until(next), if next.is_some() => {}
            }
        }
    }

    /// Owes what had happened before a restart and was not owed yet.
    async fn owe_what_was_saved(&self) {
        for entry in self.rollouts.all() {
            let mut run = entry.running.lock().await;
            self.owe(&mut run);
            entry.show(&run.record);
        }
    }

    fn deliveries(&self) -> BTreeMap<DeliveryKey, Delivery> {
        let mut found = BTreeMap::new();
        for entry in self.rollouts.all() {
            for Owed { message, to } in entry.record().outbox.owed() {
                for hook in to {
                    let delivery = Delivery {
                        entry: Arc::clone(&entry),
                        message: Arc::clone(&message),
                    };
                    found.insert((message.id.clone(), hook), delivery);
                }
            }
        }
        found
    }

    fn begin_due(
        &self,
        schedule: &mut Schedule,
        deliveries: &BTreeMap<DeliveryKey, Delivery>,
        (running, notes): (&mut JoinSet<Delivered>, &mut JoinSet<()>),
    ) {
        let hooks = self.hooks.set();
        for key in schedule.take_due(Instant::now()) {
            let Some(Delivery { entry, message }) = deliveries.get(&key) else {
                schedule.ended(&key);
                continue;
            };
            if let Some(hook) = hooks.get(&key.1) {
                let (entry, message) = (Arc::clone(entry), Arc::clone(message));
                running.spawn(attempt(Arc::clone(hook), key, entry, message));
            } else {
                schedule.ended(&key);
                let why = "it is not configured any more";
                give_up(&key, entry, message, why, notes);
            }
        }
    }

    fn take_result(&self, schedule: &mut Schedule, done: Delivered, notes: &mut JoinSet<()>) {
        let Delivered {
            key,
            entry,
            message,
            result,
        } = done;
        let Err(error) = result else {
            metrics::count_hook(&key.1, "delivered");
            schedule.ended(&key);
            entry.record().outbox.settle(&key.0, &key.1);
            return;
        };
        metrics::count_hook(&key.1, "failed");
        tracing::warn!(hook = %key.1, id = key.0, event = message.event.as_str(), %error, "a hook has not taken a message");
        let hooks = self.hooks.set();
        let give_up_after = hooks.get(&key.1).map(|hook| hook.spec().give_up_after.0);
        let failure = Failure {
            now: Instant::now(),
            asked: error.retry_after(),
            random: rand::random(),
            give_up_after: give_up_after.unwrap_or_default(),
        };
        if schedule.failed(&key, failure) {
            give_up(&key, &entry, &message, &error.to_string(), notes);
        }
    }

    /// Saves what was settled, where the loop of the rollouts does not do so every second.
    async fn save_settled(&self) {
        if self.rollouts.running().is_empty() {
            // A message that is delivered and not saved as such is delivered again: at least once.
            self.rollouts.save(self.settings.durable_within).await;
        }
    }
}

/// Drops what the hooks of a rollout are owed that is forgotten: later ones have ended since.
pub(super) fn drop_owed(record: &RolloutRecord) {
    let owed = record.outbox.owed();
    if owed.is_empty() {
        return;
    }
    tracing::warn!(
        rollout = record.id,
        messages = owed.len(),
        "a rollout that ended long ago is forgotten, with the messages that its hooks have not taken"
    );
    for hook in owed.iter().flat_map(|owed| &owed.to) {
        metrics::count_hook(hook, "dropped");
    }
}

async fn until(next: Option<Instant>) {
    if let Some(next) = next {
        sleep_until(next.into()).await;
    }
}

async fn attempt(
    hook: Arc<Hook>,
    key: DeliveryKey,
    entry: Arc<RolloutEntry>,
    message: Arc<HookMessage>,
) -> Delivered {
    let result = deliver(&hook, &message, now_ms() / 1000).await;
    if let Ok(Some(output)) = &result {
        let event = message.event.as_str();
        note(
            Arc::clone(&entry),
            format!("hook {}", key.1),
            format!("{event}: {output}"),
        )
        .await;
    }
    Delivered {
        key,
        entry,
        message,
        result: result.map(drop),
    }
}

fn give_up(
    key: &DeliveryKey,
    entry: &Arc<RolloutEntry>,
    message: &HookMessage,
    why: &str,
    notes: &mut JoinSet<()>,
) {
    if !entry.record().outbox.settle(&key.0, &key.1) {
        return;
    }
    metrics::count_hook(&key.1, "given_up");
    let event = message.event.as_str();
    tracing::error!(hook = %key.1, id = key.0, event, why, "a message to a hook is given up");
    let what = format!("the message of {event} is given up: {why}");
    notes.spawn(note(Arc::clone(entry), format!("hook {}", key.1), what));
}

/// Adds an entry to the log of a rollout. It waits while an order of it is carried out.
async fn note(entry: Arc<RolloutEntry>, by: String, what: String) {
    let mut run = entry.running.lock().await;
    run.record.note(&by, what);
    entry.show(&run.record);
}
