//! The `OpenAPI` document: the declarations of the handlers, with what is common to all of them.

use axum::body::Bytes;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Info, License, OpenApi, OpenApiBuilder, Server},
};

use crate::api::{CHANGE_KEYS, ProblemDocument};

/// Statuses of any response.
const ALWAYS: [(&str, &str); 7] = [
    ("400", "malformed request"),
    (
        "403",
        "the request comes from a web page, or the token is read-only",
    ),
    ("406", "the client does not accept JSON"),
    ("421", "unknown host name"),
    ("405", "method not allowed"),
    ("500", "internal error"),
    (
        "503",
        "overload, or the history cannot be written: nothing has changed",
    ),
];

/// Statuses of requests that change something.
const CHANGES: [(&str, &str); 5] = [
    (
        "409",
        "the live table does not allow it, or its parts would contradict each other: every problem is listed with its path",
    ),
    (
        "412",
        "the target has changed since the revision in `If-Match`",
    ),
    ("408", "timeout reading the body"),
    ("413", "the body is too large"),
    (
        "422",
        "JSON that does not match the schema, with the path of the mistake; or the idempotency key belongs to another request",
    ),
];

/// The whole document, serialized.
pub(super) fn document(parts: impl IntoIterator<Item = OpenApi>, tokens: bool) -> Bytes {
    let mut api = OpenApiBuilder::new().info(info()).build();
    api.servers = Some(vec![Server::new("/")]);
    for part in parts {
        api.merge(part);
    }
    let mut value = serde_json::to_value(&api).expect("the document has string keys");
    complete(&mut value, tokens);
    Bytes::from(value.to_string())
}

fn info() -> Info {
    let mut info = Info::new("switchback", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Selects the releases that serve an agent fleet, and rolls back.\n\nEvery change returns a receipt, every \
         error an RFC 9457 problem document. Weights are relative: at least one in a split is not 0."
            .to_owned(),
    );
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    info
}

fn complete(document: &mut Value, tokens: bool) {
    let mut schemas = Vec::new();
    ProblemDocument::schemas(&mut schemas);
    schemas.push(("ProblemDocument".to_owned(), ProblemDocument::schema()));
    for (name, schema) in schemas {
        let schema = serde_json::to_value(schema).expect("a schema has string keys");
        document["components"]["schemas"][name] = schema;
    }
    // Mutually exclusive: a rollback has one target.
    document["components"]["schemas"]["RollbackRequest"]["not"] = json!({
        "required": ["to", "step"],
        "properties": { "to": { "type": "integer" }, "step": { "const": true } },
    });
    // Exactly one of the two.
    document["components"]["schemas"]["SplitPatchRequest"]["oneOf"] =
        json!([{ "required": ["percent"] }, { "required": ["weights"] }]);
    one_opinion(&mut document["components"]["schemas"]["FeedbackRequest"]);
    one_change(&mut document["components"]["schemas"]["ChangeItem"]);
    for schema in ["AffinitySource", "PinSource"] {
        let sources = &mut document["components"]["schemas"][schema]["oneOf"];
        let sources = sources.as_array_mut().into_iter().flatten();
        for source in sources.filter(|source| source["type"] == "object") {
            source["additionalProperties"] = json!(false);
        }
    }
    unsign(document);
    if tokens {
        document["components"]["securitySchemes"]["token"] =
            json!({ "type": "http", "scheme": "bearer" });
        document["security"] = json!([{ "token": [] }]);
    }
    let paths = document["paths"].as_object_mut();
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            describe(path, method, operation, tokens);
        }
    }
}

/// An opinion is the name of one answer, and one thing that is said of it.
fn one_opinion(request: &mut Value) {
    let names: [&[&str]; 3] = [&["stamp"], &["request_id"], &["session", "route"]];
    let forms = names.into_iter().flat_map(|name| {
        ["score", "thumb", "label"].map(|said| {
            let keys: Vec<_> = name.iter().copied().chain([said]).collect();
            json!({ "required": keys, "maxProperties": keys.len() })
        })
    });
    request["oneOf"] = forms.collect();
}

