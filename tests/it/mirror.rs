//! Mirroring: copies of a share of a route's requests, which nobody waits for and nothing counts.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use switchback::model::{MirrorFailure, MirrorSkip};
use switchback::stats::{CellSnapshot, MirrorSnapshot};

use crate::support::h2::{H2Client, H2Origin, block};
use crate::support::{
    Client, Origin, Served, TestAdmin, TestProxy, TestProxyBuilder, cli, closed_address, reply,
};

mod json;

/// A route for everything, served by blue and mirrored to green with these further keys.
fn mirrored(blue: &Origin, green: &str, lines: &str) -> TestProxyBuilder {
    TestProxy::builder()
        .release("blue", &[blue])
        .release_with("green", green)
        .route_with(
            "all",
            &[("blue", 1)],
            &format!("[routes.mirror]\nrelease = \"green\"\n{lines}"),
        )
}

fn at(origin: &Origin) -> String {
    format!("endpoints = [{:?}]", origin.url())
}

fn seen(proxy: &TestProxy) -> MirrorSnapshot {
    let all = proxy.fleet.all_mirrors();
    all.first()
        .map_or_else(MirrorSnapshot::default, |(_, counters)| counters.snapshot())
}

/// The figures once so many requests were chosen, and all copies are over.
fn settled(proxy: &TestProxy, chosen: u64) -> MirrorSnapshot {
    proxy.wait_until(|| seen(proxy).chosen() == chosen && seen(proxy).pending == 0);
    let seen = seen(proxy);
    let failed: u64 = seen.failed.iter().sum();
    assert_eq!(seen.mirrored, seen.answered() + failed, "{seen:?}");
    seen
}

fn statistics(proxy: &TestProxy, release: &str) -> CellSnapshot {
    let mut found = CellSnapshot::default();
    proxy.fleet.each_cells(|(_, name, _), cells| {
        if name.as_str() == release {
            found.add(&cells.snapshot());
        }
    });
    found
}

fn send_with(client: &mut Client, method: &str, fields: &str, body: &str) -> u16 {
    let length = body.len();
    client.send(format!(
        "{method} /chat?x=1 HTTP/1.1\r\nHost: agents.test\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    ));
    client.response().status
}

#[test]
fn a_copy_is_the_request_with_the_mark_and_without_credentials() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green!"));
    let proxy = mirrored(&blue, &at(&green), "percent = 100\nsandbox = true").start();
    let fields = "Authorization: Bearer x\r\nCookie: a=1\r\nX-Api-Key: k\r\nX-Switchback-Stamp: s\r\nX-Mine: 1\r\n";
    assert_eq!(send_with(&mut proxy.client(), "POST", fields, "hello"), 200);
    let seen = settled(&proxy, 1);
    assert_eq!((seen.mirrored, seen.agreed(), seen.disagreed()), (1, 1, 0));
    assert_eq!((seen.original.bytes, seen.copy.bytes), (4, 6));
    let (original, copy) = (blue.last(), green.last());
    assert_eq!(original.value("x-switchback-mirror"), None);
    assert_eq!(original.value("authorization"), Some("Bearer x"));
    assert_eq!(copy.line(), "POST /chat?x=1 HTTP/1.1");
    assert_eq!(copy.value("x-switchback-mirror"), Some("green"));
    assert_eq!(copy.body, b"hello");
    for name in ["authorization", "cookie", "x-api-key", "x-switchback-stamp"] {
        assert_eq!(copy.value(name), None, "{name}");
    }
    for name in ["host", "x-mine", "x-request-id", "x-forwarded-for"] {
        assert_eq!(copy.value(name), original.value(name), "{name}");
    }
}

#[test]
fn credentials_are_copied_where_the_route_says_so() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = mirrored(&blue, &at(&green), "percent = 100\ncredentials = true").start();
    let fields = "Authorization: Bearer x\r\nCookie: a=1\r\n";
    assert_eq!(send_with(&mut proxy.client(), "GET", fields, ""), 200);
    settled(&proxy, 1);
    assert_eq!(green.last().value("authorization"), Some("Bearer x"));
    assert_eq!(green.last().value("cookie"), Some("a=1"));
}

