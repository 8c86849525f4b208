//! The promise to sessions: whatever happens, no request with a live pin reaches another release unless its policy says
//! so, no forged seal is followed, and nothing stays in flight.
//!
//! Random sequences of splits, switches, rollbacks, cuts, removals, new versions, endpoints that fail and restarts of the
//! proxy, with sessions of every kind alive, against a model of what is decided.

mod agent;
mod model;
mod session;
mod world;

use std::thread;

use model::Policy;
use world::World;

/// The defaults, and the other way round.
const POLICIES: [Policy; 2] = [
    Policy(&["rollback", "remove"]),
    Policy(&["switch", "split", "remove"]),
];
const STEPS: usize = 150;
const SEEDS: u64 = 12;

#[test]
fn no_live_pin_is_broken_by_changes_removals_failures_and_restarts() {
    thread::scope(|scope| {
        for (place, policy) in POLICIES.into_iter().enumerate() {
            for part in 0..2 {
                scope.spawn(move || {
                    for seed in (1..=SEEDS).filter(|seed| seed % 2 == part) {
                        eprintln!("seed {seed}, policy {place}");
                        World::start(seed, policy).run(STEPS);
                    }
                });
            }
        }
    });
}
