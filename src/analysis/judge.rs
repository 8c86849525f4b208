//! State of a judge, and the evidence that changes it.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use thiserror::Error;

use super::{
    evidence::Evidence,
    level::Level,
    number::{e_value, real},
    query::{self, Compared, Query, QueryWatch},
    settings::{Settings, SettingsError},
    share::Share,
    share_check::ShareCheck,
    signal::{Signal, Watch},
    stable_guard::StableGuard,
    tally::Tally,
    thresholds::Thresholds,
};

/// Reason why a judge cannot be made.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum WatchError {
    /// A setting is invalid.
    #[error("the settings of the judge are invalid")]
    Settings(#[from] SettingsError),
    /// There is nothing to look at.
    #[error("there is no signal: a judge needs at least one to look at")]
    NoSignal,
    /// A signal is named twice.
    #[error("the signal `{}` is named twice", .0.as_str())]
    Twice(Signal),
    /// There are too many queries, or one is named twice.
    #[error(
        "there are more than {} queries, or one is named twice",
        query::MOST_QUERIES
    )]
    Queries,
}

/// Judge of one rollout: small, and saved with serde. Signals, thresholds and weights are fixed when it is made.
///
/// It takes 8 numbers and 7 counts for each signal and threshold: about 650 bytes for failures, broken streams and four
/// thresholds of slowness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    version: Version,
    #[serde(deserialize_with = "valid_settings")]
    pub(super) settings: Settings,
    #[serde(deserialize_with = "valid_signals")]
    pub(super) watches: Vec<Signals>,
    #[serde(deserialize_with = "query::valid")]
    pub(super) queries: Vec<Query>,
    pub(super) step: u32,
    pub(super) share: Share,
    /// Units of the whole rollout.
    pub(super) started: Tally,
    pub(super) started_in_step: Tally,
    pub(super) settled_in_step: Tally,
    /// Restarts in this step.
    pub(super) restarts: u64,
    pub(super) share_check: ShareCheck,
    pub(super) stable_guard: StableGuard,
    pub(super) alarm: Option<Alarm>,
}

/// A signal that is looked at, with its state at each threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Signals {
    pub(super) watch: Watch,
    pub(super) levels: Vec<Level>,
}

impl Signals {
    /// Part of the e-value of the whole judge.
    pub(super) fn worse_e(&self, settings: &Settings) -> f64 {
        self.levels
            .iter()
            .map(|level| level.worse_e(settings))
            .sum()
    }
}

/// The evidence that made the canary worse. It stays, whatever comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Alarm {
    /// Largest e-value since.
    #[serde(deserialize_with = "e_value")]
    pub(super) e: f64,
    /// Signal or query with the largest part of it.
    pub(super) source: Source,
    /// Largest part of that since.
    #[serde(deserialize_with = "e_value")]
    pub(super) part: f64,
}

/// A part of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Source {
    /// A signal.
    Signal(Signal),
    /// The query at this index.
    Query(u8),
}

/// Version of the saved form. Another one is not read: its judge starts anew, without evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
struct Version;

const VERSION: u16 = 3;

impl TryFrom<u16> for Version {
    type Error = String;

    fn try_from(version: u16) -> Result<Self, String> {
        let is_known = version == VERSION;
        is_known
            .then_some(Self)
            .ok_or_else(|| format!("the state of a judge has version {version}, not {VERSION}"))
    }
}

impl From<Version> for u16 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

impl Judge {
    /// Creates a judge without evidence. The weights of the signals are scaled to a sum of 1, and a signal's is shared by
    /// its thresholds.
    ///
    /// # Errors
    /// If a setting is invalid, or there is no signal, or one is there twice.
    pub fn new(settings: Settings, watches: Vec<Watch>) -> Result<Self, WatchError> {
        Self::with_queries(settings, watches, Vec::new())
    }

