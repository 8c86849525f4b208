//! The dashboard's files, and the sessions of its browsers.

use serde_json::{Value, json};

use super::guards::{OPERATOR, READER, with_tokens};
use crate::{
    config_keys::process::observe_address,
    conformance::child::Switchback,
    support::{Client, Response, TestAdmin},
};

const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Logs in, and gives the session's cookie.
fn log_in(admin: &TestAdmin, token: &str) -> (Response, String) {
    let body = json!({ "token": token }).to_string();
    let response = admin.request("POST", "/v1/session", &[JSON], &body);
    let field = response.value("set-cookie").unwrap_or_default().to_owned();
    let pair = field.split(';').next().unwrap_or_default().to_owned();
    (response, pair)
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn a_browser_gets_the_page_without_a_token_and_a_tool_a_problem() {
    let (admin, _folder) = with_tokens();
    let page = admin.request("GET", "/", &[HTML], "");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.value("content-type").unwrap(),
        "text/html; charset=utf-8"
    );
    let policy = page.value("content-security-policy").unwrap();
    for part in [
        "default-src 'none';",
        "script-src 'self';",
        "style-src 'self';",
        "frame-ancestors 'none';",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.value("x-content-type-options").unwrap(), "nosniff");
    for accept in [vec![], vec![("accept", "*/*")]] {
        let tool = admin.request("GET", "/", &accept, "");
        assert_eq!(tool.status, 404);
        assert_eq!(body(&tool)["type"], "urn:switchback:problem:unknown-path");
    }
    for path in ["/dashboard/nothing.js", "/dashboard/index.html"] {
        assert_eq!(
            admin.request("GET", path, &[HTML], "").status,
            404,
            "{path}"
        );
    }
}

#[test]
fn a_known_file_is_not_sent_again() {
    let admin = TestAdmin::start();
    let file = admin.request("GET", "/dashboard/app.js", &[], "");
    assert_eq!(file.status, 200);
    let tag = file.value("etag").unwrap();
    for known in [tag.to_owned(), format!("\"other\", W/{tag}")] {
        let again = admin.request("GET", "/dashboard/app.js", &[("if-none-match", &known)], "");
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}

#[test]
fn a_token_is_exchanged_for_a_cookie_until_the_log_out() {
    let (admin, _folder) = with_tokens();
    let (refused, none) = log_in(&admin, "wrong-0123456789abcdef");
    assert_eq!((refused.status, none.as_str()), (401, ""));
    let (response, cookie) = log_in(&admin, OPERATOR);
    assert_eq!(response.status, 200);
    let field = response.value("set-cookie").unwrap();
    assert!(
        field.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{field}"
    );
    let known = ("cookie", cookie.as_str());
    let session = body(&admin.request("GET", "/v1/session", &[known], ""));
    assert_eq!(
        (&session["caller"], &session["may_change"]),
        (&json!("alice"), &json!(true))
    );
    assert!(session["ends_at"].is_string());
    assert_eq!(admin.request("GET", "/v1/status", &[known], "").status, 200);
    let gone = admin.request("DELETE", "/v1/session", &[known], "");
    assert_eq!(gone.status, 204);
    assert!(gone.value("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(admin.request("GET", "/v1/status", &[known], "").status, 401);
    let session = body(&admin.request("GET", "/v1/session", &[known], ""));
    assert_eq!(
        session,
        json!({ "token_required": true, "may_change": false })
    );
}

#[test]
fn a_change_with_a_cookie_comes_from_our_own_page() {
    let (admin, _folder) = with_tokens();
    let (_, cookie) = log_in(&admin, OPERATOR);
    let own = format!("http://{}", admin.address);
    let status = |field: Option<(&str, &str)>| {
        let fields: Vec<_> = [Some(("cookie", cookie.as_str())), field]
            .into_iter()
            .flatten()
            .collect();
        let abort = admin.request("POST", "/v1/routes/chat/abort", &fields, "");
        abort.status
    };
    assert_eq!(status(None), 403);
    assert_eq!(status(Some(("origin", "http://evil.example"))), 403);
    assert_eq!(status(Some(("sec-fetch-site", "same-site"))), 403);
    assert_eq!(status(Some(("origin", &own))), 200);
    assert_eq!(status(Some(("sec-fetch-site", "same-origin"))), 200);
}

#[test]
fn a_read_only_session_changes_nothing_and_can_log_out() {
    let (admin, _folder) = with_tokens();
    let (response, cookie) = log_in(&admin, READER);
    assert_eq!(body(&response)["may_change"], false);
    let fields = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    let abort = admin.request("POST", "/v1/routes/chat/abort", &fields, "");
    assert_eq!(abort.status, 403);
    let gone = admin.request("DELETE", "/v1/session", &fields, "");
    assert_eq!(gone.status, 204);
}

#[test]
fn without_tokens_everyone_is_the_local_operator_and_gets_no_cookie() {
    let admin = TestAdmin::start();
    let expected = json!({ "token_required": false, "caller": "local", "may_change": true });
    assert_eq!(admin.get("/v1/session"), expected);
    let (response, cookie) = log_in(&admin, "anything");
    assert_eq!((body(&response), cookie.as_str()), (expected, ""));
}

#[test]
fn a_login_is_bounded_and_takes_no_form() {
    let (admin, _folder) = with_tokens();
    let long = json!({ "token": "a".repeat(20_000) }).to_string();
    let status = |fields: &[(&str, &str)], text: &str| {
        admin.request("POST", "/v1/session", fields, text).status
    };
    assert_eq!(status(&[JSON], &long), 413);
    assert_eq!(status(&[JSON], "{}"), 422);
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(status(&[form], &format!("token={OPERATOR}")), 415);
}

#[test]
fn the_dashboard_of_the_observe_listener_only_reads() {
    let start = |dashboard: bool| {
        let lines = format!("[observe]\naddress = \"127.0.0.1:0\"\ndashboard = {dashboard}\n");
        Switchback::start(&[""], &lines)
    };
    let ask = |switchback: &Switchback, line: &str, host: &str| {
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\naccept: text/html, */*\r\n\r\n");
        let mut client = Client::connect(observe_address(switchback));
        client.send(head).response()
    };
    let (without, with) = (start(false), start(true));
    for path in ["/", "/v1/status", "/v1/session", "/v1/revisions"] {
        let line = format!("GET {path}");
        assert_eq!(ask(&without, &line, "localhost").status, 404, "{path}");
        assert_eq!(ask(&with, &line, "localhost").status, 200, "{path}");
        assert_eq!(ask(&with, &line, "evil.example").status, 421, "{path}");
    }
    let session = body(&ask(&with, "GET /v1/session", "localhost"));
    assert_eq!(session["may_change"], false);
    for line in ["POST /v1/rollback", "PUT /v1/table", "POST /v1/session"] {
        let status = ask(&with, line, "localhost").status;
        assert!(matches!(status, 404 | 405), "{line}: {status}");
    }
    for path in ["/v1/table", "/v1/settings", "/openapi.json"] {
        assert_eq!(
            ask(&with, &format!("GET {path}"), "localhost").status,
            404,
            "{path}"
        );
    }
    assert_eq!(ask(&with, "GET /metrics", "prometheus.example").status, 200);
}
