//! Plans: what a change, a rollback or a rollout would do.

use serde_json::{Value, json};
use switchback::fleet::Health;

use crate::support::{
    Origin, Served, TestAdmin,
    cli::{run_failing, run_ok},
    wait_until,
};

/// A proxy with a route whose sessions are split by a header, and one whose requests are.
fn served(blue: &Origin, green: &Origin) -> Served {
    Served::start(&format!(
        "[releases.blue]\nversion = \"1\"\nendpoints = [{:?}]\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"chat\"\npath_prefix = \"/chat\"\naffinity = [{{ header = \"x-session\" }}]\n\
         split = {{ blue = 100, green = 0 }}\n\
         [[routes]]\nname = \"plain\"\nsplit = {{ blue = 100, green = 0 }}\n",
        blue.url(),
        green.url()
    ))
}

fn patch(served: &Served, route: &str, green: f64, query: &str) -> Value {
    let path = format!("/v1/routes/{route}/split{query}");
    served.done("PATCH", &path, &json!({ "percent": { "green": green } }))
}

fn sentence(dry_run: &Value, part: &str) -> String {
    let words = dry_run["words"].as_array().unwrap();
    let found = words
        .iter()
        .find(|word| word.as_str().unwrap().contains(part));
    found
        .unwrap_or_else(|| panic!("{part}: {dry_run:#}"))
        .to_string()
}

/// The release of each of many sessions.
fn owners(served: &Served, sessions: u32) -> Vec<String> {
    let mut client = served.client();
    let owner = |session: u32| {
        client.send(format!(
            "GET /chat HTTP/1.1\r\nhost: a\r\nx-session: s{session}\r\n\r\n"
        ));
        client.response().text()
    };
    (0..sessions).map(owner).collect()
}

#[test]
fn the_share_of_the_sessions_that_is_said_to_move_does() {
    const SESSIONS: u32 = 1_000;
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let served = served(&blue, &green);
    let dry_run = patch(&served, "chat", 25.0, "?dry_run=true");
    let moves = &dry_run["moves"][0];
    assert_eq!(
        (&moves["route"], &moves["of"]),
        (&json!("chat"), &json!("sessions"))
    );
    assert_eq!(moves["moves"][0]["share"], 0.25, "{dry_run:#}");
    assert!(moves.get("seen").is_none(), "{dry_run:#}");
    let said = sentence(&dry_run, "move from `blue` to `green`");
    assert!(
        said.contains("25 percent of the sessions of `chat`"),
        "{said}"
    );
    assert!(said.contains("no requests were seen lately"), "{said}");

    let before = owners(&served, SESSIONS);
    // A request counts when it ends, which may be after its client has the answer.
    let mut dry_run = Value::Null;
    wait_until("all requests are seen", || {
        dry_run = patch(&served, "chat", 25.0, "?dry_run=true");
        dry_run["moves"][0]["seen"]["requests"] == SESSIONS
    });
    let rate = dry_run["moves"][0]["moves"][0]["requests_per_minute"]
        .as_f64()
        .unwrap();
    assert!(rate > 0.0, "{dry_run:#}");
    patch(&served, "chat", 25.0, "");
    let after = owners(&served, SESSIONS);
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one != other);
    let moved = moved.map(|(one, other)| (one.as_str(), other.as_str()));
    let moved: Vec<_> = moved.collect();
    assert!(
        moved.iter().all(|pair| *pair == ("blue", "green")),
        "{moved:?}"
    );
    // Five standard deviations of 25 percent.
    assert!((180..=320).contains(&moved.len()), "{}", moved.len());
}

#[test]
fn where_nothing_holds_a_session_requests_move() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let served = served(&blue, &green);
    let switch = json!({ "to": "green" });
    let path = "/v1/routes/plain/switch?dry_run=true";
    let dry_run = served.done("POST", path, &switch);
    assert_eq!(dry_run["moves"][0]["of"], "requests");
    assert_eq!(dry_run["moves"][0]["moves"][0]["share"], 1.0);
    assert!(dry_run["moves"][0]["moves"][0].get("pinned").is_none());
    sentence(&dry_run, "the way back of `plain` has never been rehearsed");
}

#[test]
fn the_way_back_from_there_is_that_of_a_rollback_then() {
    let admin = TestAdmin::start();
    let first = admin.revision();
    let split = json!({ "percent": { "green": 5 } });
    let planned =
        |path: &str, body: &Value| admin.done("PATCH", path, body)["way_back"]["to"].clone();
    let chat = "/v1/routes/chat/split";
    let dry_run = format!("{chat}?dry_run=true");
    assert_eq!(planned(&dry_run, &split), first);
    admin.done("PATCH", &format!("{chat}?group=deploy"), &split);
    let second = admin.revision();
    let more = json!({ "percent": { "green": 50 } });
    assert_eq!(planned(&dry_run, &more), second);
    let in_group = format!("{chat}?dry_run=true&group=deploy");
    assert_eq!(
        planned(&in_group, &more),
        first,
        "the group is undone as one"
    );
    admin.done("PATCH", chat, &more);
    let back = admin.done("POST", "/v1/rollback?dry_run=true", &Value::Null);
    assert_eq!(
        (&back["to"], &back["way_back"]["to"]),
        (&json!(second), &json!(first))
    );
    let moves = &back["moves"][0]["moves"][0];
    assert_eq!(
        (&moves["from"], &moves["share"]),
        (&json!("green"), &json!(0.45))
    );
    assert!(back.get("drills").is_none(), "{back:#}");
    admin.done("POST", "/v1/rollback", &Value::Null);
    admin.done("POST", "/v1/rollback", &Value::Null);
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn sessions_with_a_pin_stay_on_a_switch_and_move_on_a_rollback() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let served = Served::start(&format!(
        "[releases.blue]\nversion = \"1\"\nendpoints = [{:?}]\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"chat\"\npins = [{{ header = \"x-id\" }}]\nsplit = {{ blue = 100, green = 0 }}\n",
        blue.url(),
        green.url()
    ));
    let switch = json!({ "to": "green" });
    let planned = served.done("POST", "/v1/routes/chat/switch?dry_run=true", &switch);
    assert_eq!(
        planned["moves"][0]["moves"][0]["pinned"], "keep",
        "{planned:#}"
    );
    sentence(&planned, "sessions with a pin stay");
    served.done("POST", "/v1/routes/chat/switch", &switch);
    let back = served.done("POST", "/v1/rollback?dry_run=true", &Value::Null);
    assert_eq!(back["moves"][0]["moves"][0]["pinned"], "move", "{back:#}");
}

