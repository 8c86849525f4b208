//! Errors for names that do not exist, with the names that do.

use axum::http::StatusCode;

use super::error::ApiError;
use crate::model::{RouteName, closest};

/// Error for an unknown route.
pub(super) fn unknown_route<'a>(
    text: &str,
    known: impl Iterator<Item = &'a RouteName>,
) -> ApiError {
    unknown("route", text, known.map(RouteName::as_str))
}

/// Error for an unknown name, with the known ones.
pub(super) fn unknown<'a>(
    what: &str,
    text: &str,
    known: impl Iterator<Item = &'a str>,
) -> ApiError {
    /// Most names in one response.
    const MOST: usize = 100;
    let known: Vec<&str> = known.collect();
    let shown: String = text.chars().take(80).collect();
    let word = format!("unknown-{what}");
    let what = what.replace('-', " ");
    let refusal = ApiError::new(StatusCode::NOT_FOUND, &word, &format!("unknown {what}"))
        .detail(format!("no {what} is called `{shown}`"));
    let hint = closest(&shown, known.iter().copied());
    let mut refusal = match hint {
        Some(hint) => refusal.hint(hint),
        None if known.is_empty() => refusal.hint(format!("there is no {what} yet")),
        None if known.len() == 1 => refusal.hint(format!("there is only {}", quoted(&known))),
        None => refusal.hint(format!(
            "there are {}",
            quoted(&known[..known.len().min(20)])
        )),
    };
    refusal.document.known = known.iter().take(MOST).map(ToString::to_string).collect();
    refusal
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_misspells_a_name_is_told_the_right_one() {
        let refusal = unknown("release", "gren", ["blue", "green"].into_iter());
        assert_eq!(refusal.document.status, 404);
        assert_eq!(
            refusal.document.hint.as_deref(),
            Some("did you mean `green`?")
        );
        assert_eq!(refusal.document.known, ["blue", "green"]);
        let far = unknown("release", "purple", ["blue", "green"].into_iter());
        assert_eq!(
            far.document.hint.as_deref(),
            Some("there are `blue`, `green`")
        );
    }
}
