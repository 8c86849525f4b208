//! Receipts and differences as text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    outlook,
    rollouts::goes_back,
    text::{clean, count, drop_nothings, microseconds, percent, share},
};
use crate::{
    api::{DryRun, Receipt, UnresolvedRelease},
    model::{Cause, Diff, DiffEntry, EndpointUrl, ShareChange},
};

/// The API's hint in terms of the command line.
const NOTHING_ON_TRIAL: &str = "  hint: one release has the whole split, and an abort only ends a trial; `switchback rollback` restores what was live before, `--dry-run` shows it\n";

/// Summary of a change, in one line or more.
pub(super) fn receipt(receipt: &Receipt) -> String {
    if !receipt.changed {
        let text = format!("revision {}  nothing to change\n", receipt.revision);
        return match receipt.hint {
            None => text,
            Some(_) => text + NOTHING_ON_TRIAL,
        };
    }
    let mut more = summary(&receipt.diff);
    let line = match &receipt.cause {
        Cause::Rollback { to } => format!("= revision {to}"),
        Cause::RollbackFlag { flag, to } => format!("flag {flag} = revision {to}"),
        Cause::RollbackRoute {
            route: Some(route),
            to,
        } => format!("{route} = revision {to}"),
        _ if more.is_empty() => String::new(),
        _ => more.remove(0),
    };
    let head = format!("revision {}  {line}", receipt.revision);
    let mut text = format!("{head}   {}\n", how(receipt));
    for line in more {
        text = format!("{text}  {line}\n");
    }
    if receipt.in_flight_on_previous > 0 {
        let still = count(receipt.in_flight_on_previous, "request");
        text = format!("{text}  {still} still in flight on earlier revisions\n");
    }
    for crowded in &receipt.crowded {
        text = format!("{text}  {crowded}\n");
    }
    if let Some(back) = &receipt.going_back {
        let command = match &receipt.cause {
            Cause::ReturnPart { to: Some(to), .. } => format!("`switchback rollback --to {to}`"),
            _ => "the same without --over".to_owned(),
        };
        let (parts, end) = (goes_back(back), back.ends_at);
        text = format!("{text}  {parts}, until {end}; {command} gives back the rest at once\n");
    }
    if let Some(hint) = &receipt.hint {
        text = format!("{text}  hint: {}\n", clean(hint));
    }
    for one in &receipt.unresolved {
        text = format!("{text}  {}\n", unresolved(one));
    }
    text
}

/// The names of a release that have no address, and the endpoints that serve meanwhile.
fn unresolved(one: &UnresolvedRelease) -> String {
    let list = |urls: &[EndpointUrl]| {
        let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
        urls.join(", ")
    };
    let mut text = format!(
        "`{}`: no address yet for {}",
        one.release,
        list(&one.endpoints)
    );
    if !one.still_served_by.is_empty() {
        let before = list(&one.still_served_by);
        text = format!("{text}; until then requests go to {before} as before");
    }
    text
}

/// `live in 38 µs, durable`, or what is still missing.
fn how(receipt: &Receipt) -> String {
    let mut how = format!("live in {}", microseconds(receipt.swap_microseconds));
    if receipt.durable {
        how.push_str(", durable");
    } else if let Some(revision) = receipt.restart_revision {
        how = format!("{how}, NOT durable yet: a restart would restore revision {revision}");
    } else {
        how.push_str(", NOT durable yet");
    }
    if !receipt.waiting_for.is_empty() {
        let missing = count(receipt.waiting_for.len() as u64, "worker");
        how = format!("{how}; {missing} not converged yet");
    }
    how
}

