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

/// A switchback whose endpoint fails every request of half of the users, those that have the new planner.
fn with_flag(lines: &str) -> (Served, Origin) {
    let origin = Origin::answering(|request| match request.value("x-flag-planner") {
        Some("true") => reply(500, "", "broken"),
        _ => reply(200, "", "fine"),
    });
    let served = Served::start(&format!(
        "[releases.blue]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\nflags = [\"planner\", \"other\"]\n\
         [flags.planner]\ntype = \"boolean\"\nvariants = {{ on = true, off = false }}\ndefault = \"off\"\n\
         rules = [{{ split = {{ on = 50, off = 50 }} }}]\n{lines}\n\
         [flags.other]\ntype = \"boolean\"\nvariants = {{ on = true }}\ndefault = \"on\"\n",
        origin.url()
    ));
    (served, origin)
}

/// Requests that the origin got with this value of the flag.
fn got(origin: &Origin, value: &str) -> usize {
    let requests = origin.requests();
    let with = requests
        .iter()
        .filter(|one| one.value("x-flag-planner") == Some(value));
    with.count()
}

#[test]
fn the_figures_of_each_variant_are_those_of_its_requests() {
    let (served, origin) = with_flag("kpis = true");
    requests(&served, 200);
    let (on, off) = (got(&origin, "true"), got(&origin, "false"));
    let report = get(&served, "/v1/flags/planner/kpis?window=5m&points=10");
    assert_eq!(
        (&report["is_counted"], &report["routes"]),
        (&json!(true), &json!(["chat"]))
    );
    let [default, new] = [&report["variants"][0], &report["variants"][1]];
    assert_eq!(
        (&default["variant"], &default["is_default"]),
        (&json!("off"), &json!(true))
    );
    let counts = |one: &Value| {
        (
            one["kpis"]["requests"].clone(),
            one["kpis"]["failures"].clone(),
        )
    };
    assert_eq!(counts(default), (json!(off), json!(0)));
    assert_eq!(counts(new), (json!(on), json!(on)));
    assert!(new["kpis"]["duration"]["p99_seconds"].as_f64().unwrap() > 0.0);
    assert!(new["kpis"].get("in_flight").is_none());
    let comparison = &new["comparison"];
    assert_eq!(
        (
            &comparison["default"],
            &comparison["failure_share"]["finding"]
        ),
        (&json!("off"), &json!("more"))
    );
    assert!(default.get("comparison").is_none());
    let length = |points: &Value| points.as_array().unwrap().len();
    assert_eq!(
        length(&new["points"]["failures"]),
        length(&default["points"]["requests"])
    );
}

#[test]
fn the_figures_of_variants_are_metrics_and_on_the_command_line() {
    let (served, origin) = with_flag("kpis = true");
    requests(&served, 200);
    let (on, off) = (got(&origin, "true"), got(&origin, "false"));
    let mut counted = served.counters("switchback_flag_requests_total");
    counted.sort();
    assert_eq!(
        counted,
        [
            format!("planner off good {off}"),
            format!("planner on failure {on}")
        ]
    );
    let shown = stdout(&cli(
        &served,
        &["flag", "kpis", "planner", "--window", "5m"],
    ));
    for part in [
        "requests of chat",
        "off (default)",
        &format!("on fails 100.0 % ({on} of {on}), off 0.0 % (0 of {off})"),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn the_figures_of_variants_rest_while_they_are_off_and_then_go_on() {
    let (served, origin) = with_flag("kpis = true");
    requests(&served, 100);
    let off = got(&origin, "false");
    let change = json!({ "kpis": null, "state": "off" });
    served.done("PATCH", "/v1/flags/planner", &change);
    requests(&served, 20);
    let report = get(&served, "/v1/flags/planner/kpis?window=5m");
    assert_eq!(report["is_counted"], false, "{report}");
    assert_eq!(report["variants"][0]["kpis"]["requests"], off, "{report}");
    served.done("POST", "/v1/rollback", &Value::Null);
    requests(&served, 20);
    let report = get(&served, "/v1/flags/planner/kpis?window=5m");
    let variants = report["variants"].as_array().unwrap();
    let counts = variants
        .iter()
        .map(|one| one["kpis"]["requests"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 120, "{report}");
}

#[test]
fn a_flag_without_key_figures_says_so_and_bad_questions_are_refused() {
    let (served, _origin) = with_flag("");
    requests(&served, 10);
    let report = get(&served, "/v1/flags/planner/kpis");
    assert_eq!(
        (
            &report["is_counted"],
            &report["variants"][0]["kpis"]["requests"]
        ),
        (&json!(false), &json!(0))
    );
    assert_eq!(
        served.counters("switchback_flag_requests_total"),
        Vec::<String>::new()
    );
    for (path, status) in [
        ("planer/kpis", 404),
        ("planner/kpis?points=301", 400),
        ("planner/kpis?window=49h", 400),
        ("planner/kpis?x=1", 400),
    ] {
        assert_eq!(
            served
                .admin("GET", &format!("/v1/flags/{path}"), &Value::Null)
                .0,
            status,
            "{path}"
        );
    }
    let shown = stdout(&cli(&served, &["flag", "kpis", "planner"]));
    assert!(
        shown.contains("flag planner asks for no key figures"),
        "{shown}"
    );
    let many: serde_json::Map<_, _> = (0..65)
        .map(|number| (format!("v{number}"), json!(true)))
        .collect();
    let flag = |variants: usize| {
        let variants: serde_json::Map<_, _> = many.clone().into_iter().take(variants).collect();
        json!({ "type": "boolean", "variants": variants, "default": "v0", "kpis": true })
    };
    for name in ["a", "b"] {
        served.done("PUT", &format!("/v1/flags/{name}"), &flag(64));
    }
    let (status, problem) = served.admin("PUT", "/v1/flags/c", &flag(1));
    assert_eq!(status, 409);
    let message = problem["problems"][0]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "129 variants of flags with `kpis`; the maximum is 128"
    );
}