/// One of several changes is a name and one thing to do, and what is a switch is true.
fn one_change(item: &mut Value) {
    let pair = |(name, keys): (&'static str, &'static [&'static str])| {
        keys.iter()
            .map(move |key| json!({ "required": [name, key] }))
    };
    let pairs: Vec<_> = CHANGE_KEYS.into_iter().flat_map(pair).collect();
    item["oneOf"] = json!(pairs);
    item["minProperties"] = json!(2);
    item["maxProperties"] = json!(2);
    for key in ["promote", "abort", "remove"] {
        item["properties"][key]["const"] = json!(true);
    }
}

/// Removes `int32` and `int64` from whole numbers: they mean signed ones, and ours are not. `minimum` and `maximum`
/// remain.
fn unsign(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(unsign),
        Value::Object(members) => {
            let largest = match members.get("format").and_then(Value::as_str) {
                Some("int32") => Some(u64::from(u32::MAX)),
                Some("int64") => Some(u64::MAX),
                _ => None,
            };
            if let Some(largest) = largest {
                members.remove("format");
                members.entry("maximum").or_insert_with(|| largest.into());
            }
            members.values_mut().for_each(unsign);
        }
        _ => {}
    }
}

fn describe(path: &str, method: &str, operation: &mut Value, tokens: bool) {
    let mut statuses = ALWAYS.to_vec();
    if tokens {
        statuses.push(("401", "the token is missing or unknown"));
    }
    // The status, the key figures and the calibration of one route have its name in the query.
    let is_queried = matches!(path, "/v1/status" | "/v1/kpis" | "/v1/calibration");
    if path.contains('{') || is_queried || method != "get" {
        statuses.push(("404", "unknown name; the response lists the known ones"));
    }
    if method != "get" {
        statuses.extend(CHANGES);
        statuses.push(("415", "the content type is not JSON"));
    }
    if path == "/v1/feedback" && method == "post" {
        statuses.insert(
            0,
            (
                "403",
                "the stamp is forged, the request comes from a web page, or the token is read-only; on the listener of \
                 `[feedback]`, answers are not named in this form",
            ),
        );
        statuses.insert(0, ("409", "several requests had this id"));
        statuses.insert(
            0,
            (
                "404",
                "no answer of this name is remembered; or an unknown label or route",
            ),
        );
        statuses.insert(
            0,
            (
                "503",
                "a worker does not say what it remembers: nothing was counted",
            ),
        );
        statuses.push(("410", "the stamp, or the answer, has expired"));
    }
    if path == "/v1/table" && method == "put" {
        statuses.push(("428", "`If-Match` is missing"));
    }
    if path.ends_with("/rollback") || path.ends_with("/abort") {
        without_health_wait(operation);
    }
    let responses = operation["responses"].as_object_mut();
    let Some(responses) = responses else { return };
    for (status, description) in statuses {
        responses
            .entry(status)
            .or_insert_with(|| problem(description));
    }
    let is_change = !path.ends_with("/preview")
        && !matches!(path, "/v1/reload" | "/v1/feedback" | "/v1/session");
    if method != "get" && is_change {
        tag_answer(responses);
    }
}

/// A way back waits for no health before it.
fn without_health_wait(operation: &mut Value) {
    let parameters = operation["parameters"].as_array_mut();
    let waits = parameters.into_iter().flatten();
    for wait in waits.filter(|parameter| parameter["name"] == "wait") {
        wait["schema"]["pattern"] = json!("^(converged|drained|fleet)$");
        wait["description"] =
            json!("Waits after the change, for `timeout`, until it has come so far.");
    }
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemDocument" } } },
    })
}

/// Every change returns the revision that it made live.
fn tag_answer(responses: &mut Map<String, Value>) {
    if let Some(answer) = responses.get_mut("200") {
        answer["headers"]["etag"] = json!({
            "description": "the live revision, in quotes", "schema": { "type": "string" },
        });
    }
}