#[test]
fn only_safe_methods_are_copied_unless_the_release_is_a_sandbox() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = mirrored(&blue, &at(&green), "percent = 100").start();
    let mut client = proxy.client();
    for method in ["GET", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(send_with(&mut client, method, "", ""), 200, "{method}");
    }
    let seen = settled(&proxy, 6);
    assert_eq!(seen.skipped[MirrorSkip::Method.index()], 4);
    assert_eq!(seen.mirrored, 2);
    let mut lines: Vec<_> = green
        .requests()
        .iter()
        .map(|copy| copy.line().to_owned())
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        ["GET /chat?x=1 HTTP/1.1", "OPTIONS /chat?x=1 HTTP/1.1"]
    );
}

#[test]
fn an_upgrade_is_never_copied_and_a_forged_mark_neither() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = mirrored(&blue, &at(&green), "percent = 100\nsandbox = true").start();
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut client = proxy.client();
    client.send(format!("GET /ws HTTP/1.1\r\nHost: a\r\n{socket}\r\n"));
    assert_eq!(client.response().status, 200, "the endpoint does not agree");
    let mark = "X-Switchback-Mirror: green\r\n";
    assert_eq!(send_with(&mut proxy.client(), "GET", mark, ""), 200);
    assert_eq!(blue.last().value("x-switchback-mirror"), None);
    let seen = settled(&proxy, 1);
    assert_eq!(seen.skipped[MirrorSkip::Upgrade.index()], 1);
    assert_eq!(green.requests().len(), 0);
}

#[test]
fn a_body_over_the_limit_is_not_copied_whether_its_length_is_known_or_not() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let lines = "percent = 100\nsandbox = true\nmax_body = 10";
    let proxy = mirrored(&blue, &at(&green), lines).start();
    let mut client = proxy.client();
    assert_eq!(send_with(&mut client, "POST", "", "0123456789"), 200);
    assert_eq!(send_with(&mut client, "POST", "", "0123456789a"), 200);
    for body in [
        "5\r\n01234\r\n5\r\n56789\r\n",
        "5\r\n01234\r\n6\r\n56789a\r\n",
    ] {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n"
        ));
        assert_eq!(client.response().status, 200);
    }
    let seen = settled(&proxy, 4);
    assert_eq!(
        (seen.mirrored, seen.skipped[MirrorSkip::Body.index()]),
        (2, 2)
    );
    assert!(
        green
            .requests()
            .iter()
            .all(|copy| copy.body == b"0123456789")
    );
    assert_eq!(blue.last().body, b"0123456789a");
}

#[test]
fn nothing_that_the_mirror_does_reaches_an_original() {
    let ending =
        |how: Shutdown| Origin::after_request(move |_, stream, _| drop(stream.shutdown(how)));
    let hanging = Origin::after_request(|_, _, mut reader| {
        // Until the proxy gives up.
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let malformed =
        Origin::after_request(|_, mut stream, _| drop(stream.write_all(b"nonsense\r\n\r\n")));
    let short = Origin::after_request(|_, mut stream, _| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
    });
    let dead = format!("endpoints = [\"http://{}\"]", closed_address());
    let reset = ending(Shutdown::Both);
    for (green, failure) in [
        (at(&hanging), MirrorFailure::Timeout),
        (at(&reset), MirrorFailure::Broken),
        (at(&malformed), MirrorFailure::Broken),
        (at(&short), MirrorFailure::Broken),
        (dead, MirrorFailure::Connect),
    ] {
        let blue = Origin::replying("blue");
        let lines = "percent = 100\ntimeout = \"50ms\"";
        let proxy = mirrored(&blue, &green, lines).start();
        let mut client = proxy.client();
        for _ in 0..10 {
            assert_eq!(send_with(&mut client, "GET", "", ""), 200, "{failure:?}");
        }
        let seen = settled(&proxy, 10);
        assert_eq!(seen.mirrored, 10, "{failure:?}");
        assert_eq!(seen.failed[failure.index()], 10, "{failure:?}: {seen:?}");
        for endpoint in proxy.roster("green").endpoints().iter() {
            assert_eq!((endpoint.ejected(), endpoint.in_flight()), (None, 0));
        }
    }
}

#[test]
fn a_full_queue_copies_no_more_and_every_request_is_in_one_count() {
    let blue = Origin::replying("blue");
    let (green, arrivals, release) = Origin::holding();
    let lines = "percent = 100\nconcurrency = 2\nqueue = 3";
    let proxy = mirrored(&blue, &at(&green), lines).start();
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(send_with(&mut client, "GET", "", ""), 200);
    }
    proxy.wait_until(|| seen(&proxy).chosen() == 20);
    // Two are under way, and no more than that.
    for _ in 0..2 {
        arrivals.recv().unwrap();
    }
    assert!(arrivals.try_recv().is_err());
    let full = seen(&proxy);
    assert_eq!((full.mirrored, full.pending), (5, 5));
    assert_eq!(full.skipped[MirrorSkip::Full.index()], 15);
    // They hold nothing up that users' requests do.
    assert_eq!(proxy.roster("green").in_flight(), 0);
    for _ in 0..5 {
        release.send(()).unwrap();
    }
    let seen = settled(&proxy, 20);
    assert_eq!((seen.answered(), seen.agreed()), (5, 5));
}

