//! Parses a text into typed values and reports all parse errors at once.
//!
//! serde stops at the first error. So the error is recorded, the wrong value is removed from the document, and the rest
//! is parsed again, until it parses or nothing can be removed. A key that is missing only because it was removed is not
//! reported.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, Deserializer, Error},
};

use super::{
    advice::Advice,
    environment::Variables,
    shape,
    spans::{self, PathStep},
    syntax, wrong_key, wrong_value,
};
use crate::model::{Problem, closest};

/// Most errors shown at once.
const MOST: usize = 100;

/// Result of parsing a text.
pub(super) struct Reader<T> {
    /// The parsed value; `None` when too little was left.
    pub(super) value: Option<T>,
    /// Parse errors, each with its line.
    pub(super) problems: Vec<(usize, Problem)>,
    /// Removed paths, so that errors that follow from them are not reported.
    pub(super) removed: Vec<String>,
    /// The strings that contain environment variables.
    pub(super) variables: Variables,
}

/// Parses a text.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Reader<T> {
    read_within(text, |document| document)
}

/// Parses a text that is a part of a document, together with the document around it.
pub(super) fn read_within<'i, T: DeserializeOwned>(
    text: &'i str,
    put: impl FnOnce(Spanned<DeTable<'i>>) -> Spanned<DeTable<'i>>,
) -> Reader<T> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reader {
        value: None,
        problems: Vec::new(),
        removed: Vec::new(),
        variables: Variables::default(),
    };
    if errors.is_empty() {
        let mut document = put(document);
        put_variables_in(text, &mut document, &mut reading);
        repair(text, &document, &mut reading);
        for (_, problem) in &mut reading.problems {
            reading.variables.hide(problem);
        }
    } else {
        reading.problems = syntax::problems(text, &errors, MOST);
    }
    reading
}

/// Substitutes environment variables; removes strings that fail.
fn put_variables_in(
    text: &str,
    document: &mut Spanned<DeTable<'_>>,
    reading: &mut Reader<impl Sized>,
) {
    let variable = |name: &str| std::env::var(name).ok();
    let (variables, unset) = Variables::put_into(document.get_mut(), variable);
    reading.variables = variables;
    // In reverse order, so that removals do not shift the elements that are still to be removed.
    for one in unset.into_iter().rev() {
        let line = spans::line(text, one.offset);
        spans::remove(document.get_mut(), &one.steps);
        reading.removed.push(one.problem.path.clone());
        reading.problems.push((line, one.problem));
    }
}

fn repair<T: DeserializeOwned>(
    text: &str,
    document: &Spanned<DeTable<'_>>,
    reading: &mut Reader<T>,
) {
    let mut rest = document.clone();
    for wrong in shape::misshapen(document.get_ref()) {
        spans::remove(rest.get_mut(), &wrong.steps);
        let line = spans::line(text, wrong.offset);
        reading.problems.push((line, wrong.problem));
        reading.removed.extend(wrong.gone);
    }
    while reading.problems.len() < MOST {
        let error = match T::deserialize(Deserializer::from(rest.clone())) {
            Ok(value) => return reading.value = Some(value),
            Err(error) => error,
        };
        let span = culprit::<T>(&rest, &error);
        // The path refers to the original document, before any element shifted.
        let steps = spans::locate(document.get_ref(), &span);
        let path = spans::path(document.get_ref(), &steps);
        if !is_derived_error(&error, &path, &reading.removed) {
            let found = if reading.variables.has(&path) {
                Advice::default()
            } else {
                advice::<T>(&error, &steps, document.get_ref())
            };
            let is_key = is_unknown_key(&error, &steps, document.get_ref());
            let said = found.message.unwrap_or_else(|| message(&error, is_key));
            let problem = Problem::new(&path, said);
            let problem = match found.hint.or_else(|| hint(&error, is_key)) {
                Some(hint) => problem.hint(hint),
                None => problem,
            };
            if let Some(meant) = found.meant {
                let parent = path
                    .rsplit_once('.')
                    .map(|(parent, _)| format!("{parent}."));
                let parent = parent.unwrap_or_default();
                reading.removed.push(format!("{parent}{meant}"));
            }
            reading
                .problems
                .push((spans::line(text, span.start), problem));
        }
        let steps = spans::locate(rest.get_ref(), &span);
        if steps.is_empty() {
            return;
        }
        spans::remove(rest.get_mut(), &steps);
        reading.removed.push(path);
    }
}

