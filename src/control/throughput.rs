//! Throughput that releases have shown: the most requests a second on a healthy endpoint, of the last day.
//!
//! It is no limit: a release may well do more than it was ever asked for. In memory only, and read once a minute; after a
//! restart nothing is known.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::watch_set::ReleaseKey;

/// Hours that are remembered.
const HOURS: usize = 24;
/// Most releases that are remembered.
const MOST: usize = 1_000;
/// Shortest time between two readings that a rate is taken from.
const SHORTEST: Duration = Duration::from_secs(5);
const HOUR: u64 = 3600;

/// Largest rates of releases.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    releases: HashMap<ReleaseKey, Peaks>,
    begun: Option<Instant>,
}

/// The largest rates of a release, by hour.
#[derive(Debug)]
struct Peaks {
    hours: [(u64, f64); HOURS],
    read_at: Instant,
    requests: u64,
    /// Requests a second between the last two readings, on all endpoints.
    now: f64,
}

/// A reading of a release.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Requests since its counters began.
    pub(super) requests: u64,
    /// Its healthy endpoints.
    pub(super) healthy: usize,
}

impl Throughput {
    /// Adds a reading.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate, of counts far below 2^53"
    )]
    pub(super) fn add(&mut self, release: &ReleaseKey, reading: Reading, now: Instant) {
        self.begun.get_or_insert(now);
        let hour = self.hour(now);
        let Some(peaks) = self.releases.get_mut(release) else {
            self.begin(release, reading.requests, now);
            return;
        };
        let span = now.saturating_duration_since(peaks.read_at);
        if span < SHORTEST {
            return;
        }
        // Counters that began anew have shown nothing in between.
        let requests = reading.requests.saturating_sub(peaks.requests);
        (peaks.read_at, peaks.requests) = (now, reading.requests);
        peaks.now = requests as f64 / span.as_secs_f64();
        if reading.healthy == 0 || requests == 0 {
            return;
        }
        let rate = peaks.now / reading.healthy as f64;
        let place = usize::try_from(hour).unwrap_or(0) % HOURS;
        let (of, most) = peaks.hours[place];
        peaks.hours[place] = (hour, if of == hour { most.max(rate) } else { rate });
    }

    fn begin(&mut self, release: &ReleaseKey, requests: u64, now: Instant) {
        if self.releases.len() >= MOST {
            let oldest = self.releases.iter().min_by_key(|(_, peaks)| peaks.read_at);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| self.releases.remove(&key));
        }
        let peaks = Peaks {
            hours: [(0, 0.0); HOURS],
            read_at: now,
            requests,
            now: 0.0,
        };
        self.releases.insert(release.clone(), peaks);
    }

    /// The most requests a second that an endpoint of a release has had in the last day; `None` if it has had none.
    pub(super) fn most(&self, release: &ReleaseKey, now: Instant) -> Option<f64> {
        let hour = self.hour(now);
        let is_late = |(of, _): &&(u64, f64)| hour.saturating_sub(*of) < HOURS as u64;
        let late = self.releases.get(release)?.hours.iter().filter(is_late);
        let most = late.map(|(_, most)| *most).fold(0.0, f64::max);
        (most > 0.0).then_some(most)
    }

    /// Requests a second of a release between the last two readings.
    pub(super) fn now(&self, release: &ReleaseKey) -> f64 {
        self.releases.get(release).map_or(0.0, |peaks| peaks.now)
    }

    fn hour(&self, now: Instant) -> u64 {
        let begun = self.begun.unwrap_or(now);
        now.saturating_duration_since(begun).as_secs() / HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;

    fn key(name: &str) -> ReleaseKey {
        (name.parse().unwrap(), Version::default())
    }

    /// The throughput of a release that gets so many requests a minute, one number for each.
    fn shown(minutes: &[u64], healthy: usize) -> (Throughput, Instant) {
        let begun = Instant::now();
        let mut throughput = Throughput::default();
        let (mut requests, mut now) = (0, begun);
        throughput.add(&key("blue"), Reading { requests, healthy }, now);
        for more in minutes {
            requests += more;
            now += Duration::from_secs(60);
            throughput.add(&key("blue"), Reading { requests, healthy }, now);
        }
        (throughput, now)
    }

    #[test]
    fn the_largest_rate_of_an_endpoint_is_kept_for_a_day() {
        let (throughput, now) = shown(&[600, 2_400, 60, 0], 2);
        let after =
            |hours: u64| throughput.most(&key("blue"), now + Duration::from_secs(hours * HOUR));
        assert_eq!(after(0), Some(20.0));
        assert_eq!(after(23), Some(20.0));
        assert_eq!(after(24), None);
        assert_eq!(throughput.most(&key("green"), now), None);
    }

    #[test]
    fn what_had_no_requests_or_no_healthy_endpoint_has_shown_nothing() {
        for (minutes, healthy) in [(&[0, 0][..], 2), (&[600][..], 0), (&[][..], 2)] {
            let (throughput, now) = shown(minutes, healthy);
            assert_eq!(throughput.most(&key("blue"), now), None);
        }
    }

    #[test]
    fn readings_in_quick_succession_and_counters_that_begin_anew_make_no_peak() {
        let (mut throughput, now) = shown(&[60], 1);
        let reading = |requests| Reading {
            requests,
            healthy: 1,
        };
        throughput.add(&key("blue"), reading(1_060), now + Duration::from_secs(1));
        assert_eq!(throughput.most(&key("blue"), now), Some(1.0));
        throughput.add(&key("blue"), reading(5), now + Duration::from_secs(60));
        assert_eq!(throughput.most(&key("blue"), now), Some(1.0));
    }

    #[test]
    fn only_so_many_releases_are_remembered() {
        let begun = Instant::now();
        let mut throughput = Throughput::default();
        for number in 0..=MOST as u64 {
            let at = begun + Duration::from_secs(number);
            let reading = Reading {
                requests: 0,
                healthy: 1,
            };
            throughput.add(&key(&format!("r{number}")), reading, at);
        }
        assert_eq!(throughput.releases.len(), MOST);
        assert!(!throughput.releases.contains_key(&key("r0")));
    }
}
