//! Random numbers: xoshiro256++ (Blackman and Vigna 2019), seeded by splitmix64, and what is drawn with it.

use switchback::model::rendezvous;

/// A stream of random numbers, the same for the same seed.
pub(crate) struct Draws([u64; 4]);

impl Draws {
    pub(crate) fn of(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            rendezvous::mix(state)
        }))
    }

    fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[0]
            .wrapping_add(state[3])
            .rotate_left(23)
            .wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// Uniform between 0 and 1, neither of them.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) * 0.5_f64.powi(53)
    }

    pub(crate) fn is(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Number of draws up to and with the first success; `u64::MAX` if there is none.
    pub(crate) fn geometric(&mut self, probability: f64) -> u64 {
        if probability >= 1.0 {
            return 1;
        }
        1 + (self.unit().ln() / (-probability).ln_1p()) as u64
    }

    pub(crate) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Successes among so many draws; rounded normal where many are expected.
    pub(crate) fn binomial(&mut self, draws: u64, probability: f64) -> u64 {
        if probability <= 0.0 {
            return 0;
        }
        let mean = draws as f64 * probability;
        let variance = mean * (1.0 - probability);
        if variance > 10.0 {
            let drawn = mean + variance.sqrt() * self.normal();
            return drawn.round().clamp(0.0, draws as f64) as u64;
        }
        let (mut successes, mut at) = (0, self.geometric(probability));
        while at <= draws {
            successes += 1;
            at = at.saturating_add(self.geometric(probability));
        }
        successes
    }

    /// Poisson (Knuth); for small means.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}
