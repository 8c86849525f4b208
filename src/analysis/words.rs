//! Verdicts in words.

use std::fmt;

use super::{
    number::real,
    query::Direction,
    signal::Signal,
    verdict::{Finding, MetricVerdict, Obstacle, QueryVerdict, Rate},
};

/// Names of the two releases.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The release on trial.
    pub canary: &'a str,
    /// The release that it is compared with.
    pub stable: &'a str,
}

/// Claim for which *fine* has most evidence.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claim {
    /// Less than so many times stable's rate.
    Ratio(f64),
    /// Less than so much more than stable's rate.
    Margin(f64),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => write!(f, "less than {ratio} times as often"),
            Self::Margin(margin) => {
                let points = (margin * 10_000.0).round() / 100.0;
                let noun = if points > 1.0 { "points" } else { "point" };
                write!(f, "less than {points} percentage {noun} more")
            }
        }
    }
}

/// The numbers of a signal: "green fails 9.1 % (12 of 132), blue 0.9 % (22 of 2,400)".
pub(super) struct Numbers<'a>(pub(super) &'a MetricVerdict, pub(super) Names<'a>);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(metric, names) = self;
        write!(f, "{} {}", names.canary, verb(metric.name))?;
        if let Some(seconds) = metric.threshold_seconds {
            write!(f, " {seconds} s in")?;
        }
        write!(f, " {}, {} {}", metric.canary, names.stable, metric.stable)
    }
}

/// A signal's verdict with its numbers: "green fails 9.1 % (12 of 132), blue 0.9 % (22 of 2,400); worse, e = 408,304 ≥
/// 100".
pub(super) struct Sentence<'a> {
    pub(super) metric: &'a MetricVerdict,
    pub(super) names: Names<'a>,
    pub(super) claim: Claim,
    pub(super) bound: f64,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            metric,
            names,
            claim,
            bound,
        } = self;
        write!(f, "{}; ", Numbers(metric, *names))?;
        let (fine, needed) = (EValue(metric.fine_e), EValue(metric.fine_bound));
        match metric.verdict {
            Finding::Worse if metric.e >= *bound => {
                write!(f, "worse, e = {} ≥ {}", EValue(metric.e), EValue(*bound))
            }
            Finding::Worse => f.write_str("worse, together with the other signals"),
            Finding::Fine => write!(f, "fine: {claim}, e = {fine} ≥ {needed}"),
            Finding::NotEnoughData => {
                let (e, bound) = (EValue(metric.e), EValue(*bound));
                write!(
                    f,
                    "not enough data, e = {e} of {bound} for worse, {fine} of {needed} for fine"
                )
            }
            Finding::Unmeasurable => f.write_str("cannot be compared"),
        }
    }
}

/// The numbers of a query: "`p99` of green is higher than that of blue in 11 of 12 intervals".
pub(super) struct QueryNumbers<'a>(pub(super) &'a QueryVerdict, pub(super) Names<'a>);

impl fmt::Display for QueryNumbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(query, Names { canary, stable }) = self;
        let worse = match query.worse {
            Direction::Higher => "higher",
            Direction::Lower => "lower",
        };
        let (bad, all) = (Count(query.worse_in.canary), Count(query.intervals));
        let name = &query.name;
        write!(
            f,
            "`{name}` of {canary} is {worse} than that of {stable} in {bad} of {all} intervals"
        )
    }
}

/// A query's verdict with its numbers.
pub(super) struct QuerySentence<'a>(
    pub(super) &'a QueryVerdict,
    pub(super) Names<'a>,
    pub(super) f64,
);

impl fmt::Display for QuerySentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(query, names, bound) = self;
        write!(f, "{}; ", QueryNumbers(query, *names))?;
        let (e, worse) = (EValue(query.e), EValue(*bound));
        let (fine, needed) = (EValue(query.fine_e), EValue(query.fine_bound));
        match query.verdict {
            Finding::Worse if query.e >= *bound => write!(f, "worse, e = {e} ≥ {worse}"),
            Finding::Worse => f.write_str("worse, together with the other signals"),
            Finding::Fine => write!(f, "fine: fewer than four of five, e = {fine} ≥ {needed}"),
            Finding::NotEnoughData | Finding::Unmeasurable => write!(
                f,
                "not enough data, e = {e} of {worse} for worse, {fine} of {needed} for fine"
            ),
        }
    }
}

pub(super) const fn verb(signal: Signal) -> &'static str {
    match signal {
        Signal::Failures => "fails",
        Signal::Slow => "is slower than",
        Signal::BrokenStreams => "breaks streams off in",
        Signal::FirstByteLate => "sends its first byte later than",
        Signal::NegativeFeedback => "is found bad in",
        Signal::ClientErrors => "answers 4xx in",
    }
}

