//! Tracks of a rollout: its routes, each with the two releases on it and its judge. One route is a rollout of one track,
//! several are a train.

use std::{iter::once, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use super::rollout_verdict::verdict;
use crate::{
    analysis::{Judge, Names, Obstacle},
    api::{RolloutFinding, RolloutRoute, RolloutRouteStatus, RolloutVerdict},
    model::{Percent, ReleaseName, RouteName, Version, Weights},
};

/// Most names in a text; of more the number is there.
const MOST_NAMES: usize = 3;

/// Route of a rollout, as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Track {
    pub(super) route: RouteName,
    pub(super) from: (ReleaseName, Version),
    pub(super) to: (ReleaseName, Version),
    /// The split before it.
    pub(super) original: Weights,
    /// The judge, in its own form.
    judge: String,
    pub(super) verdict: Option<RolloutVerdict>,
    /// Percents of the route with which the release was shown to be fine, the last time.
    #[serde(default)]
    fine_at: Option<Percent>,
    /// Sessions that were bad already, in their own form, as of the judge.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    bad_sessions: Arc<str>,
}

/// Tracks of a rollout, in the order in which the routes were named.
///
/// The first is saved as it was when a rollout had one route: an earlier version's file is read, and reads that of one
/// route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tracks {
    #[serde(flatten)]
    first: Track,
    #[serde(default, rename = "more_tracks", skip_serializing_if = "Vec::is_empty")]
    more: Vec<Track>,
}

impl Track {
    /// A track without evidence.
    pub(super) fn new(
        route: RouteName,
        from: (ReleaseName, Version),
        to: (ReleaseName, Version),
        original: Weights,
    ) -> Self {
        Self {
            route,
            from,
            to,
            original,
            judge: String::new(),
            verdict: None,
            fine_at: None,
            bad_sessions: Arc::default(),
        }
    }

    /// The judge that was saved. One that cannot be read, by another version of the program perhaps, is given up with an
    /// error in the log: a new one knows nothing, and so is cautious.
    pub(super) fn saved_judge(&self) -> Option<Judge> {
        let route = &self.route;
        if self.judge.is_empty() {
            return None;
        }
        let bytes = STANDARD_NO_PAD.decode(&self.judge);
        let bytes = bytes.map_err(|error| tracing::error!(%route, %error, "the evidence of a rollout cannot be read; it begins anew"));
        let judge = postcard::from_bytes(&bytes.ok()?);
        judge
            .map_err(|error| tracing::error!(%route, %error, "the evidence of a rollout cannot be read; it begins anew"))
            .ok()
    }

    /// Takes over the state of the judge, and its verdict.
    pub(super) fn save_judge(&mut self, judge: &Judge) {
        match postcard::to_extend(judge, Vec::new()) {
            Ok(bytes) => self.judge = STANDARD_NO_PAD.encode(bytes),
            Err(error) => {
                tracing::error!(route = %self.route, %error, "the evidence of a rollout cannot be saved");
            }
        }
        let names = Names {
            canary: self.to.0.as_str(),
            stable: self.from.0.as_str(),
        };
        let found = judge.verdict(names);
        let is_nearly_all = matches!(found.obstacle, Some(Obstacle::ShareTooLarge { .. }));
        let mut shown = verdict(found);
        if let (Some(percent), true) = (self.fine_at, is_nearly_all) {
            shown.words = format!("fine with {percent} percent; {}", shown.words);
        }
        self.verdict = Some(shown);
    }

    /// The bad sessions that were saved. Of what cannot be read none is known: each may count once more.
    pub(super) fn saved_sessions(&self) -> Vec<u8> {
        let bytes = STANDARD_NO_PAD.decode(&*self.bad_sessions);
        bytes.unwrap_or_else(|error| {
            tracing::error!(route = %self.route, %error, "the bad sessions of a rollout cannot be read; each may count once more");
            Vec::new()
        })
    }

    /// Takes over the bad sessions that belong to the evidence.
    pub(super) fn save_sessions(&mut self, bytes: &[u8]) {
        self.bad_sessions = STANDARD_NO_PAD.encode(bytes).into();
    }

    /// Forgets the bad sessions: there is no more evidence to come.
    pub(super) fn forget_sessions(&mut self) {
        self.bad_sessions = Arc::default();
    }

