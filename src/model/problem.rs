//! Problem in user input: position, message and hint.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One problem in a configuration or a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Position: a path such as `routes.chat.split.gren`.
    pub path: String,
    /// Description, lower case, without a period.
    pub message: String,
    /// Suggested fix, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Hint with the known name that is closest to a mistyped one.
pub fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = |name: &'a str| (strsim::damerau_levenshtein(wrong, name), name);
    let (distance, name) = known.into_iter().map(near).min()?;
    (distance <= 1 + wrong.len() / 4).then(|| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_name_that_was_meant() {
        assert_eq!(
            closest("gren", ["blue", "green"]).as_deref(),
            Some("did you mean `green`?")
        );
        assert_eq!(closest("purple", ["blue", "green"]), None);
    }
}
