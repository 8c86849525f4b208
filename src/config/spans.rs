//! Positions in a TOML document: from a span to a path, from a path to a span, from a span to a line.
//!
//! A path is written with dots, as `routes.chat.split.green`. An array element is identified by its `name` where it has
//! one, by its index otherwise.

use std::{collections::HashMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One step from a table or an array to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathStep {
    /// The value of this key.
    Key(String),
    /// The element at this index.
    Index(usize),
}

/// Path to the deepest key or value that has exactly this span; otherwise to the deepest that contains it.
pub(super) fn locate(root: &DeTable<'_>, span: &Range<usize>) -> Vec<PathStep> {
    let mut exact = None;
    let mut around: Option<(usize, Vec<PathStep>)> = None;
    walk_table(root, &mut Vec::new(), &mut |steps, found| {
        if found == *span {
            exact = Some(steps.to_vec());
        } else if found.start <= span.start && span.end <= found.end {
            let width = found.end - found.start;
            if around.as_ref().is_none_or(|(least, _)| width <= *least) {
                around = Some((width, steps.to_vec()));
            }
        }
    });
    exact.or(around.map(|(_, steps)| steps)).unwrap_or_default()
}

fn walk_table(
    table: &DeTable<'_>,
    steps: &mut Vec<PathStep>,
    visit: &mut impl FnMut(&[PathStep], Range<usize>),
) {
    for (key, value) in table {
        steps.push(PathStep::Key(key.get_ref().to_string()));
        visit(steps, key.span());
        walk(value, steps, visit);
        steps.pop();
    }
}

fn walk(
    value: &Spanned<DeValue<'_>>,
    steps: &mut Vec<PathStep>,
    visit: &mut impl FnMut(&[PathStep], Range<usize>),
) {
    visit(steps, value.span());
    match value.get_ref() {
        DeValue::Table(table) => walk_table(table, steps, visit),
        DeValue::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                steps.push(PathStep::Index(place));
                walk(item, steps, visit);
                steps.pop();
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

/// The displayed form of a path.
pub(super) fn path(root: &DeTable<'_>, steps: &[PathStep]) -> String {
    let mut words = Vec::new();
    let mut here: Option<&DeValue<'_>> = None;
    for step in steps {
        let next = match (step, here) {
            (PathStep::Key(key), None) => root.get(key.as_str()),
            (PathStep::Key(key), Some(value)) => value.get(key.as_str()),
            (PathStep::Index(place), value) => value.and_then(|value| value.get(*place)),
        };
        here = next.map(Spanned::get_ref);
        words.push(match step {
            PathStep::Key(key) => key.clone(),
            PathStep::Index(place) => here
                .and_then(name)
                .map_or_else(|| place.to_string(), Into::into),
        });
    }
    words.join(".")
}

fn name<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    value.get("name")?.get_ref().as_str()
}

/// Line numbers of a document by path.
pub(super) struct LineIndex(HashMap<String, usize>);

// === impl LineIndex ===

impl LineIndex {
    /// Indexes the document. Of two items with one path the later one counts: it is the duplicate.
    pub(super) fn of(text: &str, root: &DeTable<'_>) -> Self {
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        let mut lines = HashMap::new();
        note_table(root, "", &mut |path, offset| {
            let line = 1 + ends.partition_point(|end| *end < offset);
            lines.insert(path, line);
        });
        Self(lines)
    }

    /// Line of the deepest item on a path that the document has.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let mut front = path;
        loop {
            if let Some(line) = self.0.get(front) {
                return Some(*line);
            }
            // A name may contain dots itself: the whole name is tried first.
            front = front.rsplit_once('.')?.0;
        }
    }
}

fn note_table(table: &DeTable<'_>, at: &str, note: &mut impl FnMut(String, usize)) {
    let dot = if at.is_empty() { "" } else { "." };
    for (key, value) in table {
        let path = format!("{at}{dot}{}", key.get_ref());
        note(path.clone(), key.span().start);
        note_inside(value.get_ref(), &path, note);
    }
}

fn note_inside(value: &DeValue<'_>, at: &str, note: &mut impl FnMut(String, usize)) {
    match value {
        DeValue::Table(table) => note_table(table, at, note),
        DeValue::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let path = match name(item.get_ref()) {
                    Some(name) => format!("{at}.{name}"),
                    None => format!("{at}.{place}"),
                };
                note(path.clone(), item.span().start);
                note_inside(item.get_ref(), &path, note);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

/// Removes a key or an element from a document.
pub(super) fn remove(root: &mut DeTable<'_>, steps: &[PathStep]) {
    match steps.split_last() {
        None => {}
        Some((PathStep::Index(place), way)) => {
            if let Some(DeValue::Array(items)) = reach(root, way) {
                let kept = items.iter().enumerate();
                let kept = kept.filter(|(number, _)| number != place);
                *items = kept.map(|(_, item)| item.clone()).collect();
            }
        }
        Some((PathStep::Key(key), [])) => drop(root.remove(key.as_str())),
        Some((PathStep::Key(key), way)) => {
            if let Some(DeValue::Table(table)) = reach(root, way) {
                table.remove(key.as_str());
            }
        }
    }
}

/// Replaces the value at a path; its span stays.
pub(super) fn set<'i>(root: &mut DeTable<'i>, steps: &[PathStep], value: DeValue<'i>) {
    if let Some(here) = reach(root, steps) {
        *here = value;
    }
}

/// Keeps only the first elements of an array.
pub(super) fn truncate(root: &mut DeTable<'_>, steps: &[PathStep], count: usize) {
    if let Some(DeValue::Array(items)) = reach(root, steps) {
        *items = items.iter().take(count).cloned().collect();
    }
}

/// The value at a path.
pub(super) fn value<'t, 'i>(root: &'t DeTable<'i>, steps: &[PathStep]) -> Option<&'t DeValue<'i>> {
    let (PathStep::Key(first), rest) = steps.split_first()? else {
        return None;
    };
    let mut here = root.get(first.as_str())?.get_ref();
    for step in rest {
        here = match step {
            PathStep::Key(key) => here.get(key.as_str())?,
            PathStep::Index(place) => here.get(*place)?,
        }
        .get_ref();
    }
    Some(here)
}

/// The elements of the array at a path, if it is one.
pub(super) fn array<'t, 'i>(
    root: &'t DeTable<'i>,
    steps: &[PathStep],
) -> Option<&'t [Spanned<DeValue<'i>>]> {
    value(root, steps)?.as_array().map(|items| &**items)
}

fn reach<'t, 'i>(root: &'t mut DeTable<'i>, steps: &[PathStep]) -> Option<&'t mut DeValue<'i>> {
    let (PathStep::Key(first), rest) = steps.split_first()? else {
        return None;
    };
    let mut here = root.get_mut(first.as_str())?.get_mut();
    for step in rest {
        here = match (step, here) {
            (PathStep::Key(key), DeValue::Table(table)) => table.get_mut(key.as_str())?,
            (PathStep::Index(place), DeValue::Array(items)) => items.get_mut(*place)?,
            _ => return None,
        }
        .get_mut();
    }
    Some(here)
}

/// The line of a byte, counted from 1.
pub(super) fn line(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + memchr::memchr_iter(b'\n', before).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[releases.\"v2.1\"]\nendpoints = [\"a\"]\n\n[[routes]]\nname = \"chat\"\nsplit = { \"v2.1\" = 1, \"v2\" = 2 }\n";

    fn line_of(path: &str) -> Option<usize> {
        let document = DeTable::parse(TEXT).unwrap();
        LineIndex::of(TEXT, document.get_ref()).find(path)
    }

    #[test]
    fn a_path_is_found_down_to_what_the_document_has() {
        assert_eq!(line_of("releases.v2.1.endpoints"), Some(2));
        assert_eq!(line_of("releases.v2.1.endpoints.0"), Some(2));
        assert_eq!(line_of("releases.v2.1.version"), Some(1));
        assert_eq!(line_of("routes.chat"), Some(4));
        assert_eq!(line_of("routes.chat.name"), Some(5));
        assert_eq!(line_of("routes.chat.split.v2.1"), Some(6));
        assert_eq!(line_of("routes.nobody"), Some(4));
        assert_eq!(line_of("admin"), None);
    }

    #[test]
    fn a_span_is_found_by_its_path_and_taken_out() {
        let mut document = DeTable::parse(TEXT).unwrap().into_inner();
        let start = TEXT.find("\"v2\"").unwrap();
        let steps = locate(&document, &(start..start + 4));
        assert_eq!(path(&document, &steps), "routes.chat.split.v2");
        remove(&mut document, &steps);
        let lines = LineIndex::of(TEXT, &document);
        assert!(lines.0.contains_key("routes.chat.split.v2.1"));
        assert!(!lines.0.contains_key("routes.chat.split.v2"));
    }
}
