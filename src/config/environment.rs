//! Environment variables in the strings of a file: `"${NAME}"`, `"${NAME:-default}"`, and `$$` for a `$`.
//!
//! They are substituted before anything is parsed, in values and never in keys. The original of each string is kept, so
//! that a displayed configuration or problem has the name of a variable and not its value.

use serde_json::Value as Json;
use toml::{
    Table, Value,
    de::{DeString, DeTable, DeValue},
};

use super::spans::{self, PathStep};
use crate::model::Problem;

/// Longest string after substitution, in bytes.
const LONGEST: usize = 64 * 1024;

/// The strings of a configuration that contain variables. They do not take part in comparisons: two configurations with
/// the same values are equal, whatever the source of the values.
#[derive(Debug, Clone, Default)]
pub struct Variables(Vec<Written>);

#[derive(Debug, Clone)]
struct Written {
    steps: Vec<PathStep>,
    path: String,
    /// Original text in the file.
    text: String,
    /// Text after substitution.
    value: String,
}

/// A string that could not be substituted.
pub(super) struct Unset {
    pub(super) steps: Vec<PathStep>,
    pub(super) offset: usize,
    pub(super) problem: Problem,
}

// === impl Variables ===

impl PartialEq for Variables {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Variables {}

impl Variables {
    /// Substitutes variables in every string of a document; returns the strings that could not be substituted.
    pub(super) fn put_into(
        document: &mut DeTable<'_>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Unset>) {
        let mut texts = Vec::new();
        for (key, value) in document.iter() {
            let key = PathStep::Key(key.get_ref().to_string());
            collect(vec![key], value.get_ref(), value.span().start, &mut texts);
        }
        let (mut written, mut unset) = (Vec::new(), Vec::new());
        for (steps, offset, text) in texts {
            let path = spans::path(document, &steps);
            match expand(&text, &variable) {
                Ok(value) => {
                    spans::set(
                        document,
                        &steps,
                        DeValue::String(DeString::Owned(value.clone())),
                    );
                    let has_variable = value != text.replace("$$", "$");
                    written.extend(has_variable.then_some(Written {
                        steps,
                        path,
                        text,
                        value,
                    }));
                }
                Err((message, hint)) => unset.push(Unset {
                    steps,
                    offset,
                    problem: Problem::new(path, message).hint(hint),
                }),
            }
        }
        (Self(written), unset)
    }

    /// True if the string at a path contains a variable.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|written| written.path == path)
    }

    /// Hides the values of variables in a problem.
    pub(super) fn hide(&self, problem: &mut Problem) {
        let path = problem.path.clone();
        for written in &self.0 {
            let is_here = path == written.path;
            // A short value may occur by chance; a long one is unmistakable.
            if !is_here && written.value.len() < 8 {
                continue;
            }
            let escaped = format!("{:?}", written.value);
            for value in [escaped.trim_matches('"'), written.value.as_str()] {
                if !value.is_empty() {
                    // A path contains the names of routes.
                    problem.path = problem.path.replace(value, &written.text);
                    problem.message = problem.message.replace(value, &written.text);
                    let hint = problem.hint.take();
                    problem.hint = hint.map(|hint| hint.replace(value, &written.text));
                }
            }
            if is_here {
                let hint = format!("`{}` is read from the environment", written.text);
                problem.hint = Some(hint);
            }
        }
    }

    /// Restores the original strings, and escapes those that would be read as variables.
    pub(super) fn show_in_toml(&self, table: &mut Table) {
        table.iter_mut().for_each(|(_, value)| escape_all(value));
        for written in &self.0 {
            let found = written.steps.split_first().and_then(|(first, rest)| {
                let PathStep::Key(first) = first else {
                    return None;
                };
                rest.iter()
                    .try_fold(table.get_mut(first)?, |here, step| match step {
                        PathStep::Key(key) => here.get_mut(key),
                        PathStep::Index(place) => here.get_mut(*place),
                    })
            });
            if let Some(Value::String(shown)) = found {
                written.show(shown, &escape(&written.value));
            }
        }
    }

