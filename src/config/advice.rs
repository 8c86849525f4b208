//! Advice on common mistakes, in place of the parser's messages.

use super::spans::PathStep;

/// Message and hint shown instead of the parser's message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) message: Option<String>,
    pub(super) hint: Option<String>,
    /// The intended key, so that it is not reported as missing as well.
    pub(super) meant: Option<String>,
}

/// Creates advice from a message and a hint.
pub(super) fn say(message: impl Into<String>, hint: impl Into<String>) -> Advice {
    Advice {
        message: Some(message.into()),
        hint: Some(hint.into()),
        meant: None,
    }
}

/// Pattern of a path: `*` stands for user-chosen names and for array elements.
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
