//! A compiled condition: texts, numbers and versions are parsed once.

use serde_json::Value;

use super::semver::{OwnedSemver, Semver};
use crate::model::{FlagCondition, FlagValue, NumberRange, SemverRange};

/// A condition, ready to be compared.
#[derive(Debug)]
pub(super) struct Condition {
    attribute: Box<str>,
    comparison: Comparison,
}

#[derive(Debug)]
enum Comparison {
    OneOf(Values),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Number(Bounds<f64>),
    Semver(Box<Bounds<OwnedSemver>>),
    Present(bool),
}

/// A set of values by type, each sorted.
#[derive(Debug, Default)]
struct Values {
    texts: Box<[Box<str>]>,
    numbers: Box<[f64]>,
    booleans: [bool; 2],
}

/// The bounds of a range; absent ones are not checked.
#[derive(Debug)]
struct Bounds<T> {
    at_least: Option<T>,
    above: Option<T>,
    at_most: Option<T>,
    below: Option<T>,
}

impl Condition {
    /// Compiles a condition; `None` if it names no comparison, or a bound that is no version.
    pub(super) fn new(spec: &FlagCondition) -> Option<Self> {
        Some(Self {
            attribute: spec.attribute.as_str().into(),
            comparison: Comparison::new(spec)?,
        })
    }

    pub(super) fn holds(&self, attributes: &serde_json::Map<String, Value>) -> bool {
        let value = attributes.get(&*self.attribute);
        let value = value.filter(|value| !value.is_null());
        match (&self.comparison, value) {
            (Comparison::Present(wanted), value) => *wanted == value.is_some(),
            (_, None) => false,
            (comparison, Some(Value::Array(items))) => {
                items.iter().any(|item| comparison.holds(item))
            }
            (comparison, Some(value)) => comparison.holds(value),
        }
    }
}

impl Comparison {
    fn new(spec: &FlagCondition) -> Option<Self> {
        let none = || spec.equals.as_ref().map(std::slice::from_ref);
        if let Some(values) = spec.one_of.as_deref().or_else(none) {
            return Some(Self::OneOf(Values::of(values)));
        }
        if let Some(text) = &spec.starts_with {
            return Some(Self::StartsWith(text.as_str().into()));
        }
        if let Some(text) = &spec.ends_with {
            return Some(Self::EndsWith(text.as_str().into()));
        }
        if let Some(range) = &spec.number {
            return Some(Self::Number(numbers(range)));
        }
        if let Some(range) = &spec.semver {
            return Some(Self::Semver(Box::new(versions(range)?)));
        }
        spec.present.map(Self::Present)
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::OneOf(values) => values.contain(value),
            Self::StartsWith(text) => value
                .as_str()
                .is_some_and(|value| value.starts_with(&**text)),
            Self::EndsWith(text) => value.as_str().is_some_and(|value| value.ends_with(&**text)),
            Self::Number(range) => {
                let number = value.as_f64();
                number.is_some_and(|number| range.holds(|bound| number.total_cmp(bound)))
            }
            Self::Semver(range) => {
                let version = value.as_str().and_then(Semver::parse);
                version.is_some_and(|version| range.holds(|bound| version.cmp(&bound.borrowed())))
            }
            Self::Present(wanted) => *wanted,
        }
    }
}

impl Values {
    fn of(values: &[FlagValue]) -> Self {
        let mut texts: Vec<Box<str>> = values
            .iter()
            .filter_map(|value| Some(value.as_str()?.into()))
            .collect();
        let mut numbers: Vec<f64> = values
            .iter()
            .filter_map(|value| value.as_f64())
            .map(plain)
            .collect();
        texts.sort_unstable();
        numbers.sort_unstable_by(f64::total_cmp);
        let has = |wanted| values.iter().any(|value| value.as_bool() == Some(wanted));
        Self {
            texts: texts.into(),
            numbers: numbers.into(),
            booleans: [has(false), has(true)],
        }
    }

    fn contain(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => match &*self.texts {
                [only] => **only == **text,
                texts => texts.binary_search_by(|one| (**one).cmp(text)).is_ok(),
            },
            Value::Number(number) => number.as_f64().is_some_and(|number| {
                let search = |one: &f64| one.total_cmp(&plain(number));
                self.numbers.binary_search_by(search).is_ok()
            }),
            Value::Bool(value) => self.booleans[usize::from(*value)],
            Value::Array(_) | Value::Null | Value::Object(_) => false,
        }
    }
}

