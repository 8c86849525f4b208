//! Pages of other origins.

use super::{change_route, get_with, guarded, reason, roll_back};
use crate::support::h2::{H2Client, block, read, request};
use crate::support::{Origin, reply};

const RULES: &str = r#"[routes.cors]
origins = ["https://app.example.com", "https://*.preview.example.com"]
methods = ["GET", "POST", "DELETE"]
headers = ["content-type", "authorization"]
expose = ["x-release"]
credentials = true
max_age = "1h"
"#;

/// An endpoint that has rules of its own.
fn origin() -> Origin {
    let fields = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
                  Access-Control-Expose-Headers: x-internal\r\nVary: accept\r\n";
    Origin::answering(move |_| reply(200, fields, "x"))
}

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS /chat HTTP/1.1\r\nHost: agents.test\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
    )
}

#[test]
fn a_preflight_is_answered_by_the_proxy_over_either_protocol() {
    let endpoint = origin();
    let proxy = guarded(&endpoint, RULES);
    let mut client = proxy.client();
    for page in [
        "https://app.example.com",
        "https://pr-7.preview.example.com",
    ] {
        let answer = client.send(preflight(page)).response();
        assert_eq!((answer.status, answer.text().as_str()), (204, ""));
        for (name, value) in [
            ("access-control-allow-origin", Some(page)),
            ("access-control-allow-credentials", Some("true")),
            ("access-control-allow-methods", Some("GET, POST, DELETE")),
            (
                "access-control-allow-headers",
                Some("content-type, authorization"),
            ),
            ("access-control-max-age", Some("3600")),
            ("content-length", None),
        ] {
            assert_eq!(answer.value(name), value, "{name}");
        }
        assert!(answer.value("vary").unwrap().starts_with("origin"));
    }
    let refused = client.send(preflight("https://evil.test")).response();
    assert_eq!(reason(&refused), (403, Some("origin_refused")));
    assert_eq!(refused.value("access-control-allow-origin"), None);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (mut parts, ()) = request("OPTIONS", "/").into_parts();
        for (name, value) in [
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "DELETE"),
        ] {
            parts.headers.insert(name, value.parse().unwrap());
        }
        let asked = http::Request::from_parts(parts, ());
        let (answer, _) = client.open(asked, true).await;
        let answer = read(answer.await.unwrap()).await.unwrap();
        let allowed = answer.value("access-control-allow-origin");
        assert_eq!(
            (answer.status(), allowed),
            (204, Some("https://app.example.com"))
        );
    });
    assert!(endpoint.requests().is_empty());
    let options = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example.com\r\n\r\n";
    assert_eq!(client.send(options).response().status, 200, "no preflight");
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn the_proxy_says_which_page_may_read_an_answer_and_the_endpoint_does_not() {
    let endpoint = origin();
    let proxy = guarded(&endpoint, RULES);
    let mut client = proxy.client();
    let answer = get_with(&mut client, "Origin: https://app.example.com\r\n");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-release"),
    ] {
        assert_eq!(answer.value(name), Some(value));
    }
    assert_eq!(answer.values("vary"), ["accept", "origin"]);
    let sent = endpoint.last();
    assert_eq!(sent.value("origin"), Some("https://app.example.com"));
    for other in ["Origin: https://evil.test\r\n", ""] {
        let answer = get_with(&mut client, other);
        assert_eq!(answer.status, 200, "a browser keeps it from its page");
        assert!(!answer.head.contains("access-control-"), "{}", answer.head);
        assert_eq!(answer.values("vary"), ["accept", "origin"]);
    }
    change_route(&proxy, |route| route.cors = None);
    let answer = get_with(&mut client, "Origin: https://evil.test\r\n");
    assert_eq!(answer.value("access-control-allow-origin"), Some("*"));
    roll_back(&proxy);
    let answer = get_with(&mut client, "Origin: https://evil.test\r\n");
    assert_eq!(answer.value("access-control-allow-origin"), None);
}

#[test]
fn a_page_may_read_a_refusal_and_its_preflight_needs_no_credentials() {
    let endpoint = origin();
    let digest = switchback::model::SecretDigest::of(b"x");
    let guard = format!("[routes.guard]\nbearer = {{ app = \"{digest}\" }}\n{RULES}");
    let proxy = guarded(&endpoint, &guard);
    let mut client = proxy.client();
    let answer = client.send(preflight("https://app.example.com")).response();
    assert_eq!(answer.status, 204);
    let refused = get_with(&mut client, "Origin: https://app.example.com\r\n");
    let allowed = refused.value("access-control-allow-origin");
    assert_eq!(
        (refused.status, allowed),
        (401, Some("https://app.example.com"))
    );
    let call = "Origin: https://app.example.com\r\nContent-Type: application/grpc\r\n";
    let refused = get_with(&mut client, call);
    assert_eq!(refused.value("grpc-status"), Some("16"));
    let allowed = refused.value("access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example.com"));
}

#[test]
fn all_pages_may_read_answers_without_credentials() {
    let endpoint = origin();
    let proxy = guarded(&endpoint, "cors = { origins = [\"*\"] }");
    let answer = get_with(&mut proxy.client(), "Origin: null\r\n");
    assert_eq!(answer.value("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.value("access-control-allow-credentials"), None);
    assert_eq!(answer.value("vary"), Some("accept"));
}