/// Span of the cause of an error. For a plain element of an array serde does not report the index: it is the last
/// element of the shortest prefix of the array that fails in the same way.
fn culprit<T: DeserializeOwned>(rest: &Spanned<DeTable<'_>>, error: &Error) -> Range<usize> {
    let span = error.span().unwrap_or_default();
    let steps = spans::locate(rest.get_ref(), &span);
    let Some(items) = spans::array(rest.get_ref(), &steps) else {
        return span;
    };
    let wrong_with = |count: usize| {
        let mut trial = rest.clone();
        spans::truncate(trial.get_mut(), &steps, count);
        let same =
            |other: &Error| (other.message(), other.span()) == (error.message(), error.span());
        T::deserialize(Deserializer::from(trial)).is_err_and(|other| same(&other))
    };
    let (mut right, mut wrong) = (0, items.len());
    while wrong - right > 1 {
        let middle = usize::midpoint(right, wrong);
        if wrong_with(middle) {
            wrong = middle;
        } else {
            right = middle;
        }
    }
    match items.get(right) {
        Some(item) if !wrong_with(0) => item.span(),
        _ => span,
    }
}

/// Advice for an error of this kind.
fn advice<T: DeserializeOwned>(
    error: &Error,
    steps: &[PathStep],
    document: &DeTable<'_>,
) -> Advice {
    if let Some((wrong, known)) = unknown(error.message(), "unknown field ") {
        let mut advice = wrong_key::of_key(steps, is_top_level::<T>);
        if advice.hint.is_none() {
            // The intended key is not missing as well.
            let near = known.iter().find(|one| closest(wrong, [**one]).is_some());
            advice.meant = near.map(|one| (*one).to_owned());
        }
        return advice;
    }
    if let Some(field) = missing_field(error) {
        return Advice {
            hint: wrong_key::of_missing(field).map(str::to_owned),
            ..Advice::default()
        };
    }
    let wants_switch = error.message().ends_with("expected a boolean");
    let value = spans::value(document, steps);
    value.map_or_else(Advice::default, |value| {
        wrong_value::of_value(steps, value, wants_switch)
    })
}

/// True if a key is a top-level key: for an unknown one the hint lists all of them.
fn is_top_level<T: DeserializeOwned>(key: &str) -> bool {
    let asked = toml::from_str::<T>("\"\" = 0").err();
    let known = asked
        .as_ref()
        .and_then(|error| unknown(error.message(), "unknown field "));
    known.is_some_and(|(_, known)| known.contains(&key))
}

/// True if an error exists only because something was removed.
fn is_derived_error(error: &Error, path: &str, removed: &[String]) -> bool {
    // A table that is a list where there is to be one: its item was refused already.
    if error.message().starts_with("invalid length") {
        return removed
            .iter()
            .any(|gone| gone.starts_with(path) || path.starts_with(gone.as_str()));
    }
    let Some(field) = missing_field(error) else {
        let inside = |gone: &String| {
            gone.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        return error.message().starts_with("wanted exactly") && removed.iter().any(inside);
    };
    let mut siblings = removed.iter().filter_map(|gone| {
        let (parent, last) = gone.rsplit_once('.').unwrap_or(("", gone));
        (parent == path).then_some(last)
    });
    // A misspelling of the missing key was already reported, with a hint.
    siblings.any(|gone| gone == field)
}

fn missing_field(error: &Error) -> Option<&str> {
    let field = error.message().strip_prefix("missing field ")?;
    Some(field.trim_matches('`'))
}

/// True if an unknown variant is a key of the file (`{ body = "x" }`), not a value.
fn is_unknown_key(error: &Error, steps: &[PathStep], document: &DeTable<'_>) -> bool {
    let Some((wrong, _)) = unknown(error.message(), "unknown variant ") else {
        return false;
    };
    let is_last = matches!(steps.last(), Some(PathStep::Key(key)) if key == wrong);
    is_last && spans::value(document, steps).and_then(|value| value.as_str()) != Some(wrong)
}

/// Translates serde's message from Rust terms to configuration terms.
fn message(error: &Error, is_key: bool) -> String {
    let message = error.message();
    if let Some((wrong, _)) = unknown(message, "unknown field ") {
        return format!("unexpected key `{wrong}`");
    }
    if let Some((wrong, _)) = unknown(message, "unknown variant ") {
        let what = if is_key { "key" } else { "value" };
        return format!("unexpected {what} `{wrong}`");
    }
    if let Some(field) = missing_field(error) {
        return format!("missing key `{field}`");
    }
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "a map" => "a table",
        "a sequence" => "an array",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("expected {expected}, not {}", found_in_words(found))
}

/// Translates the value that serde found (`invalid type: integer 15`) to configuration terms.
fn found_in_words(found: &str) -> String {
    let found = found.strip_prefix("invalid type: ").unwrap_or(found);
    let found = found.strip_prefix("invalid value: ").unwrap_or(found);
    let quoted = |kind: &str| found.strip_prefix(kind).map(str::to_owned);
    match found {
        "map" => "a table".into(),
        "sequence" => "an array".into(),
        _ => quoted("integer ")
            .or_else(|| quoted("floating point "))
            .or_else(|| quoted("boolean "))
            .or_else(|| quoted("string "))
            .unwrap_or_else(|| found.to_owned()),
    }
}

/// The unknown word and the words that serde expected.
fn unknown<'m>(message: &'m str, what: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let mut words = message.strip_prefix(what)?.split('`').skip(1).step_by(2);
    Some((words.next()?, words.collect()))
}

