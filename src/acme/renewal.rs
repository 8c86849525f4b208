//! The moment of the next order for a certificate. Pure: the clock and the draw are parameters.
//!
//! All times are seconds since 1970.

/// Seconds for which a new certificate is kept at least: a directory whose windows are always past gets no order after
/// the other.
const KEPT: u64 = 60 * 60;
/// Seconds of the pause after the first failure, unless the certificate lives so short that it has to be less.
const FIRST_PAUSE: u64 = 60;
/// Longest pause between attempts that the authority did not ask for.
const LONGEST_PAUSE: u64 = 6 * 60 * 60;
/// Longest pause that an authority may ask for: that of the longest limits in use.
const LONGEST_ASKED: u64 = 7 * 24 * 60 * 60;

/// Lifetime of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// Time in which the authority suggests to renew (RFC 9773).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RenewalWindow {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Attempts that have failed since the last certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failures {
    /// Their number, at least 1.
    pub(super) count: u32,
    /// Time of the last one.
    pub(super) last: u64,
    /// Seconds that the authority asked to wait then.
    pub(super) asked: Option<u64>,
}

/// The facts that decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RenewalFacts {
    /// That of the certificate that is served; `None` if there is none.
    pub(super) lifetime: Option<Lifetime>,
    /// Time since when this process has it; 0 if it was there at the start.
    pub(super) obtained: u64,
    /// A window without a length is ignored.
    pub(super) window: Option<RenewalWindow>,
    pub(super) failures: Option<Failures>,
    /// A random number from 0 to 1, the same until the certificate is renewed.
    pub(super) draw: f64,
}

impl Lifetime {
    const fn seconds(self) -> u64 {
        self.not_after.saturating_sub(self.not_before)
    }
}

/// Time of the next order; one in the past is now.
pub(super) fn next_order(facts: &RenewalFacts) -> u64 {
    let due = facts.lifetime.map_or(0, |lifetime| due(lifetime, facts));
    let again = facts.failures.map_or(0, |failures| again(&failures, facts));
    due.max(again)
}

/// Time at which a certificate is to be renewed: a random moment of the authority's window, or else shortly before two
/// thirds of its lifetime. A window that ends too late is cut: what is renewed must be live before the old one ends.
fn due(lifetime: Lifetime, facts: &RenewalFacts) -> u64 {
    let whole = lifetime.seconds();
    let latest = lifetime.not_before.saturating_add(whole / 10 * 9);
    let window = facts.window.filter(|window| window.end > window.start);
    if let Some(RenewalWindow { start, end }) = window {
        let drawn = start.saturating_add(part(end - start, facts.draw));
        let kept = facts.obtained.saturating_add(KEPT.min(whole / 20));
        return drawn.max(kept).min(latest);
    }
    let two_thirds = lifetime.not_before.saturating_add(whole / 3 * 2);
    two_thirds.saturating_sub(part(whole / 20, facts.draw))
}

