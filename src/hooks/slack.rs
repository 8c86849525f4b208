//! Message for an incoming webhook of Slack: a text for notifications, and blocks.

use serde_json::{Value, json};

use super::message::HookMessage;
use crate::{
    api::{Rollout, RolloutState},
    model::HookEvent,
};

/// Longest text of a block, in characters; Slack takes 3,000.
const LONGEST: usize = 2_900;

/// The message.
pub(super) fn message(message: &HookMessage) -> Value {
    let rollout = &message.rollout;
    let title = escaped(&title(message));
    let mut blocks = vec![section(&format!("*{title}*"))];
    if let Some(verdict) = &rollout.verdict {
        blocks.push(section(&escaped(&verdict.words)));
    }
    let facts = format!(
        "rollout {}, {}, {} percent, started by {}",
        rollout.id,
        releases(rollout),
        rollout.weight,
        rollout.author
    );
    blocks.push(json!({ "type": "context", "elements": [mrkdwn(&escaped(&facts))] }));
    json!({ "text": title, "blocks": blocks })
}

/// The releases with their versions, of each route.
fn releases(rollout: &Rollout) -> String {
    let routes = rollout.routes.iter();
    let routes = routes.map(|one| {
        let (route, from, to) = (&one.route, &one.from, &one.to);
        format!(
            "{route} {from} {} → {to} {}",
            one.from_version, one.to_version
        )
    });
    let routes: Vec<_> = routes.collect();
    if routes.len() > 1 {
        return routes.join(", ");
    }
    format!(
        "{} {} → {} {}",
        rollout.from, rollout.from_version, rollout.to, rollout.to_version
    )
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}

/// The event as a sentence.
fn title(message: &HookMessage) -> String {
    let rollout = &message.rollout;
    let (route, to) = (rollout.route_names(), rollout.to_names());
    let from = rollout.from_names();
    let step = rollout.step + 1;
    let steps = rollout.plan.steps.len();
    let next = message.next.map(|next| next.weight);
    match message.event {
        HookEvent::BeforeStart => format!("{route}: a rollout of {to} begins"),
        HookEvent::BeforeStep => match next {
            Some(weight) => format!("{route}: {to} gets {weight} percent"),
            None => format!("{route}: {to} gets its next step"),
        },
        HookEvent::AfterStep => format!("{route}: step {step} of {steps} of {to} is over"),
        HookEvent::Paused => {
            let reason = rollout
                .paused_for
                .map_or("paused", |reason| reason.as_str());
            format!("{route}: the rollout of {to} waits ({reason})")
        }
        HookEvent::BeforePromotion => format!("{route}: {to} gets everything"),
        HookEvent::AfterRollback => {
            format!("{route}: {to} was taken back, {from} has its requests")
        }
        HookEvent::Finished => match rollout.state {
            RolloutState::Succeeded => format!("{route}: the rollout of {to} has succeeded"),
            state => format!("{route}: the rollout of {to} has ended: {}", state.as_str()),
        },
    }
}

/// A text in which nothing is markup, cut to what a block takes.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let written = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            // A bold title ends with the next one.
            '*' => "∗",
            '\n' | '\r' => " ",
            c if out.len() < LONGEST => {
                out.push(c);
                continue;
            }
            _ => break,
        };
        if out.len() + written.len() > LONGEST {
            break;
        }
        out.push_str(written);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::payload::tests::{message as of, of_train};

    #[test]
    fn slack_gets_a_text_and_blocks_without_foreign_markup() {
        let found = message(&of(HookEvent::AfterRollback));
        assert_eq!(
            found["text"],
            "chat: green was taken back, blue has its requests"
        );
        let blocks = found["blocks"].as_array().unwrap();
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[0]["type"], "section");
        assert_eq!(blocks[0]["text"]["type"], "mrkdwn");
        assert_eq!(
            blocks[1]["text"]["text"],
            "green is fine: &lt;1 % &amp; falling"
        );
        assert_eq!(blocks[2]["type"], "context");
    }

    #[test]
    fn a_message_of_a_train_names_its_routes_and_releases() {
        let found = message(&of_train(HookEvent::AfterRollback));
        assert_eq!(
            found["text"],
            "chat, tools: green, red was taken back, blue has its requests"
        );
        let facts = found["blocks"][2]["elements"][0]["text"].as_str().unwrap();
        assert!(
            facts.contains("chat blue 1 → green 2, tools blue 1 → red 2"),
            "{facts}"
        );
    }

    #[test]
    fn every_event_has_a_sentence_of_its_own() {
        let mut titles: Vec<_> = HookEvent::ALL.map(|event| title(&of(event))).to_vec();
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), HookEvent::ALL.len());
    }

    #[test]
    fn a_long_text_is_cut() {
        for text in ["x", "<", "ä"] {
            let cut = escaped(&text.repeat(5_000));
            assert!(cut.len() <= LONGEST + 4, "{}", cut.len());
        }
    }
}
