//! Numbers: counts as real numbers, the beta function, and checks of what was saved.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Largest e-value that is kept. A larger one says nothing more, and products of two stay finite.
pub(super) const LARGEST: f64 = 1e150;

/// A count as a real number.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 are rounded, which changes no verdict"
)]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

/// Natural logarithm of the beta function.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// Deserializes a number that is not infinite.
pub(super) fn finite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    let is_one = number.is_finite();
    is_one.then_some(number).ok_or_else(|| {
        D::Error::custom(format!("`{number}` in the state of a judge is not finite"))
    })
}

/// Deserializes a number from 0 to [`LARGEST`].
pub(super) fn e_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(f64::deserialize(deserializer)?, LARGEST)
}

/// Deserializes a number from 0 to 1.
pub(super) fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(f64::deserialize(deserializer)?, 1.0)
}

/// A number from 0 to a limit.
///
/// # Errors
/// If it is not a number, negative or larger.
pub(super) fn checked<E: serde::de::Error>(number: f64, most: f64) -> Result<f64, E> {
    (0.0..=most)
        .contains(&number)
        .then_some(number)
        .ok_or_else(|| {
            E::custom(format!(
                "`{number}` in the state of a judge is not from 0 to {most}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beta_function_has_its_known_values() {
        assert!((ln_beta(0.5, 0.5) - std::f64::consts::PI.ln()).abs() < 1e-12);
        assert!((ln_beta(3.0, 4.0) + 60.0_f64.ln()).abs() < 1e-12);
    }
}
