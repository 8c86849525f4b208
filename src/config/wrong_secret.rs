//! Secrets that were written into the file instead of their sources. They are not repeated in the error.

use super::advice::{Advice, say};

/// Advice for a value in a place of secrets; none for any other place.
pub(super) fn of_secret(place: &str) -> Option<Advice> {
    is_secret(place).then(|| advice(place))
}

/// True for a place where the source of a secret is named, or a list of them.
fn is_secret(place: &str) -> bool {
    let lists = ["admin.tokens", "ofrep.tokens", "sessions.keys"];
    let words: Vec<_> = place.split('.').collect();
    lists
        .iter()
        .any(|list| place == *list || place == format!("{list}.*"))
        || matches!(
            words.as_slice(),
            ["prometheus", "token"]
                | ["opentelemetry", "headers"]
                | ["opentelemetry", "headers", _]
                | ["routes", _, "guard", "basic" | "bearer"]
                | ["hooks", _, "secrets"]
                | ["hooks", _, "secrets", "*"]
        )
}

fn advice(place: &str) -> Advice {
    let source = match place {
        "admin.tokens" => "write `[[admin.tokens]]`, with a role and the source of the token",
        "admin.tokens.*" => {
            "give its source: `{ role = \"operator\", file = \"/run/secrets/switchback\" }`"
        }
        _ if place.contains(".guard.") => {
            "write a name and the digest for each: `{ ada = \"sha256:…\" }`"
        }
        "opentelemetry.headers" => "write `headers = { x-key = { env = \"NAME\" } }`",
        _ => "give its source: `{ file = \"/run/secrets/switchback\" }` or `{ env = \"NAME\" }`",
    };
    let what = if place.starts_with("admin.tokens") || place.starts_with("ofrep.tokens") {
        "token"
    } else {
        "secret"
    };
    say(format!("a {what} cannot be part of this file"), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_secret_is_known_and_no_other() {
        for place in [
            "admin.tokens",
            "admin.tokens.*",
            "ofrep.tokens.*",
            "sessions.keys",
            "prometheus.token",
            "opentelemetry.headers",
            "opentelemetry.headers.x-key",
            "hooks.pager.secrets.*",
            "routes.*.guard.basic",
        ] {
            assert!(of_secret(place).is_some(), "{place}");
        }
        for place in [
            "prometheus.url",
            "routes.*.headers",
            "hooks.pager.url",
            "admin",
        ] {
            assert!(of_secret(place).is_none(), "{place}");
        }
    }
}
