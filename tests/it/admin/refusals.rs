//! Refused requests: the status of each, and that nothing has changed.

use serde_json::{Value, json};

use crate::support::TestAdmin;

const JSON: (&str, &str) = ("content-type", "application/json");

struct Case {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    fields: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
}

const fn case(
    what: &'static str,
    method: &'static str,
    path: &'static str,
    fields: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
) -> Case {
    Case {
        what,
        method,
        path,
        fields,
        body,
        status,
    }
}

const SPLIT: &str = "/v1/routes/chat/split";

const CASES: &[Case] = &[
    case("no such path", "GET", "/v1/nothing", &[], "", 404),
    case("no method of the page", "POST", "/", &[], "", 405),
    case("no such method", "POST", "/v1/table", &[], "", 405),
    case("no such method on a probe", "POST", "/livez", &[], "", 405),
    case(
        "no such method on a rollback",
        "GET",
        "/v1/rollback",
        &[],
        "",
        405,
    ),
    case("no body", "PUT", SPLIT, &[JSON], "", 400),
    case("no JSON", "PUT", SPLIT, &[JSON], "{", 400),
    case(
        "more than JSON",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":1}} {}"#,
        400,
    ),
    case("another type", "PUT", SPLIT, &[JSON], "[]", 422),
    case("null", "PUT", SPLIT, &[JSON], "null", 422),
    case(
        "a key that is not known",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":1},"mesage":""}"#,
        422,
    ),
    case(
        "no weights",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{}}"#,
        422,
    ),
    case(
        "only zeros",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":0,"green":0}}"#,
        422,
    ),
    case(
        "a weight over the limit",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":1000001}}"#,
        422,
    ),
    case(
        "a weight below zero",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":-1}}"#,
        422,
    ),
    case(
        "a weight of a half",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":0.5}}"#,
        422,
    ),
    case(
        "a weight as text",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":"1"}}"#,
        422,
    ),
    case(
        "a name that is none",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"b l":1}}"#,
        422,
    ),
    case(
        "an unknown release",
        "PUT",
        SPLIT,
        &[JSON],
        r#"{"weights":{"gren":1}}"#,
        404,
    ),
    case(
        "an unknown route",
        "PUT",
        "/v1/routes/chta/split",
        &[JSON],
        r#"{"weights":{"blue":1}}"#,
        404,
    ),
    case(
        "zeros by a patch",
        "PATCH",
        SPLIT,
        &[JSON],
        r#"{"weights":{"blue":0}}"#,
        409,
    ),
    case(
        "an unknown release to switch to",
        "POST",
        "/v1/routes/chat/switch",
        &[JSON],
        r#"{"to":"gren"}"#,
        404,
    ),
    case("no canary", "POST", "/v1/routes/chat/promote", &[], "", 409),
    case(
        "a route without a split",
        "PUT",
        "/v1/routes/x",
        &[JSON],
        "{}",
        409,
    ),
    case(
        "a route of an unknown release",
        "PUT",
        "/v1/routes/x",
        &[JSON],
        r#"{"split":{"gren":1}}"#,
        404,
    ),
    case(
        "a route like another",
        "PUT",
        "/v1/routes/x",
        &[JSON],
        r#"{"split":{"blue":1}}"#,
        409,
    ),
    case(
        "a route with a bad name",
        "PUT",
        "/v1/routes/a%20b",
        &[JSON],
        r#"{"split":{"blue":1}}"#,
        422,
    ),
    case(
        "a route with a bad path",
        "PUT",
        "/v1/routes/x",
        &[JSON],
        r#"{"path":"x","split":{"blue":1}}"#,
        409,
    ),
    case(
        "a release without endpoints",
        "PUT",
        "/v1/releases/red",
        &[JSON],
        r#"{"endpoints":[]}"#,
        409,
    ),
    case(
        "an endpoint with a path",
        "PUT",
        "/v1/releases/red",
        &[JSON],
        r#"{"endpoints":["http://a/b"]}"#,
        422,
    ),
    case(
        "a release that is not there",
        "DELETE",
        "/v1/releases/red",
        &[],
        "",
        404,
    ),
    case(
        "a release in a split",
        "DELETE",
        "/v1/releases/blue?force=true",
        &[],
        "",
        409,
    ),
    case(
        "a route that is not there",
        "DELETE",
        "/v1/routes/x",
        &[],
        "",
        404,
    ),
    case(
        "a body where none belongs",
        "DELETE",
        "/v1/routes/chat",
        &[JSON],
        "{}",
        400,
    ),
    case(
        "a revision that is not kept",
        "GET",
        "/v1/revisions/99999",
        &[],
        "",
        404,
    ),
    case(
        "a revision that is no number",
        "GET",
        "/v1/revisions/x",
        &[],
        "",
        404,
    ),
    case(
        "a page of nothing",
        "GET",
        "/v1/revisions?limit=0",
        &[],
        "",
        400,
    ),
    case(
        "an unknown argument",
        "POST",
        "/v1/rollback?dryrun=true",
        &[],
        "",
        400,
    ),
    case(
        "an argument that is no truth",
        "POST",
        "/v1/rollback?dry_run=1",
        &[],
        "",
        400,
    ),
    case(
        "bytes that are no text in a path",
        "GET",
        "/v1/routes/%ff",
        &[],
        "",
        400,
    ),
    case(
        "a form",
        "POST",
        "/v1/rollback",
        &[("content-type", "application/x-www-form-urlencoded")],
        "",
        415,
    ),
    case(
        "plain text",
        "POST",
        "/v1/rollback",
        &[("content-type", "text/plain")],
        "{}",
        415,
    ),
    case("a body of no type", "POST", "/v1/rollback", &[], "{}", 415),
    case(
        "a client that takes pages",
        "GET",
        "/v1/status",
        &[("accept", "text/html")],
        "",
        406,
    ),
    case(
        "a condition without quotes",
        "POST",
        "/v1/rollback",
        &[("if-match", "1")],
        "",
        400,
    ),
    case(
        "a revision of the future",
        "POST",
        "/v1/rollback",
        &[("if-match", "\"99999\"")],
        "",
        412,
    ),
    case(
        "a key with a space",
        "POST",
        "/v1/rollback",
        &[("idempotency-key", "a b")],
        "",
        400,
    ),
    case("an empty table", "PUT", "/v1/table", &[JSON], "{}", 428),
];