    /// Forgets all that verdicts were made of.
    pub(super) fn forget_evidence(&mut self) {
        self.judge = String::new();
        self.forget_sessions();
    }

    /// Says in the verdict on how many of the nodes of a fleet the requests were counted.
    pub(super) fn note_nodes(&mut self, counted: usize, all: usize) {
        if let Some(verdict) = &mut self.verdict {
            verdict.nodes = Some(counted);
            let all = all.max(counted);
            verdict.words = format!("{}; counted on {counted} of {all} nodes", verdict.words);
        }
    }

    /// Says in the verdict of a query why it has no values.
    pub(super) fn note_silence(&mut self, query: &str, why: &str) {
        let metrics = self.verdict.as_mut().map(|verdict| &mut verdict.metrics);
        let mut metrics = metrics.into_iter().flatten();
        if let Some(metric) = metrics.find(|metric| metric.name == query) {
            metric.words = format!("{}; no value: {why}", metric.words);
        }
    }

    /// Takes note that the release is fine with so much of the route.
    pub(super) const fn note_fine(&mut self, percent: Percent) {
        self.fine_at = Some(percent);
    }

    /// The verdict on a release that has got everything: with nothing beside it there is no more to come.
    pub(super) fn conclude(&mut self) {
        let (Some(verdict), Some(percent)) = (&mut self.verdict, self.fine_at) else {
            return;
        };
        if verdict.overall != RolloutFinding::Worse {
            verdict.overall = RolloutFinding::Fine;
            verdict.words = format!(
                "fine: {} was not worse than {} by any signal with {percent} percent, and was not shown to be worse after that",
                self.to.0, self.from.0
            );
        }
    }

    pub(super) fn show(&self, weight: Percent) -> RolloutRoute {
        RolloutRoute {
            route: self.route.clone(),
            from: self.from.0.clone(),
            from_version: self.from.1.clone(),
            to: self.to.0.clone(),
            to_version: self.to.1.clone(),
            weight,
            verdict: self.verdict.clone(),
        }
    }

    pub(super) fn status(&self, weight: Percent) -> RolloutRouteStatus {
        RolloutRouteStatus {
            route: self.route.clone(),
            from: self.from.0.clone(),
            to: self.to.0.clone(),
            weight,
            verdict: self.verdict.as_ref().map(|verdict| verdict.words.clone()),
        }
    }
}

impl Tracks {
    /// All of them; `None` without one.
    pub(super) fn of(tracks: Vec<Track>) -> Option<Self> {
        let mut tracks = tracks.into_iter();
        Some(Self {
            first: tracks.next()?,
            more: tracks.collect(),
        })
    }

    pub(super) const fn first(&self) -> &Track {
        &self.first
    }

    pub(super) const fn len(&self) -> usize {
        1 + self.more.len()
    }