/// Answers a copy as its field says: well, with an error, with what is no answer, or not at all.
fn obedient() -> Origin {
    Origin::answering(|request| match request.value("x-do") {
        Some("fail") => reply(503, "", "no"),
        Some("break") => b"nonsense\r\n\r\n".to_vec(),
        Some("hang") => Vec::new(),
        _ => reply(200, "", "yes"),
    })
}

#[test]
fn counts_are_exact_beside_many_clients_whatever_comes_of_the_copies() {
    const CLIENTS: u64 = 8;
    const EACH: u64 = 6;
    let (blue, green) = (Origin::replying("blue"), obedient());
    let lines = "percent = 100\ntimeout = \"3s\"\nconcurrency = 1024\nqueue = 4096\nmax_body = 10";
    let proxy = mirrored(&blue, &at(&green), lines).start();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = proxy.client();
                for _ in 0..EACH {
                    for does in ["well", "fail", "break", "hang"] {
                        let field = format!("X-Do: {does}\r\n");
                        assert_eq!(send_with(&mut client, "GET", &field, ""), 200);
                    }
                    assert_eq!(send_with(&mut client, "POST", "", ""), 200);
                    assert_eq!(send_with(&mut client, "GET", "", "12345678901"), 200);
                }
            });
        }
    });
    let of_each = CLIENTS * EACH;
    let seen = settled(&proxy, of_each * 6);
    assert_eq!((seen.mirrored, seen.answered()), (of_each * 4, of_each * 2));
    assert_eq!(seen.classes[1], [0, of_each, 0, 0, of_each]);
    let mut skipped = [0; MirrorSkip::ALL.len()];
    skipped[MirrorSkip::Method.index()] = of_each;
    skipped[MirrorSkip::Body.index()] = of_each;
    assert_eq!(seen.skipped, skipped);
    let mut failed = [0; MirrorFailure::ALL.len()];
    failed[MirrorFailure::Broken.index()] = of_each;
    failed[MirrorFailure::Timeout.index()] = of_each;
    assert_eq!(seen.failed, failed);
    // Each copy came once, and the originals are in the statistics alone.
    let came = |origin: &Origin| origin.requests().len() as u64;
    assert_eq!((came(&blue), came(&green)), (of_each * 6, of_each * 4));
    assert_eq!(statistics(&proxy, "blue").requests(), of_each * 6);
    assert_eq!(statistics(&proxy, "green").requests(), 0);
}

#[test]
fn copies_that_wait_are_not_sent_once_the_mirror_is_taken_back() {
    let blue = Origin::replying("blue");
    let (green, arrivals, release) = Origin::holding();
    let served = Served::start(&format!(
        "[releases.blue]\n{}\n[releases.green]\n{}\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}",
        at(&blue),
        at(&green)
    ));
    let mirror = json!({"release": "green", "percent": 100, "concurrency": 1});
    let route = json!({"split": {"blue": 1}, "mirror": mirror});
    served.done("PUT", "/v1/routes/chat", &route);
    for _ in 0..3 {
        assert_eq!(served.client().get("/").status, 200);
    }
    arrivals.recv().unwrap();
    let report = || served.done("GET", "/v1/routes/chat/mirror", &Value::Null);
    let figures = || report()["releases"][0].clone();
    crate::support::wait_until("all are handed over", || figures()["pending"] == 3);
    // A change that leaves the mirror as it is takes nothing from it.
    served.done(
        "PATCH",
        "/v1/routes/chat/split",
        &json!({"percent": {"green": 1}}),
    );
    assert_eq!(figures()["pending"], 3);
    for _ in 0..2 {
        served.done("POST", "/v1/rollback", &Value::Null);
    }
    release.send(()).unwrap();
    crate::support::wait_until("all are over", || figures()["pending"] == 0);
    let figures = figures();
    assert_eq!(
        (&figures["answered"], &figures["failed"]["withdrawn"]),
        (&json!(1), &json!(2)),
        "{figures}"
    );
    assert!(arrivals.try_recv().is_err());
}