/// Effect of a change; a forced one waits for no check.
pub(super) fn dry_run(dry_run: &DryRun, forced: bool) -> String {
    if !dry_run.changed {
        return format!(
            "nothing would change; revision {} is live\n",
            dry_run.revision
        );
    }
    let mut text = match (dry_run.to, &dry_run.route) {
        (Some(to), Some(route)) => {
            format!("would restore the split of `{route}` in revision {to}; nothing has changed\n")
        }
        (Some(to), None) => format!("would restore revision {to}; nothing has changed\n"),
        (None, _) => "would change; nothing has changed\n".to_owned(),
    };
    for line in summary(&dry_run.diff) {
        text = format!("{text}  {line}\n");
    }
    if !dry_run.takes_along.is_empty() {
        let revisions: Vec<_> = dry_run
            .takes_along
            .iter()
            .map(ToString::to_string)
            .collect();
        let noun = if revisions.len() == 1 {
            "revision"
        } else {
            "revisions"
        };
        let revisions = revisions.join(", ");
        text = format!(
            "{text}  a later rollback without --route also undoes other changes: {noun} {revisions}\n"
        );
    }
    outlook::push(&mut text, dry_run);
    for release in &dry_run.not_ready {
        text = format!("{text}  not ready: {release} has no healthy endpoint\n");
    }
    let then = if forced {
        ""
    } else {
        "; the change waits for its first check, and is refused if it fails"
    };
    for release in &dry_run.unknown {
        text = format!("{text}  unknown: {release} was not checked yet{then}\n");
    }
    text
}

/// A line for each route whose split changed (`chat: blue 100%→95%  green 0%→5%`), then one for each other difference.
pub(super) fn summary(diff: &Diff) -> Vec<String> {
    let mut splits: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut others = Vec::new();
    for entry in &diff.0 {
        match share_of(entry) {
            Some((route, change)) => splits.entry(route).or_default().push(change),
            None => others.push(line(entry)),
        }
    }
    let split = |(route, changes): (&str, Vec<String>)| format!("{route}: {}", changes.join("  "));
    splits.into_iter().map(split).chain(others).collect()
}

/// A changed share, if the difference is one. Names of routes and releases may contain dots, so the path is cut at the
/// fixed part between them.
fn share_of(entry: &DiffEntry) -> Option<(&str, String)> {
    let (route, release) = entry.path.strip_prefix("routes.")?.split_once(".split.")?;
    let ShareChange { before, after } = entry.share?;
    let weight = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
    // Absent from the split differs from a weight of 0.
    let before = weight(&entry.before).map_or_else(|| "–".to_owned(), |_| percent(before));
    let after = weight(&entry.after).map_or_else(|| "–".to_owned(), |weight| share(after, weight));
    Some((route, format!("{release} {before}→{after}")))
}

/// One difference on one line.
pub(super) fn line(entry: &DiffEntry) -> String {
    if let Some(line) = moved(entry) {
        return line;
    }
    let path = clean(&entry.path);
    match (&entry.before, &entry.after) {
        (None, Some(after)) => format!("{path}: added {}", short(after)),
        (Some(_), None) => format!("{path}: removed"),
        (before, after) => {
            let side = |value: &Option<Value>| value.as_ref().map(whole).unwrap_or_default();
            let (before, after) = apart(&side(before), &side(after));
            format!("{path}: {before}→{after}")
        }
    }
}

/// Describes a route that moved in the order, counted from 1.
fn moved(entry: &DiffEntry) -> Option<String> {
    let route = entry.path.strip_suffix(".(place)")?;
    let place = |value: &Option<Value>| value.as_ref()?.as_u64().map(|place| place + 1);
    let (before, after) = (place(&entry.before)?, place(&entry.after)?);
    Some(format!(
        "{}: moved from position {before} to {after} among the routes",
        clean(route)
    ))
}

/// Longest text of a value; of longer ones `--json` has the whole.
const MOST: usize = 80;

fn short(value: &Value) -> String {
    start(&whole(value))
}

fn whole(value: &Value) -> String {
    let mut value = value.clone();
    drop_nothings(&mut value);
    let text = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    clean(&text)
}

fn start(text: &str) -> String {
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}…")
}