#[test]
fn what_cannot_be_is_refused_with_a_problem_document_and_changes_nothing() {
    let admin = TestAdmin::start();
    admin.done("PATCH", SPLIT, &json!({ "weights": { "blue": 90 } }));
    let before = (admin.revision(), admin.get("/v1/table"));
    for case in CASES {
        let response = admin.request(case.method, case.path, case.fields, case.body);
        assert_eq!(
            response.status,
            case.status,
            "{}: {}",
            case.what,
            response.text()
        );
        assert_eq!(
            response.value("content-type"),
            Some("application/problem+json"),
            "{}",
            case.what
        );
        let problem: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(problem["status"], case.status, "{}", case.what);
        assert!(
            problem["type"]
                .as_str()
                .unwrap()
                .starts_with("urn:switchback:problem:"),
            "{}",
            case.what
        );
        assert_eq!(
            (admin.revision(), admin.get("/v1/table")),
            before,
            "{}",
            case.what
        );
    }
}

#[test]
fn a_method_that_does_not_exist_gets_the_list_of_those_that_do() {
    let admin = TestAdmin::start();
    for (path, allow) in [
        ("/v1/table", "GET,HEAD,PUT"),
        ("/v1/rollback", "POST"),
        ("/v1/routes/chat/split", "PUT,PATCH"),
        ("/livez", "GET,HEAD"),
        ("/openapi.json", "GET,HEAD"),
    ] {
        let response = admin.request("TRACE", path, &[], "");
        let mut allowed: Vec<_> = response.value("allow").unwrap().split(',').collect();
        let mut expected: Vec<_> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!((response.status, allowed), (405, expected), "{path}");
    }
}

#[test]
fn a_misspelt_name_is_answered_with_the_names_that_exist() {
    let admin = TestAdmin::start();
    let (_, problem) = admin.json("POST", "/v1/routes/chat/switch", &json!({ "to": "gren" }));
    assert_eq!(problem["known"], json!(["blue", "green"]));
    assert_eq!(problem["hint"], "did you mean `green`?");
    let (_, problem) = admin.json("GET", "/v1/routes/chta", &Value::Null);
    assert_eq!(problem["known"], json!(["chat"]));
    assert_eq!(problem["hint"], "did you mean `chat`?");
}

#[test]
fn all_mistakes_of_a_table_are_shown_at_once() {
    let admin = TestAdmin::start();
    let mut table = admin.get("/v1/table");
    table["routes"][0]["split"] = json!({ "gren": 1 });
    table["releases"]["blue"]["endpoints"] = json!([]);
    let tag = format!("\"{}\"", admin.revision());
    let (status, problem) = admin.json_with("PUT", "/v1/table", &[("if-match", &tag)], &table);
    assert_eq!(status, 409);
    let paths: Vec<_> = problem["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].clone())
        .collect();
    assert!(
        paths.contains(&json!("releases.blue.endpoints")),
        "{problem}"
    );
    assert!(
        paths.contains(&json!("routes.chat.split.gren")),
        "{problem}"
    );
}

#[test]
fn a_body_has_a_limit_and_a_whole_table_a_larger_one() {
    let admin = TestAdmin::with("max_table = \"128KiB\"");
    let long = |size: usize| {
        format!(
            r#"{{"weights":{{"blue":1}},"message":"{}"}}"#,
            "x".repeat(size)
        )
    };
    for (method, path, size, status) in [
        ("PUT", SPLIT, 70 << 10, 413),
        ("POST", "/v1/rollback", 70 << 10, 413),
        ("PUT", "/v1/table", 70 << 10, 422),
        ("PUT", "/v1/table", 130 << 10, 413),
        ("POST", "/v1/import", 130 << 10, 413),
    ] {
        // Only the length is announced: the response comes before the body would.
        let length = long(size).len().to_string();
        let fields = [JSON, ("if-match", "\"1\"")];
        let response = if status == 413 {
            let fields = [
                fields[0],
                fields[1],
                ("content-length", &length),
                ("expect", "100-continue"),
            ];
            admin.request(method, path, &fields, "")
        } else {
            admin.request(method, path, &fields, &long(size))
        };
        assert_eq!(
            response.status,
            status,
            "{method} {path}: {}",
            response.text()
        );
    }
}