#[test]
fn a_copy_is_in_no_statistics_and_takes_no_place_of_a_user() {
    let blue = Origin::replying("blue");
    let (green, arrivals, release) = Origin::holding();
    let limits = format!(
        "{}\n[releases.green.limits]\nconcurrency = 1\nconnections_per_endpoint = 1",
        at(&green)
    );
    let proxy = mirrored(&blue, &limits, "percent = 100")
        .route_with("own", &[("green", 1)], "path_prefix = \"/own\"")
        .start();
    assert_eq!(proxy.client().get("/chat").status, 200);
    arrivals.recv().unwrap();
    // The copy is under way; a user's request takes the one place all the same.
    let mut user = proxy.client();
    user.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(arrivals.recv().unwrap(), "GET /own HTTP/1.1");
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(user.response().status, 200);
    settled(&proxy, 1);
    proxy.access_lines(2);
    let (blue, green) = (statistics(&proxy, "blue"), statistics(&proxy, "green"));
    assert_eq!((blue.requests(), green.requests()), (1, 1));
    assert_eq!(green.failed_attempts.iter().sum::<u64>(), 0);
    assert_eq!(proxy.access_lines(2).len(), 2);
}

#[test]
fn an_answer_to_a_copy_is_read_up_to_the_limit() {
    let blue = Origin::replying("blue");
    let endless = Origin::after_request(|_, mut stream, _| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(&[b'x'; 1_000]).is_ok() {}
    });
    let proxy = mirrored(
        &blue,
        &at(&endless),
        "percent = 100\nmax_answer = \"64KiB\"",
    )
    .start();
    assert_eq!(proxy.client().get("/").status, 200);
    let seen = settled(&proxy, 1);
    assert_eq!((seen.agreed(), seen.copy.bytes), (1, 64 * 1024));
}

#[test]
fn an_original_that_is_cut_is_not_compared() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let blue = Origin::after_request(move |_, mut stream, _| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
        released.lock().unwrap().recv().unwrap();
    });
    let green = Origin::replying("green");
    let proxy = mirrored(&blue, &at(&green), "percent = 100").start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_head();
    assert_eq!(client.read_exact(3), b"abc");
    release.send(()).unwrap();
    assert!(client.is_closed());
    let seen = settled(&proxy, 1);
    assert_eq!(seen.skipped[MirrorSkip::Unfinished.index()], 1);
    assert_eq!(green.requests().len(), 0);
}

#[test]
fn classes_of_status_are_compared_and_an_answer_of_ours_is_one() {
    let blue = Origin::answering(|request| {
        reply(
            if request.line().contains("bad") {
                404
            } else {
                200
            },
            "",
            "",
        )
    });
    let green = Origin::answering(|_| reply(503, "", "no"));
    let proxy = mirrored(&blue, &at(&green), "percent = 100").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/good").status, 200);
    assert_eq!(client.get("/bad").status, 404);
    let seen = settled(&proxy, 2);
    let pairs: Vec<_> = seen.pairs().collect();
    assert_eq!(pairs, [(2, 5, 1), (4, 5, 1)]);
    assert_eq!((seen.agreed(), seen.disagreed()), (0, 2));
}

