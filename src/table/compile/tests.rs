//! Sharing and rejection in the compiler.

use super::*;
use crate::model::{Change, TableDocument};

fn state(json: &str) -> TableState {
    serde_json::from_str::<TableDocument>(json)
        .unwrap()
        .into_state(&TableState::default())
}

fn problems(json: &str) -> Vec<String> {
    let found = compile(state(json), &ChangeSet::default(), None, &Fleet::new(1)).unwrap_err();
    found
        .into_iter()
        .map(|problem| format!("{problem}"))
        .collect()
}

const RELEASES: &str = r#""releases":{"blue":{"endpoints":["http://127.0.0.1:1"]},"green":{"endpoints":["http://127.0.0.1:2"]}}"#;

#[test]
fn a_change_of_one_split_compiles_one_route_and_shares_the_rest() {
    let routes: Vec<_> = (0..1_000)
        .map(|i| format!(r#"{{"name":"r{i}","path":"/{i}","split":{{"blue":1,"green":0}}}}"#))
        .collect();
    let first = state(&format!(
        r#"{{{RELEASES},"routes":[{}]}}"#,
        routes.join(",")
    ));
    let fleet = Fleet::new(1);
    let before = compile(first.clone(), &ChangeSet::default(), None, &fleet).unwrap();
    let change = Change::Switch {
        route: "r500".parse().unwrap(),
        to: "green".parse().unwrap(),
    };
    let applied = change.apply_to(&first).unwrap();
    let after = compile(
        applied.state,
        &applied.touched,
        Some(before.compiled()),
        &fleet,
    )
    .unwrap();
    let (old, new) = (before.compiled(), after.compiled());
    assert!(Arc::ptr_eq(&old.index, &new.index) && Arc::ptr_eq(&old.releases, &new.releases));
    assert_eq!(
        old.routes()
            .differences(new.routes(), Arc::ptr_eq)
            .collect::<Vec<_>>(),
        [500]
    );
    let cells = |compiled: &Compiled| {
        Arc::clone(
            compiled
                .routes()
                .get(500)
                .unwrap()
                .split()
                .entry("blue")
                .unwrap()
                .cells(),
        )
    };
    assert!(Arc::ptr_eq(&cells(old), &cells(new)), "statistics go on");
}

#[test]
fn a_new_version_compiles_the_routes_that_name_the_release() {
    let first = state(&format!(
        r#"{{{RELEASES},"routes":[{{"name":"a","path":"/a","split":{{"blue":1}}}},{{"name":"b","split":{{"green":1}}}}]}}"#
    ));
    let fleet = Fleet::new(1);
    let before = compile(first.clone(), &ChangeSet::default(), None, &fleet).unwrap();
    let document =
        serde_json::from_str(r#"{"version":"2","endpoints":["http://127.0.0.1:1"]}"#).unwrap();
    let applied = Change::PutRelease {
        release: "blue".parse().unwrap(),
        document,
    }
    .apply_to(&first)
    .unwrap();
    let after = compile(
        applied.state,
        &applied.touched,
        Some(before.compiled()),
        &fleet,
    )
    .unwrap();
    let changed = before
        .compiled()
        .routes()
        .differences(after.compiled().routes(), Arc::ptr_eq);
    assert_eq!(changed.collect::<Vec<_>>(), [0]);
    let version = |draft: &Draft| {
        draft
            .compiled()
            .routes()
            .get(0)
            .unwrap()
            .split()
            .entry("blue")
            .unwrap()
            .release()
            .version()
            .clone()
    };
    assert_eq!(
        (version(&before).as_str(), version(&after).as_str()),
        ("", "2")
    );
}

#[test]
fn all_problems_are_told_at_once_with_a_place_and_a_hint() {
    let found = problems(
        r#"{"releases":{"blue":{"endpoints":[]},"green":{"endpoints":["http://a:1","http://a:1"],"health":{"path":"x","rise":0}}},
            "routes":[{"name":"chat","host":"Agents.example.com","split":{"gren":5,"blue":2000000}},
                      {"name":"b","path":"/a","path_prefix":"/a","split":{"blue":0}},
                      {"name":"c","path_prefix":"/c/../d","strip_prefix":"/x","split":{"blue":1},"stable":"grean"},
                      {"name":"c","split":{"blue":1},"headers":{"X-Up":"a"},"expose_release":"connection"}]}"#,
    );
    let expected = [
        "releases.blue.endpoints: a release needs at least one endpoint",
        "`http://a:1` is listed twice",
        "releases.green.health.path: `x` is not a path",
        "`rise` and `fall`",
        "routes.chat.host: `Agents.example.com` is not a host",
        "routes.chat.split.gren: no release is called `gren`\n  hint: did you mean `green`?",
        "routes.chat.split.blue: the weight 2000000 is more than 1000000",
        "routes.b.path: it has both",
        "routes.b.split: no release has a weight",
        "routes.c.path_prefix: `/c/../d` is not in its normal form",
        "routes.c.strip_prefix: `/x` is not the beginning",
        "routes.c.stable: no release is called `grean`\n  hint: did you mean `green`?",
        "routes.c.headers.X-Up: `X-Up` is not a header field name",
        "routes.c.expose_release: `connection` is reserved",
        "two routes are named `c`",
    ];
    for text in expected {
        assert!(
            found.iter().any(|problem| problem.contains(text)),
            "{text}\nin {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn routes_that_match_the_same_requests_are_a_problem() {
    let found = problems(&format!(
        r#"{{{RELEASES},"routes":[{{"name":"a","path_prefix":"/x/","split":{{"blue":1}}}},{{"name":"b","path_prefix":"/x","split":{{"blue":1}}}}]}}"#
    ));
    assert!(
        found[0].contains("it matches the same requests as route `a`"),
        "{found:?}"
    );
}

#[test]
fn a_release_that_a_route_still_names_cannot_go() {
    let first = state(&format!(
        r#"{{{RELEASES},"routes":[{{"name":"a","split":{{"blue":1}}}}]}}"#
    ));
    let fleet = Fleet::new(1);
    let before = compile(first.clone(), &ChangeSet::default(), None, &fleet).unwrap();
    let mut document = TableDocument::of(&first);
    document.releases.remove("blue");
    let applied = Change::Replace { table: document }
        .apply_to(&first)
        .unwrap();
    let found = compile(
        applied.state,
        &applied.touched,
        Some(before.compiled()),
        &fleet,
    )
    .unwrap_err();
    assert_eq!(found[0].path, "routes.a.split.blue");
}
