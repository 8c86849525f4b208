//! Evaluation by rules, its laws, and the rejection of bad flags.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    fleet::Fleet,
    model::{Change, TableDocument, TableState},
    table::{Compiled, compile},
};

fn state(flags: &Value) -> TableState {
    let document: TableDocument = serde_json::from_value(json!({ "flags": flags })).unwrap();
    document.into_state(&TableState::default())
}

fn compiled(flags: &Value) -> Arc<Compiled> {
    let draft = compile(state(flags), &ChangeSet::default(), None, &Fleet::new(1)).unwrap();
    Arc::clone(draft.compiled())
}

fn problems(flags: &Value) -> Vec<String> {
    let found = compile(state(flags), &ChangeSet::default(), None, &Fleet::new(1));
    found.unwrap_err().iter().map(ToString::to_string).collect()
}

fn boolean(rules: &Value) -> Value {
    json!({ "type": "boolean", "variants": { "on": true, "off": false }, "default": "off", "rules": rules })
}

fn context(attributes: Value) -> FlagContext {
    FlagContext::new(serde_json::from_value(attributes).unwrap())
}

fn seen(flags: &Value, name: &str, attributes: Value) -> String {
    let compiled = compiled(flags);
    match compiled.flags().evaluate(name, &context(attributes)) {
        Ok(found) => format!("{} {}", found.variant.name(), found.reason.as_str()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_first_rule_that_matches_decides_and_the_reason_says_why() {
    let flags = json!({
        "planner": boolean(&json!([
            { "when": [{ "attribute": "plan", "in": ["pro"] }, { "attribute": "beta", "equals": true }], "split": { "on": 1 } },
            { "when": [{ "attribute": "release", "equals": "green" }], "split": { "on": 50, "off": 50 } },
        ])),
        "plain": boolean(&json!([])),
        "everybody": boolean(&json!([{ "split": { "on": 1, "off": 0 } }])),
        "off": { "type": "string", "variants": { "a": "x", "b": "y" }, "default": "b", "state": "off", "rules": [{ "split": { "a": 1 } }] },
    });
    let is = |name, attributes, expected: &str| {
        assert_eq!(seen(&flags, name, attributes), expected, "{name}");
    };
    is(
        "planner",
        json!({ "plan": "pro", "beta": true }),
        "on TARGETING_MATCH",
    );
    is("planner", json!({ "plan": "pro" }), "off DEFAULT");
    is(
        "planner",
        json!({ "release": "green", "targetingKey": "user-0" }),
        "off SPLIT",
    );
    is(
        "planner",
        json!({ "release": "green", "targetingKey": "user-7" }),
        "on SPLIT",
    );
    is(
        "planner",
        json!({ "release": "green" }),
        "`rules[1]` of flag `planner` splits by `targetingKey`, and the context has none",
    );
    is(
        "planner",
        json!({ "release": "green", "targetingKey": "" }),
        "`rules[1]` of flag `planner` splits by `targetingKey`, and the context has none",
    );
    is("plain", json!({}), "off STATIC");
    is("everybody", json!({}), "on STATIC");
    is("off", json!({}), "b DISABLED");
    is("gone", json!({}), "no flag is called `gone`");
}

#[test]
fn a_prerequisite_that_gives_another_variant_leaves_the_default() {
    let with = |state: &str| {
        let mut base = boolean(
            &json!([{ "when": [{ "attribute": "plan", "equals": "pro" }], "split": { "on": 1 } }]),
        );
        base["state"] = state.into();
        let mut child = boolean(&json!([{ "split": { "on": 1 } }]));
        child["prerequisite"] = json!({ "flag": "base", "variant": "on" });
        json!({ "base": base, "child": child })
    };
    assert_eq!(
        seen(&with("on"), "child", json!({ "plan": "pro" })),
        "on STATIC"
    );
    assert_eq!(
        seen(&with("on"), "child", json!({ "plan": "free" })),
        "off DEFAULT"
    );
    assert_eq!(
        seen(&with("off"), "child", json!({ "plan": "pro" })),
        "off DEFAULT"
    );
}

#[test]
fn numbers_of_a_flag_have_a_point_if_one_of_them_has() {
    let flags = json!({
        "rate": { "type": "number", "variants": { "low": 1, "high": 2.5 }, "default": "low" },
        "count": { "type": "number", "variants": { "low": 1, "high": 2 }, "default": "low" },
    });
    let compiled = compiled(&flags);
    let sent = |name: &str| {
        let found = compiled
            .flags()
            .evaluate(name, &FlagContext::default())
            .unwrap();
        found.variant.value().to_string()
    };
    assert_eq!(
        (sent("rate").as_str(), sent("count").as_str()),
        ("1.0", "1")
    );
}

#[test]
fn a_value_is_at_most_sixteen_objects_deep() {
    let nested =
        |depth: usize| (1..depth).fold(json!({ "a": [] }), |inner, _| json!({ "a": inner }));
    let flags = |depth: usize| {
        let value = nested(depth - 1);
        json!({ "a": { "type": "object", "variants": { "x": value }, "default": "x" } })
    };
    let compiled =
        |flags: &Value| compile(state(flags), &ChangeSet::default(), None, &Fleet::new(1));
    assert!(compiled(&flags(16)).is_ok());
    let text = problems(&flags(17)).remove(0);
    assert!(
        text.starts_with("flags.a.variants.x: 17 objects in each other; the maximum is 16"),
        "{text}"
    );
}

#[test]
fn all_problems_of_flags_are_told_at_once_with_a_place_and_a_hint() {
    let found = problems(&json!({
        "a": { "type": "boolean", "variants": { "on": "yes", "off": null }, "default": "of", "rules": [
            { "split": { "no": 1, "on": 2_000_000 } },
            { "split": { "on": 0 }, "when": [{ "attribute": "" }, { "attribute": "x", "equals": {}, "in": [] },
                { "attribute": "v", "semver": { "below": "1.x" } }, { "attribute": "n", "number": { "above": 2, "below": 1 } },
                { "attribute": "targeting_key", "starts_with": "" }] },
        ] },
        "b": { "type": "object", "variants": {}, "default": "x", "owner": "o".repeat(129), "prerequisite": { "flag": "aa", "variant": "on" } },
        "c": { "type": "object", "variants": { "x": { "deep": [null] } }, "default": "x", "prerequisite": { "flag": "d", "variant": "y" } },
        "d": { "type": "number", "variants": { "x": 1 }, "default": "x", "prerequisite": { "flag": "c", "variant": "x" } },
    }));
    let expected = [
        "flags.a.variants.on: `\"yes\"` is not a value of type `boolean`\n  hint: write `type = \"string\"`, or another value",
        "flags.a.variants.off: `null` is not a value of type `boolean`",
        "flags.a.default: no variant is called `of`\n  hint: did you mean `off`?",
        "flags.a.rules.0.split.no: no variant is called `no`",
        "flags.a.rules.0.split.on: the weight 2000000 is more than 1000000",
        "flags.a.rules.1.split: no variant has a weight",
        "flags.a.rules.1.when.0.attribute: the name of an attribute",
        "flags.a.rules.1.when.0: it compares the attribute with nothing\n  hint: write `equals`",
        "flags.a.rules.1.when.1: it has several comparisons: `equals`, `in`",
        "flags.a.rules.1.when.1.equals: an attribute is compared with",
        "flags.a.rules.1.when.1.in: 0 values",
        "flags.a.rules.1.when.2.semver.below: `1.x` is not a version",
        "flags.a.rules.1.when.3.number: no number is above 2 and below 1",
        "flags.a.rules.1.when.4.attribute: `targeting_key` is not how the key is called",
        "flags.a.rules.1.when.4.starts_with: every text has an empty part",
        "flags.b.variants: 0 variants",
        "flags.b.default: no variant is called `x`",
        "flags.b.owner: it has 129 bytes",
        "flags.b.prerequisite.flag: no flag is called `aa`\n  hint: did you mean `a`?",
        "flags.c.variants.x: there is a `null` in it",
        "flags.c.prerequisite.variant: no variant is called `y`",
        "flags.c.prerequisite.flag: the prerequisites go in a circle",
        "flags.d.prerequisite.flag: the prerequisites go in a circle",
    ];
    for text in expected {
        assert!(
            found.iter().any(|problem| problem.starts_with(text)),
            "{text}\nin {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_flag_that_others_depend_on_cannot_go_and_chains_are_short() {
    let fleet = Fleet::new(1);
    let mut child = boolean(&json!([]));
    child["prerequisite"] = json!({ "flag": "base", "variant": "on" });
    let before = state(&json!({ "base": boolean(&json!([])), "child": child }));
    let live = compile(before.clone(), &ChangeSet::default(), None, &fleet).unwrap();
    let flag = "base".parse().unwrap();
    let applied = Change::RemoveFlag { flag }.apply_to(&before).unwrap();
    let found = compile(
        applied.state,
        &applied.touched,
        Some(live.compiled()),
        &fleet,
    )
    .unwrap_err();
    assert_eq!(found[0].path, "flags.child.prerequisite.flag");
    let chain = |length: usize| {
        let mut flags = Map::new();
        for number in 0..=length {
            let mut flag = boolean(&json!([]));
            if number > 0 {
                flag["prerequisite"] =
                    json!({ "flag": format!("f{}", number - 1), "variant": "on" });
            }
            flags.insert(format!("f{number}"), flag);
        }
        Value::Object(flags)
    };
    assert_eq!(
        seen(&chain(LONGEST_CHAIN - 1), "f7", json!({})),
        "off DEFAULT"
    );
    assert_eq!(problems(&chain(LONGEST_CHAIN)).len(), 1);
}

#[test]
fn a_change_of_one_flag_compiles_that_flag_and_shares_the_rest() {
    let fleet = Fleet::new(1);
    let flags: Map<_, _> = (0..1_000)
        .map(|number| (format!("f{number}"), boolean(&json!([]))))
        .collect();
    let before = state(&Value::Object(flags));
    let live = compile(before.clone(), &ChangeSet::default(), None, &fleet).unwrap();
    let change = Change::SetFlagState {
        flag: "f500".parse().unwrap(),
        state: crate::model::FlagState::Off,
    };
    let applied = change.apply_to(&before).unwrap();
    let after = compile(
        applied.state,
        &applied.touched,
        Some(live.compiled()),
        &fleet,
    )
    .unwrap();
    let (old, new) = (&live.compiled().flags().0, &after.compiled().flags().0);
    assert_eq!(old.differences(new, Arc::ptr_eq), ["f500".parse().unwrap()]);
}

/// Reference: the assignment of 1,000 users, by variant.
fn assignment(split: &BTreeMap<String, u32>) -> Vec<String> {
    let variants: Map<_, _> = split
        .keys()
        .map(|name| (name.clone(), json!(name)))
        .collect();
    let flag = json!({ "type": "string", "variants": variants, "default": "a", "rules": [{ "split": split }] });
    let compiled = compiled(&json!({ "f": flag }));
    let of = |user: usize| {
        let context = context(json!({ "targetingKey": format!("user-{user}") }));
        compiled
            .flags()
            .evaluate("f", &context)
            .unwrap()
            .variant
            .name()
            .to_string()
    };
    (0..1_000).map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn evaluation_is_a_function_and_growth_moves_users_only_to_what_grew(
        weights in prop::collection::vec(1_u32..100, 2..5), grown in 0_usize..4, by in 1_u32..1_000,
    ) {
        let named = |weights: &[u32]| -> BTreeMap<String, u32> {
            weights.iter().zip(["a", "b", "c", "d"]).map(|(weight, name)| (name.to_owned(), *weight)).collect()
        };
        let before = assignment(&named(&weights));
        let mut more = weights.clone();
        let place = grown % weights.len();
        more[place] += by;
        let after = assignment(&named(&more));
        let name = ["a", "b", "c", "d"][place];
        for (then, now) in before.iter().zip(&after) {
            prop_assert!(then == now || now == name, "{then} became {now}");
        }
        // The way back restores each assignment, and a table made anew has the same.
        prop_assert_eq!(&assignment(&named(&weights)), &before);
    }

    #[test]
    fn shares_of_variants_are_within_statistical_bounds(on in 1_u32..100) {
        let split = BTreeMap::from([("a".to_owned(), on), ("b".to_owned(), 100 - on)]);
        let users = assignment(&split).iter().filter(|name| *name == "a").count();
        let (expected, found) = (10.0 * f64::from(on), f64::from(u32::try_from(users).unwrap()));
        let p = f64::from(on) / 100.0;
        let bound = 6.5 * (1_000.0 * p * (1.0 - p)).sqrt() + 6.5 * 6.5 / 6.0;
        prop_assert!((found - expected).abs() <= bound, "{found} for {expected}");
    }
}

#[test]
fn users_of_two_flags_are_independent_of_one_another() {
    let half = boolean(&json!([{ "split": { "on": 50, "off": 50 } }]));
    let compiled = compiled(&json!({ "one": half, "two": half }));
    let is_on = |flag: &str, user: usize| {
        let context = context(json!({ "targetingKey": format!("user-{user}") }));
        compiled
            .flags()
            .evaluate(flag, &context)
            .unwrap()
            .variant
            .name()
            .as_str()
            == "on"
    };
    let both = (0..4_000)
        .filter(|user| is_on("one", *user) == is_on("two", *user))
        .count();
    assert!((1_800..2_200).contains(&both), "{both} of 4000 agree");
}
