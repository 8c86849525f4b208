//! Sessions: what identifies one, and that it stays whole while weights change.

use crate::support::{Client, Origin, TestProxy};

/// A proxy whose one route has these lines, with `blue` and `green` at equal weights.
fn halves(blue: &Origin, green: &Origin, settings: &str, lines: &str) -> TestProxy {
    TestProxy::builder()
        .settings(settings)
        .release("blue", &[blue])
        .release("green", &[green])
        .route_with(
            "chat",
            &[("blue", 50), ("green", 50)],
            &format!("path_prefix = \"/\"\n{lines}"),
        )
        .start()
}

fn ask(client: &mut Client, path: &str, fields: &str) -> crate::support::Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response()
}

/// True if each of many keys stays with its release, and both releases have some.
fn is_split_by_key(mut answer: impl FnMut(usize) -> String) -> bool {
    let first: Vec<_> = (0..40).map(&mut answer).collect();
    let is_stable = (0..5).all(|_| (0..40).map(&mut answer).eq(first.iter().cloned()));
    is_stable && first.iter().any(|name| *name != first[0])
}

#[test]
fn a_session_is_identified_by_what_the_route_says() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    for (source, path, fields) in [
        ("{ query = \"thread\" }", "/?a=b&thread=KEY", ""),
        ("\"bearer\"", "/", "Authorization: Bearer KEY\r\n"),
        (
            "{ mcp_param = \"thread\" }",
            "/",
            "Mcp-Param-Thread: KEY\r\n",
        ),
        (
            "\"client_address\"",
            "/",
            "X-Forwarded-For: 9.9.9.9, 10.0.0.KEY, 127.0.0.9\r\n",
        ),
    ] {
        let trusted = "trusted_proxies = [\"127.0.0.0/8\"]";
        let proxy = halves(&blue, &green, trusted, &format!("affinity = [{source}]"));
        let mut client = proxy.client();
        let by_key = is_split_by_key(|key| {
            let put = |text: &str| text.replace("KEY", &key.to_string());
            ask(&mut client, &put(path), &put(fields)).text()
        });
        assert!(by_key, "{source}");
    }
}

#[test]
fn the_address_that_a_stranger_claims_is_not_believed() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = halves(&blue, &green, "", "affinity = [\"client_address\"]");
    let mut client = proxy.client();
    let mut of = |key: usize| {
        ask(
            &mut client,
            "/",
            &format!("X-Forwarded-For: 10.0.0.{key}\r\n"),
        )
        .text()
    };
    let first = of(0);
    assert!(
        (1..60).all(|key| of(key) == first),
        "all come from one address"
    );
}

#[test]
fn a_client_without_a_key_gets_a_cookie_that_keeps_its_release() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let lines = "affinity = [{ header = \"x-user\" }, { generated_cookie = \"route\" }]";
    let proxy = halves(&blue, &green, "", lines);
    let mut client = proxy.client();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let first = ask(&mut client, "/", "");
        let cookie = first.value("set-cookie").unwrap().to_owned();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
        assert!(seen.insert(pair.to_owned()), "{pair} was given twice");
        for _ in 0..5 {
            let again = ask(&mut client, "/", &format!("Cookie: a=b; {pair}\r\n"));
            assert_eq!(
                (again.text(), again.value("set-cookie")),
                (first.text(), None)
            );
        }
    }
    let known = ask(&mut client, "/", "X-User: 7\r\n");
    assert_eq!(
        known.value("set-cookie"),
        None,
        "another source has the key"
    );
}

#[test]
fn a_generated_cookie_is_secure_where_the_client_uses_tls() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let lines = "affinity = [{ generated_cookie = \"route\" }]";
    let https = "X-Forwarded-Proto: https\r\n";
    for (settings, is_secure) in [("trusted_proxies = [\"127.0.0.1\"]", true), ("", false)] {
        let proxy = halves(&blue, &green, settings, lines);
        let answer = ask(&mut proxy.client(), "/", https);
        let cookie = answer.value("set-cookie").unwrap();
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
    }
}
