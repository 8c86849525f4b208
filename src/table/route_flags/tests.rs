//! Flags of routes: they are what an application would get, and follow each change of a flag.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    fleet::Fleet,
    model::{Change, ChangeSet, TableDocument, TableState},
    table::{Compiled, FlagContext, compile, key_of},
};

fn document(route: &Value, flags: &Value) -> TableState {
    let mut chat = json!({ "name": "chat", "path": "/chat", "split": { "blue": 1, "green": 1 } });
    for (key, value) in route.as_object().unwrap() {
        chat[key] = value.clone();
    }
    let document: TableDocument = serde_json::from_value(json!({
        "releases": {
            "blue": { "version": "1.0.0", "endpoints": ["http://127.0.0.1:1"] },
            "green": { "version": "2.0.0", "endpoints": ["http://127.0.0.1:2"] },
        },
        "routes": [chat, { "name": "rest", "split": { "blue": 1 } }],
        "flags": flags,
    }))
    .unwrap();
    document.into_state(&TableState::default())
}

fn compiled(state: &TableState) -> Arc<Compiled> {
    let draft = compile(state.clone(), &ChangeSet::default(), None, &Fleet::new(1)).unwrap();
    Arc::clone(draft.compiled())
}

fn boolean(rules: &Value) -> Value {
    json!({ "type": "boolean", "variants": { "on": true, "off": false }, "default": "off", "rules": rules })
}

/// The fields of a route for a key, by release.
fn fields(compiled: &Compiled, release: usize, key: &str) -> Vec<String> {
    let route = compiled.routes().get(0).unwrap();
    let flags = route.flags().unwrap();
    let variants = flags.variants(release, key_of(key.as_bytes()));
    let fields = flags.fields(variants);
    fields
        .map(|(name, text)| format!("{name}: {text}"))
        .collect()
}

fn problems(state: &TableState) -> Vec<String> {
    let found = compile(state.clone(), &ChangeSet::default(), None, &Fleet::new(1));
    found.unwrap_err().iter().map(ToString::to_string).collect()
}

/// Applies a change to a compiled table.
fn changed(
    state: &TableState,
    before: &Compiled,
    change: &str,
) -> Result<(TableState, Arc<Compiled>), Vec<String>> {
    let change: Change = serde_json::from_str(change).unwrap();
    let applied = change.apply_to(state).unwrap();
    let draft = compile(
        applied.state.clone(),
        &applied.touched,
        Some(before),
        &Fleet::new(1),
    );
    let text = |problem: &crate::model::Problem| problem.to_string();
    let draft = draft.map_err(|problems| problems.iter().map(text).collect::<Vec<_>>())?;
    Ok((applied.state, Arc::clone(draft.compiled())))
}

#[test]
fn a_route_without_flags_has_none_and_one_with_flags_names_release_version_and_route() {
    let rule = |attribute: &str, value: &str| json!([{ "when": [{ "attribute": attribute, "equals": value }], "split": { "on": 1 } }]);
    let flags = json!({
        "by-release": boolean(&rule("release", "green")),
        "by-route": boolean(&rule("route", "chat")),
        "by-version": boolean(&rule("version", "1.0.0")),
        "new-model": { "type": "string", "variants": { "a": "haiku \u{e9}" }, "default": "a" },
    });
    let route = json!({ "flags": ["by-release", "by-version", "by-route", "new-model"] });
    let compiled = compiled(&document(&route, &flags));
    assert!(compiled.routes().get(1).unwrap().flags().is_none());
    let is = |release, first: &str, second: &str| {
        assert_eq!(
            fields(&compiled, release, "user-7"),
            [
                format!("x-flag-by-release: {first}"),
                format!("x-flag-by-version: {second}"),
                "x-flag-by-route: true".to_owned(),
                r#"x-flag-new-model: "haiku \u00e9""#.to_owned(),
            ]
        );
    };
    is(0, "false", "true");
    is(1, "true", "false");
}

