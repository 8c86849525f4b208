//! Feedback: what users say of answers, counted once at the release that gave them, and at the variants of flags that
//! they were given with.

use super::{Controller, feedback_desk::Answer};
use crate::{
    api::FeedbackEntry,
    model::{Opinion, OpinionSign, ReleaseName, RouteName, Version},
    stats::FeedbackSnapshot,
};

impl Controller {
    /// Counts an opinion of an answer. `false` if one was counted before: the first one stays.
    pub fn take_feedback(&self, answer: &Answer, opinion: Opinion) -> bool {
        let is_first = self.feedback.is_first(answer);
        if is_first {
            let cells = self
                .fleet
                .cells(&answer.route, &answer.release, &answer.version);
            cells.record_feedback(opinion, answer.revision, answer.session);
            let halves = self
                .fleet
                .halves(&answer.route, &answer.release, &answer.version);
            if let Some(halves) = halves {
                let half = halves.of(answer.session);
                half.record_feedback(opinion, answer.revision, answer.session);
            }
            for cells in self.fleet.marked_flag_cells(&answer.variants) {
                cells.record_feedback(opinion, answer.revision, answer.session);
            }
        }
        is_first
    }

    /// The opinions of each release on each route, by name.
    pub fn feedback(&self) -> Vec<FeedbackEntry> {
        let mut all = Vec::new();
        self.fleet.each_cells(|(route, release, version), cells| {
            let seen = cells.feedback();
            if seen.count() > 0 {
                let on = (route.clone(), release.clone(), version.clone());
                all.push(entry(on, &seen));
            }
        });
        all.sort_by(|a, b| {
            let name = |entry: &FeedbackEntry| {
                (
                    entry.route.clone(),
                    entry.release.clone(),
                    entry.version.clone(),
                )
            };
            name(a).cmp(&name(b))
        });
        all
    }
}

fn entry(
    (route, release, version): (RouteName, ReleaseName, Version),
    seen: &FeedbackSnapshot,
) -> FeedbackEntry {
    #[expect(
        clippy::cast_precision_loss,
        reason = "opinions are counted in millions"
    )]
    let count = seen.count() as f64;
    FeedbackEntry {
        route,
        release,
        version,
        positive: seen.of_sign(OpinionSign::Positive),
        neutral: seen.of_sign(OpinionSign::Neutral),
        negative: seen.of_sign(OpinionSign::Negative),
        score: seen.score() / count,
    }
}
