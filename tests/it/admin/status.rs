//! The brief status of a large table, and the cost of its readers for writers.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use switchback::fleet::Health;

use crate::support::{Client, TIMEOUT, TestAdmin};

/// Number of routes that `many_routes` makes live.
const ROUTES: usize = 200;

/// 200 routes: two have a split, and one sends all requests to a release whose endpoint is down.
fn many_routes() -> TestAdmin {
    let admin = TestAdmin::start();
    let split = |number| match number {
        7 | 190 => json!({ "blue": 95, "green": 5 }),
        120 => json!({ "red": 1 }),
        _ => json!({ "blue": 1, "green": 0 }),
    };
    let route = |number| {
        json!({
            "name": format!("r{number}"), "path_prefix": format!("/{number}"), "split": split(number),
        })
    };
    let release = |port: u16| json!({ "version": format!("{port}.0.0"), "endpoints": [format!("http://127.0.0.1:{port}")] });
    let table = json!({
        "releases": { "blue": release(1), "green": release(2), "red": release(3) },
        "routes": (0..ROUTES).map(route).collect::<Vec<_>>(),
    });
    let base = format!("\"{}\"", admin.revision());
    let (status, answer) = admin.json_with(
        "PUT",
        "/v1/table?force=true",
        &[("if-match", &base)],
        &table,
    );
    assert_eq!(status, 200, "{answer}");
    // Rosters are shown once they are supervised, which no receipt waits for.
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let watched = admin.fleet.watched();
        let red = watched
            .iter()
            .find(|watched| watched.roster.release().as_str() == "red");
        if let Some(red) = red {
            red.roster.endpoints()[0].set_health(Health::Unhealthy);
            return admin;
        }
        assert!(Instant::now() < deadline, "red is not supervised");
        thread::yield_now();
    }
}

fn names(list: &Value) -> Vec<String> {
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_brief_status_has_what_is_worth_a_look_and_says_how_much_there_is() {
    let admin = many_routes();
    let brief = admin.get("/v1/status?brief=true");
    assert_eq!(names(&brief["routes"]), ["r7", "r120", "r190"]);
    assert_eq!(names(&brief["releases"]), ["blue", "green", "red"]);
    let totals = json!({
        "routes": ROUTES, "flags": 0, "split_routes": 2, "unready_routes": 1, "releases": 3, "unready_releases": 1,
    });
    assert_eq!(brief["totals"], totals);
    // The table before had other routes: a rollback would change all of them.
    let rollback = &brief["rollback"];
    assert_eq!(rollback["diff"].as_array().unwrap().len(), 50);
    assert!(rollback["changes"].as_u64().unwrap() > ROUTES as u64);
}

#[test]
fn a_status_says_everything_unless_less_is_asked_for() {
    let admin = many_routes();
    for round in 0..2 {
        let (whole, told) = (admin.get("/v1/status"), admin.controller.status());
        assert_eq!(whole["routes"], json!(told.routes), "{round}");
        assert_eq!(whole["releases"], json!(told.releases));
        assert_eq!(whole["routes"].as_array().unwrap().len(), ROUTES);
        assert!(whole.get("next").is_none());
        // The next status differs in one route, and shares the memory of all others.
        admin.done("POST", "/v1/routes/r7/switch", &json!({ "to": "green" }));
    }
}

#[test]
fn a_status_comes_in_pages_of_routes_with_their_releases() {
    let admin = many_routes();
    let (mut seen, mut path) = (Vec::new(), "/v1/status?limit=60".to_owned());
    loop {
        let page = admin.get(&path);
        seen.extend(names(&page["routes"]));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/status?limit=60&after={next}");
        assert!(seen.len() < ROUTES);
    }
    let all: Vec<_> = (0..ROUTES).map(|number| format!("r{number}")).collect();
    assert_eq!(seen, all);
    let page = admin.get("/v1/status?limit=1&after=r119");
    assert_eq!(
        (names(&page["routes"]), names(&page["releases"])),
        (vec!["r120".to_owned()], vec!["red".to_owned()])
    );
    let one = admin.get("/v1/status?route=r7");
    assert_eq!(
        (names(&one["routes"]), names(&one["releases"])),
        (
            vec!["r7".to_owned()],
            vec!["blue".to_owned(), "green".to_owned()]
        )
    );
    for (query, status) in [
        ("route=r7777", 404),
        ("after=r7777", 404),
        ("limit=0", 400),
        ("brief=true&limit=5", 400),
        ("route=r7&after=r8", 400),
        ("routes=r7", 400),
    ] {
        let (got, answer) = admin.json("GET", &format!("/v1/status?{query}"), &Value::Null);
        assert_eq!(got, status, "{query}: {answer}");
    }
}

#[test]
fn people_see_of_a_large_table_what_is_worth_a_look() {
    let admin = many_routes();
    let said = |arguments: &[&str]| {
        let output = admin.cli(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let status = said(&["status"]);
    assert!(status.lines().count() < 60, "{status}");
    for part in [
        "r7 ",
        "r120 ",
        "r190 ",
        "3 of 200 routes shown (2 split, 1 not ready)",
        "--route",
        "--all",
        "differences in total",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    assert!(!status.contains("r8 "), "{status}");
    let one = said(&["status", "--route", "r8"]);
    let rows = |name: &str| one.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        (rows("r8 "), rows("r7 "), rows("blue "), rows("red ")),
        (1, 0, 1, 0),
        "{one}"
    );
    assert!(!one.contains("shown"), "{one}");
    assert!(said(&["status", "--all"]).contains("r199 "));
    let json: Value = serde_json::from_str(&said(&["status", "--json"])).unwrap();
    assert_eq!(json["routes"].as_array().unwrap().len(), ROUTES);
}

#[test]
fn a_rollback_is_answered_while_metrics_are_rendered_and_all_who_ask_share_the_rendering() {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (begun, may_go_on) = (Mutex::new(begun), Mutex::new(may_go_on));
    let admin = TestAdmin::rendering("", move || {
        begun.lock().unwrap().send(()).unwrap();
        // An error means that the test has released all renderings.
        let _ended = may_go_on.lock().unwrap().recv_timeout(TIMEOUT);
        "switchback_up 1\n".to_owned()
    });
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let ask = |address| {
        let mut client = Client::connect(address);
        client.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
        client
    };
    let mut first = ask(admin.observe);
    has_begun.recv().unwrap();
    let others = [0; 8].map(|_| ask(admin.observe));
    // The API has one thread here, and it is free.
    let back = admin.done("POST", "/v1/rollback", &Value::Null);
    assert_eq!(back["changed"], true);
    assert_eq!(admin.split("chat")["blue"], 100);
    drop::<mpsc::Sender<()>>(go_on);
    assert_eq!(first.response().status, 200);
    for mut other in others {
        assert_eq!(other.response().status, 200);
    }
    // Their rendering began after they asked: one rendering for all who had asked by then.
    assert!(has_begun.try_iter().count() < 8);
}
