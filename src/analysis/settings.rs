//! Settings of a judge.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Invalid setting.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("`{name}` is {value}: {hint}")]
pub struct SettingsError {
    name: &'static str,
    value: f64,
    hint: &'static str,
}

/// Limits of a judge: what it tolerates, and how sure it must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Largest probability that a rollout of an equal release is called worse, over all signals, steps and looks.
    pub alpha: f64,
    /// Largest probability that a release beyond the tolerated margin is called fine, for each step, signal and claim.
    pub beta: f64,
    /// Factor by which the canary's rate may be above stable's before it is worse; 1: not at all.
    pub tolerance: f64,
    /// Factor below which the canary's rate must be for *fine*.
    pub ratio: f64,
    /// Difference of rates below which the canary must be for *fine*, where the factor is not shown: 0.01 is one
    /// percentage point.
    pub margin: f64,
    /// Fewest bad units of the canary for *worse*.
    pub min_bad_units: u64,
    /// Fewest settled units of the canary in a step for *fine*.
    pub min_units: u64,
    /// Share of failures of the stable release from which no canary is blamed.
    pub max_stable_failures: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            beta: 0.05,
            tolerance: 1.0,
            ratio: 2.0,
            margin: 0.01,
            min_bad_units: 3,
            min_units: 50,
            max_stable_failures: 0.2,
        }
    }
}

impl Settings {
    /// Settings of one of several judges that together raise no more false alarms than one: whatever they have in
    /// common, the chances add up at most.
    #[must_use]
    pub fn shared_by(self, judges: usize) -> Self {
        let judges = u32::try_from(judges.max(1)).unwrap_or(u32::MAX);
        Self {
            alpha: self.alpha / f64::from(judges),
            ..self
        }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// If one is outside its range: the first one, with its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let sure = 1e-12..=0.5;
        let ranges = [
            (
                "alpha",
                self.alpha,
                sure.clone(),
                "use a probability up to 0.5; 0.01 is usual",
            ),
            (
                "beta",
                self.beta,
                sure,
                "use a probability up to 0.5; 0.05 is usual",
            ),
            (
                "tolerance",
                self.tolerance,
                1.0..=10.0,
                "use a factor from 1 to 10",
            ),
            (
                "ratio",
                self.ratio,
                1.1..=100.0,
                "use a factor from 1.1 to 100; 2 is usual",
            ),
            (
                "margin",
                self.margin,
                0.0001..=0.5,
                "use a difference from 0.0001 to 0.5; 0.01 is usual",
            ),
            (
                "max_stable_failures",
                self.max_stable_failures,
                0.001..=1.0,
                "use a share from 0.001 to 1",
            ),
        ];
        for (name, value, range, hint) in ranges {
            if !range.contains(&value) {
                return Err(SettingsError { name, value, hint });
            }
        }
        self.check_relations()
    }

    fn check_relations(&self) -> Result<(), SettingsError> {
        let error = |name, value, hint| Err(SettingsError { name, value, hint });
        if self.ratio <= self.tolerance {
            let hint =
                "it must be above `tolerance`: what is tolerated cannot be outside of what is fine";
            return error("ratio", self.ratio, hint);
        }
        if self.min_bad_units < 3 {
            let hint = "use 3 or more: two bad requests are no pattern";
            return error(
                "min_bad_units",
                super::number::real(self.min_bad_units),
                hint,
            );
        }
        if self.min_units == 0 {
            return error("min_units", 0.0, "use 1 or more: no traffic is no evidence");
        }
        Ok(())
    }

    /// E-value from which the canary is worse.
    pub fn worse_bound(&self) -> f64 {
        1.0 / self.alpha
    }

    /// E-value from which the canary is fine.
    pub fn fine_bound(&self) -> f64 {
        1.0 / self.beta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_of_one_rollout_share_its_alpha() {
        let one = Settings::default();
        assert_eq!(one.shared_by(1), one);
        let four = one.shared_by(4);
        assert!((four.worse_bound() - 400.0).abs() < 1e-9, "{four:?}");
        assert!((four.fine_bound() - one.fine_bound()).abs() < 1e-9);
        one.shared_by(16).check().unwrap();
    }

    #[test]
    fn the_defaults_are_valid_and_each_wrong_setting_is_named_with_a_hint() {
        Settings::default().check().unwrap();
        for (name, wrong) in [
            ("alpha", r#"{"alpha":0}"#),
            ("beta", r#"{"beta":0.6}"#),
            ("tolerance", r#"{"tolerance":0.9}"#),
            ("ratio", r#"{"ratio":1}"#),
            ("ratio", r#"{"tolerance":2}"#),
            ("margin", r#"{"margin":0}"#),
            ("max_stable_failures", r#"{"max_stable_failures":1.5}"#),
            ("min_bad_units", r#"{"min_bad_units":2}"#),
            ("min_units", r#"{"min_units":0}"#),
        ] {
            let settings: Settings = serde_json::from_str(wrong).unwrap();
            let error = settings.check().unwrap_err();
            assert_eq!(error.name, name);
            assert!(
                error.to_string().contains(": use ") || error.to_string().contains("must"),
                "{error}"
            );
        }
        let none = Settings {
            alpha: f64::NAN,
            ..Settings::default()
        };
        assert!(none.check().is_err());
    }
}
