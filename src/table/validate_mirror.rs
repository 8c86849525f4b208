//! Validation of the mirror of a route.

use std::time::Duration;

use super::route_check::Check;
use crate::model::{HumanDuration, MirrorSpec, ReleaseName, RouteSpec, Size, TableSpec, closest};

/// Longest body that is copied.
const LARGEST_BODY: Size = Size::mib(1);
/// Longest part of an answer that is read.
const LARGEST_ANSWER: Size = Size::mib(16);
/// Longest answer that is compared as JSON.
const LARGEST_JSON: Size = Size::kib(256);
/// Most paths that may differ.
const MOST_IGNORED: usize = 64;
/// Bounds of the timeout.
const TIMEOUT: [HumanDuration; 2] = [
    HumanDuration(Duration::from_millis(10)),
    HumanDuration::seconds(300),
];
/// Most copies under way, and most that wait.
const MOST: [u32; 2] = [1_024, 4_096];

pub(super) fn problems(route: &RouteSpec, table: &TableSpec, check: &mut Check<'_>) {
    let Some(mirror) = &route.mirror else { return };
    release(mirror, table, check);
    sizes(mirror, check);
    numbers(mirror, check);
    json(mirror, check);
}

fn release(mirror: &MirrorSpec, table: &TableSpec, check: &mut Check<'_>) {
    let name = &mirror.release;
    if table.release(name).is_some() {
        return;
    }
    let known = table.releases().keys().map(ReleaseName::as_str);
    let hint = closest(name.as_str(), known);
    check.problem(
        "mirror.release",
        format!("no release is called `{name}`"),
        &hint.unwrap_or_else(|| "remove the mirror from the route before its release".to_owned()),
    );
}

fn sizes(mirror: &MirrorSpec, check: &mut Check<'_>) {
    let sizes = [
        ("max_body", mirror.max_body, LARGEST_BODY),
        ("max_answer", mirror.max_answer, LARGEST_ANSWER),
    ];
    for (key, size, most) in sizes {
        if size > most {
            let message = format!("`{size}` is more than {most}");
            check.problem(&format!("mirror.{key}"), message, "");
        }
    }
}

fn numbers(mirror: &MirrorSpec, check: &mut Check<'_>) {
    let [least, most] = TIMEOUT;
    if !(least..=most).contains(&mirror.timeout) {
        let message = format!("`{}` is not 10ms to 5m", mirror.timeout);
        check.problem("mirror.timeout", message, "");
    }
    let [concurrency, queue] = MOST;
    if !(1..=concurrency).contains(&mirror.concurrency) {
        let message = format!("{} is not 1 to {concurrency}", mirror.concurrency);
        let hint = "a `percent` of 0 copies nothing";
        check.problem("mirror.concurrency", message, hint);
    }
    if mirror.queue > queue {
        let message = format!("{} is more than {queue}", mirror.queue);
        check.problem("mirror.queue", message, "");
    }
}

fn json(mirror: &MirrorSpec, check: &mut Check<'_>) {
    let Some(spec) = &mirror.compare_json else {
        return;
    };
    if spec.max_body > LARGEST_JSON {
        let message = format!("`{}` is more than {LARGEST_JSON}", spec.max_body);
        check.problem("mirror.compare_json.max_body", message, "");
    }
    if spec.ignore.len() > MOST_IGNORED {
        let message = format!("{} paths are more than {MOST_IGNORED}", spec.ignore.len());
        let hint = "`*` stands for any key or index of one level";
        check.problem("mirror.compare_json.ignore", message, hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TableDocument, TableState};

    fn paths(mirror: &str) -> Vec<String> {
        let text = format!(
            r#"{{"releases":{{"green":{{"endpoints":["http://127.0.0.1:1"]}}}},
                "routes":[{{"name":"chat","split":{{"green":1}},"mirror":{{{mirror}}}}}]}}"#
        );
        let document: TableDocument = serde_json::from_str(&text).unwrap();
        let state = document.into_state(&TableState::default());
        let mut found = Vec::new();
        let route = state.spec.routes().get(0).unwrap();
        problems(route, &state.spec, &mut Check::new(route, &mut found));
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn every_mistake_in_a_mirror_has_its_place() {
        let good = r#""release":"green","percent":5"#;
        assert!(paths(good).is_empty());
        assert_eq!(
            paths(r#""release":"gren","percent":5"#),
            ["routes.chat.mirror.release"]
        );
        for (key, value) in [
            ("max_body", "\"2MiB\""),
            ("max_answer", "\"17MiB\""),
            ("timeout", "\"1ms\""),
            ("timeout", "\"6m\""),
            ("concurrency", "0"),
            ("concurrency", "1025"),
            ("queue", "4097"),
        ] {
            let found = paths(&format!(r#"{good},"{key}":{value}"#));
            assert_eq!(found, [format!("routes.chat.mirror.{key}")], "{value}");
        }
        let many = format!("[{}]", vec![r#""/a""#; 65].join(","));
        for (key, value) in [("max_body", r#""257KiB""#), ("ignore", &many)] {
            let found = paths(&format!(r#"{good},"compare_json":{{"{key}":{value}}}"#));
            assert_eq!(found, [format!("routes.chat.mirror.compare_json.{key}")]);
        }
    }
}
