//! Responses that routes give themselves: redirects, fixed responses and maintenance, over both protocols, and the way
//! back from each.

use serde_json::{Value, json};
use switchback::model::Change;

use crate::controller_fixture::change;
use crate::support::h2::{H2Client, H2Response, block, read, request};
use crate::support::{Client, Origin, Response, TestAdmin, TestProxy, UPGRADE, cli};

fn ask(client: &mut Client, line: &str, fields: &str) -> Response {
    client.send(format!("{line} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
    client.response()
}

/// Asks over HTTP/2, with prior knowledge.
fn ask_h2(proxy: &TestProxy, method: &str, path: &str) -> H2Response {
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, _) = client.open(request(method, path), true).await;
        read(answer.await.unwrap()).await.unwrap()
    })
}

/// The change that puts a route.
fn put(route: &Value) -> Change {
    change(&json!({ "kind": "put_route", "route": route }).to_string())
}

#[test]
fn a_redirect_leads_on_and_a_request_that_is_there_is_served() {
    let origin = Origin::replying("served");
    let proxy = TestProxy::builder()
        .settings("trusted_proxies = [\"127.0.0.0/8\"]")
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], "redirect = { scheme = \"https\" }")
        .start();
    let mut client = proxy.client();
    let plain = ask(&mut client, "GET /x?y=1", "");
    assert_eq!((plain.status, plain.text().as_str()), (307, ""));
    assert_eq!(plain.value("location"), Some("https://a.test/x?y=1"));
    assert_eq!(plain.value("x-switchback-reason"), Some("redirect"));
    assert_eq!(plain.value("content-length"), Some("0"));
    assert!(plain.value("x-request-id").is_some());
    let secure = ask(&mut client, "GET /x?y=1", "x-forwarded-proto: https\r\n");
    assert_eq!((secure.status, secure.text().as_str()), (200, "served"));
    let lines = proxy.access_lines(2);
    assert_eq!(
        (
            &lines[0]["route"],
            &lines[0]["outcome"],
            &lines[0]["status"]
        ),
        (&json!("all"), &json!("good"), &json!(307))
    );
    assert_eq!(lines[0]["release"], Value::Null);
    assert_eq!(lines[1]["release"], "blue");
}

#[test]
fn every_part_of_a_redirect_is_sent_over_both_protocols() {
    let proxy = TestProxy::builder()
        .splitless(
            "moved",
            "path_prefix = \"/v1\"\nredirect = { host = \"b.test\", port = 8443, scheme = \"https\", prefix = \"/v2\", \
             status = 308 }",
        )
        .splitless("loop", "path = \"/loop\"\nredirect = { path = \"/loop\" }")
        .start();
    let expected = "https://b.test:8443/v2/x%22y?q=%3Ca%3E";
    let mut client = proxy.client();
    for line in ["GET", "POST", "HEAD"] {
        let request = format!(
            "{line} /v1/x%22y?q=%3Ca%3E HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"
        );
        client.send(request);
        let head = client.response_head();
        assert!(
            head.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("location: {expected}\r\n")),
            "{head}"
        );
    }
    let over_h2 = ask_h2(&proxy, "GET", "/v1/x%22y?q=%3Ca%3E");
    assert_eq!(
        (over_h2.status(), over_h2.value("location")),
        (308, Some(expected))
    );
    assert_eq!(over_h2.text(), "");
    let to_itself = ask(&mut client, "GET /loop", "");
    assert_eq!(
        (to_itself.status, to_itself.value("x-switchback-reason")),
        (508, Some("loop"))
    );
}

#[test]
fn nothing_in_a_request_leads_a_redirect_to_another_host_or_adds_a_field() {
    let proxy = TestProxy::builder()
        .splitless("all", "redirect = { scheme = \"https\" }")
        .splitless(
            "old",
            "path_prefix = \"/old\"\nredirect = { prefix = \"/\" }",
        )
        .start();
    for path in [
        "//evil.test/",
        "/%5Cevil.test/",
        "/\\evil.test",
        "/%0d%0aset-cookie:%20a=b",
        "/old//evil.test/",
        "/old/\\evil.test",
        "/old/%2F%2Fevil.test",
        "/x?%0d%0aa:b",
        "/x?u=//evil.test",
        "/@evil.test",
        "/old/@evil.test",
    ] {
        let response = ask(&mut proxy.client(), &format!("GET {path}"), "");
        let Some(location) = response.value("location") else {
            assert_eq!(response.status, 400, "{path}: {}", response.head);
            continue;
        };
        let url: hyper::Uri = location.parse().unwrap();
        assert_eq!(url.host(), Some("a.test"), "{path}: {location}");
        assert!(!location.contains('\\'), "{path}: {location}");
        assert_eq!(response.value("set-cookie"), None, "{path}");
    }
    for host in [
        "a.test@evil.test",
        "evil.test\\a.test",
        "a.test/evil",
        "a test",
        "",
    ] {
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response().status, 400, "{host}");
    }
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (400, Some("missing_host"))
    );
}

