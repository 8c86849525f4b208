//! Feedback without a stamp: an answer that is named by the id of its request, or as the last one of a session.

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Client, Origin, Response, Served, TestAdmin, UPGRADE, UPGRADED, cli,
    h2::{H2Client, H2Origin, block},
    reply, wait_until,
};

/// A switchback that remembers the answers of its route `chat`, and whose route `plain` does not.
struct Bench {
    served: Served,
    origins: [Origin; 2],
}

const BOTH: &str = "feedback_by = [\"request_id\", \"session\"]";

impl Bench {
    fn start(settings: &str, route: &str) -> Self {
        Self::behind("", settings, route)
    }

    fn behind(top: &str, settings: &str, route: &str) -> Self {
        let origins = ["blue", "green"].map(Origin::replying);
        let [blue, green] = origins.each_ref().map(Origin::url);
        let served = Served::start_with(
            top,
            &format!(
                "[feedback]\naddress = \"127.0.0.1:0\"\nrate = 10000\nper_client = 10000\n{settings}\n\
                 [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
                 [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
                 [[routes]]\nname = \"plain\"\npath_prefix = \"/plain\"\nsplit = {{ blue = 1 }}\n\
                 [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n\
                 affinity = [{{ header = \"x-user\" }}]\n{route}\n"
            ),
        );
        Self { served, origins }
    }

    /// The answer to a request with these fields.
    fn ask(&self, path: &str, fields: &str) -> Response {
        let mut client = self.served.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.response()
    }

    /// The id of a request of this user.
    fn id_of(&self, user: &str) -> String {
        id(&self.ask("/", &format!("X-User: {user}\r\n")))
    }

    /// Status of feedback on the admin API, and the body.
    fn give(&self, body: &Value) -> (u16, Value) {
        self.served.admin("POST", "/v1/feedback", body)
    }

    /// The release that an opinion counted at; the revision too.
    fn counted(&self, body: &Value) -> (String, u64) {
        let (status, receipt) = self.give(body);
        assert_eq!(
            (status, &receipt["counted"]),
            (200, &json!(true)),
            "{receipt}"
        );
        origin(&receipt)
    }

    /// Status and type of the refusal of feedback on the admin API.
    fn refused(&self, body: &Value) -> (u16, String) {
        let (status, refusal) = self.give(body);
        (status, kind(&refusal))
    }
}

fn id(answer: &Response) -> String {
    answer.value("x-request-id").unwrap().to_owned()
}

fn origin(receipt: &Value) -> (String, u64) {
    let answer = &receipt["answer"];
    let release = answer["release"].as_str().unwrap().to_owned();
    (release, answer["revision"].as_u64().unwrap())
}

fn kind(refusal: &Value) -> String {
    let kind = refusal["type"].as_str().unwrap();
    kind.rsplit(':').next().unwrap().to_owned()
}

fn by_id(id: &str) -> Value {
    json!({ "request_id": id, "thumb": "down" })
}

fn by_session(key: &str) -> Value {
    json!({ "session": key, "route": "chat", "thumb": "down" })
}

#[test]
fn an_opinion_names_its_answer_by_the_request_or_as_the_last_of_a_session() {
    let bench = Bench::start("", BOTH);
    // Enough users that both workers have answered.
    let users: Vec<String> = (0..12).map(|user| format!("u{user}")).collect();
    let ids: Vec<String> = users.iter().map(|user| bench.id_of(user)).collect();
    let switched = bench
        .served
        .done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let revision = switched["revision"].as_u64().unwrap();
    for (user, first) in users.iter().zip(&ids) {
        let last = bench.id_of(user);
        // The release has left, and the answer was still its.
        let (release, before) = bench.counted(&by_id(first));
        assert!(release == "blue" && before < revision, "{release} {before}");
        assert_eq!(bench.give(&by_id(first)).1["counted"], false, "once");
        let of_session = bench.counted(&by_session(user));
        assert_eq!(of_session, ("green".to_owned(), revision));
        let (_, repeated) = bench.give(&by_id(&last));
        assert_eq!(
            repeated["counted"], false,
            "it is the same answer: {repeated}"
        );
    }
    let (_, list) = bench.served.admin("GET", "/v1/feedback", &Value::Null);
    let entry = |release: &str, version: &str| {
        json!({ "route": "chat", "release": release, "version": version, "positive": 0,
            "neutral": 0, "negative": 12, "score": -1.0 })
    };
    assert_eq!(
        list["feedback"],
        json!([entry("blue", "1"), entry("green", "2")])
    );
}

#[test]
fn a_stamp_and_the_id_of_its_request_are_one_answer() {
    let route = format!("{BOTH}\nexpose_release = \"sealed\"");
    let bench = Bench::start("", &route);
    let answer = bench.ask("/", "X-User: u1\r\n");
    let stamp = answer.value("x-switchback-stamp").unwrap();
    let stamped = bench.give(&json!({ "stamp": stamp, "thumb": "up" })).1;
    assert_eq!(stamped["counted"], true, "{stamped}");
    for again in [by_id(&id(&answer)), by_session("u1")] {
        let repeated = bench.give(&again).1;
        assert_eq!(repeated["counted"], false, "{repeated}");
        assert_eq!(repeated["answer"], stamped["answer"]);
    }
}

#[test]
fn what_no_worker_remembers_is_404_with_a_hint() {
    let bench = Bench::start("", "feedback_by = [\"request_id\"]");
    let plain = id(&bench.ask("/plain", ""));
    let unknown = (404, "unknown-answer".to_owned());
    let of_session = bench.id_of("u1");
    for body in [by_id(&plain), by_id("mine"), by_session("u1")] {
        assert_eq!(bench.refused(&body), unknown, "{body}");
    }
    let (_, refusal) = bench.give(&by_session("u1"));
    assert!(
        refusal["hint"].as_str().unwrap().contains("feedback_by"),
        "{refusal}"
    );
    bench.counted(&by_id(&of_session));
    // One of a preview says nothing about how the release serves.
    let wanted = json!({ "release": "green", "for": "1h" });
    let token = bench
        .served
        .done("POST", "/v1/routes/chat/preview", &wanted);
    let token = token["token"].as_str().unwrap();
    let preview = bench.ask("/", &format!("X-Switchback-Release: {token}\r\n"));
    assert_eq!(preview.text(), "green");
    assert_eq!(bench.refused(&by_id(&id(&preview))), unknown);
    let misspelt = json!({ "session": "u1", "route": "chatt", "thumb": "up" });
    assert_eq!(bench.refused(&misspelt), (404, "unknown-route".to_owned()));
    for body in [
        json!({ "thumb": "up" }),
        json!({ "session": "u1", "thumb": "up" }),
        json!({ "route": "chat", "request_id": "a", "thumb": "up" }),
        json!({ "stamp": "a", "request_id": "a", "thumb": "up" }),
        json!({ "request_id": "", "thumb": "up" }),
        json!({ "request_id": of_session }),
    ] {
        assert_eq!(bench.refused(&body), (422, "invalid".to_owned()), "{body}");
    }
}

#[test]
fn a_copy_for_a_mirror_is_no_answer_and_does_not_hide_the_one_of_its_original() {
    let route = format!("{BOTH}\n[routes.mirror]\nrelease = \"green\"\npercent = 100");
    let bench = Bench::start("", &route);
    let original = bench.id_of("u1");
    wait_until("a copy", || !bench.origins[1].requests().is_empty());
    assert_eq!(bench.counted(&by_id(&original)).0, "blue");
}

#[test]
fn an_id_that_a_client_repeats_claims_no_answer_of_others() {
    let trusting = "trusted_proxies = [\"127.0.0.1\"]";
    let bench = Bench::behind(trusting, "", BOTH);
    let given = bench.ask("/", "X-User: u1\r\nX-Request-Id: edge-1\r\n");
    assert_eq!(id(&given), "edge-1");
    let own = bench.id_of("u2");
    for taken in ["edge-2", &own] {
        for _ in 0..2 {
            bench.ask("/", &format!("X-User: u3\r\nX-Request-Id: {taken}\r\n"));
        }
        let (status, refusal) = bench.give(&by_id(taken));
        assert_eq!(
            (status, &*kind(&refusal)),
            (409, "ambiguous-answer"),
            "{refusal}"
        );
    }
    assert_eq!(bench.counted(&by_id("edge-1")).0, "blue");
    let refused = bench.served.counters("switchback_feedback_refused_total");
    let is_counted = |one: &String| one.starts_with("ambiguous ");
    assert!(refused.iter().any(is_counted), "{refused:?}");
    // Others are not trusted: the id is one of ours.
    let bench = Bench::start("", BOTH);
    let answer = bench.ask("/", "X-Request-Id: edge-1\r\n");
    assert_ne!(id(&answer), "edge-1");
    assert_eq!(bench.refused(&by_id("edge-1")).0, 404);
    bench.counted(&by_id(&id(&answer)));
}

#[test]
fn the_listener_takes_stamps_alone_unless_the_file_says_more() {
    let post = |bench: &Bench, body: &Value| {
        let address = bench.served.running.feedback().unwrap();
        let mut client = Client::connect(address);
        let body = body.to_string();
        client.send(format!(
            "POST /v1/feedback HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let response = client.response();
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, body)
    };
    let bench = Bench::start("", BOTH);
    let first = bench.id_of("u1");
    for body in [by_id(&first), by_session("u1"), by_session("nobody")] {
        let (status, refusal) = post(&bench, &body);
        assert_eq!(
            (status, &*kind(&refusal)),
            (403, "not-accepted"),
            "{refusal}"
        );
        assert_eq!(refusal["hint"], "send `stamp`");
    }
    bench.counted(&by_id(&first));
    let bench = Bench::start("accept = [\"request_id\", \"session\"]", BOTH);
    let first = bench.id_of("u1");
    assert_eq!(
        post(&bench, &by_id(&first)),
        (200, json!({ "counted": true }))
    );
    bench.id_of("u1");
    assert_eq!(
        post(&bench, &by_session("u1")),
        (200, json!({ "counted": true }))
    );
    let stamp = json!({ "stamp": "sb1.x", "thumb": "up" });
    assert_eq!(post(&bench, &stamp).0, 403, "stamps are not in the list");
    // It says nothing of routes.
    let nowhere = json!({ "session": "u1", "route": "nowhere", "thumb": "up" });
    let plain = json!({ "session": "u1", "route": "plain", "thumb": "up" });
    let refusals = [nowhere, plain, by_session("u9")].map(|body| post(&bench, &body));
    assert_eq!(refusals[0].0, 404);
    assert!(
        refusals.iter().all(|one| *one == refusals[0]),
        "{refusals:#?}"
    );
}

#[test]
fn a_restart_forgets_the_answers() {
    let bench = Bench::start("", BOTH);
    let first = bench.id_of("u1");
    let Bench { served, origins } = bench;
    let bench = Bench {
        served: served.restart(),
        origins,
    };
    let unknown = (404, "unknown-answer".to_owned());
    assert_eq!(bench.refused(&by_id(&first)), unknown);
    assert_eq!(bench.refused(&by_session("u1")), unknown);
    bench.counted(&by_id(&bench.id_of("u1")));
}

#[test]
fn feedback_on_an_answer_is_taken_for_a_time() {
    let bench = Bench::start("valid_for = \"1s\"", BOTH);
    let said = by_id(&bench.id_of("u1"));
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (status, answer) = bench.give(&said);
        if status == 410 {
            assert_eq!(kind(&answer), "expired-answer");
            break;
        }
        assert_eq!(status, 200, "{answer}");
        assert!(Instant::now() < end, "{answer}");
    }
}

#[test]
fn a_worker_that_hangs_is_503_and_counts_nothing() {
    let admin = TestAdmin::start();
    // A worker that runs and never looks at its requests.
    admin.cell.work().join(0);
    let (status, refusal) = admin.json("POST", "/v1/feedback", &by_id("a"));
    assert_eq!(
        (status, &*kind(&refusal)),
        (503, "worker-busy"),
        "{refusal}"
    );
    assert_eq!(refusal["hint"], "send it again");
    admin.cell.work().leave(0);
    let (status, refusal) = admin.json("POST", "/v1/feedback", &by_id("a"));
    assert_eq!((status, &*kind(&refusal)), (404, "unknown-answer"));
}

#[test]
fn the_head_of_a_stream_or_a_websocket_is_enough() {
    let origin = Origin::after_request(|request, mut stream: TcpStream, mut reader| {
        let head = if request.value("upgrade").is_some() {
            UPGRADED
        } else {
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
        };
        stream.write_all(head.as_bytes()).unwrap();
        // Open until the proxy closes it.
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let served = Served::start(&format!(
        "[releases.blue]\nendpoints = [{:?}]\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\n\
         feedback_by = [\"request_id\"]\n",
        origin.url()
    ));
    let mut open = Vec::new();
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", UPGRADE] {
        let mut client = served.client();
        client.send(request);
        let head = client.response_head();
        let field = head
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        let id = field.unwrap_or_else(|| panic!("{head}"));
        let receipt = served.done("POST", "/v1/feedback", &by_id(id));
        assert_eq!(receipt["counted"], true, "{receipt}");
        open.push(client);
    }
}

#[test]
fn answers_over_http2_are_remembered_as_well() {
    let origin = H2Origin::echo();
    let served = Served::start(&format!(
        "[releases.blue]\n{}\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\n\
         affinity = [{{ query = \"user\" }}]\n{BOTH}\n",
        origin.release()
    ));
    let id = block(async {
        let client = H2Client::connect(served.running.listeners()[0]).await;
        let answer = client.get("/chat?user=u1").await.unwrap();
        client.get("/chat?user=u1").await.unwrap();
        answer.value("x-request-id").unwrap().to_owned()
    });
    for said in [by_id(&id), by_session("u1")] {
        let receipt = served.done("POST", "/v1/feedback", &said);
        assert_eq!(receipt["counted"], true, "{receipt}");
    }
}

#[test]
fn a_session_is_named_as_the_route_knows_it() {
    let origin = Origin::answering(|_| reply(200, "Mcp-Session-Id: task-7\r\n", "blue"));
    let served = Served::start(&format!(
        "[releases.blue]\nendpoints = [{:?}]\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\n\
         affinity = [\"client_address\"]\npins = [{{ header = \"mcp-session-id\" }}]\n{BOTH}\n",
        origin.url()
    ));
    let mut client = served.client();
    let sealed = client.get("/").value("mcp-session-id").unwrap().to_owned();
    let receipt = served.done("POST", "/v1/feedback", &by_session("127.0.0.1"));
    assert_eq!(receipt["counted"], true, "{receipt}");
    let pinned = format!("GET / HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: {sealed}\r\n\r\n");
    for key in [&*sealed, "task-7"] {
        client.send(&pinned).response();
        let receipt = served.done("POST", "/v1/feedback", &by_session(key));
        assert_eq!(receipt["counted"], true, "{receipt}");
    }
}

#[test]
fn an_opinion_by_the_request_counts_at_the_variants_of_its_answer() {
    let blue = Origin::replying("blue");
    let served = Served::start(&format!(
        "[flags.planner]\ntype = \"boolean\"\nvariants = {{ on = true, off = false }}\ndefault = \"on\"\n\
         kpis = true\n[releases.blue]\nendpoints = [{:?}]\n[[routes]]\nname = \"chat\"\n\
         split = {{ blue = 1 }}\nflags = [\"planner\"]\nfeedback_by = [\"request_id\"]\n",
        blue.url()
    ));
    let first = id(&served.client().get("/"));
    served.done("POST", "/v1/flags/planner/off", &Value::Null);
    let receipt = served.done("POST", "/v1/feedback", &by_id(&first));
    assert_eq!(receipt["counted"], true, "{receipt}");
    let counted = served.counters("switchback_flag_feedback_total");
    assert!(
        counted.contains(&"planner on negative 1".to_owned()),
        "{counted:?}"
    );
}

#[test]
fn the_command_line_names_answers_in_each_form() {
    let bench = Bench::start("", BOTH);
    let admin = format!("http://{}", bench.served.running.admin());
    let run = |arguments: &[&str]| {
        let all = [&["feedback", "give"], arguments].concat();
        cli::program(&all, &[("SWITCHBACK_ADMIN", &admin)])
    };
    let first = bench.id_of("u1");
    let said = cli::stdout(&run(&["--request-id", &first, "--thumb", "down"]));
    assert!(
        said.starts_with("counted: an answer of blue 1 on chat"),
        "{said}"
    );
    let said = cli::stdout(&run(&[
        "--session",
        "u1",
        "--route",
        "chat",
        "--score",
        "0.5",
    ]));
    assert!(said.starts_with("not counted: "), "{said}");
    for (wrong, about) in [
        (&["--session", "u1", "--thumb", "up"][..], "--route"),
        (&["--thumb", "up"], "--request-id"),
        (
            &["sb1.x", "--request-id", "a", "--thumb", "up"],
            "--request-id",
        ),
        (&["sb1.x", "--route", "chat", "--thumb", "up"], "--route"),
        (
            &["--request-id", "nothing", "--thumb", "up"],
            "unknown answer",
        ),
    ] {
        let output = run(wrong);
        let told = cli::stderr(&output);
        assert!(
            !output.status.success() && told.contains(about),
            "{wrong:?}: {told}"
        );
    }
}

#[test]
fn a_release_that_users_dislike_by_request_is_taken_back_by_itself() {
    let bench = Bench::start("", "feedback_by = [\"request_id\"]");
    let plan = json!({ "steps": [{ "weight": 50, "hold": "10m" }, { "weight": 100 }] });
    let rollout = json!({ "route": "chat", "to": "green", "plan": plan });
    let (status, rollout) = bench.served.admin("POST", "/v1/rollouts", &rollout);
    assert_eq!(status, 201, "{rollout}");
    let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    for turn in 0.. {
        for user in 0..10 {
            let answer = bench.ask("/", &format!("X-User: u{turn}-{user}\r\n"));
            let thumb = if answer.text() == "green" {
                "down"
            } else {
                "up"
            };
            bench.counted(&json!({ "request_id": id(&answer), "thumb": thumb }));
        }
        let (_, rollout) = bench.served.admin("GET", &path, &Value::Null);
        if rollout["state"] == "rolled_back" {
            let metrics = rollout["verdict"]["metrics"].as_array().unwrap();
            let mut metrics = metrics.iter();
            let found = metrics.find(|one| one["name"] == "negative_feedback");
            assert_eq!(found.unwrap()["verdict"], "worse", "{rollout:#}");
            break;
        }
        assert!(Instant::now() < end, "{rollout:#}");
    }
    let (_, route) = bench.served.admin("GET", "/v1/routes/chat", &Value::Null);
    assert_eq!(route["split"], json!({ "blue": 100, "green": 0 }));
}