#[test]
fn who_is_mirrored_depends_on_the_session_and_stays_so_while_the_share_grows() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let users = |percent: &str| {
        let lines = format!("percent = {percent}");
        let before = green.requests().len();
        let proxy = TestProxy::builder()
            .release("blue", &[&blue])
            .release("green", &[&green])
            .route_with(
                "all",
                &[("blue", 1)],
                &format!("affinity = [{{ header = \"x-user\" }}]\n[routes.mirror]\nrelease = \"green\"\n{lines}"),
            )
            .start();
        let mut client = proxy.client();
        for user in 0..60 {
            for _ in 0..2 {
                let field = format!("X-User: u{user}\r\n");
                assert_eq!(send_with(&mut client, "GET", &field, ""), 200);
            }
        }
        proxy.access_lines(120);
        settled(&proxy, seen(&proxy).chosen());
        let copies = green.requests().split_off(before);
        let mut users: Vec<_> = copies
            .iter()
            .map(|copy| copy.value("x-user").unwrap().to_owned())
            .collect();
        users.sort();
        let all = users.len();
        users.dedup();
        assert_eq!(
            users.len() * 2,
            all,
            "each user is mirrored twice, or never"
        );
        users
    };
    let (few, again, more) = (users("20"), users("20"), users("70"));
    assert_eq!(few, again);
    assert!(!few.is_empty() && few.len() < more.len() && more.len() < 60);
    assert!(few.iter().all(|user| more.contains(user)));
    assert!(users("0").is_empty());
    assert_eq!(users("100").len(), 60);
}

#[test]
fn a_request_that_the_mirror_serves_itself_is_not_copied_to_it() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route_with(
            "all",
            &[("blue", 0), ("green", 1)],
            "[routes.mirror]\nrelease = \"green\"\npercent = 100",
        )
        .start();
    assert_eq!(proxy.client().get("/").text(), "green");
    proxy.access_lines(1);
    assert_eq!(seen(&proxy).chosen(), 0);
    proxy.switch("all", "blue");
    assert_eq!(proxy.client().get("/").text(), "blue");
    assert_eq!(settled(&proxy, 1).agreed(), 1);
    proxy.rollback();
    assert_eq!(proxy.client().get("/").text(), "green");
    proxy.access_lines(3);
    assert_eq!(seen(&proxy).chosen(), 1);
}

#[test]
fn a_rollback_takes_the_mirror_back_and_the_api_shows_what_it_was() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let lines = format!(
        "[releases.blue]\nversion = \"1\"\n{}\n[releases.green]\nversion = \"2\"\n{}\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}",
        at(&blue),
        at(&green)
    );
    let served = Served::start(&lines);
    assert_eq!(served.client().get("/").status, 200);
    let (status, none) = served.admin("GET", "/v1/routes/chat/mirror", &Value::Null);
    assert_eq!(
        (status, &none["mirror"], &none["releases"]),
        (200, &Value::Null, &json!([]))
    );
    let route = json!({"split": {"blue": 1}, "mirror": {"release": "green", "percent": 100}});
    let receipt = served.done("PUT", "/v1/routes/chat", &route);
    assert!(
        receipt["diff"].to_string().contains("routes.chat.mirror"),
        "{receipt}"
    );
    for _ in 0..3 {
        assert_eq!(served.client().get("/").status, 200);
    }
    let mirror = || served.done("GET", "/v1/routes/chat/mirror", &Value::Null);
    crate::support::wait_until("the copies", || mirror()["releases"][0]["agreed"] == 3);
    let figures = &mirror()["releases"][0];
    assert_eq!(
        (&figures["release"], &figures["version"]),
        (&json!("green"), &json!("2"))
    );
    assert_eq!(
        (&figures["is_live"], &figures["chosen"], &figures["pending"]),
        (&json!(true), &json!(3), &json!(0))
    );
    assert_eq!(
        figures["statuses"],
        json!([{"original": "2xx", "copy": "2xx", "count": 3}])
    );
    let counted = served.counters("switchback_mirror_requests_total");
    assert!(
        counted.contains(&"chat green 2 mirrored 3".to_owned()),
        "{counted:?}"
    );
    let counted = served.counters("switchback_mirror_answers_total");
    assert!(
        counted.contains(&"chat green 2 agreed 3".to_owned()),
        "{counted:?}"
    );
    let kpis = served.done("GET", "/v1/kpis", &Value::Null);
    assert!(!kpis.to_string().contains("green"), "{kpis}");
    served.done("POST", "/v1/rollback", &Value::Null);
    assert_eq!(served.client().get("/").status, 200);
    let after = mirror();
    assert_eq!(after["mirror"], Value::Null);
    let figures = &after["releases"][0];
    assert_eq!(
        (&figures["is_live"], &figures["chosen"]),
        (&json!(false), &json!(3))
    );
    assert_eq!(green.requests().len(), 3);
}