/// The same number, without the sign of a zero.
fn plain(number: f64) -> f64 {
    number + 0.0
}

impl<T> Bounds<T> {
    /// True if a value is within them, given its order to each.
    fn holds(&self, order: impl Fn(&T) -> std::cmp::Ordering) -> bool {
        self.at_least
            .as_ref()
            .is_none_or(|bound| order(bound).is_ge())
            && self.above.as_ref().is_none_or(|bound| order(bound).is_gt())
            && self
                .at_most
                .as_ref()
                .is_none_or(|bound| order(bound).is_le())
            && self.below.as_ref().is_none_or(|bound| order(bound).is_lt())
    }
}

fn numbers(range: &NumberRange) -> Bounds<f64> {
    let bound = |bound: &Option<serde_json::Number>| Some(plain(bound.as_ref()?.as_f64()?));
    Bounds {
        at_least: bound(&range.at_least),
        above: bound(&range.above),
        at_most: bound(&range.at_most),
        below: bound(&range.below),
    }
}

fn versions(range: &SemverRange) -> Option<Bounds<OwnedSemver>> {
    let bound = |bound: &Option<String>| match bound {
        None => Some(None),
        Some(text) => Some(Some(Semver::parse(text)?.to_owned())),
    };
    Some(Bounds {
        at_least: bound(&range.at_least)?,
        above: bound(&range.above)?,
        at_most: bound(&range.at_most)?,
        below: bound(&range.below)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, attributes: &str) -> bool {
        let condition: FlagCondition = serde_json::from_str(condition).unwrap();
        let attributes = serde_json::from_str(attributes).unwrap();
        Condition::new(&condition).unwrap().holds(&attributes)
    }

    /// A comparison, values that fulfil it, and values that do not.
    type Case = (&'static str, Vec<&'static str>, Vec<&'static str>);

    fn cases() -> Vec<Case> {
        vec![
            (
                r#""equals":"pro""#,
                vec![r#""pro""#, r#"["free","pro"]"#],
                vec![r#""Pro""#, "null", "true", "{}"],
            ),
            (
                r#""equals":5"#,
                vec!["5", "5.0"],
                vec![r#""5""#, "6", "true"],
            ),
            (r#""equals":0"#, vec!["0", "-0.0"], vec!["1"]),
            (
                r#""equals":false"#,
                vec!["false"],
                vec!["true", "0", r#""false""#],
            ),
            (
                r#""in":["a","b",7]"#,
                vec![r#""b""#, "7", r#"["x",7]"#],
                vec![r#""c""#, r#""""#, "[]"],
            ),
            (
                r#""starts_with":"eu-""#,
                vec![r#""eu-west""#],
                vec![r#""us""#, "5"],
            ),
            (
                r#""ends_with":"@example.com""#,
                vec![r#""ann@example.com""#],
                vec![r#""ann@example.org""#],
            ),
            (
                r#""number":{"at_least":18,"below":65}"#,
                vec!["18", "64.9"],
                vec!["17.9", "65", r#""20""#],
            ),
            (
                r#""number":{"above":0,"at_most":1}"#,
                vec!["1", "0.1"],
                vec!["0", "-0.0", "1.1"],
            ),
            (
                r#""semver":{"at_least":"2.3.0"}"#,
                vec![r#""2.3.0""#, r#""v10.0.0""#],
                vec![r#""2.3.0-rc.1""#, r#""2.3""#, "2"],
            ),
            (
                r#""semver":{"above":"1.0.0","at_most":"2.0.0","below":"2.0.1"}"#,
                vec![r#""1.0.1""#, r#""2.0.0""#],
                vec![r#""1.0.0""#, r#""2.0.1-rc.1""#, r#""x""#],
            ),
            (r#""present":true"#, vec!["1", r#""""#], vec!["null"]),
            (r#""present":false"#, vec!["null"], vec!["1"]),
        ]
    }

    #[test]
    fn each_comparison_tells_what_fulfils_it_from_what_does_not() {
        for (comparison, fulfil, others) in cases() {
            let condition = format!(r#"{{"attribute":"x",{comparison}}}"#);
            for value in fulfil {
                assert!(
                    holds(&condition, &format!(r#"{{"x":{value}}}"#)),
                    "{comparison} {value}"
                );
            }
            for value in others {
                assert!(
                    !holds(&condition, &format!(r#"{{"x":{value}}}"#)),
                    "{comparison} {value}"
                );
            }
            let absent = comparison == r#""present":false"#;
            assert_eq!(holds(&condition, "{}"), absent, "{comparison}");
        }
    }
}
