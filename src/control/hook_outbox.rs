//! Messages of a rollout that hooks are still owed. They are saved with the rollout, so that they survive a restart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    hooks::{HookMessage, NextWeight},
    model::HookName,
    rollout::{Machine, Place, Target},
};

/// Largest number of messages that are owed; of more the earliest are dropped.
const MOST: usize = 32;

/// Messages that are owed. A copy of a record shares them, since they are delivered while the rollout goes on.
#[derive(Debug, Clone)]
pub(super) struct HookOutbox(Arc<Mutex<Contents>>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Contents {
    /// Random part of the ids: those of two switchbacks must not be the same.
    key: u64,
    /// Number of the next message.
    next: u64,
    /// Number of answers that gates have given.
    answers: u64,
    owed: Vec<Owed>,
}

/// A message, and the hooks that have not got it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Owed {
    pub(super) message: Arc<HookMessage>,
    pub(super) to: Vec<HookName>,
}

impl HookOutbox {
    /// An empty one; `key` is random.
    pub(super) fn new(key: u64) -> Self {
        Self(Arc::new(Mutex::new(Contents {
            key,
            next: 0,
            answers: 0,
            owed: Vec::new(),
        })))
    }

    // Safe to ignore poisoning: what panics under this lock leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message that is made with its id. Returns what is dropped for it.
    pub(super) fn add(
        &self,
        to: Vec<HookName>,
        make: impl FnOnce(String) -> HookMessage,
    ) -> Option<Owed> {
        let mut contents = self.lock();
        // The ids are in the order of what happened, as texts too: they are delivered in it.
        let id = format!("msg_{:016x}_{:06}", contents.key, contents.next);
        contents.next += 1;
        let is_full = contents.owed.len() == MOST;
        let dropped = is_full.then(|| contents.owed.remove(0));
        let message = Arc::new(make(id));
        contents.owed.push(Owed { message, to });
        dropped
    }

    /// Everything that is owed.
    pub(super) fn owed(&self) -> Vec<Owed> {
        self.lock().owed.clone()
    }

    /// Ends a delivery. `false` if it was not owed.
    pub(super) fn settle(&self, id: &str, hook: &HookName) -> bool {
        let mut contents = self.lock();
        let mut owed = contents.owed.iter_mut();
        let Some(owed) = owed.find(|owed| owed.message.id == id) else {
            return false;
        };
        let before = owed.to.len();
        owed.to.retain(|name| name != hook);
        let is_settled = owed.to.len() < before;
        contents.owed.retain(|owed| !owed.to.is_empty());
        is_settled
    }

    /// Id of the next question to a gate at a place: the same until an answer has come, over retries and restarts.
    pub(super) fn question(&self, is_ready: bool, place: Option<Place>) -> String {
        let contents = self.lock();
        let place = match place {
            Some(Place::Step(step)) => step.to_string(),
            Some(Place::Bake) => "bake".to_owned(),
            Some(Place::Start) | None => "start".to_owned(),
        };
        let kind = if is_ready { "gate" } else { "watch" };
        format!(
            "msg_{:016x}_{kind}_{place}_{}",
            contents.key, contents.answers
        )
    }

    /// Counts an answer of a gate.
    pub(super) fn answered(&self) {
        self.lock().answers += 1;
    }
}

impl PartialEq for HookOutbox {
    fn eq(&self, other: &Self) -> bool {
        let own = self.lock().clone();
        own == *other.lock()
    }
}

impl Default for HookOutbox {
    fn default() -> Self {
        Self::new(rand::random())
    }
}

impl Serialize for HookOutbox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lock().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HookOutbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let contents = Contents::deserialize(deserializer)?;
        Ok(Self(Arc::new(Mutex::new(contents))))
    }
}

/// A weight in a message.
pub(super) fn next_weight(machine: &Machine, target: Target) -> NextWeight {
    NextWeight {
        step: match target {
            Target::Step(step) => Some(step),
            Target::Whole => None,
        },
        weight: machine.weight(target),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{api::Timestamp, model::HookEvent};

    fn message(id: String) -> HookMessage {
        let rollout = json!({
            "id": "18f", "route": "chat", "from": "blue", "from_version": "1", "to": "green", "to_version": "2",
            "state": "running", "step": 0, "weight": 5, "held": "10m", "plan": { "steps": [{ "weight": 100 }] },
            "group": "rollout-18f", "started_at": "2026-11-20T13:50:00.000000Z", "author": "ci", "log": [],
        });
        HookMessage {
            id,
            event: HookEvent::Finished,
            at: Timestamp(1),
            next: None,
            gate: None,
            rollout: serde_json::from_value(rollout).unwrap(),
        }
    }

    fn names(names: &[&str]) -> Vec<HookName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_owed_survives_a_restart_under_its_id_and_is_settled_hook_by_hook() {
        let outbox = HookOutbox::new(7);
        outbox.add(names(&["a", "b"]), message);
        outbox.add(names(&["a"]), message);
        outbox.answered();
        let id = outbox.owed()[0].message.id.clone();
        assert_eq!(id, "msg_0000000000000007_000000");
        assert!(outbox.settle(&id, &"a".parse().unwrap()));
        assert!(!outbox.settle(&id, &"a".parse().unwrap()));
        let saved = serde_json::to_string(&outbox).unwrap();
        let again: HookOutbox = serde_json::from_str(&saved).unwrap();
        assert_eq!(again, outbox);
        assert_eq!(again.question(true, None), outbox.question(true, None));
        let left: Vec<_> = again.owed().into_iter().map(|owed| owed.to).collect();
        assert_eq!(left, [names(&["b"]), names(&["a"])]);
        assert!(again.settle(&id, &"b".parse().unwrap()));
        assert_eq!(again.owed().len(), 1);
        again.add(names(&["c"]), message);
        assert_eq!(again.owed()[1].message.id, "msg_0000000000000007_000002");
    }

    #[test]
    fn a_question_keeps_its_id_until_it_is_answered() {
        let outbox = HookOutbox::new(7);
        let first = outbox.question(true, None);
        assert_eq!(outbox.question(true, None), first);
        assert_ne!(outbox.question(false, None), first);
        outbox.answered();
        assert_ne!(outbox.question(true, None), first);
    }

    #[test]
    fn no_more_is_owed_than_the_limit_and_the_earliest_is_dropped() {
        let outbox = HookOutbox::new(7);
        for _ in 0..MOST {
            assert_eq!(outbox.add(names(&["a"]), message), None);
        }
        let dropped = outbox.add(names(&["a"]), message).unwrap();
        assert_eq!(dropped.message.id, "msg_0000000000000007_000000");
        assert_eq!(outbox.owed().len(), MOST);
    }
}
