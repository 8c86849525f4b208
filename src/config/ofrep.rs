//! Settings of the listener for applications that evaluate flags.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::SecretSpec;
use crate::model::Problem;

/// Largest number of tokens.
const MOST_TOKENS: usize = 64;
/// Largest number of origins.
const MOST_ORIGINS: usize = 64;

/// Flags for applications: the listener for OFREP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ofrep {
    /// Its address; none if absent. Other than loopback, it needs a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Tokens of applications: read access to flags alone. With none, every client that reaches the address may read.
    pub tokens: Vec<SecretSpec>,
    /// Origins of web pages that may read responses, such as `https://app.example.com`.
    pub origins: Vec<String>,
    /// Evaluations of single flags a second of one client; at once, as many as in a second, and at least five. No limit
    /// if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// Checks the address, the sources of tokens and the origins.
pub(super) fn check(ofrep: &Ofrep, found: &mut Vec<Problem>) {
    let is_public = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    if let Some(address) = ofrep.address.filter(|address| is_public(*address))
        && ofrep.tokens.is_empty()
    {
        let message = format!("{address} is not loopback, and there is no token");
        let hint = "add `[[ofrep.tokens]]` with a `file`, or listen on 127.0.0.1";
        found.push(Problem::new("ofrep.address", message).hint(hint));
    }
    let counts = [
        ("ofrep.tokens", ofrep.tokens.len(), MOST_TOKENS),
        ("ofrep.origins", ofrep.origins.len(), MOST_ORIGINS),
    ];
    for (path, count, most) in counts {
        if count > most {
            found.push(Problem::new(
                path,
                format!("{count} entries; the maximum is {most}"),
            ));
        }
    }
    for (place, token) in ofrep.tokens.iter().enumerate() {
        if token.file.is_some() == token.env.is_some() {
            let message = "a token needs either `file` or `env`";
            found.push(Problem::new(format!("ofrep.tokens.{place}"), message));
        }
    }
    for (place, origin) in ofrep.origins.iter().enumerate() {
        if !is_origin(origin) {
            let message = format!("`{origin}` is not an origin");
            let hint = "such as `https://app.example.com`, without a path; `*` is any";
            found.push(Problem::new(format!("ofrep.origins.{place}"), message).hint(hint));
        }
    }
    if ofrep.rate == Some(0) {
        let problem = Problem::new("ofrep.rate", "a rate of 0 refuses every evaluation");
        found.push(problem.hint("leave it out for no limit"));
    }
}

/// A scheme, a host and perhaps a port, as a browser sends it.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    text == "*" || host.is_some_and(|host| !host.is_empty() && host.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_needs_a_token_and_origins_are_no_addresses() {
        let problems = |ofrep: &Ofrep| {
            let mut found = Vec::new();
            check(ofrep, &mut found);
            found
                .iter()
                .map(|problem| problem.path.clone())
                .collect::<Vec<_>>()
        };
        let mut ofrep = Ofrep {
            address: Some("0.0.0.0:9902".parse().unwrap()),
            ..Ofrep::default()
        };
        assert_eq!(problems(&ofrep), ["ofrep.address"]);
        ofrep.tokens.push(SecretSpec {
            file: None,
            env: Some("FLAGS".to_owned()),
        });
        ofrep.origins = vec![
            "https://app.example.com".to_owned(),
            "http://localhost:3000".to_owned(),
            "*".to_owned(),
        ];
        ofrep.rate = Some(5);
        assert!(problems(&ofrep).is_empty());
        ofrep.origins = vec![
            "app.example.com".to_owned(),
            "https://app.example.com/".to_owned(),
            "https://".to_owned(),
        ];
        ofrep.tokens[0].env = None;
        ofrep.rate = Some(0);
        let expected = [
            "ofrep.tokens.0",
            "ofrep.origins.0",
            "ofrep.origins.1",
            "ofrep.origins.2",
            "ofrep.rate",
        ];
        assert_eq!(problems(&ofrep), expected);
    }
}