/// Time of the attempt after a failure: pauses double, within bounds that fit the lifetime, and are never shorter than
/// what the authority asked for.
fn again(failures: &Failures, facts: &RenewalFacts) -> u64 {
    let whole = facts.lifetime.map_or(u64::MAX, Lifetime::seconds);
    let first = FIRST_PAUSE.min(whole / 60).max(1);
    let longest = LONGEST_PAUSE.min(whole / 12).max(first);
    let doubled = first.saturating_mul(1 << failures.count.saturating_sub(1).min(32));
    let pause = doubled.min(longest);
    let pause = pause + part(pause / 4, facts.draw);
    let asked = failures.asked.unwrap_or(0).min(LONGEST_ASKED);
    failures.last.saturating_add(pause.max(asked))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part of some seconds, which has no sign"
)]
fn part(seconds: u64, draw: f64) -> u64 {
    ((seconds as f64 * draw.clamp(0.0, 1.0)) as u64).min(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn fresh(days: u64) -> RenewalFacts {
        RenewalFacts {
            lifetime: Some(Lifetime {
                not_before: 1_000 * DAY,
                not_after: (1_000 + days) * DAY,
            }),
            obtained: 0,
            window: None,
            failures: None,
            draw: 0.0,
        }
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_lifetime_or_a_little_before() {
        for (days, draw, expected) in [
            (90, 0.0, 60.0),
            (90, 1.0, 55.5),
            (6, 0.0, 4.0),
            (6, 1.0, 3.7),
        ] {
            let facts = RenewalFacts {
                draw,
                ..fresh(days)
            };
            let after = next_order(&facts) - 1_000 * DAY;
            #[expect(clippy::cast_precision_loss, reason = "days")]
            let after = after as f64 / DAY as f64;
            assert!((after - expected).abs() < 0.01, "{days}: {after}");
        }
    }

    #[test]
    fn without_a_certificate_one_is_ordered_now() {
        let none = RenewalFacts {
            lifetime: None,
            ..fresh(0)
        };
        assert_eq!(next_order(&none), 0);
    }

    #[test]
    fn the_window_of_the_authority_comes_first_and_one_that_ends_too_late_is_cut() {
        let window = |start: u64, end: u64, draw| RenewalFacts {
            window: Some(RenewalWindow {
                start: start * DAY,
                end: end * DAY,
            }),
            draw,
            ..fresh(90)
        };
        assert_eq!(next_order(&window(1_010, 1_020, 0.5)), 1_015 * DAY);
        assert_eq!(
            next_order(&window(900, 901, 0.5)),
            900 * DAY + DAY / 2,
            "now"
        );
        assert_eq!(next_order(&window(2_000, 2_001, 0.5)), 1_081 * DAY);
        assert_eq!(
            next_order(&window(1_020, 1_010, 0.0)),
            1_060 * DAY,
            "no window"
        );
    }

    #[test]
    fn a_directory_whose_windows_are_always_past_gets_no_order_after_the_other() {
        let obtained = 1_000 * DAY + 30;
        let window = Some(RenewalWindow { start: 0, end: 9 });
        let facts = RenewalFacts {
            obtained,
            window,
            ..fresh(90)
        };
        assert_eq!(next_order(&facts), obtained + 3_600);
        let short = RenewalFacts {
            obtained,
            window,
            ..fresh(0)
        };
        assert!(next_order(&short) <= obtained);
    }

    #[test]
    fn pauses_after_failures_double_within_bounds_that_fit_the_lifetime() {
        let pause = |seconds, count, asked| {
            let failures = Failures {
                count,
                last: 0,
                asked,
            };
            let lifetime = Some(Lifetime {
                not_before: 0,
                not_after: seconds,
            });
            let facts = RenewalFacts {
                lifetime,
                ..fresh(0)
            };
            again(&failures, &facts)
        };
        let quarter = 90 * DAY;
        assert_eq!(
            [1, 2, 3, 9, 30].map(|count| pause(quarter, count, None)),
            [60, 120, 240, 15_360, 21_600]
        );
        assert_eq!(
            [1, 2, 3, 30].map(|count| pause(60, count, None)),
            [1, 2, 4, 5]
        );
        assert_eq!(pause(quarter, 1, Some(3_600)), 3_600);
        assert_eq!(pause(quarter, 30, Some(30)), 21_600);
        assert_eq!(pause(quarter, 1, Some(u64::MAX)), 7 * DAY);
    }

    prop_compose! {
        fn any_facts()(
            begin in 0..u64::MAX / 4, obtained in any::<u64>(), seconds in 0..400 * DAY, has in any::<bool>(),
            window in proptest::option::of((any::<u64>(), any::<u64>())),
            failures in proptest::option::of((1..u32::MAX, 0..u64::MAX / 4, proptest::option::of(any::<u64>()))),
            draw in 0.0..1.0_f64,
        ) -> RenewalFacts {
            RenewalFacts {
                lifetime: has.then_some(Lifetime { not_before: begin, not_after: begin + seconds }),
                obtained,
                window: window.map(|(start, end)| RenewalWindow { start, end }),
                failures: failures.map(|(count, last, asked)| Failures { count, last, asked }),
                draw,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_renewed_is_so_before_it_ends(facts in any_facts()) {
            let healthy = RenewalFacts { failures: None, ..facts };
            if let Some(lifetime) = facts.lifetime {
                prop_assert!(next_order(&healthy) <= lifetime.not_after);
            } else {
                prop_assert_eq!(next_order(&healthy), 0);
            }
        }

        #[test]
        fn what_the_authority_asks_is_kept_and_a_pause_has_an_end(facts in any_facts()) {
            if let Some(failures) = facts.failures {
                let pause = again(&failures, &facts) - failures.last;
                prop_assert!(pause >= failures.asked.unwrap_or(0).min(LONGEST_ASKED));
                prop_assert!((1..=LONGEST_ASKED).contains(&pause));
                prop_assert!(next_order(&facts) >= failures.last + pause);
            }
        }

        #[test]
        fn one_failure_more_never_shortens_the_pause(facts in any_facts()) {
            if let Some(failures) = facts.failures {
                let more = Failures { count: failures.count.saturating_add(1), ..failures };
                prop_assert!(again(&more, &facts) >= again(&failures, &facts));
            }
        }
    }
}
