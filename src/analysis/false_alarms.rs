//! False alarms of many rehearsals, against those that alpha promises.

use super::number::real;

/// Probability of so many alarms or more in so many rehearsals, if each raises one with this probability and they are
/// independent.
pub fn chance_of(alarms: usize, rehearsals: usize, alpha: f64) -> f64 {
    let (count, odds) = (rehearsals as u64, alpha / (1.0 - alpha));
    let mut term = libm::exp(real(count) * libm::log1p(-alpha));
    let mut fewer = 0.0;
    for number in 0..alarms.min(rehearsals + 1) as u64 {
        fewer += term;
        term *= real(count - number) / real(number + 1) * odds;
    }
    (1.0 - fewer).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_tail_of_the_binomial_distribution() {
        let is = |alarms, rehearsals, expected: f64| {
            let chance = chance_of(alarms, rehearsals, 0.01);
            assert!(
                (chance - expected).abs() < 1e-9,
                "{alarms} of {rehearsals}: {chance}"
            );
        };
        is(0, 0, 1.0);
        is(0, 100, 1.0);
        is(1, 1, 0.01);
        is(1, 100, 1.0 - 0.99_f64.powi(100));
        is(2, 2, 0.0001);
        is(2, 100, 1.0 - 0.99_f64.powi(100) - 0.99_f64.powi(99));
        is(3, 2, 0.0);
        assert!(chance_of(60, 1_000, 0.01) < 1e-9);
    }
}
