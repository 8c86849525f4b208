//! Signals that a judge looks at, and their weights.

use serde::{Deserialize, Serialize};

use super::thresholds::Thresholds;

/// Kind of event that counts as bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The release failed: 5xx, a response cut half-way before its stream began, or no response.
    Failures,
    /// The request became older than a threshold.
    Slow,
    /// A stream broke off.
    BrokenStreams,
    /// The first byte of the response was later than a threshold.
    FirstByteLate,
    /// A user said that the answer was bad.
    NegativeFeedback,
    /// The release answered 4xx.
    ClientErrors,
}

impl Signal {
    /// All signals, in the order of [`Signal::index`].
    pub const ALL: [Self; 6] = [
        Self::Failures,
        Self::Slow,
        Self::BrokenStreams,
        Self::FirstByteLate,
        Self::NegativeFeedback,
        Self::ClientErrors,
    ];

    /// Index in [`Signal::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name in the API, in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Slow => "slow",
            Self::BrokenStreams => "broken_streams",
            Self::FirstByteLate => "first_byte_late",
            Self::NegativeFeedback => "negative_feedback",
            Self::ClientErrors => "client_errors",
        }
    }
}

/// A signal to look at, with what it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Watch {
    /// Failures.
    Failures,
    /// Requests older than these.
    Slow(Thresholds),
    /// Streams that broke off.
    BrokenStreams,
    /// First bytes later than these.
    FirstByteLate(Thresholds),
    /// Negative feedback.
    NegativeFeedback,
    /// Responses with 4xx.
    ClientErrors,
}

impl Watch {
    /// The signal.
    pub const fn signal(&self) -> Signal {
        match self {
            Self::Failures => Signal::Failures,
            Self::Slow(_) => Signal::Slow,
            Self::BrokenStreams => Signal::BrokenStreams,
            Self::FirstByteLate(_) => Signal::FirstByteLate,
            Self::NegativeFeedback => Signal::NegativeFeedback,
            Self::ClientErrors => Signal::ClientErrors,
        }
    }

    /// Its thresholds, if it has some.
    pub const fn thresholds(&self) -> Option<&Thresholds> {
        match self {
            Self::Slow(thresholds) | Self::FirstByteLate(thresholds) => Some(thresholds),
            _ => None,
        }
    }

    /// Number of its thresholds; 1 for a signal without any.
    pub(super) fn levels(&self) -> usize {
        self.thresholds()
            .map_or(1, |thresholds| thresholds.seconds().len())
    }

    /// Weight before all are scaled to a sum of 1: failures ½, slow ¼ and broken streams ¼ are the usual three.
    pub(super) const fn raw_weight(&self) -> f64 {
        match self {
            Self::Failures => 0.5,
            Self::Slow(_) | Self::BrokenStreams | Self::FirstByteLate(_) => 0.25,
            Self::NegativeFeedback | Self::ClientErrors => 0.125,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_stands_at_its_index_under_its_name() {
        for (index, signal) in Signal::ALL.into_iter().enumerate() {
            assert_eq!(signal.index(), index);
            let json = serde_json::to_string(&signal).unwrap();
            assert_eq!(json, format!("\"{}\"", signal.as_str()));
        }
    }
}
