//! Formats of a message: plain JSON, `CloudEvents` 1.0 in structured mode, Slack.

use serde::Serialize;

use super::{
    message::{HookMessage, MessageGate, NextWeight},
    slack,
};
use crate::{
    api::{Rollout, Timestamp},
    config::HookFormat,
    model::HookEvent,
};

/// A message in its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// Envelope that the libraries of Standard Webhooks expect, with the id for commands, which get no header fields.
#[derive(Serialize)]
pub(super) struct Envelope<'a, D> {
    pub(super) id: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) timestamp: Timestamp,
    pub(super) data: D,
}

/// Event of `CloudEvents` 1.0.
#[derive(Serialize)]
pub(super) struct CloudEvent<'a, D> {
    pub(super) specversion: &'static str,
    pub(super) id: &'a str,
    pub(super) source: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) time: Timestamp,
    pub(super) datacontenttype: &'static str,
    pub(super) data: D,
}

#[derive(Serialize)]
struct Data<'a> {
    event: HookEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NextWeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<&'a MessageGate>,
    rollout: &'a Rollout,
}

impl Payload {
    /// Writes a content as JSON.
    ///
    /// # Panics
    /// Never: every part of a message can be written as JSON.
    pub(super) fn of(content_type: &'static str, content: &impl Serialize) -> Self {
        let body = serde_json::to_string(content);
        Self {
            content_type,
            body: body.expect("a message has string keys"),
        }
    }
}

/// Renders a message in a format.
pub(super) fn render(message: &HookMessage, format: HookFormat) -> Payload {
    let data = Data {
        event: message.event,
        next: message.next,
        gate: message.gate.as_ref(),
        rollout: &message.rollout,
    };
    match format {
        HookFormat::Json => {
            let envelope = Envelope {
                id: &message.id,
                kind: message.kind(),
                timestamp: message.at,
                data,
            };
            Payload::of("application/json", &envelope)
        }
        HookFormat::Cloudevents => {
            Payload::of("application/cloudevents+json", &cloud_event(message, data))
        }
        HookFormat::Slack => Payload::of("application/json", &slack::message(message)),
    }
}

fn cloud_event<'a>(message: &'a HookMessage, data: Data<'a>) -> CloudEvent<'a, Data<'a>> {
    CloudEvent {
        specversion: "1.0",
        id: &message.id,
        source: format!("/v1/rollouts/{}", message.rollout.id),
        kind: format!("switchback.{}", message.kind()),
        subject: message.rollout.route_names(),
        time: message.at,
        datacontenttype: "application/json",
        data,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A message about a rollout of green at 5 percent.
    pub(crate) fn message(event: HookEvent) -> HookMessage {
        let rollout = json!({
            "id": "18f", "route": "chat", "from": "blue", "from_version": "1", "to": "green", "to_version": "2",
            "state": "running", "step": 0, "weight": 5, "held": "10m",
            "plan": { "steps": [{ "weight": 5 }, { "weight": 100 }] },
            "group": "rollout-18f", "started_at": "2026-11-20T13:50:00.000000Z", "author": "ci",
            "verdict": { "overall": "fine", "e": 0.5, "bound": 100.0, "metrics": [],
                "words": "green is fine: <1 % & falling" },
            "log": (0..30).map(|n| json!({
                "at": "2026-11-20T13:50:00.000000Z", "by": "switchback", "what": n.to_string() })).collect::<Vec<_>>(),
        });
        let message = HookMessage {
            id: "msg_1".to_owned(),
            event,
            at: Timestamp(1_795_182_600_123_456),
            next: None,
            gate: None,
            rollout: serde_json::from_value(rollout).unwrap(),
        };
        message.bounded()
    }

    fn rendered(message: &HookMessage, format: HookFormat) -> Value {
        serde_json::from_str(&render(message, format).body).unwrap()
    }

    #[test]
    fn json_has_the_event_and_the_rollout_with_the_end_of_its_log() {
        let found = rendered(&message(HookEvent::AfterStep), HookFormat::Json);
        assert_eq!(found["type"], "rollout.after_step");
        assert_eq!(found["id"], "msg_1");
        assert_eq!(found["timestamp"], "2026-11-20T13:50:00.123456Z");
        let rollout = &found["data"]["rollout"];
        assert_eq!(
            (&rollout["route"], &rollout["to"], &rollout["to_version"]),
            (&json!("chat"), &json!("green"), &json!("2"))
        );
        assert_eq!(rollout["weight"], 5);
        assert_eq!(rollout["verdict"]["overall"], "fine");
        let log = rollout["log"].as_array().unwrap();
        assert_eq!((log.len(), &log[19]["what"]), (20, &json!("29")));
        assert!(found["data"].get("gate").is_none());
    }

    #[test]
    fn a_cloud_event_has_every_attribute_that_is_required() {
        let found = rendered(&message(HookEvent::Finished), HookFormat::Cloudevents);
        let payload = render(&message(HookEvent::Finished), HookFormat::Cloudevents);
        assert_eq!(payload.content_type, "application/cloudevents+json");
        assert_eq!(found["specversion"], "1.0");
        assert_eq!(found["id"], "msg_1");
        assert_eq!(found["source"], "/v1/rollouts/18f");
        assert_eq!(found["type"], "switchback.rollout.finished");
        assert_eq!(found["subject"], "chat");
        assert_eq!(found["datacontenttype"], "application/json");
        assert_eq!(found["data"]["event"], "finished");
        // Names of attributes are lower-case letters and digits.
        let plain = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase());
        assert!(found.as_object().unwrap().keys().all(plain));
    }

    /// The message, of a train of two routes.
    pub(crate) fn of_train(event: HookEvent) -> HookMessage {
        let mut message = message(event);
        let route = |route: &str, to: &str| {
            let route = json!({ "route": route, "from": "blue", "from_version": "1", "to": to, "to_version": "2", "weight": 5 });
            serde_json::from_value(route).unwrap()
        };
        message.rollout.routes = vec![route("chat", "green"), route("tools", "red")];
        message
    }

    #[test]
    fn a_message_of_a_train_names_every_route() {
        let found = rendered(&of_train(HookEvent::Finished), HookFormat::Cloudevents);
        assert_eq!(found["subject"], "chat, tools");
        assert_eq!(found["data"]["rollout"]["routes"][1]["to"], "red");
    }

    #[test]
    fn a_question_names_the_gate_and_what_follows() {
        let mut question = message(HookEvent::BeforeStep);
        question.next = Some(NextWeight {
            step: Some(1),
            weight: "50".parse().unwrap(),
        });
        question.gate = Some(MessageGate {
            name: "checks".to_owned(),
            ready: true,
        });
        let found = rendered(&question, HookFormat::Json);
        assert_eq!(found["type"], "rollout.gate");
        assert_eq!(found["data"]["event"], "before_step");
        assert_eq!(found["data"]["next"], json!({ "step": 1, "weight": 50 }));
        assert_eq!(
            found["data"]["gate"],
            json!({ "name": "checks", "ready": true })
        );
    }
}
