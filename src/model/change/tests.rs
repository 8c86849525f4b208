//! Effects and rejections of each change.

use proptest::prelude::*;

use super::*;

fn state() -> TableState {
    let text = r#"{"releases":{
            "blue":{"version":"1","endpoints":["http://a:1"]},
            "green":{"version":"1","endpoints":["http://b:1"]},
            "red":{"version":"1","endpoints":["http://c:1"]}},
        "routes":[
            {"name":"chat","split":{"blue":95,"green":5},"stable":"blue"},
            {"name":"whole","path_prefix":"/w","split":{"blue":7,"green":0}},
            {"name":"three","path_prefix":"/3","split":{"blue":1,"green":1,"red":1}}]}"#;
    let document: TableDocument = serde_json::from_str(text).unwrap();
    document.into_state(&TableState::default())
}

fn change(json: &str) -> Change {
    serde_json::from_str(json).unwrap()
}

fn done(json: &str) -> TableState {
    change(json).apply_to(&state()).unwrap().state
}

fn weights(state: &TableState, route: &str) -> Vec<(String, u32)> {
    let route = state.spec.route(&route.parse().unwrap()).unwrap();
    let pairs = route.split.iter();
    pairs
        .map(|(name, weight)| (name.to_string(), *weight))
        .collect()
}

fn pairs(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    expected
        .iter()
        .map(|(name, weight)| ((*name).to_owned(), *weight))
        .collect()
}

#[test]
fn a_switch_keeps_the_sum_and_leaves_the_others_at_zero() {
    let after = done(r#"{"kind":"switch","route":"chat","to":"green"}"#);
    assert_eq!(
        weights(&after, "chat"),
        pairs(&[("blue", 0), ("green", 100)])
    );
    assert_eq!(weights(&after, "whole"), weights(&state(), "whole"));
}

#[test]
fn a_patch_changes_what_it_names_and_a_set_replaces() {
    let after = done(r#"{"kind":"patch_split","route":"chat","weights":{"green":10}}"#);
    assert_eq!(
        weights(&after, "chat"),
        pairs(&[("blue", 95), ("green", 10)])
    );
    let after = done(r#"{"kind":"set_split","route":"chat","weights":{"red":1}}"#);
    assert_eq!(weights(&after, "chat"), pairs(&[("red", 1)]));
}

#[test]
fn a_promotion_makes_the_canary_stable_and_an_abort_ends_the_trial() {
    let after = done(r#"{"kind":"promote","route":"chat"}"#);
    assert_eq!(
        weights(&after, "chat"),
        pairs(&[("blue", 0), ("green", 100)])
    );
    let chat = after.spec.route(&"chat".parse().unwrap()).unwrap();
    assert_eq!(
        chat.stable_release().map(ToString::to_string),
        Some("green".to_owned())
    );
    let after = done(r#"{"kind":"abort","route":"chat"}"#);
    assert_eq!(
        weights(&after, "chat"),
        pairs(&[("blue", 100), ("green", 0)])
    );
}

#[test]
fn a_promotion_of_one_of_several_asks_which() {
    let refused = change(r#"{"kind":"promote","route":"three"}"#)
        .apply_to(&state())
        .unwrap_err();
    assert!(matches!(refused, ChangeError::Invalid(_)), "{refused}");
}

#[test]
fn an_unknown_name_is_answered_with_the_names_that_exist() {
    let refused = change(r#"{"kind":"switch","route":"chta","to":"green"}"#)
        .apply_to(&state())
        .unwrap_err();
    assert!(
        matches!(&refused, ChangeError::UnknownRoute { known, .. } if known.len() == 3),
        "{refused}"
    );
    let refused = change(r#"{"kind":"switch","route":"chat","to":"gren"}"#)
        .apply_to(&state())
        .unwrap_err();
    assert!(
        matches!(&refused, ChangeError::UnknownRelease { known, .. } if known.len() == 3),
        "{refused}"
    );
}

#[test]
fn a_release_in_a_split_cannot_go() {
    let refused = change(r#"{"kind":"remove_release","release":"red"}"#)
        .apply_to(&state())
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "release `red` has a weight in the split of `three`"
    );
}

#[test]
fn endpoints_alone_are_a_fact_and_a_version_is_a_decision() {
    let before = state();
    let endpoints =
        r#"{"kind":"set_endpoints","release":"blue","endpoints":["http://a:1","http://a:2"]}"#;
    let applied = change(endpoints).apply_to(&before).unwrap();
    assert!(applied.is_fact(&before) && !applied.is_same(&before));
    let version = r#"{"kind":"put_release","release":"blue","document":{"version":"2","endpoints":["http://a:1"]}}"#;
    assert!(!change(version).apply_to(&before).unwrap().is_fact(&before));
}

proptest! {
    #[test]
    fn a_split_that_is_set_back_is_the_table_before(blue in 0..1000_u32, green in 1..1000_u32) {
        let before = state();
        let set = |state: &TableState, blue: u32, green: u32| {
            let text = format!(r#"{{"kind":"set_split","route":"three","weights":{{"blue":{blue},"green":{green},"red":1}}}}"#);
            change(&text).apply_to(state).unwrap()
        };
        let there = set(&before, blue, green);
        let back = set(&there.state, 1, 1);
        prop_assert_eq!(back.state.spec.digest(), before.spec.digest());
        prop_assert_eq!(ChangeSet::between(&before, &back.state), ChangeSet::default());
        let same = there.state.spec.digest() == before.spec.digest();
        prop_assert_eq!(same, (blue, green) == (1, 1));
    }
}
