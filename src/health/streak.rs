//! When a check's answer makes an endpoint healthy or unhealthy: so many in a row, and one is enough for the first good
//! one. No clock, no network.

use crate::fleet::Health;

/// How many answers of a kind came in a row, and what the endpoint is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Streak {
    health: Health,
    rise: u32,
    fall: u32,
    /// Answers in a row that speak against `health`.
    against: u32,
}

// === impl Streak ===

impl Streak {
    /// A streak that begins now. A rise or fall of 0 is taken as 1.
    pub(super) fn new(health: Health, rise: u32, fall: u32) -> Self {
        Self {
            health,
            rise: rise.max(1),
            fall: fall.max(1),
            against: 0,
        }
    }

    /// Notes an answer; says what the endpoint is from now on, if that is something else than before.
    pub(super) fn observe(&mut self, good: bool) -> Option<Health> {
        let (to, needed) = match (self.health, good) {
            (Health::Healthy, true) | (Health::Unhealthy, false) => {
                self.against = 0;
                return None;
            }
            // What nothing is known about needs no proof that it has recovered.
            (Health::Unknown, true) => (Health::Healthy, 1),
            (Health::Unhealthy, true) => (Health::Healthy, self.rise),
            (Health::Healthy | Health::Unknown, false) => (Health::Unhealthy, self.fall),
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.health = to;
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a series of answers (`+` good, `-` bad) makes of an endpoint, one letter for each change.
    fn changes(start: Health, answers: &str) -> String {
        let mut streak = Streak::new(start, 2, 3);
        let letter = |answer: char| match streak.observe(answer == '+') {
            None => '.',
            Some(Health::Healthy) => 'H',
            Some(Health::Unhealthy) => 'U',
            Some(Health::Unknown) => '?',
        };
        answers.chars().map(letter).collect()
    }

    #[test]
    fn the_first_good_answer_is_enough_for_a_new_endpoint() {
        assert_eq!(changes(Health::Unknown, "+"), "H");
        assert_eq!(changes(Health::Unknown, "--+"), "..H");
        assert_eq!(changes(Health::Unknown, "---"), "..U");
    }

    #[test]
    fn an_endpoint_falls_after_three_and_rises_after_two_in_a_row() {
        assert_eq!(changes(Health::Healthy, "--+--+---"), "........U");
        assert_eq!(changes(Health::Unhealthy, "+-+-++"), ".....H");
        assert_eq!(changes(Health::Unknown, "+---++---"), "H..U.H..U");
    }

    #[test]
    fn a_rise_or_fall_of_nothing_is_one() {
        let mut streak = Streak::new(Health::Healthy, 0, 0);
        assert_eq!(streak.observe(false), Some(Health::Unhealthy));
        assert_eq!(streak.observe(true), Some(Health::Healthy));
    }
}
