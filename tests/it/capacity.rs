//! Room for requests: before a step of a rollout, and on the way back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

use crate::support::{Client, Origin, Served, reply, wait_until};

/// An origin that holds requests for `/hold` until it is told to let them go.
fn holding() -> (Origin, Arc<AtomicBool>) {
    let goes = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&goes);
    let origin = Origin::answering(move |request| {
        while request.line().contains("/hold") && !told.load(Ordering::Relaxed) {
            thread::park_timeout(std::time::Duration::from_millis(5));
        }
        reply(200, "", "ok")
    });
    (origin, goes)
}

/// A proxy with these limits of blue and green; green's share of the route is 0.
fn served(blue: &Origin, green: &Origin, limits: [&str; 2]) -> Served {
    let [of_blue, of_green] = limits;
    Served::start(&format!(
        "[releases.blue]\nversion = \"1\"\nendpoints = [{:?}]\nlimits = {of_blue}\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{:?}]\nlimits = {of_green}\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n",
        blue.url(),
        green.url()
    ))
}

/// Requests that are held, each on a connection of its own.
fn hold(served: &Served, count: usize) -> Vec<JoinHandle<()>> {
    let before = in_flight(served);
    let address = served.running.listeners()[0];
    let ask = |_| {
        thread::spawn(move || {
            Client::connect(address).get("/hold");
        })
    };
    let held = (0..count).map(ask).collect();
    wait_until("they are in flight", || {
        in_flight(served) >= before + u64::try_from(count).unwrap()
    });
    held
}

fn in_flight(served: &Served) -> u64 {
    status(served)["in_flight"].as_u64().unwrap()
}

fn status(served: &Served) -> Value {
    served.admin("GET", "/v1/status", &Value::Null).1
}

fn let_go(goes: &AtomicBool, held: Vec<JoinHandle<()>>) {
    goes.store(true, Ordering::Relaxed);
    for one in held {
        one.join().unwrap();
    }
}

#[test]
fn a_rollout_gives_no_release_more_than_it_has_room_for() {
    let (blue, goes) = holding();
    let green = Origin::replying("green");
    let served = served(&blue, &green, ["{}", "{ concurrency = 2 }"]);
    let held = hold(&served, 4);
    let begin = |first: &str, force: bool| {
        let plan: Value = serde_json::from_str(first).unwrap();
        let body = json!({ "route": "chat", "to": "green", "plan": plan, "force": force });
        served.admin("POST", "/v1/rollouts", &body)
    };
    let large = r#"{"steps":[{"weight":75,"hold":"10m"},{"weight":100}]}"#;
    let (status, problem) = begin(large, false);
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["type"].as_str().unwrap().ends_with("no-room"),
        "{problem}"
    );
    let said = "`green` has room for 2 requests in flight, 66 percent of the 3 that it would get";
    assert_eq!(problem["detail"], said);
    assert_eq!(begin(large, true).0, 201, "an operator may force it");
    served.done("POST", "/v1/rollouts/chat/abort", &Value::Null);

    let steps =
        r#"{"steps":[{"weight":20,"hold":"1s"},{"weight":75,"hold":"10m"},{"weight":100}]}"#;
    assert_eq!(begin(steps, false).0, 201);
    let rollout = || served.admin("GET", "/v1/rollouts/chat", &Value::Null).1;
    let mut client = served.client();
    wait_until("the second step waits", || {
        client.get("/");
        let waits = rollout()["waiting_for"].clone();
        waits
            .as_str()
            .is_some_and(|why| why.contains("has room for 2"))
    });
    assert_eq!(rollout()["weight"], 20);
    let_go(&goes, held);
    // The weight is that of the live table, and the record follows it.
    wait_until("the second step is live", || {
        let rollout = rollout();
        rollout["weight"] == 75 && rollout["waiting_for"].is_null()
    });
}

#[test]
fn the_way_back_says_what_it_has_no_room_for_and_is_never_refused() {
    let blue = Origin::replying("blue");
    let (green, goes) = holding();
    let served = served(&blue, &green, ["{ in_flight_per_endpoint = 4 }", "{}"]);
    assert!(status(&served)["rollback"].get("crowded").is_none());
    served.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let held = hold(&served, 10);
    let crowded = json!([{ "release": "blue", "room": 4, "load": 10 }]);
    let status = status(&served);
    assert_eq!(status["rollback"]["crowded"], crowded, "{status:#}");
    assert_eq!(status["rollback"]["ready"], true);
    let (code, dry) = served.admin("POST", "/v1/rollback?dry_run=true", &Value::Null);
    assert_eq!((code, &dry["crowded"]), (200, &crowded), "{dry:#}");
    let receipt = served.done("POST", "/v1/rollback", &Value::Null);
    assert_eq!(receipt["crowded"], crowded, "{receipt:#}");
    let_go(&goes, held);
}

#[test]
fn an_abort_says_what_it_has_no_room_for_and_is_never_refused() {
    let blue = Origin::replying("blue");
    let (green, goes) = holding();
    let served = Served::start(&format!(
        "[releases.blue]\nversion = \"1\"\nendpoints = [{:?}]\nlimits = {{ in_flight_per_endpoint = 4 }}\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 0, green = 1 }}\nstable = \"blue\"\n",
        blue.url(),
        green.url()
    ));
    let held = hold(&served, 10);
    let receipt = served.done("POST", "/v1/routes/chat/abort", &Value::Null);
    let crowded = json!([{ "release": "blue", "room": 4, "load": 10 }]);
    assert_eq!(receipt["crowded"], crowded, "{receipt:#}");
    let_go(&goes, held);
}