/// The verdict in all: the finding, the e-value and its bound, the signal that is blamed, and what hinders.
pub(super) fn overall(
    found: Finding,
    (e, bound): (f64, f64),
    blamed: Option<String>,
    obstacle: Option<Obstacle>,
    names: Names<'_>,
) -> String {
    let Names { canary, stable } = names;
    let (e, bound) = (EValue(e), EValue(bound));
    match (found, obstacle) {
        (Finding::Worse, _) => {
            let blamed = blamed.map_or_else(String::new, |blamed| format!(": {blamed}"));
            format!("worse, e = {e} ≥ {bound} over all signals{blamed}")
        }
        (Finding::Fine, _) => format!("fine: {canary} is not worse than {stable} by any signal"),
        (Finding::Unmeasurable, Some(obstacle)) => cannot(obstacle, (e, bound), names),
        _ => format!("not enough data: e = {e} of {bound} that {canary} is worse than {stable}"),
    }
}

fn cannot(
    obstacle: Obstacle,
    (e, bound): (EValue, EValue),
    Names { canary, stable }: Names<'_>,
) -> String {
    match obstacle {
        Obstacle::ShareTooLarge { share } => {
            let share = Percent(share);
            format!(
                "{canary} has {share} of the traffic: too little is left on {stable} to show that it is fine, and e = {e} of {bound} that it is worse"
            )
        }
        Obstacle::ShareIsOff {
            configured,
            counted,
        } => {
            let (configured, counted) = (Percent(configured), Percent(counted));
            format!("cannot judge: {canary} gets {counted} of the traffic instead of {configured}")
        }
        Obstacle::StableFails { share } => {
            let share = Percent(share);
            format!(
                "cannot judge: {stable} itself fails {share} of its recent requests, so {canary} is not blamed"
            )
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bad, units) = (Count(self.bad), Count(self.units));
        if self.units == 0 {
            let noun = if self.bad == 1 { "request" } else { "requests" };
            return write!(f, "{bad} {noun}");
        }
        let share = Percent(real(self.bad) / real(self.units));
        write!(f, "{share} ({bad} of {units}")?;
        if self.distinct < self.bad {
            let noun = if self.distinct == 1 {
                "session"
            } else {
                "sessions"
            };
            write!(f, ", {} {noun}", Count(self.distinct))?;
        }
        f.write_str(")")
    }
}

/// A share as a percent with the digits that matter.
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let digits = if percent == 0.0 || percent >= 0.095 {
            1
        } else if percent >= 0.0095 {
            2
        } else {
            4
        };
        write!(f, "{percent:.digits$} %")
    }
}

/// A count with its thousands apart.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// An e-value: rounded down, so that none seems to reach a bound that it does not.
pub(super) struct EValue(pub(super) f64);

impl fmt::Display for EValue {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to a billion here"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 + 1e-9).clamp(0.0, 1e9);
        if rounded >= 1e9 {
            f.write_str("over 1,000,000,000")
        } else if rounded < 10.0 && rounded.fract() > 0.1 {
            write!(f, "{:.1}", (rounded * 10.0).floor() / 10.0)
        } else {
            Count(rounded as u64).fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(Count(1_234_567).to_string(), "1,234,567");
        assert_eq!(Count(999).to_string(), "999");
        for (value, words) in [
            (0.0, "0.0 %"),
            (0.0909, "9.1 %"),
            (0.0005, "0.05 %"),
            (0.00002, "0.0020 %"),
            (1.0, "100.0 %"),
        ] {
            assert_eq!(Percent(value).to_string(), words);
        }
        for (value, words) in [
            (0.0, "0"),
            (0.96, "0.9"),
            (99.99, "99"),
            (100.0, "100"),
            (412.7, "412"),
            (1e150, "over 1,000,000,000"),
        ] {
            assert_eq!(EValue(value).to_string(), words);
        }
        let rate = |bad, units, distinct| Rate {
            bad,
            units,
            distinct,
        };
        assert_eq!(rate(3, 0, 3).to_string(), "3 requests");
        assert_eq!(rate(12, 132, 12).to_string(), "9.1 % (12 of 132)");
        assert_eq!(
            rate(12, 132, 3).to_string(),
            "9.1 % (12 of 132, 3 sessions)"
        );
        assert_eq!(rate(12, 132, 1).to_string(), "9.1 % (12 of 132, 1 session)");
    }
}