    /// Creates a judge that compares the values of queries as well: a fifth of the evidence is theirs.
    ///
    /// # Errors
    /// As [`Judge::new`], or if there are more than four queries, or one is there twice.
    pub fn with_queries(
        settings: Settings,
        watches: Vec<Watch>,
        queries: Vec<QueryWatch>,
    ) -> Result<Self, WatchError> {
        settings.check()?;
        if !query::are_valid(&queries) {
            return Err(WatchError::Queries);
        }
        Ok(Self {
            version: Version,
            settings,
            watches: signals(watches)?,
            queries: queries.into_iter().map(Query::new).collect(),
            step: 0,
            share: Share::NONE,
            started: Tally::default(),
            started_in_step: Tally::default(),
            settled_in_step: Tally::default(),
            restarts: 0,
            share_check: ShareCheck::default(),
            stable_guard: StableGuard::default(),
            alarm: None,
        })
    }

    /// Adds evidence, as often as there is some. The first of a later step begins that step; that of an earlier step is
    /// still evidence that the canary is worse, but not that it is fine.
    pub fn observe(&mut self, evidence: &Evidence) {
        if evidence.step() > self.step {
            self.begin_step(evidence.step());
        }
        // What was known before this look decides, so that the look itself cannot choose what counts.
        let counts = !self.share_check.is_above();
        let is_current = evidence.step() == self.step;
        self.count_units(evidence, is_current);
        let mut may_alarm = false;
        for Signals { watch, levels } in &mut self.watches {
            for (index, level) in levels.iter_mut().enumerate() {
                let bad = evidence.all_bad(watch.signal(), index);
                let again = evidence.all_again(watch.signal(), index);
                let mut events = bad;
                events.add(again);
                if events.total() == 0 {
                    continue;
                }
                level.observe_again(again);
                let share = if counts {
                    evidence.share()
                } else {
                    Share::NONE
                };
                level.observe(&self.settings, share, bad);
                if is_current {
                    level.observe_step(&self.settings, share, events);
                }
                may_alarm |= bad.canary > 0;
            }
        }
        if may_alarm {
            self.raise_alarm();
        }
    }

    /// Adds the values of one interval, compared, of the query at an index. Intervals that overlap are not two.
    pub fn observe_query(&mut self, index: usize, compared: Compared) {
        if let Some(query) = self.queries.get_mut(index) {
            query.observe(compared);
            if compared == Compared::CanaryWorse {
                self.raise_alarm();
            }
        }
    }

    /// Continues after a restart: what was counted since the state was saved is lost. *Fine* pays for one bad unit of the
    /// canary at each signal; *worse* keeps all of its evidence.
    pub fn resume(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
        for level in self
            .watches
            .iter_mut()
            .flat_map(|signals| &mut signals.levels)
        {
            level.charge(&self.settings);
        }
        self.queries.iter_mut().for_each(Query::charge);
    }

    /// The queries whose values it compares.
    pub fn queries(&self) -> impl Iterator<Item = &QueryWatch> {
        self.queries.iter().map(|query| &query.watch)
    }

    /// Thresholds of a signal that it looks at, if that has some.
    pub fn thresholds(&self, signal: Signal) -> Option<&Thresholds> {
        let mut watches = self.watches.iter().map(|signals| &signals.watch);
        watches.find(|watch| watch.signal() == signal)?.thresholds()
    }

    /// True if it looks at a signal.
    pub fn looks_at(&self, signal: Signal) -> bool {
        let mut watches = self.watches.iter();
        watches.any(|signals| signals.watch.signal() == signal)
    }

    /// True if the canary is worse. Once true, it stays true.
    pub const fn is_worse(&self) -> bool {
        self.alarm.is_some()
    }

    /// E-value of the whole judge: the weighted average of all signals, at least `1 / alpha` if the canary is worse.
    pub fn e(&self) -> f64 {
        let now = self.parts().map(|(_, part)| part).sum();
        self.alarm.map_or(now, |alarm| alarm.e.max(now))
    }

    /// The parts of the signals in the e-value.
    pub(super) fn signal_parts(&self) -> impl Iterator<Item = (Signal, f64)> {
        let signals = self.watches.iter();
        signals.map(|signals| (signals.watch.signal(), self.part_of(signals)))
    }

    /// The e-value by its parts.
    fn parts(&self) -> impl Iterator<Item = (Source, f64)> {
        let signals = self.watches.iter().map(|signals| {
            let source = Source::Signal(signals.watch.signal());
            (source, self.part_of(signals))
        });
        let queries = (0..).zip(&self.queries);
        let queries =
            queries.map(|(index, query)| (Source::Query(index), self.part_of_query(query)));
        signals.chain(queries)
    }

