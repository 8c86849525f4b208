//! Comparison of two answers in JSON: the order of keys does not count, nor the way a number is written.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::json_body::JsonBody;
use crate::model::{JsonPath, JsonSkip, UniqueJson};
use crate::stats::JsonComparison;

/// Most paths that are told of two answers.
const MOST: usize = 8;
/// Longest path that is told; of a longer one, only its beginning is.
const LONGEST: usize = 256;

/// Compares an original with its copy. Values at the paths in `ignored` may differ, and may be absent.
pub(super) fn compare(
    (original, copy): (&JsonBody, &JsonBody),
    ignored: &[JsonPath],
) -> JsonComparison {
    let both = original.whole().and_then(|one| Ok((one, copy.whole()?)));
    match both.and_then(|(one, other)| differences(one, other, ignored)) {
        Err(reason) => JsonComparison::Skipped(reason),
        Ok(paths) if paths.is_empty() => JsonComparison::Same,
        Ok(paths) => JsonComparison::Different(paths),
    }
}

/// JSON pointers to what differs in two texts, at most [`MOST`]; none if they hold the same.
fn differences(one: &[u8], other: &[u8], ignored: &[JsonPath]) -> Result<Vec<String>, JsonSkip> {
    let parse = |text| -> Result<UniqueJson, JsonSkip> {
        serde_json::from_slice(text).map_err(|_| JsonSkip::Malformed)
    };
    let (one, other) = (parse(one)?, parse(other)?);
    let mut walk = Walk {
        ignored,
        keys: Vec::new(),
        found: Vec::new(),
    };
    walk.compare(Some(&one.0), Some(&other.0));
    Ok(walk.found)
}

/// A walk through two documents at once. Its depth is that of the parser.
struct Walk<'w> {
    ignored: &'w [JsonPath],
    /// The way from the root.
    keys: Vec<Cow<'w, str>>,
    found: Vec<String>,
}

impl<'w> Walk<'w> {
    /// Compares two values at the place where the walk is; an absent one differs from every other.
    fn compare(&mut self, one: Option<&'w Value>, other: Option<&'w Value>) {
        if self.found.len() >= MOST || self.ignored.iter().any(|path| path.matches(&self.keys)) {
            return;
        }
        match (one, other) {
            (Some(Value::Object(one)), Some(Value::Object(other))) => self.objects(one, other),
            (Some(Value::Array(one)), Some(Value::Array(other))) => self.lists(one, other),
            (Some(Value::Number(one)), Some(Value::Number(other))) if is_same(one, other) => {}
            (one, other) if one == other => {}
            _ => self.note(),
        }
    }

    fn objects(&mut self, one: &'w Map<String, Value>, other: &'w Map<String, Value>) {
        for (key, value) in one {
            self.below(key.into(), Some(value), other.get(key));
        }
        for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
            self.below(key.into(), None, Some(value));
        }
    }

    fn lists(&mut self, one: &'w [Value], other: &'w [Value]) {
        for place in 0..one.len().max(other.len()) {
            if self.found.len() >= MOST {
                return;
            }
            self.below(place.to_string().into(), one.get(place), other.get(place));
        }
    }

    fn below(&mut self, key: Cow<'w, str>, one: Option<&'w Value>, other: Option<&'w Value>) {
        self.keys.push(key);
        self.compare(one, other);
        self.keys.pop();
    }

    fn note(&mut self) {
        let pointer = pointer(&self.keys);
        if !self.found.contains(&pointer) {
            self.found.push(pointer);
        }
    }
}