#[test]
fn a_version_in_place_moves_its_own_sessions() {
    let admin = TestAdmin::start();
    let release = json!({ "version": "1.1.0", "endpoints": ["http://127.0.0.1:1"] });
    let planned = admin.done("PUT", "/v1/releases/blue?dry_run=true", &release);
    let moved = &planned["moves"][0]["moves"][0];
    assert_eq!(
        (
            &moved["from_version"],
            &moved["to_version"],
            &moved["share"]
        ),
        (&json!("1.0.0"), &json!("1.1.0"), &json!(1.0)),
        "{planned:#}"
    );
    sentence(&planned, "from `blue` 1.0.0 to version 1.1.0");
}

#[test]
fn what_is_in_quarantine_is_said_of_a_change_by_hand() {
    let admin = TestAdmin::start();
    admin.done(
        "PUT",
        "/v1/quarantine/green",
        &json!({ "reason": "wrong answers" }),
    );
    let planned = run_ok(&admin, &["plan", "split", "chat", "green=5"]);
    assert!(
        planned.contains("`green` in version `2.0.0` is in quarantine"),
        "{planned}"
    );
    assert!(planned.contains("wrong answers"), "{planned}");
}

#[test]
fn a_plan_is_shown_where_the_command_is_refused() {
    let admin = TestAdmin::start();
    let watched = admin.fleet.watched();
    let mut green = watched.iter().map(|watched| &watched.roster);
    let green = green
        .find(|roster| roster.release().as_str() == "green")
        .unwrap();
    for endpoint in green.endpoints().iter() {
        endpoint.set_health(Health::Unhealthy);
    }
    let before = admin.revision();
    let (code, _) = run_failing(&admin, &["switch", "chat", "green", "--dry-run"]);
    assert_eq!(code, Some(75));
    let planned = run_ok(&admin, &["plan", "switch", "chat", "green"]);
    let refused = "without force it is refused: no healthy endpoint in `green`";
    assert!(planned.contains(refused), "{planned}");
    let (code, _) = run_failing(&admin, &["plan", "switch", "chat", "purple"]);
    assert_eq!(code, Some(65), "what does not exist has no effect");
    for verb in [
        &["split", "chat", "green=5"][..],
        &["promote", "chat", "--to", "green"],
        &["abort", "chat"],
    ] {
        run_ok(&admin, &[&["plan"], verb].concat());
    }
    assert_eq!(admin.revision(), before);
}

#[test]
fn a_plan_of_a_rollback_names_its_destination() {
    let admin = TestAdmin::start();
    let first = admin.revision().to_string();
    run_ok(&admin, &["switch", "chat", "green"]);
    let before = admin.revision();
    let ways: [&[&str]; 4] = [&[], &[&first], &["--to", &first], &["--route", "chat"]];
    for more in ways {
        let planned = run_ok(&admin, &[&["plan", "rollback"], more].concat());
        let moved = "100 percent of the requests of `chat` move from `green` to `blue`";
        assert!(planned.contains(moved), "{more:?}: {planned}");
        assert!(planned.contains(&format!("revision {first};")), "{planned}");
    }
    assert_eq!(admin.revision(), before);
}

#[test]
fn a_plan_of_a_rollout_has_each_of_its_steps_and_starts_nothing() {
    let admin = TestAdmin::start();
    let planned = run_ok(&admin, &["plan", "rollout", "chat", "green"]);
    let lines: Vec<_> = planned.lines().map(str::trim).collect();
    let steps = [
        "5%: 5% from blue",
        "25%: 20% from blue",
        "50%: 25% from blue",
        "95%: 45% from blue",
        "100%: 5% from blue",
    ];
    assert_eq!(lines[1..6], steps, "{planned}");
    assert!(
        planned.contains("5 percent of the requests of `chat` move"),
        "{planned}"
    );
    assert_eq!(admin.get("/v1/rollouts")["rollouts"], json!([]));
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));

    admin.done(
        "PUT",
        "/v1/quarantine/green",
        &json!({ "reason": "wrong answers" }),
    );
    let body = json!({ "route": "chat", "to": "green" });
    let (code, refusal) = admin.json("POST", "/v1/rollouts?dry_run=true", &body);
    assert_eq!(code, 409, "{refusal}");
    let planned = run_ok(&admin, &["plan", "rollout", "chat", "green"]);
    assert!(
        planned.contains("refused without --force: release `green`"),
        "{planned}"
    );
    let (code, _) = run_failing(
        &admin,
        &["plan", "rollout", "chat", "green", "--plan", "none"],
    );
    assert_eq!(code, Some(65));
}
