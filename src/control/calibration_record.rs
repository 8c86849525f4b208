//! The rehearsals of a route that have ended, as they are saved and shown.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    analysis::{Peaks, Settings, chance_of},
    api::{CalibrationFinding, CalibrationPeak, RouteCalibration, RunningCalibration, Timestamp},
    model::{HumanDuration, ReleaseName, RouteName, Version},
};

/// Largest number of rehearsals of a route that are kept.
const MOST: usize = 1_000;
/// Chance of so many alarms up to which they are too many.
const UNLIKELY: f64 = 0.05;

/// Rehearsal that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rehearsal {
    pub(super) began_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) release: ReleaseName,
    pub(super) version: Version,
    pub(super) requests: u64,
    /// True if the judge said worse.
    pub(super) is_worse: bool,
    pub(super) peaks: Peaks,
}

/// Rehearsals of a route, the earliest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RouteRehearsals {
    /// Number of the next draw of the halves.
    pub(super) draws: u64,
    rehearsals: VecDeque<Rehearsal>,
}

impl RouteRehearsals {
    /// Adds one, and forgets the earliest beyond the number and the time that are kept.
    pub(super) fn add(&mut self, ended: Rehearsal, keep: HumanDuration) {
        let oldest = oldest(ended.ended_at, keep);
        self.rehearsals.push_back(ended);
        while self.rehearsals.len() > MOST
            || self
                .rehearsals
                .front()
                .is_some_and(|one| one.ended_at < oldest)
        {
            self.rehearsals.pop_front();
        }
    }

    /// All of it about a route, with the rehearsal that runs.
    pub(super) fn show(
        &self,
        route: RouteName,
        running: Option<RunningCalibration>,
        (now, window, keep): (Timestamp, HumanDuration, HumanDuration),
    ) -> RouteCalibration {
        let oldest = oldest(now, keep);
        let kept = self.rehearsals.iter().filter(|one| one.ended_at >= oldest);
        let kept: Vec<_> = kept.collect();
        let (count, alpha) = (kept.len(), Settings::default().alpha);
        let alarms = kept.iter().filter(|one| one.is_worse).count();
        let chance = chance_of(alarms, count, alpha);
        #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
        let promised = alpha * count as f64;
        let mut shown = RouteCalibration {
            route,
            rehearsals: count,
            requests: kept.iter().map(|one| one.requests).sum(),
            since: kept.first().map(|one| one.began_at),
            alarms,
            promised,
            chance,
            finding: finding(count, chance),
            largest: largest(&kept),
            metrics: metrics(&kept),
            running,
            words: String::new(),
        };
        shown.words = words(&shown, window);
        shown
    }
}

/// Time before which nothing is kept.
fn oldest(now: Timestamp, keep: HumanDuration) -> Timestamp {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_sub(micros(keep.0)))
}

fn finding(count: usize, chance: f64) -> CalibrationFinding {
    match count {
        0 => CalibrationFinding::NotEnoughData,
        _ if chance <= UNLIKELY => CalibrationFinding::TooMany,
        _ => CalibrationFinding::AsPromised,
    }
}

/// The rehearsal with the largest evidence.
fn largest(kept: &[&Rehearsal]) -> Option<CalibrationPeak> {
    let largest = kept.iter().max_by(|a, b| a.peaks.e.total_cmp(&b.peaks.e))?;
    let name = largest.peaks.leads.map(|signal| signal.as_str().to_owned());
    Some(peak(largest, name, largest.peaks.e))
}

/// The largest evidence of each signal, in the order in which they were looked at first.
fn metrics(kept: &[&Rehearsal]) -> Vec<CalibrationPeak> {
    let mut all: Vec<CalibrationPeak> = Vec::new();
    for one in kept {
        for part in &one.peaks.signals {
            let name = part.signal.as_str();
            let new = peak(one, Some(name.to_owned()), part.e);
            match all
                .iter_mut()
                .find(|peak| peak.name.as_deref() == Some(name))
            {
                Some(before) if before.e < new.e => *before = new,
                Some(_) => {}
                None => all.push(new),
            }
        }
    }
    all
}

fn peak(of: &Rehearsal, name: Option<String>, e: f64) -> CalibrationPeak {
    CalibrationPeak {
        name,
        e,
        began_at: of.began_at,
        ended_at: of.ended_at,
        release: of.release.clone(),
        version: of.version.clone(),
    }
}

