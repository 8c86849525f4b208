//! Advice on slips that many make, in words of this file rather than of the parser.

use super::spans::PathStep;

/// What to say of a mistake instead of what the parser says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) message: Option<String>,
    pub(super) hint: Option<String>,
    /// The key that was meant, so that it is not called missing as well.
    pub(super) meant: Option<String>,
}

/// A message and a hint.
pub(super) fn say(message: impl Into<String>, hint: impl Into<String>) -> Advice {
    Advice {
        message: Some(message.into()),
        hint: Some(hint.into()),
        meant: None,
    }
}

/// The way to a place, with `*` for what people name and for elements of arrays.
pub(super) fn pattern(steps: &[PathStep]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for step in steps {
        let is_named = matches!(words.last(), Some(&("releases" | "split")));
        words.push(match step {
            PathStep::Key(key) if !is_named => key,
            PathStep::Key(_) | PathStep::Index(_) => "*",
        });
    }
    words.join(".")
}