    /// Part of the e-value that a signal has.
    pub(super) fn part_of(&self, signals: &Signals) -> f64 {
        let rest = if self.queries.is_empty() {
            1.0
        } else {
            1.0 - query::WEIGHT
        };
        rest * signals.worse_e(&self.settings)
    }

    /// Part of the e-value that a query has.
    pub(super) fn part_of_query(&self, query: &Query) -> f64 {
        let count = real(self.queries.len() as u64);
        query::WEIGHT / count * query.worse_e(&self.settings)
    }

    fn begin_step(&mut self, step: u32) {
        self.step = step;
        self.restarts = 0;
        self.started_in_step = Tally::default();
        self.settled_in_step = Tally::default();
        self.share_check = ShareCheck::default();
        for level in self
            .watches
            .iter_mut()
            .flat_map(|signals| &mut signals.levels)
        {
            level.begin_step();
        }
        self.queries.iter_mut().for_each(Query::begin_step);
    }

    fn count_units(&mut self, evidence: &Evidence, is_current: bool) {
        let started = evidence.all_started();
        self.started.add(started);
        let failed = evidence.all_bad(Signal::Failures, 0).stable;
        let again = evidence.all_again(Signal::Failures, 0).stable;
        self.stable_guard
            .observe(started.stable, failed.saturating_add(again));
        if is_current {
            self.share = evidence.share();
            self.started_in_step.add(started);
            self.settled_in_step.add(evidence.all_settled());
            self.share_check.observe(evidence.share(), started);
        }
    }

    fn raise_alarm(&mut self) {
        let e = self.e();
        let largest = self.parts().max_by(|a, b| a.1.total_cmp(&b.1));
        let now = largest
            .filter(|_| e >= self.settings.worse_bound())
            .map(|(source, part)| Alarm { e, source, part });
        self.alarm = match (self.alarm, now) {
            (Some(alarm), Some(now)) if alarm.source == now.source => Some(Alarm {
                part: alarm.part.max(now.part),
                ..now
            }),
            (Some(alarm), Some(now)) => Some(Alarm { e: now.e, ..alarm }),
            (alarm, now) => alarm.or(now),
        };
    }
}

/// The signals, with weights.
fn signals(watches: Vec<Watch>) -> Result<Vec<Signals>, WatchError> {
    let sum: f64 = watches.iter().map(Watch::raw_weight).sum();
    let mut all: Vec<Signals> = Vec::new();
    for watch in watches {
        if all
            .iter()
            .any(|other| other.watch.signal() == watch.signal())
        {
            return Err(WatchError::Twice(watch.signal()));
        }
        let count = u32::try_from(watch.levels()).unwrap_or(u32::MAX);
        let level = Level::new(watch.raw_weight() / sum / f64::from(count));
        let levels = vec![level; watch.levels()];
        all.push(Signals { watch, levels });
    }
    (!all.is_empty()).then_some(all).ok_or(WatchError::NoSignal)
}

fn valid_settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    let settings = Settings::deserialize(deserializer)?;
    settings.check().map_err(D::Error::custom)?;
    Ok(settings)
}

/// Signals with as many levels as they have thresholds, and weights as [`signals`] makes them.
fn valid_signals<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Signals>, D::Error> {
    let saved = Vec::<Signals>::deserialize(deserializer)?;
    let watches = saved.iter().map(|signals| signals.watch.clone());
    let made = signals(watches.collect()).map_err(D::Error::custom)?;
    for (saved, made) in saved.iter().zip(made) {
        let (has, needs) = (saved.levels.len(), made.levels.len());
        if has != needs {
            let name = saved.watch.signal().as_str();
            let message = format!("`{name}` has {has} levels, not {needs}");
            return Err(D::Error::custom(message));
        }
        let pairs = saved.levels.iter().zip(&made.levels);
        if pairs
            .into_iter()
            .any(|(saved, made)| !saved.has_weight_of(made))
        {
            return Err(D::Error::custom(
                "the weights of a judge are not those of its signals",
            ));
        }
    }
    Ok(saved)
}