#[test]
fn a_fixed_response_is_sent_as_it_was_written_over_both_protocols() {
    let proxy = TestProxy::builder()
        .splitless(
            "robots",
            "path = \"/robots.txt\"\nrespond = { body = \"User-agent: *\\n\", content_type = \"text/x-robots\" }",
        )
        .splitless("gone", "path_prefix = \"/gone\"\nagent_protocol = \"mcp\"\nrespond = { status = 404 }")
        .splitless("none", "path = \"/none\"\nrespond = { status = 204 }")
        .splitless("same", "path = \"/same\"\nrespond = { status = 304 }")
        .splitless(
            "busy",
            "path = \"/busy\"\nrespond = { status = 503, body = \"later\", retry_after = \"90s\" }",
        )
        .start();
    let mut client = proxy.client();
    let robots = ask(&mut client, "GET /robots.txt", "");
    assert_eq!(
        (robots.status, robots.text().as_str()),
        (200, "User-agent: *\n")
    );
    assert_eq!(robots.value("content-type"), Some("text/x-robots"));
    assert_eq!(robots.value("cache-control"), None);
    client.send("HEAD /robots.txt HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = client.response_head();
    assert!(head.contains("content-length: 14\r\n"), "{head}");
    let gone = ask(&mut client, "POST /gone/x", "Content-Length: 0\r\n");
    assert_eq!(
        (gone.status, gone.text().as_str()),
        (404, ""),
        "not the 400 of MCP"
    );
    for path in ["/none", "/same"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let head = client.response_head();
        assert!(!head.contains("content-length"), "{head}");
        assert!(!head.contains("content-type"), "{head}");
    }
    let busy = ask(&mut client, "GET /busy", "");
    assert_eq!((busy.status, busy.text().as_str()), (503, "later"));
    assert_eq!(busy.value("retry-after"), Some("90"));
    assert_eq!(
        busy.value("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let over_h2 = ask_h2(&proxy, "GET", "/robots.txt");
    assert_eq!(
        (
            over_h2.status(),
            over_h2.text(),
            over_h2.value("content-type")
        ),
        (200, "User-agent: *\n", Some("text/x-robots"))
    );
    let over_h2 = ask_h2(&proxy, "GET", "/none");
    assert_eq!((over_h2.status(), over_h2.text()), (204, ""));
}

#[test]
fn a_body_that_nobody_reads_is_bounded_and_the_next_request_is_served() {
    let proxy = TestProxy::builder()
        .splitless("all", "respond = { body = \"x\" }")
        .start();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "x");
    }
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "x"));
}

/// The routes of the tests of a maintenance, in this state.
fn maintained(agents: &str, more: &str) -> Value {
    let mut route = json!({
        "name": "chat", "path_prefix": "/", "split": { "blue": 1 },
        "maintenance": { "on": true },
    });
    if !agents.is_empty() {
        route["agent_protocol"] = agents.into();
    }
    let more: Value = serde_json::from_str(more).unwrap();
    let keys = more.as_object().unwrap().clone();
    route["maintenance"].as_object_mut().unwrap().extend(keys);
    route
}

/// The page of a maintenance.
const PAGE: &str = r#"{ "body": "<h1>Back soon</h1>", "retry_after": "2m" }"#;

#[test]
fn a_maintenance_has_the_form_that_each_client_reads() {
    let origin = Origin::replying("blue");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("chat", "/", &[("blue", 1)])
        .start();
    proxy.change(&put(&maintained("", PAGE)));
    let mut client = proxy.client();
    let browser = ask(&mut client, "GET /", "accept: text/html, */*;q=0.1\r\n");
    assert_eq!(
        (browser.status, browser.text().as_str()),
        (503, "<h1>Back soon</h1>")
    );
    assert_eq!(
        browser.value("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(browser.value("retry-after"), Some("120"));
    assert_eq!(browser.value("cache-control"), Some("no-store"));
    assert_eq!(browser.value("x-switchback-reason"), Some("maintenance"));
    let program = ask(&mut client, "GET /", "accept: application/json\r\n");
    assert_eq!(
        program.value("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(program.value("retry-after"), Some("120"));
    let problem: Value = serde_json::from_slice(&program.body).unwrap();
    assert_eq!(
        (&problem["status"], &problem["reason"]),
        (&json!(503), &json!("maintenance"))
    );

    let text = r#"{ "body": "back soon", "content_type": "text/plain" }"#;
    proxy.change(&put(&maintained("", text)));
    let any = ask(&mut client, "GET /", "");
    assert_eq!(
        (any.text().as_str(), any.value("content-type")),
        ("back soon", Some("text/plain"))
    );
    assert_eq!(any.value("retry-after"), Some("60"), "the default");
    assert_eq!(origin.requests().len(), 0, "no endpoint was asked");
}

#[test]
fn agents_get_the_error_of_their_protocol_in_a_maintenance() {
    let origin = Origin::replying("blue");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("chat", "/", &[("blue", 1)])
        .start();
    let mut client = proxy.client();
    proxy.change(&put(&maintained("mcp", PAGE)));
    let agent = ask(
        &mut client,
        "POST /mcp",
        "accept: text/html\r\nContent-Length: 0\r\n",
    );
    let error: Value = serde_json::from_slice(&agent.body).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["data"]["reason"]),
        (&json!(-32603), &json!("maintenance"))
    );
    proxy.change(&put(&maintained("a2a", PAGE)));
    let agent = ask(&mut client, "GET /tasks/7", "accept: text/html\r\n");
    let error: Value = serde_json::from_slice(&agent.body).unwrap();
    assert_eq!(error["error"]["status"], "UNAVAILABLE");

    let call = block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut call = request("POST", "/pkg.Service/Call");
        let fields = call.headers_mut();
        fields.insert("content-type", "application/grpc".parse().unwrap());
        fields.insert("te", "trailers".parse().unwrap());
        let (answer, _) = client.open(call, true).await;
        read(answer.await.unwrap()).await.unwrap()
    });
    assert_eq!(
        (call.status(), call.value("grpc-status")),
        (200, Some("14"))
    );
    assert_eq!(
        call.value("grpc-message"),
        Some("the route is in maintenance")
    );
    assert_eq!(origin.requests().len(), 0, "no endpoint was asked");
    let mut upgrade = proxy.client();
    upgrade.send(UPGRADE);
    assert_eq!(upgrade.response().status, 503);
}

