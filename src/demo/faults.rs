//! Fault injection of a sample agent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::HumanDuration;

/// Injected faults; none by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Share of requests that get a 500, from 0 to 1.
    pub error_rate: f64,
    /// Delay of each response.
    pub latency: HumanDuration,
    /// True if streams are aborted half-way.
    pub cut_streams: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            latency: HumanDuration(Duration::ZERO),
            cut_streams: false,
        }
    }
}

impl Behaviour {
    /// True if a request fails, for a random number from 0 up to 1.
    pub(super) fn fails(&self, draw: f64) -> bool {
        draw < self.error_rate
    }

    /// Error in the requested faults.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        if !(0.0..=1.0).contains(&self.error_rate) {
            return Some("`error_rate` is a share from 0 to 1");
        }
        let longest = Duration::from_secs(60);
        (self.latency.0 > longest).then_some("`latency` is at most one minute")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_below_the_rate_fails() {
        let never = Behaviour::default();
        let always = Behaviour {
            error_rate: 1.0,
            ..Behaviour::default()
        };
        assert!(!never.fails(0.0));
        assert!(always.fails(0.999_999));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let of = |text: &str| serde_json::from_str::<Behaviour>(text).unwrap();
        assert_eq!(of("{}").wrong(), None);
        let all = r#"{"error_rate":0.3,"latency":"200ms","cut_streams":true}"#;
        assert_eq!(of(all).wrong(), None);
        assert!(of(r#"{"error_rate":1.1}"#).wrong().is_some());
        assert!(of(r#"{"error_rate":-0.1}"#).wrong().is_some());
        assert!(of(r#"{"latency":"2h"}"#).wrong().is_some());
        assert!(serde_json::from_str::<Behaviour>(r#"{"errors":1}"#).is_err());
    }
}