#[test]
fn a_mirror_names_a_release_that_there_is_and_keeps_it() {
    let admin = TestAdmin::start();
    let route = |release: &str| json!({"split": {"blue": 1}, "mirror": {"release": release, "percent": 10}});
    let (status, problem) = admin.json("PUT", "/v1/routes/chat", &route("gren"));
    assert_eq!(status, 404, "{problem}");
    assert!(
        problem.to_string().contains("did you mean `green`?"),
        "{problem}"
    );
    admin.done("PUT", "/v1/routes/chat", &route("green"));
    let (status, problem) = admin.json("DELETE", "/v1/releases/green", &Value::Null);
    assert_eq!(status, 409, "{problem}");
    assert!(problem.to_string().contains("mirrored to it"), "{problem}");
    let (status, problem) = admin.json("DELETE", "/v1/releases/green?force=true", &Value::Null);
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem.to_string().contains("routes.chat.mirror.release")
            && problem
                .to_string()
                .contains("`chat` is mirrored to `green`"),
        "{problem}"
    );
    let misspelt = json!({"split": {"blue": 1}, "mirror": {"release": "green", "percnt": 10}});
    let (status, problem) = admin.json("PUT", "/v1/routes/chat", &misspelt);
    assert_eq!(
        (status, &problem["hint"]),
        (422, &json!("did you mean `percent`?"))
    );
    let quoted = json!({"split": {"blue": 1}, "mirror": {"release": "green", "percent": "10"}});
    let (status, problem) = admin.json("PUT", "/v1/routes/chat", &quoted);
    let expected = "`mirror.percent`: invalid type: string \"10\", expected a number from 0 to 100";
    assert_eq!((status, &problem["detail"]), (422, &json!(expected)));
    let said = cli::run_ok(&admin, &["mirror", "show", "chat"]);
    assert!(
        said.starts_with("chat: 10% of the requests are mirrored to green\n"),
        "{said}"
    );
    assert!(said.contains("0 of 0 requests chosen mirrored"), "{said}");
    let whole = json!({
        "path_prefix": "/idle", "split": {"green": 1}, "mirror": {"release": "green", "percent": 10}
    });
    admin.done("PUT", "/v1/routes/idle", &whole);
    let said = cli::run_ok(&admin, &["mirror", "show", "idle"]);
    assert!(
        said.contains("\n  green serves every request itself, so nothing is copied to it\n"),
        "{said}"
    );
    let said = cli::run_ok(&admin, &["status"]);
    assert!(said.contains("(10% mirrored to green)"), "{said}");
    let exported = cli::run_ok(&admin, &["export"]);
    for line in ["[routes.mirror]", "release = \"green\"", "percent = 10"] {
        assert!(exported.contains(&format!("\n{line}\n")), "{exported}");
    }
}

#[test]
fn copies_go_over_http2_with_their_bodies_and_from_clients_of_http2() {
    let (blue, green) = (Origin::replying("blue"), H2Origin::echo());
    let proxy = mirrored(
        &blue,
        &green.release(),
        "percent = 100\nsandbox = true\nmax_body = \"1MiB\"",
    )
    .start();
    let body = vec![b'x'; 300_000];
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for _ in 0..3 {
            assert_eq!(client.get("/chat").await.unwrap().status(), 200);
        }
        assert_eq!(client.post("/up", &body).await.unwrap().status(), 200);
    });
    let seen = settled(&proxy, 4);
    assert_eq!((seen.mirrored, seen.agreed()), (4, 4), "{seen:?}");
    // It echoes the body of the POST.
    assert_eq!((seen.original.bytes, seen.copy.bytes), (16, 300_000));
    let again = mirrored(&blue, &green.release(), "percent = 100").start();
    block(async {
        let client = H2Client::connect(again.address).await;
        let (one, other) = tokio::join!(client.get("/1"), client.get("/2"));
        assert_eq!((one.unwrap().status(), other.unwrap().status()), (200, 200));
    });
    assert_eq!(settled(&again, 2).agreed(), 2);
}