/// Hint: the closest of the allowed words, or all of them.
fn hint(error: &Error, is_key: bool) -> Option<String> {
    let message = error.message();
    let (wrong, known, what) = if let Some((wrong, known)) = unknown(message, "unknown field ") {
        (wrong, known, "valid keys are")
    } else if let Some((wrong, known)) = unknown(message, "unknown variant ") {
        let what = if is_key {
            "valid keys are"
        } else {
            "valid values are"
        };
        (wrong, known, what)
    } else {
        let number = message.strip_prefix("invalid type: integer `")?;
        let (number, expected) = number.split_once("`, expected ")?;
        let text = expected == "a string";
        return text
            .then(|| format!("write it in quotes; for a duration, with a unit: `\"{number}s\"`"));
    };
    if known.is_empty() {
        return Some("no key is valid here".into());
    }
    let near = closest(wrong, known.iter().copied());
    Some(near.unwrap_or_else(|| format!("{what} {}", list(&known))))
}

fn list(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn problems(text: &str) -> Vec<String> {
        let reading = read::<Config>(text);
        let shown = |(line, problem): &(usize, Problem)| format!("{line}: {problem}");
        reading.problems.iter().map(shown).collect()
    }

    #[test]
    fn every_mistake_of_form_is_found_at_once() {
        let text = "worker = 2\n[[listeners]]\naddress = \"nowhere\"\n[releases.blue]\nendpoints = [\"a\", \"http://b:1\", 7]\n\
                    [releases.green]\n[releases.\"a b\"]\nendpoints = []\n[[routes]]\nname = \"chat\"\nsplit = { blue = -1 }\n";
        let found = problems(text);
        let begins = |front: &str| found.iter().any(|problem| problem.starts_with(front));
        for front in [
            "1: worker: unexpected key `worker`\n  hint: did you mean `workers`?",
            "3: listeners.0.address: `nowhere` is not an address with a port",
            "5: releases.blue.endpoints.0: `a` is not an endpoint",
            "5: releases.blue.endpoints.2: expected a URL, or a table with `url` and `weight`, not `7`",
            "6: releases.green: missing key `endpoints`",
            "7: releases.a b: `a b` is not a name",
            "11: routes.chat.split.blue: a weight is 0 or more, not `-1`",
        ] {
            assert!(begins(front), "{front}\nis not in {found:#?}");
        }
        assert_eq!(found.len(), 7, "{found:#?}");
    }

    #[test]
    fn every_mistake_of_syntax_is_found_at_once() {
        let found = problems("workers = \nlog = { level = }\naddress = 'x\n");
        assert!(found.len() >= 2, "{found:#?}");
        assert!(found[0].starts_with("1: "));
    }

    #[test]
    fn a_word_out_of_a_closed_set_is_answered_with_the_set() {
        let found = problems("[access_log]\nformat = \"xml\"\n");
        assert_eq!(
            found,
            [
                "2: access_log.format: unexpected value `xml`\n  hint: valid values are `combined`, `common`, `json`, `off`, `text`"
            ]
        );
    }
}
