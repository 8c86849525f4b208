//! Many rollouts, and what came out of them.

use std::thread;

use super::draws::Draws;

/// Result of each of many rollouts; a seed for each, so the number of threads changes nothing.
pub(crate) fn many<T: Send>(
    count: usize,
    seed: u64,
    one: impl Fn(&mut Draws) -> T + Sync,
) -> Vec<T> {
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(count.max(1));
    let part = count.div_ceil(threads);
    let one = &one;
    let run = |thread: usize| {
        let numbers = thread * part..count.min((thread + 1) * part);
        numbers
            .map(|number| {
                one(&mut Draws::of(
                    seed.wrapping_mul(0x1_0000_0001).wrapping_add(number as u64),
                ))
            })
            .collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        all.into_iter()
            .flat_map(|one| one.join().expect("a rollout does not panic"))
            .collect()
    })
}

/// Canary requests until something happened, of many rollouts; `None` where it did not.
#[derive(Clone)]
pub(crate) struct Delays {
    sorted: Vec<u64>,
    rollouts: usize,
}

impl Delays {
    pub(crate) fn of(all: &[Option<u64>]) -> Self {
        let mut sorted: Vec<u64> = all.iter().copied().flatten().collect();
        sorted.sort_unstable();
        Self {
            sorted,
            rollouts: all.len(),
        }
    }

    /// Share of rollouts in which it happened.
    pub(crate) fn share(&self) -> f64 {
        self.sorted.len() as f64 / self.rollouts.max(1) as f64
    }

    /// Quantile among all rollouts; `None` if it did not happen in so many.
    pub(crate) fn quantile(&self, part: f64) -> Option<u64> {
        let place = (self.rollouts as f64 * part) as usize;
        self.sorted.get(place).copied()
    }

    pub(crate) fn median(&self) -> Option<u64> {
        self.quantile(0.5)
    }
}
