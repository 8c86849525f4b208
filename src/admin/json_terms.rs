//! Refusals of a value in terms of JSON: the parser names types of ours.

/// Words of the parser, and those of JSON.
const TERMS: &[(&str, &str)] = &[
    ("a map", "an object"),
    ("a sequence", "a list"),
    ("string or map", "a string or an object"),
    ("unit", "null"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("a boolean", "true or false"),
];
/// Kinds of types of ours that are objects in JSON.
const OBJECTS: &[&str] = &[
    "struct ",
    "struct variant ",
    "internally tagged enum ",
    "adjacently tagged enum ",
];
/// Kinds of types of ours that are lists in JSON.
const LISTS: &[&str] = &["tuple struct ", "tuple variant ", "a tuple of "];
const NUMBERS: &[&str] = &[
    "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64",
];

/// The message of the parser, in terms of JSON.
pub(super) fn in_json_terms(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let Some(expected) = term(expected) else {
        return message.to_owned();
    };
    let found = match found {
        "invalid type: map" => "invalid type: object",
        "invalid type: sequence" => "invalid type: list",
        found => found,
    };
    format!("{found}, expected {expected}")
}

fn term(words: &str) -> Option<&'static str> {
    let begins = |kinds: &[&str]| kinds.iter().any(|kind| words.starts_with(kind));
    if begins(OBJECTS) {
        return Some("an object");
    }
    if begins(LISTS) {
        return Some("a list");
    }
    if NUMBERS.contains(&words) {
        return Some("a whole number");
    }
    let mut terms = TERMS.iter();
    let found = terms.find(|(own, _)| *own == words);
    found.map(|(_, json)| *json)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::{
        api::{PauseRequest, SplitRequest},
        model::{PauseSpec, RouteSpec},
    };

    fn said<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        in_json_terms(&serde_json::from_value::<T>(value).unwrap_err().to_string())
    }

    #[test]
    fn no_type_of_ours_is_named() {
        for (said, expected) in [
            (
                said::<PauseSpec>("true"),
                "invalid type: boolean `true`, expected an object",
            ),
            (
                said::<PauseRequest>("null"),
                "invalid type: null, expected an object",
            ),
            (
                said::<PauseRequest>(r#"{"max_waiting":"many"}"#),
                "invalid type: string \"many\", expected a whole number",
            ),
            (
                said::<SplitRequest>(r#"{"weights":[1]}"#),
                "invalid type: list, expected an object",
            ),
            (
                said::<RouteSpec>(r#"{"name":"r","pause":5}"#),
                "invalid type: integer `5`, expected an object",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_says_nothing_of_types_stays() {
        let unknown = "unknown field `a`, expected `b` or `c`";
        assert_eq!(in_json_terms(unknown), unknown);
    }
}
