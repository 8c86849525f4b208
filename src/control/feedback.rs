//! Feedback: what users say of answers, counted once at the release that gave them, and at the variants of flags that
//! they were given with.

use std::{net::IpAddr, time::Duration};

use super::{
    Controller,
    feedback_desk::{Answer, AnswerName, FindAnswerError},
};
use crate::{
    api::FeedbackEntry,
    fleet::{AnswerKey, Found, FoundAnswer},
    model::{
        AffinitySource, FeedbackBy, Opinion, OpinionSign, ReleaseName, RouteName, RouteSpec,
        VariantMark, Version,
    },
    stats::FeedbackSnapshot,
    table::key_of,
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

    /// The answer of this name that a worker remembers, and its age.
    ///
    /// # Errors
    /// If there is none, or none for certain.
    pub async fn find_answer(
        &self,
        name: AnswerName,
    ) -> Result<(Answer, Duration), FindAnswerError> {
        let key = self.answer_key(name)?;
        let permit = self.feedback.looked_for.try_acquire();
        let _permit = permit.map_err(|_| FindAnswerError::Busy)?;
        let found = self.table.work().find(key).await;
        match found.map_err(|_| FindAnswerError::Busy)? {
            Some(Found::One(found)) => {
                let age = found.age;
                let answer = answer_of(*found).ok_or(FindAnswerError::Unknown)?;
                Ok((answer, age))
            }
            Some(Found::Several) => Err(FindAnswerError::Ambiguous),
            None => Err(FindAnswerError::Unknown),
        }
    }

    fn answer_key(&self, name: AnswerName) -> Result<AnswerKey, FindAnswerError> {
        let (route, key) = match name {
            AnswerName::RequestId(id) => return Ok(AnswerKey::RequestId(id.into())),
            AnswerName::Session { route, key } => (route, key),
        };
        let state = self.table.load().state();
        let Some(spec) = state.spec.route(&route) else {
            return Err(FindAnswerError::UnknownRoute(route));
        };
        if !spec.feedback_by.contains(&FeedbackBy::Session) {
            return Err(FindAnswerError::NotBySession(route));
        }
        let session = session_key(spec, &key);
        Ok(AnswerKey::Session { route, session })
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

/// The key of a session, as the route makes it of its requests: of an address in its binary form.
fn session_key(route: &RouteSpec, text: &str) -> u64 {
    let by_address = route.affinity.contains(&AffinitySource::ClientAddress);
    let address = by_address.then(|| text.parse::<IpAddr>().ok()).flatten();
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => key_of(&address.octets()),
        Some(IpAddr::V6(address)) => key_of(&address.octets()),
        None => key_of(text.as_bytes()),
    }
}

fn answer_of(found: FoundAnswer) -> Option<Answer> {
    Some(Answer {
        route: found.origin.route,
        release: found.origin.release,
        version: found.origin.version,
        revision: found.revision,
        number: found.number,
        session: found.session,
        variants: VariantMark::read(&found.variants)?,
    })
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
