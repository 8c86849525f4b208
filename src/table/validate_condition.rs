//! Validation of the conditions of flags.

use super::semver::Semver;
use crate::model::{
    FlagCondition, FlagType, FlagValue, NumberRange, Problem, SemverRange, TARGETING_KEY, closest,
};

/// Longest name of an attribute in bytes.
const LONGEST_ATTRIBUTE: usize = 128;
/// Most values of `in`.
const MOST_VALUES: usize = 1_000;
/// Longest text that an attribute is compared with, in bytes.
const LONGEST_TEXT: usize = 1_024;

pub(super) fn problems(condition: &FlagCondition, at: &str, problems: &mut Vec<Problem>) {
    let mut report = |key: &str, message: String, hint: &str| {
        let path = if key.is_empty() {
            at.to_owned()
        } else {
            format!("{at}.{key}")
        };
        let problem = Problem::new(path, message);
        problems.push(if hint.is_empty() {
            problem
        } else {
            problem.hint(hint)
        });
    };
    attribute(&condition.attribute, &mut report);
    match condition.comparisons().as_slice() {
        [_] => {}
        [] => report(
            "",
            "it compares the attribute with nothing".to_owned(),
            COMPARISONS,
        ),
        several => {
            let message = format!("it has several comparisons: `{}`", several.join("`, `"));
            report("", message, "write one condition for each: all must hold");
        }
    }
    values(condition, &mut report);
    if let Some(range) = &condition.number {
        numbers(range, &mut report);
    }
    if let Some(range) = &condition.semver {
        versions(range, &mut report);
    }
}

const COMPARISONS: &str =
    "write `equals`, `in`, `starts_with`, `ends_with`, `number`, `semver` or `present`";

fn attribute(attribute: &str, report: &mut impl FnMut(&str, String, &str)) {
    if !(1..=LONGEST_ATTRIBUTE).contains(&attribute.len()) {
        let message = format!("the name of an attribute has 1 to {LONGEST_ATTRIBUTE} bytes");
        report("attribute", message, "");
    }
    // A name that is nearly that of the key is never sent.
    let near = attribute != TARGETING_KEY
        && attribute.to_lowercase().replace(['_', '-'], "") == "targetingkey";
    if near && let Some(hint) = closest(attribute, [TARGETING_KEY]) {
        report(
            "attribute",
            format!("`{attribute}` is not how the key is called"),
            &hint,
        );
    }
}

fn values(condition: &FlagCondition, report: &mut impl FnMut(&str, String, &str)) {
    if let Some(value) = &condition.equals {
        plain(value, "equals", report);
    }
    if let Some(values) = &condition.one_of {
        if !(1..=MOST_VALUES).contains(&values.len()) {
            let message = format!("{} values; there are 1 to {MOST_VALUES}", values.len());
            report("in", message, "");
        }
        for (place, value) in values.iter().take(MOST_VALUES).enumerate() {
            plain(value, &format!("in.{place}"), report);
        }
    }
    let texts = [
        ("starts_with", &condition.starts_with),
        ("ends_with", &condition.ends_with),
    ];
    for (key, text) in texts {
        let Some(text) = text else { continue };
        if text.is_empty() {
            report(
                key,
                "every text has an empty part".to_owned(),
                "write `present = true` for that",
            );
        }
        too_long(text, key, report);
    }
}

fn plain(value: &FlagValue, key: &str, report: &mut impl FnMut(&str, String, &str)) {
    match value.kind() {
        Some(FlagType::Boolean | FlagType::Number) => {}
        Some(FlagType::String) => too_long(value.as_str().unwrap_or_default(), key, report),
        Some(FlagType::Object) | None => report(
            key,
            "an attribute is compared with a string, a number or a boolean".to_owned(),
            "several values are a list in `in`",
        ),
    }
}

fn too_long(text: &str, key: &str, report: &mut impl FnMut(&str, String, &str)) {
    if text.len() > LONGEST_TEXT {
        let message = format!("it has {} bytes; the maximum is {LONGEST_TEXT}", text.len());
        report(key, message, "");
    }
}

fn numbers(range: &NumberRange, report: &mut impl FnMut(&str, String, &str)) {
    let bounds = [&range.at_least, &range.above, &range.at_most, &range.below];
    if bounds.iter().all(|bound| bound.is_none()) {
        report(
            "number",
            "it has no bound".to_owned(),
            "such as `{ at_least = 18 }`",
        );
    }
    let low = range
        .at_least
        .as_ref()
        .or(range.above.as_ref())
        .and_then(serde_json::Number::as_f64);
    let high = range
        .at_most
        .as_ref()
        .or(range.below.as_ref())
        .and_then(serde_json::Number::as_f64);
    if let (Some(low), Some(high)) = (low, high)
        && low > high
    {
        report(
            "number",
            format!("no number is above {low} and below {high}"),
            "exchange the two",
        );
    }
}

fn versions(range: &SemverRange, report: &mut impl FnMut(&str, String, &str)) {
    let bounds = [
        ("semver.at_least", &range.at_least),
        ("semver.above", &range.above),
        ("semver.at_most", &range.at_most),
        ("semver.below", &range.below),
    ];
    if bounds.iter().all(|(_, bound)| bound.is_none()) {
        report(
            "semver",
            "it has no bound".to_owned(),
            "such as `{ at_least = \"1.2.0\" }`",
        );
    }
    for (key, bound) in bounds {
        let Some(text) = bound else { continue };
        too_long(text, key, report);
        if Semver::parse(text).is_none() {
            let shown: String = text.chars().take(80).collect();
            let message = format!("`{shown}` is not a version");
            report(
                key,
                message,
                "a version has three numbers, such as `1.2.0` or `1.2.0-rc.1`",
            );
        }
    }
}