/// The JSON pointer of a place; one that is too long ends at a place above.
fn pointer(keys: &[Cow<'_, str>]) -> String {
    let mut pointer = String::new();
    for key in keys {
        let key = key.replace('~', "~0").replace('/', "~1");
        if pointer.len() + 1 + key.len() > LONGEST {
            break;
        }
        pointer.push('/');
        pointer.push_str(&key);
    }
    pointer
}

/// True for numbers of the same value: whole ones of 64 bits exactly, all others as doubles.
fn is_same(one: &Number, other: &Number) -> bool {
    one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn differing(one: &str, other: &str, ignored: &[&str]) -> Vec<String> {
        let ignored: Vec<JsonPath> = ignored.iter().map(|path| path.parse().unwrap()).collect();
        differences(one.as_bytes(), other.as_bytes(), &ignored).unwrap()
    }

    #[test]
    fn what_differs_is_told_by_its_path() {
        for (one, other, expected) in [
            (
                r#"{"a":1,"b":[1,2]}"#,
                r#"{ "b" : [1, 2], "a" : 1 }"#,
                &[][..],
            ),
            (r#"{"a":1}"#, r#"{"a":2}"#, &["/a"]),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, &["/a"]),
            (r#"{"a":null}"#, "{}", &["/a"]),
            ("{}", r#"{"a":null}"#, &["/a"]),
            ("[1,2]", "[2,1]", &["/0", "/1"]),
            ("[1,2]", "[1]", &["/1"]),
            ("[1]", "[1,{}]", &["/1"]),
            ("[]", "{}", &[""]),
            (r#"{"a/b":{"~":1}}"#, r#"{"a/b":{"~":2}}"#, &["/a~1b/~0"]),
            ("[1,1.5e1,0.1]", "[1.0,15,1e-1]", &[]),
            ("9007199254740993", "9007199254740992", &[""]),
            ("\"\\u0041\"", "\"A\"", &[]),
        ] {
            assert_eq!(differing(one, other, &[]), expected, "{one} {other}");
        }
    }

    #[test]
    fn what_is_ignored_may_differ_and_be_absent() {
        let (one, other) = (
            r#"{"id":1,"usage":{"a":1,"b":2},"items":[{"at":1,"x":1},{"at":2,"x":1}]}"#,
            r#"{"usage":{"a":3},"items":[{"at":3,"x":1},{"at":4,"x":2}]}"#,
        );
        let ignored = ["/id", "/usage/*", "/items/*/at"];
        assert_eq!(differing(one, other, &ignored), ["/items/1/x"]);
        let all = differing(one, other, &[]);
        assert_eq!(all.len(), 6, "{all:?}");
    }

    #[test]
    fn paths_are_few_and_short_whatever_the_answers_hold() {
        let many: Vec<String> = (0..1_000).map(|number| format!("\"{number}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(differing(&many, "{}", &[]).len(), MOST);
        let key = "k".repeat(200);
        let long = |value: u8| format!(r#"{{"{key}":{{"{key}":{value},"short":{value}}}}}"#);
        let found = differing(&long(1), &long(2), &[]);
        assert_eq!(found, [format!("/{key}"), format!("/{key}/short")]);
        let deep = |leaf: &str| "[".repeat(127) + leaf + &"]".repeat(127);
        assert_eq!(differing(&deep("1"), &deep("2"), &[])[0].len(), 254);
        assert!(differing(&deep("1"), &deep("1.0"), &[]).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_not_compared() {
        for bad in [r#"{"a":1,"a":2}"#, "1e999", "[", "{\"a\":}"] {
            let found = differences(b"{}", bad.as_bytes(), &[]);
            assert_eq!(found, Err(JsonSkip::Malformed), "{bad}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z~/]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                collection::hash_map("[a-c~/]{0,2}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same document with the keys of all objects in the opposite order.
    fn reversed(value: &Value) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(reversed).collect();
                format!("[{}]", items.join(" ,\n"))
            }
            Value::Object(map) => {
                let entries = map.iter().rev();
                let entries: Vec<_> = entries
                    .map(|(key, value)| format!("{} : {}", Value::from(&**key), reversed(value)))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
            leaf => leaf.to_string(),
        }
    }

    /// Pointers of all leaves.
    fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
        let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Array(items) if !items.is_empty() => {
                for (place, item) in items.iter().enumerate() {
                    leaves(item, &format!("{at}/{place}"), found);
                }
            }
            Value::Object(map) if !map.is_empty() => {
                for (key, item) in map {
                    leaves(item, &format!("{at}/{}", escaped(key)), found);
                }
            }
            _ => found.push(at.to_owned()),
        }
    }

    proptest! {
        #[test]
        fn neither_order_nor_spaces_count(value in values()) {
            prop_assert_eq!(differing(&value.to_string(), &reversed(&value), &[]), Vec::<String>::new());
        }

        #[test]
        fn one_changed_leaf_is_the_one_that_is_told(value in values(), which in any::<prop::sample::Index>()) {
            let mut all = Vec::new();
            leaves(&value, "", &mut all);
            let changed = which.get(&all);
            let mut other = value.clone();
            *other.pointer_mut(changed).unwrap() = Value::from("something else");
            let (one, other) = (value.to_string(), reversed(&other));
            prop_assert_eq!(differing(&one, &other, &[]), vec![changed.clone()]);
            prop_assert_eq!(differing(&other, &one, &[]), vec![changed.clone()]);
            if !changed.is_empty() {
                prop_assert!(differing(&one, &other, &[changed]).is_empty());
                let any_key = format!("{}/*", changed.rsplit_once('/').unwrap().0);
                prop_assert!(differing(&one, &other, &[&any_key]).is_empty());
            }
        }
    }
}