/// "in 167 rehearsals of 1h, in which both halves were the same release, the judge would have raised 0 alarms (1.67
/// promised at most); largest evidence 14 of 100 needed, slow, 2026-11-27 14:00 UTC".
fn words(shown: &RouteCalibration, window: HumanDuration) -> String {
    let Some(largest) = &shown.largest else {
        return match &shown.running {
            Some(running) => format!("no rehearsal has ended yet; one runs since {}", minute(running.began_at)),
            None => "no rehearsal has ended yet, and none runs: no release of the route is stable and has requests".to_owned(),
        };
    };
    let counted =
        |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let (rehearsals, alarms) = (
        counted(shown.rehearsals, "rehearsal"),
        counted(shown.alarms, "alarm"),
    );
    let metric = largest
        .name
        .as_ref()
        .map_or_else(String::new, |name| format!(", {name}"));
    let (e, bound) = (
        evidence(largest.e),
        evidence(Settings::default().worse_bound()),
    );
    let mut words = format!(
        "in {rehearsals} of {window}, in which both halves were the same release, the judge would have raised {alarms} \
         ({:.2} promised at most); largest evidence {e} of {bound} needed{metric}, {}",
        shown.promised,
        minute(largest.began_at)
    );
    if shown.finding == CalibrationFinding::TooMany {
        let chance = shown.chance * 100.0;
        let _ = write!(
            words,
            "; so many come by chance in {chance:.2} % of such records: find the cause before a rollout here may act alone"
        );
    }
    words
}

/// An e-value for people.
fn evidence(e: f64) -> String {
    if e < 9.95 {
        format!("{e:.1}")
    } else {
        format!("{e:.0}")
    }
}

/// A time to the minute.
fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", time.get(..5).unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Signal, SignalPeak};

    const HOUR: HumanDuration = HumanDuration::seconds(3_600);
    const MONTH: HumanDuration = HumanDuration::seconds(30 * 86_400);
    /// 2026-11-27 14:00 UTC.
    const AT: u64 = 1_795_788_000_000_000;

    fn hour(number: u64) -> Timestamp {
        Timestamp(AT + number * 3_600_000_000)
    }

    fn rehearsal(number: u64, e: f64, slow: f64) -> Rehearsal {
        let peak = |signal, e| SignalPeak { signal, e };
        Rehearsal {
            began_at: hour(number),
            ended_at: hour(number + 1),
            release: "blue".parse().unwrap(),
            version: Version::default(),
            requests: 1_000,
            is_worse: e >= 100.0,
            peaks: Peaks {
                e,
                leads: Some(Signal::Slow),
                signals: vec![peak(Signal::Failures, e - slow), peak(Signal::Slow, slow)],
            },
        }
    }

    fn record(rehearsals: impl IntoIterator<Item = Rehearsal>) -> RouteRehearsals {
        let mut record = RouteRehearsals::default();
        rehearsals
            .into_iter()
            .for_each(|one| record.add(one, MONTH));
        record
    }

    fn shown(record: &RouteRehearsals, number: u64) -> RouteCalibration {
        record.show("chat".parse().unwrap(), None, (hour(number), HOUR, MONTH))
    }

    #[test]
    fn the_words_say_how_many_rehearsals_alarms_and_the_largest_evidence() {
        let quiet = (1..167).map(|number| rehearsal(number, 1.2, 0.2));
        let record = record([rehearsal(0, 14.2, 13.0)].into_iter().chain(quiet));
        let shown = shown(&record, 168);
        assert_eq!(
            shown.words,
            "in 167 rehearsals of 1h, in which both halves were the same release, the judge would have raised 0 alarms \
             (1.67 promised at most); largest evidence 14 of 100 needed, slow, 2026-11-27 14:00 UTC"
        );
        assert_eq!((shown.requests, shown.since), (167_000, Some(hour(0))));
        assert_eq!(shown.finding, CalibrationFinding::AsPromised);
        let metrics: Vec<_> = shown
            .metrics
            .iter()
            .map(|one| one.name.as_deref())
            .collect();
        assert_eq!(metrics, [Some("failures"), Some("slow")]);
        assert!((shown.metrics[1].e - 13.0).abs() < 1e-9);
    }

    #[test]
    fn more_alarms_than_chance_explains_are_too_many() {
        let alarms = |count: u64| (0..count).map(|number| rehearsal(number, 120.0, 110.0));
        let quiet = |from| (from..100).map(|number| rehearsal(number, 0.5, 0.1));
        let one = record(alarms(1).chain(quiet(1)));
        assert_eq!(shown(&one, 100).finding, CalibrationFinding::AsPromised);
        let six = shown(&record(alarms(6).chain(quiet(6))), 100);
        assert_eq!((six.alarms, six.finding), (6, CalibrationFinding::TooMany));
        assert!(
            six.words
                .contains("raised 6 alarms (1.00 promised at most)"),
            "{}",
            six.words
        );
        assert!(six.words.contains("by chance in 0.05 %"), "{}", six.words);
        let none = shown(&RouteRehearsals::default(), 0);
        assert_eq!(none.finding, CalibrationFinding::NotEnoughData);
        assert!(
            none.words.starts_with("no rehearsal has ended yet"),
            "{}",
            none.words
        );
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let many = record((0..1_500).map(|number| rehearsal(number, 1.0, 0.5)));
        assert_eq!(
            many.rehearsals.len(),
            721,
            "30 days of hours, and the one at the edge"
        );
        let short = |number: u64| Rehearsal {
            ended_at: Timestamp(AT + number),
            ..rehearsal(0, 1.0, 0.5)
        };
        assert_eq!(record((0..1_500).map(short)).rehearsals.len(), MOST);
        assert_eq!(shown(&many, 1_500 + 24).rehearsals, 721 - 24);
    }
}
