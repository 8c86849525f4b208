//! Credentials that a route asks for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use switchback::model::SecretDigest;

use super::{change_route, get_with, guarded, reason, roll_back};
use crate::support::Origin;
use crate::support::h2::{H2Client, block, read, request};

/// A guard that takes a password of `ada` and a token.
fn guard(more: &str) -> String {
    let digest = |secret: &str| SecretDigest::of(secret.as_bytes());
    let (password, token) = (digest("a password"), digest("a token"));
    format!(
        "[routes.guard]\n{more}\nbasic = {{ ada = \"{password}\" }}\nbearer = {{ ci = \"{token}\" }}"
    )
}

fn basic(text: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(text))
}

#[test]
fn a_preview_is_for_those_who_have_its_password_or_its_token() {
    let origin = Origin::replying("secret");
    let proxy = guarded(&origin, &guard(""));
    let mut client = proxy.client();
    let refused = client.get("/");
    assert_eq!(reason(&refused), (401, Some("unauthorized")));
    assert_eq!(
        refused.values("www-authenticate"),
        [
            "Basic realm=\"all\", charset=\"UTF-8\"",
            "Bearer realm=\"all\""
        ]
    );
    assert!(!refused.text().contains("secret"));
    for wrong in [
        &basic("ada:another"),
        &basic("bob:a password"),
        "Authorization: Bearer another\r\n",
        "Authorization: a token\r\n",
        &format!("{}{}", basic("ada:a password"), basic("ada:a password")),
    ] {
        assert_eq!(get_with(&mut client, wrong).status, 401, "{wrong}");
    }
    assert!(origin.requests().is_empty());
    for right in [
        &basic("ada:a password"),
        "Authorization: Bearer a token\r\n",
    ] {
        assert_eq!(get_with(&mut client, right).text(), "secret");
        assert_eq!(origin.last().value("authorization"), None, "it is ours");
    }
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for (value, status) in [("Bearer a token", 200), ("Bearer x", 401)] {
            let (mut parts, ()) = request("GET", "/").into_parts();
            parts
                .headers
                .insert("authorization", value.parse().unwrap());
            let asked = http::Request::from_parts(parts, ());
            let (answer, _) = client.open(asked, true).await;
            let answer = read(answer.await.unwrap()).await.unwrap();
            assert_eq!(answer.status(), status);
        }
    });
    change_route(&proxy, |route| route.guard = None);
    let open = get_with(&mut client, "Authorization: Bearer x\r\n");
    assert_eq!(open.status, 200);
    assert_eq!(
        origin.last().value("authorization"),
        Some("Bearer x"),
        "it is the client's"
    );
    roll_back(&proxy);
    assert_eq!(client.get("/").status, 401);
}

#[test]
fn an_endpoint_gets_the_credentials_where_the_route_says_so() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, &guard("forward = true"));
    let mut client = proxy.client();
    let token = "Authorization: Bearer a token\r\n";
    assert_eq!(get_with(&mut client, token).status, 200);
    assert_eq!(origin.last().value("authorization"), Some("Bearer a token"));
    assert_eq!(client.get("/").status, 401);
}

#[test]
fn guesses_are_429_after_a_while_even_if_one_were_right() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, &guard(""));
    let mut client = proxy.client();
    let guess = |number: usize| basic(&format!("ada:{number}"));
    let mut guessed = (0..100).map(|number| get_with(&mut client, &guess(number)));
    let limited = guessed.find(|answer| answer.status != 401);
    let limited = limited.expect("guesses have a limit");
    assert_eq!(reason(&limited), (429, Some("rate_limited")));
    assert!(limited.value("retry-after").is_some());
    let token = "Authorization: Bearer a token\r\n";
    assert_eq!(
        get_with(&mut client, token).status,
        200,
        "a token is not guessed"
    );
}
