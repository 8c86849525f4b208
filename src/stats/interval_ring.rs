//! A ring of intervals of equal length. An interval without a request takes no room.

use std::{collections::VecDeque, ops::Range};

use super::{
    histogram::{BUCKETS, HistogramSnapshot},
    outcome_totals::OutcomeTotals,
};
use crate::model::OpinionSign;

const SIGNS: usize = OpinionSign::ALL.len();

/// The latest intervals of one length.
#[derive(Debug)]
pub(super) struct IntervalRing {
    /// Length of an interval in seconds.
    step: u64,
    /// Number of intervals after which one is forgotten.
    most: u64,
    slots: VecDeque<Slot>,
}

/// Counts of one interval: 172 bytes. Counts above `u32::MAX` stay there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    index: u32,
    requests: u32,
    failures: u32,
    broken: u32,
    client_errors: u32,
    opinions: [u32; SIGNS],
    in_flight: u32,
    duration: [u32; BUCKETS],
    first_byte: [u32; BUCKETS],
}

impl IntervalRing {
    pub(super) const fn new(step: u64, most: u64) -> Self {
        Self {
            step,
            most,
            slots: VecDeque::new(),
        }
    }

    /// Adds counts to the interval of a second. Seconds never go back.
    pub(super) fn add(&mut self, second: u64, totals: &OutcomeTotals, in_flight: u64) {
        self.expire(second);
        let index = u32::try_from(second / self.step).unwrap_or(u32::MAX);
        if self.slots.back().is_none_or(|last| last.index != index) {
            self.make_room();
            self.slots.push_back(Slot::new(index));
        }
        if let Some(last) = self.slots.back_mut() {
            last.add(totals, in_flight);
        }
    }

    /// Grows by doubling up to the limit, and no further: a deque left alone would take the next power of two.
    fn make_room(&mut self) {
        let (length, most) = (
            self.slots.len(),
            usize::try_from(self.most).unwrap_or(usize::MAX),
        );
        if length == self.slots.capacity() {
            let wanted = (length * 2).max(4).min(most.max(length + 1));
            self.slots.reserve_exact(wanted - length);
        }
    }

    /// Forgets the intervals that are too old at a second.
    pub(super) fn expire(&mut self, second: u64) {
        let now = second / self.step;
        while let Some(first) = self.slots.front() {
            if now - u64::from(first.index).min(now) < self.most {
                break;
            }
            self.slots.pop_front();
        }
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The intervals that begin within these seconds, each with its first second.
    pub(super) fn between(&self, seconds: Range<u64>) -> impl Iterator<Item = (u64, &Slot)> {
        let begin = |slot: &Slot| u64::from(slot.index) * self.step;
        let from = self
            .slots
            .partition_point(move |slot| begin(slot) < seconds.start);
        let slots = self.slots.range(from..);
        let slots = slots.map(move |slot| (begin(slot), slot));
        slots.take_while(move |(second, _)| *second < seconds.end)
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

impl Slot {
    const fn new(index: u32) -> Self {
        Self {
            index,
            requests: 0,
            failures: 0,
            broken: 0,
            client_errors: 0,
            opinions: [0; SIGNS],
            in_flight: 0,
            duration: [0; BUCKETS],
            first_byte: [0; BUCKETS],
        }
    }

    fn add(&mut self, totals: &OutcomeTotals, in_flight: u64) {
        add(&mut self.requests, totals.requests);
        add(&mut self.failures, totals.failures);
        add(&mut self.broken, totals.broken);
        add(&mut self.client_errors, totals.client_errors);
        add_all(&mut self.opinions, &totals.opinions);
        self.in_flight = self.in_flight.max(short(in_flight));
        add_all(&mut self.duration, totals.duration.buckets());
        add_all(&mut self.first_byte, totals.first_byte.buckets());
    }

    /// Its counts; the sums of the durations are not kept.
    pub(super) fn totals(&self) -> OutcomeTotals {
        OutcomeTotals {
            requests: self.requests.into(),
            failures: self.failures.into(),
            broken: self.broken.into(),
            client_errors: self.client_errors.into(),
            opinions: self.opinions.map(u64::from),
            duration: HistogramSnapshot::of_buckets(self.duration.map(u64::from)),
            first_byte: HistogramSnapshot::of_buckets(self.first_byte.map(u64::from)),
        }
    }

    /// Largest number of requests in flight that was seen in it.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.into()
    }
}

fn short(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn add(sum: &mut u32, more: u64) {
    *sum = sum.saturating_add(short(more));
}

fn add_all<const N: usize>(sums: &mut [u32; N], more: &[u64; N]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        add(sum, *more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(count: u64) -> OutcomeTotals {
        OutcomeTotals {
            requests: count,
            ..OutcomeTotals::default()
        }
    }

    #[test]
    fn an_interval_has_172_bytes_and_a_full_ring_has_no_more_than_its_intervals() {
        assert_eq!(size_of::<Slot>(), 172);
        let mut ring = IntervalRing::new(10, 720);
        for second in 0..20_000 {
            ring.add(second, &requests(1), 0);
        }
        assert_eq!(ring.slots.len(), 720);
        assert!(ring.bytes() <= 721 * 172, "{}", ring.bytes());
    }

    #[test]
    fn idle_seconds_take_no_room_and_old_ones_are_forgotten() {
        let mut ring = IntervalRing::new(1, 300);
        ring.add(5, &requests(3), 2);
        ring.add(5, &requests(4), 1);
        ring.add(200, &requests(1), 0);
        let seen = |ring: &IntervalRing, seconds| -> Vec<(u64, u64, u64)> {
            let slots = ring.between(seconds);
            let shown = |(at, slot): (u64, &Slot)| (at, slot.totals().requests, slot.in_flight());
            slots.map(shown).collect()
        };
        assert_eq!(seen(&ring, 0..1_000), [(5, 7, 2), (200, 1, 0)]);
        assert_eq!(seen(&ring, 5..200), [(5, 7, 2)]);
        assert_eq!(seen(&ring, 6..200), []);
        ring.expire(304);
        assert_eq!(ring.slots.len(), 2);
        ring.expire(305);
        assert_eq!(seen(&ring, 0..1_000), [(200, 1, 0)]);
        ring.expire(500);
        assert!(ring.is_empty() && ring.bytes() == 0);
    }

    #[test]
    fn counts_beyond_the_largest_stay_there() {
        let mut ring = IntervalRing::new(1, 1);
        ring.add(0, &requests(u64::MAX), u64::MAX);
        ring.add(0, &requests(1), 0);
        let (_, slot) = ring.between(0..1).next().unwrap();
        assert_eq!(slot.totals().requests, u64::from(u32::MAX));
    }
}
