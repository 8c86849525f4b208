//! A compiled mirror of a route: which requests are copied, and where to.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Release, hash};
use crate::{
    model::{JsonPath, MirrorSpec, Percent, RouteName, rendezvous},
    stats::MirrorCounters,
};

/// A mirror of a route.
///
/// Its share is drawn like a split, with seeds of its own: who is mirrored stays so while the share grows, and does not
/// depend on the release that serves.
#[derive(Debug)]
pub struct Mirror {
    route: RouteName,
    spec: MirrorSpec,
    release: Arc<Release>,
    counters: Arc<MirrorCounters>,
    turns: Semaphore,
    inside: u64,
    outside: u64,
}

impl Mirror {
    pub(super) fn new(
        route: &RouteName,
        spec: &MirrorSpec,
        release: Arc<Release>,
        counters: Arc<MirrorCounters>,
    ) -> Self {
        let of_route = format!("mirror of {route}");
        Self {
            inside: hash::seed_of(&of_route, release.name().as_str()),
            outside: hash::seed_of(&of_route, ""),
            turns: Semaphore::new(spec.concurrency as usize),
            route: route.clone(),
            spec: spec.clone(),
            release,
            counters,
        }
    }

    /// The mirror as it was written.
    pub fn spec(&self) -> &MirrorSpec {
        &self.spec
    }

    /// Paths at which answers in JSON may differ.
    pub fn ignored_json(&self) -> &[JsonPath] {
        let spec = self.spec.compare_json.as_ref();
        spec.map_or(&[], |spec| &spec.ignore)
    }

    /// The route whose requests are copied.
    pub fn route(&self) -> &RouteName {
        &self.route
    }

    /// True if copies that were made for `other` are to be sent by this one as well.
    pub fn stands_for(&self, other: &Self) -> bool {
        let version = |mirror: &Self| mirror.release.version().clone();
        self.spec == other.spec && version(self) == version(other)
    }

    /// The release that gets the copies.
    pub fn release(&self) -> &Arc<Release> {
        &self.release
    }

    /// Counters of its copies.
    pub fn counters(&self) -> &Arc<MirrorCounters> {
        &self.counters
    }

    /// A permit for each copy that may be under way.
    pub fn turns(&self) -> &Semaphore {
        &self.turns
    }

    /// Maximum number of copies that wait or are under way.
    pub fn most_pending(&self) -> usize {
        self.spec.concurrency as usize + self.spec.queue as usize
    }

    /// True if requests with this key are copied.
    pub fn includes(&self, key: u64) -> bool {
        let percent = self.spec.percent;
        let score = |seed, percent: Percent| rendezvous::score(key, seed, percent.parts());
        percent == Percent::ALL || score(self.inside, percent) > score(self.outside, percent.rest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Hashed, ReleaseName, ReleaseSpec},
    };

    fn mirror(percent: &str) -> Mirror {
        let name = ReleaseName::new("green").unwrap();
        let spec = ReleaseSpec::default();
        let roster = Fleet::new(1).roster(&name, &spec.version);
        let release = Arc::new(Release::new(name, Arc::new(Hashed::new(spec)), roster));
        let text = format!(r#"{{"release":"green","percent":{percent}}}"#);
        let spec = serde_json::from_str(&text).unwrap();
        Mirror::new(&"chat".parse().unwrap(), &spec, release, Arc::default())
    }

    #[test]
    fn who_is_mirrored_stays_so_while_the_share_grows() {
        let keys: Vec<u64> = (0..20_000_u64)
            .map(|key| hash::key_of(&key.to_le_bytes()))
            .collect();
        let mut before: Vec<u64> = Vec::new();
        for percent in ["0", "0.5", "10", "50", "99.9", "100"] {
            let mirror = mirror(percent);
            let included: Vec<u64> = keys
                .iter()
                .copied()
                .filter(|key| mirror.includes(*key))
                .collect();
            assert!(before.iter().all(|key| included.contains(key)), "{percent}");
            let expected = percent.parse::<f64>().unwrap() * 200.0;
            // Six standard deviations at the most, of 20,000 draws.
            let count = f64::from(u32::try_from(included.len()).unwrap());
            assert!((count - expected).abs() <= 425.0, "{count} at {percent}");
            before = included;
        }
        assert_eq!(before.len(), keys.len());
        assert!(!keys.iter().any(|key| mirror("0").includes(*key)));
    }
}
