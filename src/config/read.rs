//! From text to a typed value, with every mistake of form at once.
//!
//! serde stops at the first mistake. So the mistake is noted, what was wrong is taken out of the document, and the rest
//! is read again, until it reads or nothing can be taken out. A key that is missing only because we took it out is not
//! a mistake of its own.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, Deserializer, Error};

use super::place::{self, Step};
use crate::model::{Problem, closest};

/// The most mistakes that are shown at once.
const MOST: usize = 100;

/// What a text holds.
pub(super) struct Reading<T> {
    /// What could be read; `None` when too little was left.
    pub(super) value: Option<T>,
    /// Mistakes of form, each with the line it is in.
    pub(super) problems: Vec<(usize, Problem)>,
    /// The paths that were taken out, so that what follows from that is not reported as well.
    pub(super) removed: Vec<String>,
}

/// Reads a text.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Reading<T> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading {
        value: None,
        problems: Vec::new(),
        removed: Vec::new(),
    };
    if errors.is_empty() {
        repair(text, &document, &mut reading);
    } else {
        let syntax = |error: &Error| {
            let line = place::line(text, error.span().map_or(0, |span| span.start));
            (line, Problem::new("", error.message()))
        };
        reading.problems = errors.iter().take(MOST).map(syntax).collect();
    }
    reading
}

fn repair<T: DeserializeOwned>(
    text: &str,
    document: &toml::Spanned<DeTable<'_>>,
    reading: &mut Reading<T>,
) {
    let mut rest = document.clone();
    while reading.problems.len() < MOST {
        let error = match T::deserialize(Deserializer::from(rest.clone())) {
            Ok(value) => return reading.value = Some(value),
            Err(error) => error,
        };
        let span = culprit::<T>(&rest, &error);
        // The path is that of the whole document, where no element has moved up yet.
        let steps = place::locate(document.get_ref(), &span);
        let path = place::path(document.get_ref(), &steps);
        if !is_our_doing(&error, &path, &reading.removed) {
            let problem = Problem::new(&path, message(&error));
            let problem = match hint(&error, &steps) {
                Some(hint) => problem.hint(hint),
                None => problem,
            };
            reading
                .problems
                .push((place::line(text, span.start), problem));
        }
        let steps = place::locate(rest.get_ref(), &span);
        if steps.is_empty() {
            return;
        }
        place::remove(rest.get_mut(), &steps);
        reading.removed.push(path);
    }
}

/// The span of what an error is about. Of a plain element of an array serde does not say which one it is: it is the last
/// one of the shortest front of the array that is wrong in the same way.
fn culprit<T: DeserializeOwned>(rest: &toml::Spanned<DeTable<'_>>, error: &Error) -> Range<usize> {
    let span = error.span().unwrap_or_default();
    let steps = place::locate(rest.get_ref(), &span);
    let Some(items) = place::array(rest.get_ref(), &steps) else {
        return span;
    };
    let wrong_with = |count: usize| {
        let mut trial = rest.clone();
        place::truncate(trial.get_mut(), &steps, count);
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

/// Whether a key is missing because we took it out.
fn is_our_doing(error: &Error, path: &str, removed: &[String]) -> bool {
    let Some(field) = error.message().strip_prefix("missing field ") else {
        return false;
    };
    let field = field.trim_matches('`');
    let missing = if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    };
    removed.iter().any(|gone| *gone == missing)
}

fn message(error: &Error) -> String {
    let message = error.message();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let wrong = rest.split('`').nth(1).unwrap_or_default();
        return format!("there is no key `{wrong}` here");
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("the key {field} is missing");
    }
    let mut message = message.trim_end_matches('.').to_owned();
    if message.starts_with("invalid ") {
        // serde's own words are lower case already, but name Rust's types.
        message = message
            .replace("a map", "a table")
            .replace("a sequence", "an array");
    }
    message
}

/// What was meant: the closest of the words that serde says it expected, or all of them.
fn hint(error: &Error, steps: &[Step]) -> Option<String> {
    let message = error.message();
    let (found, expected) = message
        .strip_prefix("unknown field ")
        .or_else(|| message.strip_prefix("unknown variant "))?
        .split_once(", ")?;
    let wrong = found.trim_matches('`');
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    if known.is_empty() {
        return Some("nothing can stand here".into());
    }
    let near = closest(wrong, known.iter().copied());
    let what = if message.starts_with("unknown field") {
        elsewhere(wrong, steps).unwrap_or("the keys here are")
    } else {
        "what can stand here is"
    };
    Some(near.unwrap_or_else(|| format!("{what} {}", list(&known))))
}

/// Words that other proxies use for what is called otherwise here.
fn elsewhere(wrong: &str, steps: &[Step]) -> Option<&'static str> {
    let top = steps.len() == 1;
    match wrong {
        "backends" | "upstreams" | "clusters" | "services" | "targets" if top => {
            Some("what takes requests is called a release; the keys here are")
        }
        _ => None,
    }
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
            "1: worker: there is no key `worker` here\n  hint: did you mean `workers`?",
            "3: listeners.0.address: invalid socket address syntax",
            "5: releases.blue.endpoints.0: `a` is not an endpoint",
            "5: releases.blue.endpoints.2: invalid type: integer `7`",
            "6: releases.green: the key `endpoints` is missing",
            "7: releases.a b: `a b` is not a name",
            "11: routes.chat.split.blue: invalid value: integer `-1`",
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
                "2: access_log.format: unknown variant `xml`, expected one of `json`, `off`, `text`\n  \
              hint: what can stand here is `json`, `off`, `text`"
            ]
        );
    }
}
