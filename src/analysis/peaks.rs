//! Largest evidence that a judge has had, in all and by signal.

use serde::{Deserialize, Serialize};

use super::{judge::Judge, number::e_value, signal::Signal};

/// Largest e-values of a judge that was looked at more than once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// That of all signals together.
    #[serde(deserialize_with = "e_value")]
    pub e: f64,
    /// Signal with the largest part of it.
    pub leads: Option<Signal>,
    /// The part of each signal.
    pub signals: Vec<SignalPeak>,
}

/// Largest part of the e-value that a signal has had.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignalPeak {
    /// The signal.
    pub signal: Signal,
    /// Its part.
    #[serde(deserialize_with = "e_value")]
    pub e: f64,
}

impl Peaks {
    /// Takes note of a judge as it is now.
    pub fn note(&mut self, judge: &Judge) {
        let parts = judge.signal_parts();
        let parts: Vec<_> = parts.map(|(signal, e)| SignalPeak { signal, e }).collect();
        let e = judge.e();
        if e > self.e {
            self.e = e;
            let largest = parts.iter().max_by(|a, b| a.e.total_cmp(&b.e));
            self.leads = largest.map(|part| part.signal);
        }
        for part in parts {
            match self
                .signals
                .iter_mut()
                .find(|one| one.signal == part.signal)
            {
                Some(peak) => peak.e = peak.e.max(part.e),
                None => self.signals.push(part),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Arm, Evidence, Settings, Share, Watch};

    #[test]
    fn the_largest_evidence_stays_when_the_evidence_goes_back() {
        let watches = vec![Watch::Failures, Watch::BrokenStreams];
        let mut judge = Judge::new(Settings::default(), watches).unwrap();
        let mut peaks = Peaks::default();
        peaks.note(&judge);
        assert!(peaks.e.abs() < 1e-12 && peaks.leads.is_none(), "{peaks:?}");
        let mut bad = |arm, failures, broken| {
            let mut evidence = Evidence::of_step(0, Share::of_weights(1, 1));
            evidence.bad(Signal::Failures, 0, arm, failures);
            evidence.bad(Signal::BrokenStreams, 0, arm, broken);
            judge.observe(&evidence);
            peaks.note(&judge);
            peaks.clone()
        };
        let first = bad(Arm::Canary, 6, 3);
        assert!(first.e > 1.0 && first.e < 100.0, "{first:?}");
        assert_eq!(first.leads, Some(Signal::Failures));
        let again = bad(Arm::Stable, 50, 0);
        assert_eq!(again, first);
        let later = bad(Arm::Canary, 0, 6);
        assert!(later.signals[1].e > first.signals[1].e, "{later:?}");
        assert!((later.signals[0].e - first.signals[0].e).abs() < 1e-12);
        let saved = serde_json::to_string(&later).unwrap();
        assert_eq!(serde_json::from_str::<Peaks>(&saved).unwrap(), later);
    }
}
