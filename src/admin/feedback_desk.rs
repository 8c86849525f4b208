//! The desk that takes feedback: it reads stamps and opinions, and has them counted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::http::StatusCode;

use super::{error::ApiError, unknown_name::unknown};
use crate::{
    api::{FeedbackRequest, LONGEST_LABEL},
    config::Feedback,
    control::{Answer, Controller},
    model::{Opinion, OpinionSign, Revision, VariantMark, Version},
    seal::{Content, KeyRing, Stamp},
    telemetry::names,
};

/// The desk that takes feedback.
#[derive(Clone)]
pub struct FeedbackState {
    controller: Arc<Controller>,
    seal: Arc<KeyRing>,
    valid_seconds: u64,
    labels: Arc<BTreeMap<String, OpinionSign>>,
}

impl FeedbackState {
    /// The desk of a controller.
    pub fn new(controller: Arc<Controller>, seal: Arc<KeyRing>, settings: &Feedback) -> Self {
        Self {
            controller,
            seal,
            valid_seconds: settings.valid_for.0.as_secs(),
            labels: Arc::new(settings.labels.clone()),
        }
    }

    /// Counts an opinion; returns if it was counted, and the answer.
    pub(super) fn take(&self, request: &FeedbackRequest) -> Result<(bool, Answer), ApiError> {
        let opinion = self.opinion(request)?;
        let answer = self.answer(&request.stamp)?;
        let counted = self.controller.take_feedback(&answer, opinion);
        if !counted {
            refused("repeated");
        }
        Ok((counted, answer))
    }

    fn opinion(&self, request: &FeedbackRequest) -> Result<Opinion, ApiError> {
        let wrong = |detail: String| {
            refused("invalid");
            Err(ApiError::invalid(detail))
        };
        match (request.score, request.thumb, &request.label) {
            (Some(score), None, None) => {
                Opinion::of_score(score).map_or_else(|| wrong("`score` is -1 to 1".into()), Ok)
            }
            (None, Some(thumb), None) => Ok(Opinion::of_thumb(thumb)),
            (None, None, Some(label)) => match self.labels.get(label) {
                Some(sign) => Ok(Opinion::of_sign(*sign)),
                None => Err(unknown_label(label, &self.labels)),
            },
            _ => wrong("exactly one of `score`, `thumb` and `label` is needed".into()),
        }
    }

    /// The answer of a stamp that is ours and holds.
    fn answer(&self, text: &str) -> Result<Answer, ApiError> {
        let mut content = Content::default();
        let forged = || {
            refused("forged");
            ApiError::new(
                StatusCode::FORBIDDEN,
                "forged-stamp",
                "the stamp is not one of ours",
            )
            .hint("send the field `x-switchback-stamp` of the answer, unchanged")
        };
        let stamp = Stamp::open(&self.seal, text.as_bytes(), &mut content).map_err(|_| forged())?;
        if stamp.age(now_seconds()) > self.valid_seconds {
            refused("expired");
            return Err(
                ApiError::new(StatusCode::GONE, "expired-stamp", "the stamp has expired")
                    .detail(format!("a stamp holds for {} s", self.valid_seconds)),
            );
        }
        answer_of(&stamp).ok_or_else(forged)
    }
}

fn answer_of(stamp: &Stamp<'_>) -> Option<Answer> {
    Some(Answer {
        route: stamp.route.parse().ok()?,
        release: stamp.release.parse().ok()?,
        version: Version::new(stamp.version).ok()?,
        revision: Revision(stamp.revision),
        number: stamp.number,
        session: stamp.session,
        variants: VariantMark::read(stamp.variants)?,
    })
}

fn unknown_label(label: &str, labels: &BTreeMap<String, OpinionSign>) -> ApiError {
    refused("invalid");
    if label.chars().count() > LONGEST_LABEL {
        let detail = format!("a label has at most {LONGEST_LABEL} characters");
        return ApiError::invalid(detail);
    }
    let known = labels.keys().map(String::as_str);
    unknown("label", label, known)
}

pub(super) fn refused(reason: &'static str) {
    metrics::counter!(names::FEEDBACK_REFUSED.0, "reason" => reason).increment(1);
}

fn now_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
