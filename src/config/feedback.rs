//! Settings of feedback: the listener for it, what it takes, and for how long.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, OpinionSign, Problem};

/// Longest label, in characters.
const LONGEST_LABEL: usize = 64;
/// Largest number of labels.
const MOST_LABELS: usize = 64;

/// Feedback: the opinions that users have of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feedback {
    /// Address of a listener that serves `POST /v1/feedback` and nothing else, without tokens; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Forms in which users of that listener may name an answer; stamps alone by default. A stamp is the permission to speak
    /// of its answer; a request id is seen in logs, and the key of a session may be guessed.
    pub accept: Vec<FeedbackForm>,
    /// Time that feedback on an answer is taken.
    pub valid_for: HumanDuration,
    /// Requests a second of one client of that listener; at once, as many as in a second, and at least five.
    pub per_client: u32,
    /// Requests a second of all its clients together.
    pub rate: u32,
    /// Labels that feedback may have, and what each means.
    pub labels: BTreeMap<String, OpinionSign>,
}

/// Form in which feedback names an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackForm {
    /// The id of its request.
    RequestId,
    /// Its session, for the last one.
    Session,
    /// Its stamp.
    Stamp,
}

impl FeedbackForm {
    /// Its key in a request.
    pub fn key(self) -> &'static str {
        match self {
            Self::RequestId => "request_id",
            Self::Session => "session",
            Self::Stamp => "stamp",
        }
    }
}

impl Default for Feedback {
    fn default() -> Self {
        Self {
            address: None,
            accept: vec![FeedbackForm::Stamp],
            valid_for: HumanDuration::seconds(24 * 3600),
            per_client: 5,
            rate: 200,
            labels: BTreeMap::new(),
        }
    }
}

/// Checks the forms, the times and the labels.
pub(super) fn check(feedback: &Feedback, found: &mut Vec<Problem>) {
    forms(&feedback.accept, found);
    let (least, most) = (
        HumanDuration::seconds(1),
        HumanDuration::seconds(90 * 86_400),
    );
    let valid_for = feedback.valid_for;
    if valid_for < least || valid_for > most {
        let message = format!("{valid_for} is not 1s to 90d");
        found.push(Problem::new("feedback.valid_for", message).hint("the default is 24h"));
    }
    if feedback.labels.len() > MOST_LABELS {
        let message = format!("more than {MOST_LABELS} labels");
        found.push(Problem::new("feedback.labels", message));
    }
    for label in feedback.labels.keys() {
        let length = label.chars().count();
        if !(1..=LONGEST_LABEL).contains(&length) || label.chars().any(char::is_control) {
            let message = format!("a label has 1 to {LONGEST_LABEL} visible characters");
            found.push(Problem::new(format!("feedback.labels.{label}"), message));
        }
    }
}

fn forms(accept: &[FeedbackForm], found: &mut Vec<Problem>) {
    if accept.is_empty() {
        let problem = Problem::new("feedback.accept", "nothing would be accepted");
        found.push(problem.hint("the default is `[\"stamp\"]`"));
    }
    for (place, form) in accept.iter().enumerate() {
        if accept[..place].contains(form) {
            let path = format!("feedback.accept.{place}");
            found.push(Problem::new(path, "it is listed twice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_labels_have_bounds() {
        let problems = |feedback: &Feedback| {
            let mut found = Vec::new();
            check(feedback, &mut found);
            let paths = found.iter().map(|problem| problem.path.clone());
            paths.collect::<Vec<_>>()
        };
        let mut feedback = Feedback::default();
        assert!(problems(&feedback).is_empty());
        feedback.accept = Vec::new();
        assert_eq!(problems(&feedback), ["feedback.accept"]);
        feedback.accept = vec![FeedbackForm::Session; 2];
        assert_eq!(problems(&feedback), ["feedback.accept.1"]);
        feedback.accept = vec![FeedbackForm::RequestId, FeedbackForm::Stamp];
        feedback.valid_for = HumanDuration::seconds(91 * 86_400);
        for label in ["fine", "", "a\nb", &"x".repeat(65)] {
            let sign = OpinionSign::Negative;
            feedback.labels.insert(label.to_owned(), sign);
        }
        assert_eq!(problems(&feedback).len(), 4);
        feedback.labels = (0..65)
            .map(|number| (number.to_string(), OpinionSign::Neutral))
            .collect();
        let expected = ["feedback.valid_for", "feedback.labels"];
        assert_eq!(problems(&feedback), expected);
    }
}