    /// Restores the original strings.
    pub(super) fn show_in_json(&self, json: &mut Json) {
        for written in &self.0 {
            let found = written
                .steps
                .iter()
                .try_fold(&mut *json, |here, step| match step {
                    PathStep::Key(key) => here.get_mut(key),
                    PathStep::Index(place) => here.get_mut(*place),
                });
            if let Some(Json::String(shown)) = found {
                written.show(shown, &written.value);
            }
        }
    }
}

impl Written {
    /// Replaces the substituted value by the original text; a path may have been made absolute since.
    fn show(&self, shown: &mut String, value: &str) {
        if let Some(front) = shown.strip_suffix(value).filter(|_| !value.is_empty()) {
            *shown = format!("{front}{}", self.text);
        }
    }
}

fn collect(
    steps: Vec<PathStep>,
    value: &DeValue<'_>,
    offset: usize,
    texts: &mut Vec<(Vec<PathStep>, usize, String)>,
) {
    let below = |step: PathStep| [steps.as_slice(), &[step]].concat();
    match value {
        DeValue::String(text) if text.contains('$') => {
            texts.push((steps, offset, text.to_string()));
        }
        DeValue::Table(table) => {
            for (key, value) in table {
                let key = PathStep::Key(key.get_ref().to_string());
                collect(below(key), value.get_ref(), value.span().start, texts);
            }
        }
        DeValue::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let step = PathStep::Index(place);
                collect(below(step), item.get_ref(), item.span().start, texts);
            }
        }
        _ => {}
    }
}

/// Substitutes the variables of a string; otherwise the error and its hint.
fn expand(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, (String, String)> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            let end = after.find('}').ok_or_else(|| {
                (
                    format!("`${{` in `{text}` is not closed"),
                    "write `${NAME}`; a `$` by itself is written `$$`".to_owned(),
                )
            })?;
            value.push_str(&one(&after[..end], &variable)?);
            rest = &after[end + 1..];
        } else {
            value.push('$');
            rest = rest.strip_prefix('$').unwrap_or(rest);
        }
    }
    value.push_str(rest);
    if value.len() > LONGEST {
        let hint = "put a value of that length into a file".to_owned();
        return Err((format!("`{text}` becomes longer than 64 KiB"), hint));
    }
    Ok(value)
}

fn one(
    inside: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, (String, String)> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(word) || name.as_bytes()[0].is_ascii_digit() {
        return Err((
            format!("`{name}` is not a variable name"),
            "use letters, digits and `_`: `${AGENT_HOST}`; a `$` by itself is written `$$`"
                .to_owned(),
        ));
    }
    // As in a shell, the default replaces an empty value as well.
    match (variable(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or write `${{{name}:-default}}`"),
        )),
    }
}

fn escape_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = escape(text),
        Value::Array(items) => items.iter_mut().for_each(escape_all),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| escape_all(value)),
        _ => {}
    }
}

/// Escapes a string so that it is read literally.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        escaped.push(character);
        if character == '$' && matches!(rest.peek(), Some('$' | '{')) {
            escaped.push('$');
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("10.0.0.1".into()),
            "EMPTY" => Some(String::new()),
            "ODD" => Some("${HOST} \"$$\"".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_put_in_and_what_they_hold_is_not_read_again() {
        for (text, value) in [
            ("http://${HOST}:9000", "http://10.0.0.1:9000"),
            ("${HOST}${HOST}", "10.0.0.110.0.0.1"),
            ("${NONE:-b}", "b"),
            ("${NONE:-}", ""),
            ("${EMPTY:-b}", "b"),
            ("${EMPTY}", ""),
            ("${HOST:-b}", "10.0.0.1"),
            ("${ODD}", "${HOST} \"$$\""),
            ("$${HOST}", "${HOST}"),
            ("$$", "$"),
            ("a$b$", "a$b$"),
        ] {
            assert_eq!(expand(text, variable).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_said() {
        for (text, message) in [
            ("${NONE}", "the environment variable `NONE` is not set"),
            ("${HOST", "`${` in `${HOST` is not closed"),
            ("${}", "`` is not a variable name"),
            ("${1A}", "`1A` is not a variable name"),
            ("${A B}", "`A B` is not a variable name"),
        ] {
            assert_eq!(expand(text, variable).unwrap_err().0, message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_escaped_text_is_read_as_itself(text in "[$a{}:-]{0,12}") {
            prop_assert_eq!(expand(&escape(&text), variable).unwrap(), text);
        }
    }
}