/// Two values, short. Where they would look the same, each begins a little before the first difference.
fn apart(one: &str, other: &str) -> (String, String) {
    /// Letters that are shown before it.
    const BEFORE: usize = 20;
    let pairs = one.chars().zip(other.chars());
    let same = pairs.take_while(|(one, other)| one == other).count();
    if same + BEFORE < MOST {
        return (start(one), start(other));
    }
    let from = |text: &str| {
        let rest: String = text.chars().skip(same - BEFORE).collect();
        start(&format!("…{rest}"))
    };
    (from(one), from(other))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn diff(entries: &[(&str, Value, Value)]) -> Diff {
        let side = |value: &Value| (!value.is_null()).then(|| value.clone());
        let entry = |(path, before, after): &(&str, Value, Value)| DiffEntry {
            path: (*path).to_owned(),
            before: side(before),
            after: side(after),
            share: None,
        };
        Diff(entries.iter().map(entry).collect())
    }

    fn shares(entries: &[(&str, f64, f64)], mut diff: Diff) -> Diff {
        for entry in &mut diff.0 {
            let of = entries.iter().find(|(path, ..)| *path == entry.path);
            entry.share = of.map(|&(_, before, after)| ShareChange { before, after });
        }
        diff
    }

    #[test]
    fn shares_of_one_route_stand_on_one_line() {
        let diff = diff(&[
            ("releases.green.version", json!("1"), json!("2")),
            ("routes.chat.split.blue", json!(100), json!(9_995)),
            ("routes.chat.split.green", Value::Null, json!(5)),
            ("routes.chat.split.red", json!(0), Value::Null),
            ("routes.even.split.blue", json!(3), json!(1)),
            ("routes.even.split.green", json!(1), json!(1)),
            ("routes.old", json!({ "split": {} }), Value::Null),
            ("routes.tools.(place)", json!(2), json!(0)),
        ]);
        let of = [
            ("routes.chat.split.blue", 1.0, 0.9995),
            ("routes.chat.split.green", 0.0, 0.0005),
            ("routes.chat.split.red", 0.0, 0.0),
            ("routes.even.split.blue", 0.75, 0.5),
            ("routes.even.split.green", 0.25, 0.5),
        ];
        assert_eq!(
            summary(&shares(&of, diff)),
            [
                "chat: blue 100%→99.95%  green –→0.05%  red 0%→–",
                "even: blue 75%→50% (weight 1)  green 25%→50% (weight 1)",
                "releases.green.version: 1→2",
                "routes.old: removed",
                "routes.tools: moved from position 3 to 1 among the routes",
            ]
        );
    }

    fn taken(changes: &Value) -> Receipt {
        let mut receipt = json!({
            "revision": 42, "parent": 41, "digest": "0".repeat(64), "changed": true,
            "cause": { "kind": "publish" }, "durable": true, "swap_microseconds": 38, "in_flight_on_previous": 0,
            "applied_at": "2026-11-20T13:50:00.000000Z", "converged_at": "2026-11-20T13:50:00.000100Z",
            "diff": [
                { "path": "routes.chat.split.blue", "before": 100, "after": 95, "share": { "before": 1.0, "after": 0.95 } },
                { "path": "routes.chat.split.green", "before": 0, "after": 5, "share": { "before": 0.0, "after": 0.05 } },
            ],
        });
        for (key, value) in changes.as_object().unwrap() {
            receipt[key] = value.clone();
        }
        serde_json::from_value(receipt).unwrap()
    }

    #[test]
    fn long_values_that_begin_alike_are_shown_from_where_they_differ() {
        let rules = |share: u32| json!([{ "when": "x".repeat(200) }, { "split": { "on": share } }]);
        let entries = diff(&[("flags.a.rules", rules(5), rules(10))]);
        let text = line(&entries.0[0]);
        let (before, after) = text.split_once('→').unwrap();
        assert!(before.starts_with("flags.a.rules: …x"), "{text}");
        assert!(before.ends_with("\"on\":5}}]"), "{text}");
        assert!(
            after.starts_with('…') && after.ends_with("\"on\":10}}]"),
            "{text}"
        );
    }

    #[test]
    fn a_receipt_is_one_line_when_all_is_well() {
        assert_eq!(
            receipt(&taken(&json!({}))),
            "revision 42  chat: blue 100%→95%  green 0%→5%   live in 38 µs, durable\n"
        );
        let back = taken(&json!({ "cause": { "kind": "rollback", "to": 41 }, "diff": [] }));
        assert_eq!(
            receipt(&back),
            "revision 42  = revision 41   live in 38 µs, durable\n"
        );
        let same = taken(&json!({ "changed": false }));
        assert_eq!(receipt(&same), "revision 42  nothing to change\n");
    }

    #[test]
    fn what_is_missing_is_said() {
        let text = receipt(&taken(&json!({
            "durable": false, "restart_revision": 40, "converged_at": null, "waiting_for": [1],
            "in_flight_on_previous": 3,
        })));
        assert!(text.contains(
            "NOT durable yet: a restart would restore revision 40; 1 worker not converged yet"
        ));
        assert!(text.ends_with("  3 requests still in flight on earlier revisions\n"));
    }
}
