//! Report of a rollout in the XML format of `JUnit`, which CI servers show on pages of their own.

use std::fmt::Write as _;

use super::rollout_words;
use crate::api::{
    Rollout, RolloutFinding, RolloutRoute, RolloutState, RolloutVerdict, Timestamp,
    VerificationVerdict,
};

/// One check.
struct Case {
    /// Group, as a CI server shows it: `switchback.chat`.
    class: String,
    name: String,
    result: Finding,
}

/// Result of a check, with its words.
enum Finding {
    Passed(String),
    Failed(String),
    Skipped(String),
}

/// A report: a check for each signal of each route, one for the rollout, and one for the verification of its way back.
pub(super) fn report(rollout: &Rollout, now: Timestamp) -> String {
    let cases = cases(rollout);
    let count = |is: fn(&Finding) -> bool| cases.iter().filter(|case| is(&case.result)).count();
    let failures = count(|one| matches!(one, Finding::Failed(_)));
    let skipped = count(|one| matches!(one, Finding::Skipped(_)));
    let ended = rollout.ended_at.unwrap_or(now);
    let micros = ended.0.saturating_sub(rollout.started_at.0);
    let seconds = format!("{}.{:03}", micros / 1_000_000, micros / 1_000 % 1_000);
    let name = escaped(&format!("rollout {}", rollout_words::moves(rollout)));
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let _ = writeln!(
        text,
        "  <testsuite name=\"{name}\" id=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{seconds}\" timestamp=\"{}\">",
        escaped(&rollout.id),
        cases.len(),
        rollout.started_at,
    );
    for case in &cases {
        push(&mut text, case);
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn cases(rollout: &Rollout) -> Vec<Case> {
    let mut cases = vec![Case {
        class: "switchback".to_owned(),
        name: "rollout".to_owned(),
        result: end(rollout),
    }];
    for route in &rollout.routes {
        if let Some(verdict) = &route.verdict {
            cases.extend(signals(route, verdict));
        }
    }
    if let Some(verification) = &rollout.verification {
        let words = verification.words.clone();
        cases.push(Case {
            class: "switchback".to_owned(),
            name: "users after the way back".to_owned(),
            result: match verification.verdict {
                VerificationVerdict::Recovered => Finding::Passed(words),
                VerificationVerdict::NotRecovered | VerificationVerdict::Worse => {
                    Finding::Failed(words)
                }
                VerificationVerdict::NotEnoughData => Finding::Skipped(words),
            },
        });
    }
    cases
}

/// The end of the rollout: anything but a success is a failure.
fn end(rollout: &Rollout) -> Finding {
    let state = || rollout_words::state(rollout.state, rollout.paused_for);
    let last = rollout.log.last().map(|entry| entry.what.clone());
    let words = last.unwrap_or_else(state);
    match rollout.state {
        RolloutState::Succeeded => Finding::Passed(words),
        _ if rollout.ended_at.is_none() => {
            Finding::Failed(format!("not ended yet: {}; {words}", state()))
        }
        _ => Finding::Failed(words),
    }
}

fn signals(route: &RolloutRoute, verdict: &RolloutVerdict) -> impl Iterator<Item = Case> {
    verdict.metrics.iter().map(|metric| Case {
        class: format!("switchback.{}", route.route),
        name: metric.name.clone(),
        result: match metric.verdict {
            RolloutFinding::Fine => Finding::Passed(metric.words.clone()),
            RolloutFinding::Worse => Finding::Failed(metric.words.clone()),
            RolloutFinding::NotEnoughData | RolloutFinding::Unmeasurable => {
                Finding::Skipped(metric.words.clone())
            }
        },
    })
}

fn push(text: &mut String, case: &Case) {
    let (class, name) = (escaped(&case.class), escaped(&case.name));
    let _ = writeln!(text, "    <testcase classname=\"{class}\" name=\"{name}\">");
    let _ = match &case.result {
        Finding::Passed(words) => {
            writeln!(text, "      <system-out>{}</system-out>", escaped(words))
        }
        Finding::Failed(words) => {
            writeln!(text, "      <failure message=\"{}\"/>", escaped(words))
        }
        Finding::Skipped(words) => {
            writeln!(text, "      <skipped message=\"{}\"/>", escaped(words))
        }
    };
    text.push_str("    </testcase>\n");
}

/// A text for an element or an attribute; characters that XML 1.0 cannot have are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            '\0'..' ' | '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{VerificationState, VerificationSummary};

    fn rollout() -> Rollout {
        let rate = serde_json::json!({ "bad": 1, "units": 2, "distinct": 1 });
        let metric = |name: &str, verdict: &str| {
            serde_json::json!({
                "name": name, "verdict": verdict, "e": 1.0, "fine_e": 1.0, "fine_bound": 20.0,
                "canary": rate, "stable": rate, "words": format!("{name} <is> {verdict}"),
            })
        };
        let metrics = [
            metric("failures", "worse"),
            metric("slow", "fine"),
            metric("broken_streams", "not_enough_data"),
        ];
        let verdict = serde_json::json!({
            "overall": "worse", "e": 412.0, "bound": 100.0, "metrics": metrics, "words": "worse",
        });
        serde_json::from_value(serde_json::json!({
            "id": "r1", "route": "chat", "from": "blue", "from_version": "1", "to": "green",
            "to_version": "2", "state": "rolled_back", "step": 0, "weight": 0, "held": "1s",
            "plan": { "steps": [{ "weight": 100 }] }, "group": "g",
            "started_at": "2026-11-20T10:00:00Z", "ended_at": "2026-11-20T10:01:02.5Z",
            "author": "ci", "verdict": verdict,
            "routes": [{
                "route": "chat", "from": "blue", "from_version": "1", "to": "green",
                "to_version": "2", "weight": 0, "verdict": verdict,
            }],
            "log": [{ "at": "2026-11-20T10:01:02Z", "by": "switchback", "what": "taken back & \"out\"" }],
        }))
        .unwrap()
    }

    #[test]
    fn each_signal_is_a_check_and_so_is_the_end() {
        let text = report(&rollout(), Timestamp::default());
        let head = "<testsuite name=\"rollout chat: blue → green\" id=\"r1\" tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\" time=\"62.500\" timestamp=\"2026-11-20T10:00:00.000000Z\">";
        assert!(text.contains(head), "{text}");
        for part in [
            "<failure message=\"taken back &amp; &quot;out&quot;\"/>",
            "classname=\"switchback.chat\" name=\"failures\">\n      <failure message=\"failures &lt;is&gt; worse\"/>",
            "name=\"slow\">\n      <system-out>slow &lt;is&gt; fine</system-out>",
            "name=\"broken_streams\">\n      <skipped message=\"broken_streams &lt;is&gt; not_enough_data\"/>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_verification_is_a_check() {
        let of = |verdict| {
            let mut rollout = rollout();
            rollout.verification = Some(VerificationSummary {
                id: "1".to_owned(),
                state: VerificationState::Ended,
                verdict,
                words: "users".to_owned(),
            });
            let text = report(&rollout, Timestamp::default());
            text.split_once("name=\"users after the way back\">\n      ")
                .map(|(_, rest)| rest.chars().take(8).collect::<String>())
        };
        for (verdict, part) in [
            (VerificationVerdict::Recovered, "<system-"),
            (VerificationVerdict::NotRecovered, "<failure"),
            (VerificationVerdict::Worse, "<failure"),
            (VerificationVerdict::NotEnoughData, "<skipped"),
        ] {
            assert_eq!(of(verdict).as_deref(), Some(part));
        }
    }

    #[test]
    fn what_xml_cannot_have_is_replaced() {
        assert_eq!(
            escaped("a\u{1}\u{1b}[31m\n<&"),
            "a\u{FFFD}\u{FFFD}[31m &lt;&amp;"
        );
    }
}
