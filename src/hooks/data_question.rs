//! Question to a check: is the way back from a release safe for the data?

use serde::Serialize;

use super::{
    call,
    decision::Answer,
    error::CallError,
    hook::Hook,
    payload::{CloudEvent, Envelope, Payload},
};
use crate::{
    api::{DataGuard, Timestamp},
    config::HookFormat,
};

/// Type of the message.
const KIND: &str = "rollback.check";

/// A question about the way back across a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataQuestion {
    /// Its id.
    pub id: String,
    /// Time.
    pub at: Timestamp,
    /// The route, the release that would be left, and the earlier ones.
    pub guard: DataGuard,
}

#[derive(Serialize)]
struct Data<'a> {
    rollback: &'a DataGuard,
}

/// Asks a check once; `seconds` is the time since 1970.
///
/// # Errors
/// The failure: there is no decision.
pub async fn ask_about_data(
    hook: &Hook,
    question: &DataQuestion,
    seconds: u64,
) -> Result<Answer, CallError> {
    let payload = question.render(hook.spec().format);
    let body = call::send(hook, (&question.id, payload), seconds).await?;
    Answer::parse(&body).map_err(CallError::Answer)
}

impl DataQuestion {
    fn render(&self, format: HookFormat) -> Payload {
        let data = Data {
            rollback: &self.guard,
        };
        match format {
            HookFormat::Cloudevents => Payload::of(
                "application/cloudevents+json",
                &CloudEvent {
                    specversion: "1.0",
                    id: &self.id,
                    source: format!("/v1/routes/{}", self.guard.route),
                    kind: format!("switchback.{KIND}"),
                    subject: self.guard.route.to_string(),
                    time: self.at,
                    datacontenttype: "application/json",
                    data,
                },
            ),
            // A message of Slack asks nothing; its answer is no decision then.
            HookFormat::Json | HookFormat::Slack => Payload::of(
                "application/json",
                &Envelope {
                    id: &self.id,
                    kind: KIND,
                    timestamp: self.at,
                    data,
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_question_names_the_route_the_release_and_the_earlier_ones() {
        let question = DataQuestion {
            id: "data_1".to_owned(),
            at: Timestamp::from_millis(0),
            guard: DataGuard {
                route: "chat".parse().unwrap(),
                release: "green".parse().unwrap(),
                version: crate::model::Version::new("2").unwrap(),
                to: vec!["blue".parse().unwrap()],
                reason: None,
                check: Some("schema".parse().unwrap()),
                answer: None,
            },
        };
        let json =
            |format| -> Value { serde_json::from_str(&question.render(format).body).unwrap() };
        let plain = json(HookFormat::Json);
        assert_eq!(plain["type"], "rollback.check", "{plain}");
        assert_eq!(plain["data"]["rollback"]["release"], "green");
        assert_eq!(plain["data"]["rollback"]["to"][0], "blue");
        let event = json(HookFormat::Cloudevents);
        assert_eq!(event["type"], "switchback.rollback.check", "{event}");
        assert_eq!(
            (&event["subject"], &event["data"]),
            (&Value::from("chat"), &plain["data"])
        );
    }
}
