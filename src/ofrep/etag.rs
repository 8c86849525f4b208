//! Entity tags: of the flags, which events carry, and of a bulk evaluation, which is the flags and the context.
//!
//! Without the context, a client that changes its user would be told that nothing has changed.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{model::Digest, table::FlagContext};

/// Digits of each of the two hashes.
const DIGITS: usize = 32;

/// The tag of all flags, in quotes.
pub(super) fn of_flags(flags: Digest) -> String {
    format!("\"{}\"", &flags.to_string()[..DIGITS])
}

/// The tag of an evaluation of all flags for a context, in quotes.
pub(super) fn of(flags: Digest, context: &FlagContext) -> String {
    // The attributes are sorted, so two bodies with the same context have one tag.
    let json = serde_json::to_vec(context.attributes()).unwrap_or_default();
    let context = Sha256::digest(&json);
    let context = context.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    let flags = flags.to_string();
    format!("\"{}-{}\"", &flags[..DIGITS], &context[..DIGITS])
}

/// True if a list of tags names one: weak or strong, in quotes or not, as clients send it.
pub(super) fn is_named(tag: &str, list: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text);
        text.trim_matches('"').to_owned()
    };
    let tag = bare(tag);
    list.split(',')
        .any(|one| one.trim() == "*" || bare(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(json: &str) -> FlagContext {
        FlagContext::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_tag_covers_the_flags_and_the_context() {
        let (one, two) = (Digest::of(&"one"), Digest::of(&"two"));
        let user = context(r#"{"targetingKey":"a","plan":"pro"}"#);
        let same = context(r#"{"plan":"pro","targetingKey":"a"}"#);
        assert_eq!(of(one, &user), of(one, &same));
        assert_ne!(of(one, &user), of(two, &user));
        assert_ne!(
            of(one, &user),
            of(one, &context(r#"{"targetingKey":"b","plan":"pro"}"#))
        );
    }

    #[test]
    fn a_tag_is_found_in_quotes_or_not_and_weak_or_strong() {
        for list in ["\"a-b\"", "a-b", "W/\"a-b\"", "\"x\", \"a-b\"", "*"] {
            assert!(is_named("\"a-b\"", list), "{list}");
        }
        assert!(!is_named("\"a-b\"", "\"a-c\"") && !is_named("\"a-b\"", ""));
    }
}