#[test]
fn a_maintenance_is_switched_on_and_taken_back() {
    let origin = Origin::replying("blue");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("chat", "/", &[("blue", 1)])
        .start();
    let mut client = proxy.client();
    assert_eq!(ask(&mut client, "GET /", "").status, 200);
    proxy.change(&put(&maintained("", "{}")));
    assert_eq!(ask(&mut client, "GET /", "").status, 503);
    proxy.rollback();
    assert_eq!(ask(&mut client, "GET /", "").text(), "blue");
    let redirect = json!({ "name": "chat", "path_prefix": "/", "redirect": { "host": "b.test" } });
    proxy.change(&put(&redirect));
    assert_eq!(
        ask(&mut client, "GET /", "").value("location"),
        Some("http://b.test/")
    );
    let fixed = json!({ "name": "chat", "path_prefix": "/", "respond": { "body": "fixed" } });
    proxy.change(&put(&fixed));
    assert_eq!(ask(&mut client, "GET /", "").text(), "fixed");
    proxy.rollback();
    assert_eq!(ask(&mut client, "GET /", "").status, 307);
    proxy.rollback();
    assert_eq!(ask(&mut client, "GET /", "").text(), "blue");
}

#[test]
fn a_request_that_names_its_release_gets_it_in_a_maintenance() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route_with(
            "chat",
            &[("blue", 1), ("green", 0)],
            "overrides = \"plain\"\nmaintenance = { on = true }",
        )
        .start();
    let mut client = proxy.client();
    assert_eq!(ask(&mut client, "GET /", "").status, 503);
    let named = |client: &mut Client, release: &str| {
        ask(
            client,
            "GET /",
            &format!("x-switchback-release: {release}\r\n"),
        )
    };
    assert_eq!(named(&mut client, "green").text(), "green");
    let unknown = named(&mut client, "none");
    assert_eq!(
        (unknown.status, unknown.value("x-switchback-reason")),
        (404, Some("unknown_release"))
    );
}

#[test]
fn the_command_line_switches_a_maintenance_and_a_rollback_of_the_route_takes_it_back() {
    let admin = TestAdmin::start();
    let run = |arguments: &[&str]| cli::run_ok(&admin, arguments);
    let before = run(&["route", "show", "chat"]);
    run(&[
        "maintenance",
        "chat",
        "on",
        "--retry-after",
        "5m",
        "-m",
        "new database",
    ]);
    let shown = run(&["route", "show", "chat"]);
    assert!(
        shown.contains("on = true") && shown.contains("retry_after = \"5m\""),
        "{shown}"
    );
    let status = run(&["status"]);
    assert!(
        status.contains("in maintenance: chat; `switchback maintenance chat off` ends it"),
        "{status}"
    );
    let same = run(&["maintenance", "chat", "on"]);
    assert!(same.contains("nothing to change"), "{same}");
    run(&["split", "chat", "green=50"]);
    run(&["rollback", "--route", "chat"]);
    assert!(
        run(&["status"]).contains("in maintenance: chat"),
        "the split came back, no more"
    );
    run(&["rollback", "--route", "chat"]);
    assert_eq!(run(&["route", "show", "chat"]), before);
    run(&["maintenance", "chat", "on"]);
    run(&["maintenance", "chat", "off"]);
    assert_eq!(
        run(&["route", "show", "chat"]),
        before,
        "nothing is left of it"
    );
}