#[test]
fn a_change_of_a_flag_or_of_one_that_it_depends_on_compiles_the_routes_that_hand_it_over() {
    let mut child = boolean(&json!([{ "split": { "on": 1 } }]));
    child["prerequisite"] = json!({ "flag": "Base", "variant": "on" });
    let flags = json!({
        "Base": boolean(&json!([{ "split": { "on": 1 } }])), "child": child, "other": boolean(&json!([])),
    });
    let state = document(&json!({ "flags": ["child"] }), &flags);
    let first = compiled(&state);
    assert_eq!(fields(&first, 0, "a"), ["x-flag-child: true"]);
    let off = |flag| format!(r#"{{"kind":"set_flag_state","flag":"{flag}","state":"off"}}"#);
    let (_, second) = changed(&state, &first, &off("Base")).unwrap();
    assert_eq!(fields(&second, 0, "a"), ["x-flag-child: false"]);
    assert_eq!(
        fields(&first, 0, "a"),
        ["x-flag-child: true"],
        "the way back"
    );
    let places = |other: &Compiled| -> Vec<_> {
        let routes = first.routes();
        routes.differences(other.routes(), Arc::ptr_eq).collect()
    };
    assert_eq!(places(&second), [0]);
    let (_, third) = changed(&state, &first, &off("other")).unwrap();
    assert!(places(&third).is_empty(), "no route hands it over");
}

#[test]
fn a_flag_that_a_route_hands_over_neither_goes_nor_grows_too_long() {
    let flags = json!({ "planner": boolean(&json!([])), "model": { "type": "string", "variants": { "a": "x" }, "default": "a" } });
    let state = document(&json!({ "flags": ["planner", "model"] }), &flags);
    let live = compiled(&state);
    let refused = |change: &str| changed(&state, &live, change).unwrap_err().join("\n");
    let gone = refused(r#"{"kind":"remove_flag","flag":"planner"}"#);
    assert_eq!(
        gone,
        "routes.chat.flags.0: no flag is called `planner`\n  hint: add the flag, or take its name from the route first"
    );
    let long = "x".repeat(4_096);
    let patch =
        json!({ "kind": "patch_flag", "flag": "model", "patch": { "variants": { "a": long } } });
    let grown = refused(&patch.to_string());
    assert!(
        grown.starts_with(
            "routes.chat.flags: the flags have up to 4127 bytes in a head; the maximum is 4096"
        ) && grown.contains("the longest value is one of `model`, with 4108 bytes"),
        "{grown}"
    );
    let both = json!({ "kind": "batch", "changes": [
        { "kind": "remove_flag", "flag": "planner" },
        { "kind": "put_route", "route": { "name": "chat", "path": "/chat", "split": { "blue": 1 }, "flags": ["model"] } },
    ] });
    assert!(changed(&state, &live, &both.to_string()).is_ok());
}

#[test]
fn all_problems_of_a_routes_flags_are_told_with_a_hint() {
    let flags = json!({ "planner": boolean(&json!([])), "Model": boolean(&json!([])), "a_b": boolean(&json!([])) });
    let route = json!({ "flags": ["planer", "Model", "planner", "planner", "a_b"] });
    let found = problems(&document(&route, &flags));
    let safe = "hint: hand over a flag whose name has only lower case letters, digits and `-`";
    assert_eq!(
        found,
        [
            "routes.chat.flags.0: no flag is called `planer`\n  hint: did you mean `planner`?"
                .to_owned(),
            format!(
                "routes.chat.flags.1: `x-flag-Model` is no name that every server tells from others\n  {safe}"
            ),
            "routes.chat.flags.3: `planner` is listed twice".to_owned(),
            format!(
                "routes.chat.flags.4: `x-flag-a_b` is no name that every server tells from others\n  {safe}"
            ),
        ]
    );
    let many: Vec<_> = (0..17).map(|number| format!("f{number}")).collect();
    let found = problems(&document(&json!({ "flags": many }), &json!({})));
    assert!(
        found.len() == 1 && found[0].starts_with("routes.chat.flags: 17 flags; the maximum is 16"),
        "{found:?}"
    );
    let found = problems(&document(&json!({ "flag_baggage": true }), &json!({})));
    assert_eq!(
        found,
        [
            "routes.chat.flag_baggage: there are no flags to send as `baggage`\n  hint: name them in `flags`"
        ]
    );
}

/// A rule that may match by the release, and splits or not.
fn rule() -> impl Strategy<Value = Value> {
    let when = prop_oneof![
        Just(json!([])),
        Just(json!([{ "attribute": "release", "equals": "green" }])),
        Just(json!([{ "attribute": "version", "semver": { "below": "2.0.0" } }])),
        Just(json!([{ "attribute": "plan", "present": true }])),
    ];
    (when, 0_u32..100, 0_u32..100)
        .prop_map(|(when, on, off)| json!({ "when": when, "split": { "on": on + 1, "off": off } }))
}

fn flag() -> impl Strategy<Value = Value> {
    (prop::collection::vec(rule(), 0..3), 0..6).prop_map(|(rules, off)| {
        let mut flag = boolean(&json!(rules));
        if off == 0 {
            flag["state"] = json!("off");
        }
        flag
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_endpoint_gets_what_an_application_with_the_same_context_gets(
        chain in prop::collection::vec((flag(), any::<bool>(), any::<bool>()), 1..5),
        keys in prop::collection::vec("[a-z0-9]{1,8}", 20),
    ) {
        let mut flags = Map::new();
        let mut names = Vec::new();
        for (number, (mut flag, depends, wants)) in chain.into_iter().enumerate() {
            if number > 0 && depends {
                let wanted = if wants { "on" } else { "off" };
                flag["prerequisite"] = json!({ "flag": format!("f{}", number - 1), "variant": wanted });
            }
            names.push(format!("f{number}"));
            flags.insert(format!("f{number}"), flag);
        }
        let compiled = compiled(&document(&json!({ "flags": names }), &flags.into()));
        for (place, release) in [("blue", "1.0.0"), ("green", "2.0.0")].into_iter().enumerate() {
            for key in &keys {
                let context = json!({ "targetingKey": key, "release": release.0, "version": release.1, "route": "chat" });
                let context = FlagContext::new(serde_json::from_value(context).unwrap());
                let expected: Vec<_> = names.iter().map(|name| {
                    let found = compiled.flags().evaluate(name, &context).unwrap();
                    format!("x-flag-{name}: {}", found.variant.value())
                }).collect();
                prop_assert_eq!(fields(&compiled, place, key), expected);
            }
        }
    }
}
