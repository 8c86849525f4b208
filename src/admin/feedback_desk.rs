//! The desk that takes feedback: it reads opinions, finds the answers that they are of, and has them counted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::http::{StatusCode, header};

use super::{
    error::ApiError,
    named_answer::{NamedAnswer, session_name},
    unknown_name::{unknown, unknown_route},
};
use crate::{
    api::{FeedbackRequest, LONGEST_LABEL},
    config::{Feedback, FeedbackForm},
    control::{Answer, AnswerName, Controller, FindAnswerError},
    model::{Opinion, OpinionSign, Revision, RouteName, VariantMark, Version},
    seal::{Content, KeyRing, Stamp},
    telemetry::names,
};

/// Those who give feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Giver {
    /// With a token, on the admin API.
    Operator,
    /// On the listener of `[feedback]`, which says nothing of routes.
    User,
}

/// The desk that takes feedback.
#[derive(Clone)]
pub struct FeedbackState {
    controller: Arc<Controller>,
    seal: Arc<KeyRing>,
    valid_seconds: u64,
    labels: Arc<BTreeMap<String, OpinionSign>>,
    /// The forms that users may name an answer in.
    accepted: Arc<[FeedbackForm]>,
}

impl FeedbackState {
    /// The desk of a controller.
    pub fn new(controller: Arc<Controller>, seal: Arc<KeyRing>, settings: &Feedback) -> Self {
        Self {
            controller,
            seal,
            valid_seconds: settings.valid_for.0.as_secs(),
            labels: Arc::new(settings.labels.clone()),
            accepted: settings.accept.as_slice().into(),
        }
    }

    /// Counts an opinion of an operator; returns if it was counted, and the answer.
    pub(super) async fn take(&self, request: &FeedbackRequest) -> Result<(bool, Answer), ApiError> {
        let opinion = self.opinion(request)?;
        let answer = self.answer(&named(request)?, Giver::Operator).await?;
        Ok(self.count(opinion, answer))
    }

    /// Counts an opinion of a user, who names the answer in a form that is accepted; returns if it was counted.
    pub(super) async fn take_of_user(&self, request: &FeedbackRequest) -> Result<bool, ApiError> {
        let opinion = self.opinion(request)?;
        let named = named(request)?;
        if !self.accepted.contains(&named.form()) {
            return Err(self.not_accepted());
        }
        let answer = self.answer(&named, Giver::User).await?;
        let (counted, _) = self.count(opinion, answer);
        Ok(counted)
    }

    fn count(&self, opinion: Opinion, answer: Answer) -> (bool, Answer) {
        let counted = self.controller.take_feedback(&answer, opinion);
        if !counted {
            refused("repeated");
        }
        (counted, answer)
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

    async fn answer(&self, named: &NamedAnswer<'_>, giver: Giver) -> Result<Answer, ApiError> {
        let name = match *named {
            NamedAnswer::Stamp(text) => return self.stamped(text),
            NamedAnswer::RequestId(id) => AnswerName::RequestId(id.to_owned()),
            NamedAnswer::Session(route, key) => {
                session_name(&self.controller, &self.seal, (route, key))
            }
        };
        let found = self.controller.find_answer(name).await;
        let (answer, age) = found.map_err(|error| self.not_found(&error, giver))?;
        if age > Duration::from_secs(self.valid_seconds) {
            return Err(self.expired("expired-answer", "the answer has expired"));
        }
        Ok(answer)
    }

    fn expired(&self, kind: &str, title: &str) -> ApiError {
        refused("expired");
        let detail = format!("feedback is taken for {} s", self.valid_seconds);
        ApiError::new(StatusCode::GONE, kind, title).detail(detail)
    }

    fn not_accepted(&self) -> ApiError {
        refused("not_accepted");
        let forms = self.accepted.iter().map(|form| form.key());
        let forms: Vec<_> = forms.map(|key| format!("`{key}`")).collect();
        ApiError::new(
            StatusCode::FORBIDDEN,
            "not-accepted",
            "answers are not named in this form here",
        )
        .hint(format!("send {}", forms.join(" or ")))
    }

    fn not_found(&self, error: &FindAnswerError, giver: Giver) -> ApiError {
        let (reason, error) = match error {
            FindAnswerError::Ambiguous => ("ambiguous", ambiguous()),
            FindAnswerError::Busy => ("busy", busy()),
            FindAnswerError::Unknown => ("unknown", unknown_answer()),
            FindAnswerError::NotBySession(_) | FindAnswerError::UnknownRoute(_)
                if giver == Giver::User =>
            {
                ("unknown", unknown_answer())
            }
            FindAnswerError::NotBySession(route) => ("unknown", not_by_session(route)),
            FindAnswerError::UnknownRoute(route) => {
                let state = self.controller.live().state();
                let known = state.spec.routes().iter().map(|route| &route.name);
                ("unknown", unknown_route(route.as_str(), known))
            }
        };
        refused(reason);
        error
    }

    /// The answer of a stamp that is ours and holds.
    fn stamped(&self, text: &str) -> Result<Answer, ApiError> {
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
            return Err(self.expired("expired-stamp", "the stamp has expired"));
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

fn named(request: &FeedbackRequest) -> Result<NamedAnswer<'_>, ApiError> {
    NamedAnswer::of(request).inspect_err(|_| refused("invalid"))
}

fn ambiguous() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "ambiguous-answer",
        "several requests had this id",
    )
    .hint("a trusted proxy has to give each request an id of its own")
}

fn busy() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "worker-busy",
        "not every worker has said what it remembers",
    )
    .detail("nothing was counted")
    .hint("send it again")
    .field(header::RETRY_AFTER, "1")
}

fn not_by_session(route: &RouteName) -> ApiError {
    unknown_answer()
        .detail(format!(
            "route `{route}` does not remember its answers by session"
        ))
        .hint("the route needs `feedback_by = [\"session\"]`")
}

fn unknown_answer() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown-answer", "unknown answer").hint(
        "each instance remembers its own last answers, on routes with `feedback_by`, until it restarts: ask the instance \
         that answered, or use stamps",
    )
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
