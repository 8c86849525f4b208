//! Schedule of deliveries: what is due, and how many of one hook run at the same time. Pure: the time is a parameter.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::backoff;
use crate::model::HookName;

/// Largest number of deliveries to one hook at the same time.
const MOST_AT_ONCE: usize = 4;

/// Delivery: a message, by its id, to a hook.
pub type DeliveryKey = (String, HookName);

/// Deliveries that are owed.
#[derive(Debug, Default)]
pub struct Schedule(BTreeMap<DeliveryKey, Entry>);

#[derive(Debug)]
struct Entry {
    since: Instant,
    due: Instant,
    failed: u32,
    is_running: bool,
}

/// Failure of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Time of the failure.
    pub now: Instant,
    /// `Retry-After` of the server.
    pub asked: Option<Duration>,
    /// Random number from 0 to 1.
    pub random: f64,
    /// Time for which the delivery is tried.
    pub give_up_after: Duration,
}

impl Schedule {
    /// Takes up what is owed and not known, and forgets what is not owed any more.
    pub fn update(&mut self, owed: impl IntoIterator<Item = DeliveryKey>, now: Instant) {
        let owed: BTreeSet<_> = owed.into_iter().collect();
        self.0
            .retain(|key, entry| entry.is_running || owed.contains(key));
        for key in owed {
            self.0.entry(key).or_insert(Entry {
                since: now,
                due: now,
                failed: 0,
                is_running: false,
            });
        }
    }

    /// The deliveries that begin now: of one sender to a hook one after the other, in the order of their ids. One that
    /// has failed lets later ones pass until it is due again.
    pub fn take_due(&mut self, now: Instant) -> Vec<DeliveryKey> {
        let mut room = self.room();
        let mut busy = self.busy();
        let mut due = Vec::new();
        for (key, entry) in &mut self.0 {
            let room = room.entry(key.1.clone()).or_insert(MOST_AT_ONCE);
            if !entry.is_running && entry.due <= now && *room > 0 && busy.insert(line(key)) {
                *room -= 1;
                entry.is_running = true;
                due.push(key.clone());
            }
        }
        due
    }

    /// Time at which the next delivery is due; what waits for the end of another one has none.
    pub fn next_due(&self) -> Option<Instant> {
        let (room, busy) = (self.room(), self.busy());
        let waiting = self.0.iter().filter(|(key, entry)| {
            let has_room = room.get(&key.1).is_none_or(|room| *room > 0);
            !entry.is_running && has_room && !busy.contains(&line(key))
        });
        waiting.map(|(_, entry)| entry.due).min()
    }

    /// Ends a delivery for good.
    pub fn ended(&mut self, key: &DeliveryKey) {
        self.0.remove(key);
    }

    /// Takes a failure; true if the delivery is given up.
    pub fn failed(&mut self, key: &DeliveryKey, failure: Failure) -> bool {
        let Some(entry) = self.0.get_mut(key) else {
            return true;
        };
        entry.is_running = false;
        entry.failed = entry.failed.saturating_add(1);
        let delay = backoff::delay(entry.failed, failure.asked, failure.random);
        entry.due = failure.now + delay;
        if entry.due.duration_since(entry.since) > failure.give_up_after {
            self.0.remove(key);
            return true;
        }
        false
    }

    /// Lines in which a delivery runs.
    fn busy(&self) -> BTreeSet<DeliveryKey> {
        let running = self.0.iter().filter(|(_, entry)| entry.is_running);
        running.map(|(key, _)| line(key)).collect()
    }

    /// Number of deliveries that may begin, by hook; of a hook that is not named, all.
    fn room(&self) -> BTreeMap<HookName, usize> {
        let mut room = BTreeMap::new();
        for ((_, hook), _) in self.0.iter().filter(|(_, entry)| entry.is_running) {
            let room = room.entry(hook.clone()).or_insert(MOST_AT_ONCE);
            *room = room.saturating_sub(1);
        }
        room
    }
}

/// The line in which a delivery stands: its sender, by the part of the id before the number, and its hook.
fn line((id, hook): &DeliveryKey) -> DeliveryKey {
    let sender = id
        .rsplit_once('_')
        .map_or(id.as_str(), |(sender, _)| sender);
    (sender.to_owned(), hook.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32, hook: &str) -> DeliveryKey {
        (format!("msg_{id}_0"), hook.parse().unwrap())
    }

    fn failure(now: Instant, give_up_after: u64) -> Failure {
        Failure {
            now,
            asked: None,
            random: 1.0,
            give_up_after: Duration::from_secs(give_up_after),
        }
    }

    #[test]
    fn a_hook_that_hangs_holds_four_deliveries_and_none_of_another_hook() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        let owed = (0..9).map(|id| key(id, "slow")).chain([key(9, "other")]);
        schedule.update(owed.collect::<Vec<_>>(), now);
        let due = schedule.take_due(now);
        let of = |hook: &str| due.iter().filter(|key| key.1.as_str() == hook).count();
        assert_eq!((of("slow"), of("other")), (4, 1));
        assert!(schedule.take_due(now).is_empty());
        assert_eq!(schedule.next_due(), None, "nothing turns in circles");
        schedule.ended(&due[0]);
        assert_eq!(schedule.next_due(), Some(now));
    }

    #[test]
    fn messages_of_one_sender_come_one_after_the_other_in_their_order() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        let of = |number: u32| (format!("msg_7_{number:06}"), "a".parse().unwrap());
        schedule.update([of(10), of(9), of(11), key(1, "a")], now);
        assert_eq!(schedule.take_due(now), [key(1, "a"), of(9)]);
        assert_eq!(schedule.next_due(), None);
        schedule.failed(&of(9), failure(now, 60));
        assert_eq!(schedule.take_due(now), [of(10)], "a failure holds nothing");
        schedule.ended(&of(10));
        let later = schedule.next_due().unwrap();
        assert_eq!(later, now);
        assert_eq!(schedule.take_due(now), [of(11)]);
    }

    #[test]
    fn a_failure_is_retried_later_and_later_until_it_is_given_up() {
        let mut now = Instant::now();
        let mut schedule = Schedule::default();
        let one = key(1, "a");
        schedule.update([one.clone()], now);
        let mut attempts = 0;
        loop {
            assert_eq!(schedule.take_due(now), std::slice::from_ref(&one));
            attempts += 1;
            if schedule.failed(&one, failure(now, 60)) {
                break;
            }
            assert!(schedule.take_due(now).is_empty());
            now = schedule.next_due().unwrap();
        }
        // After 1, 3, 7, 15 and 31 seconds; the next one would be after 63.
        assert_eq!(attempts, 6);
        schedule.update([], now);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn what_is_not_owed_any_more_is_forgotten_and_what_is_known_keeps_its_time() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.update([key(1, "a"), key(2, "a")], now);
        schedule.take_due(now);
        schedule.failed(&key(1, "a"), failure(now, 1_000));
        schedule.failed(&key(2, "a"), failure(now, 1_000));
        schedule.update([key(1, "a")], now);
        assert!(schedule.take_due(now).is_empty());
        let later = now + Duration::from_secs(1);
        assert_eq!(schedule.take_due(later), [key(1, "a")]);
    }
}
