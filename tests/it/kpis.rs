//! Key figures from end to end: a whole switchback, two origins, real requests.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{
    Origin, Served,
    cli::{program, stderr, stdout},
    reply, wait_until,
};

/// A switchback that splits in half between blue, which is fine, and green, which fails every second request.
pub(crate) fn served() -> (Served, [Origin; 2]) {
    let count = AtomicUsize::new(0);
    let green = Origin::answering(move |_| match count.fetch_add(1, Ordering::Relaxed) % 4 {
        0 | 1 => reply(500, "", "broken"),
        2 => reply(404, "", "lost"),
        _ => reply(200, "", "green"),
    });
    let origins = [Origin::replying("blue"), green];
    let [blue, green] = origins.each_ref().map(Origin::url);
    let served = Served::start(&format!(
        "[releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
         [[routes]]\nname = \"chat\"\nstable = \"blue\"\nsplit = {{ blue = 50, green = 50 }}\n\
         [[routes]]\nname = \"tools\"\npath_prefix = \"/tools\"\nsplit = {{ blue = 1, green = 0 }}\n"
    ));
    (served, origins)
}

pub(crate) fn get(served: &Served, path: &str) -> Value {
    served.done("GET", path, &Value::Null)
}

/// Sends requests, and waits until the key figures have all of them.
pub(crate) fn requests(served: &Served, count: u64) {
    let seen = || {
        get(served, "/v1/kpis?window=48h")["all"]["requests"]
            .as_u64()
            .unwrap()
    };
    let before = seen();
    let mut client = served.client();
    for _ in 0..count {
        client.get("/");
    }
    wait_until("the key figures have all requests", || {
        seen() == before + count
    });
}

pub(crate) fn cli(served: &Served, arguments: &[&str]) -> std::process::Output {
    let admin = format!("http://{}", served.running.admin());
    program(arguments, &[("SWITCHBACK_ADMIN", &admin)])
}

#[test]
fn the_figures_of_each_release_are_those_of_the_counters() {
    let (served, _origins) = served();
    requests(&served, 400);
    let report = get(&served, "/v1/kpis?route=chat&window=5m&points=300");
    assert!(report["age_seconds"].as_f64().unwrap() < 60.0, "{report:#}");
    let route = &report["routes"][0];
    assert_eq!(route["kpis"]["requests"], 400);
    let [blue, green] = [&route["releases"][0], &route["releases"][1]];
    assert_eq!(
        (&blue["role"], &green["role"]),
        (&json!("stable"), &json!("canary"))
    );
    assert_eq!(green["configured_share"], 0.5);
    let of = |release: &Value, name: &str| release["kpis"][name].as_u64().unwrap();
    let counted = served.counters("switchback_requests_total");
    for (release, outcome, count) in [
        (blue, "chat blue 1 good 200", of(blue, "requests")),
        (green, "chat green 2 failure 500", of(green, "failures")),
        (
            green,
            "chat green 2 client_error 404",
            of(green, "client_errors"),
        ),
    ] {
        let line = format!("{outcome} {count}");
        assert!(counted.contains(&line), "{line}: {counted:?} {release:#}");
    }
    assert_eq!(blue["kpis"]["failure_share"], 0.0);
    let comparison = &green["comparison"];
    assert_eq!(comparison["failure_share"]["finding"], "more", "{route:#}");
    assert!(comparison["failure_share"]["low"].as_f64().unwrap() > 0.2);
    let words = comparison["words"].as_str().unwrap();
    assert!(
        words.starts_with("green fails 5") || words.starts_with("green fails 4"),
        "{words}"
    );
    assert!(words.contains(" percentage points more; p95 "), "{words}");
    let points = green["points"]["failures"].as_array().unwrap();
    let sum: u64 = points.iter().map(|point| point.as_u64().unwrap()).sum();
    assert_eq!(sum, of(green, "failures"));
    assert!(blue["kpis"]["duration"]["p99_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(report["routes"].as_array().unwrap().len(), 1);
    let all = get(&served, "/v1/kpis");
    let idle = &all["routes"][1];
    assert_eq!(
        (&idle["route"], &idle["kpis"]["requests"]),
        (&json!("tools"), &json!(0))
    );
    assert!(idle["kpis"].get("failure_share").is_none(), "{idle:#}");
}

#[test]
fn a_change_leaves_a_mark_and_a_release_that_left_keeps_its_figures() {
    let (served, _origins) = served();
    requests(&served, 40);
    let body = json!({ "to": "blue", "message": "green is bad" });
    let receipt = served.done("POST", "/v1/routes/chat/switch", &body);
    let route = || get(&served, "/v1/kpis?route=chat&window=2h")["routes"][0].clone();
    let mark = route()["marks"][0].clone();
    assert_eq!(mark["revision"], receipt["revision"], "{mark:#}");
    assert_eq!(
        (&mark["cause"], &mark["message"]),
        (&json!("publish"), &json!("green is bad"))
    );
    served.done(
        "PUT",
        "/v1/routes/chat/split",
        &json!({ "weights": { "blue": 1 } }),
    );
    let left = &route()["releases"][1];
    assert_eq!(
        (&left["release"], &left["role"]),
        (&json!("green"), &json!("removed"))
    );
    assert!(left["kpis"]["requests"].as_u64().unwrap() > 0);
    served.done("DELETE", "/v1/routes/chat", &Value::Null);
    assert_eq!(route()["kpis"]["requests"], 40, "without the route");
}

#[test]
fn the_command_line_shows_each_release_beside_the_stable_one() {
    let (served, _origins) = served();
    requests(&served, 400);
    let shown = stdout(&cli(&served, &["kpis", "chat", "--window", "2m"]));
    let mut lines = shown.lines().skip(1);
    let titles = lines.next().unwrap();
    assert!(
        titles.starts_with("ROUTE  RELEASE    ROLE    SHARE"),
        "{shown}"
    );
    assert!(lines.next().unwrap().starts_with("chat   all"), "{shown}");
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("chat   blue (1)   stable"),
        "{shown}"
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("chat   green (2)  canary"),
        "{shown}"
    );
    assert!(
        lines.next().unwrap().starts_with("chat: green fails "),
        "{shown}"
    );
    assert_eq!(lines.next(), None, "{shown}");
}

#[test]
fn a_wrong_question_gets_a_hint() {
    let (served, _origins) = served();
    for (query, status, problem) in [
        ("window=3d", 400, "48h"),
        ("window=500ms", 400, "whole seconds"),
        ("points=0", 400, "1 to 60 without one"),
        ("points=61", 400, "1 to 300 with a `route`"),
        ("points=301&route=chat", 400, "1 to 300 with a `route`"),
        ("route=chta", 404, "chat"),
        ("release=gren", 404, "green"),
        ("release=%21", 404, "`blue`, `green`"),
        ("windows=5m", 400, "unknown field `windows`"),
    ] {
        let (answered, body) = served.admin("GET", &format!("/v1/kpis?{query}"), &Value::Null);
        assert_eq!(answered, status, "{query}: {body}");
        assert!(body.to_string().contains(problem), "{query}: {body}");
    }
    let one = get(&served, "/v1/kpis?release=green");
    let releases = &one["routes"][0]["releases"];
    assert_eq!(releases.as_array().unwrap().len(), 1, "{one:#}");
    let failed = cli(&served, &["kpis", "chta"]);
    assert!(stderr(&failed).contains("chat"), "{failed:?}");
}