    /// True for several routes.
    pub(super) const fn are_train(&self) -> bool {
        !self.more.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Track> {
        once(&self.first).chain(&self.more)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        once(&mut self.first).chain(&mut self.more)
    }

    /// True if a route is one of them.
    pub(super) fn has(&self, route: &RouteName) -> bool {
        self.iter().any(|track| track.route == *route)
    }

    pub(super) fn routes(&self) -> Vec<RouteName> {
        self.iter().map(|track| track.route.clone()).collect()
    }

    /// The releases that get requests, each once.
    pub(super) fn canaries(&self) -> Vec<&(ReleaseName, Version)> {
        let mut all: Vec<&(ReleaseName, Version)> = Vec::new();
        for track in self.iter() {
            if !all.contains(&&track.to) {
                all.push(&track.to);
            }
        }
        all
    }

    /// Names of the routes, for a text.
    pub(super) fn route_names(&self) -> String {
        listed(self.iter().map(|track| track.route.as_str()))
    }

    /// Names of the releases that get requests, for a text.
    pub(super) fn canary_names(&self) -> String {
        listed(self.canaries().iter().map(|(name, _)| name.as_str()))
    }

    /// Routes, for the audit log.
    pub(super) fn audit_routes(&self) -> String {
        let routes: Vec<_> = self.iter().map(|track| track.route.as_str()).collect();
        routes.join(", ")
    }

    /// Releases that get requests, for the audit log.
    pub(super) fn audit_releases(&self) -> String {
        let names = self.canaries();
        let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// The verdict of the route that decides: *worse* if one is, *fine* if all are. In a train it names the route.
    pub(super) fn verdict(&self) -> Option<RolloutVerdict> {
        let judged = self.iter().filter_map(|track| {
            let verdict = track.verdict.as_ref()?;
            Some((track, verdict))
        });
        let (track, verdict) = judged.min_by_key(|(_, verdict)| rank(verdict.overall))?;
        let mut verdict = verdict.clone();
        if self.are_train() {
            verdict.route = Some(track.route.clone());
            verdict.words = format!("{}: {}", track.route, verdict.words);
        }
        Some(verdict)
    }
}

/// Place of a finding among those of several routes: the first decides.
const fn rank(finding: RolloutFinding) -> u8 {
    match finding {
        RolloutFinding::Worse => 0,
        RolloutFinding::Unmeasurable => 1,
        RolloutFinding::NotEnoughData => 2,
        RolloutFinding::Fine => 3,
    }
}

/// Names in backticks, a few of them.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(MOST_NAMES) {
        Some(more @ 1..) => format!("{} and {more} more", names[..MOST_NAMES].join(", ")),
        _ => names.join(", "),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::control) fn track(route: &str, to: &str) -> Track {
        let release = |name: &str| (name.parse().unwrap(), Version::new("1").unwrap());
        let original = [("blue".parse().unwrap(), 1)].into();
        Track::new(
            route.parse().unwrap(),
            release("blue"),
            release(to),
            original,
        )
    }

    fn judged(route: &str, overall: RolloutFinding) -> Track {
        let verdict = RolloutVerdict {
            route: None,
            overall,
            e: 1.0,
            bound: 200.0,
            metrics: Vec::new(),
            nodes: None,
            words: format!("{overall:?}"),
        };
        Track {
            verdict: Some(verdict),
            ..track(route, "green")
        }
    }

    #[test]
    fn the_route_that_is_worse_decides_and_is_named() {
        let (fine, worse) = (RolloutFinding::Fine, RolloutFinding::Worse);
        let tracks = Tracks::of(vec![judged("chat", fine), judged("tools", worse)]).unwrap();
        let verdict = tracks.verdict().unwrap();
        assert_eq!(
            (verdict.overall, &verdict.words[..]),
            (worse, "tools: Worse")
        );
        assert_eq!(verdict.route, Some("tools".parse().unwrap()));
        let waits = judged("tools", RolloutFinding::NotEnoughData);
        let tracks = Tracks::of(vec![judged("chat", fine), waits]).unwrap();
        assert_eq!(
            tracks.verdict().unwrap().overall,
            RolloutFinding::NotEnoughData
        );
        let one = Tracks::of(vec![judged("chat", fine)]).unwrap();
        assert_eq!(one.verdict(), one.first().verdict);
        assert!(Tracks::of(Vec::new()).is_none());
    }

    #[test]
    fn one_track_is_saved_as_the_version_before_trains_did() {
        let saved = r#"{"route":"chat","from":["blue","1"],"to":["green","1"],"original":{"blue":1},"judge":"","verdict":null,"fine_at":null}"#;
        let tracks: Tracks = serde_json::from_str(saved).unwrap();
        assert_eq!(tracks, Tracks::of(vec![track("chat", "green")]).unwrap());
        assert_eq!(serde_json::to_string(&tracks).unwrap(), saved);
        let train = Tracks::of(vec![track("chat", "green"), track("tools", "red")]).unwrap();
        let again = serde_json::to_string(&train).unwrap();
        assert_eq!(serde_json::from_str::<Tracks>(&again).unwrap(), train);
    }

    #[test]
    fn a_text_names_a_few_routes_and_counts_the_others() {
        let tracks = ["a", "b", "c", "d", "e"].map(|route| track(route, "green"));
        let tracks = Tracks::of(tracks.to_vec()).unwrap();
        assert_eq!(tracks.route_names(), "`a`, `b`, `c` and 2 more");
        assert_eq!(tracks.canary_names(), "`green`");
        assert!(tracks.has(&"e".parse().unwrap()) && !tracks.has(&"f".parse().unwrap()));
    }
}
