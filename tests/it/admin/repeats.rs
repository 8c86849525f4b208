//! Repeats under an idempotency key get the first response, whatever has happened since.

use serde_json::{Value, json};
use switchback::{
    control::{ControlError, Expected, ReplayedResponse, RollbackTo},
    model::{Digest, Revision},
};

use crate::{
    controller_fixture::{ControllerFixture, folder, history_path, keyed, set_split},
    support::{Response, TestAdmin},
};

const PROBLEM: &str = "urn:switchback:problem:key-reused";

fn send(admin: &TestAdmin, key: &str, method: &str, path: &str, body: &Value) -> Response {
    let fields = [
        ("idempotency-key", key),
        ("content-type", "application/json"),
    ];
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    admin.request(method, path, &fields, &text)
}

#[test]
fn a_repeat_gets_the_first_answer_whatever_has_happened_since() {
    let admin = TestAdmin::start();
    let route = json!({ "path": "/edge", "split": { "red": 1 } });
    let red = json!({ "version": "3", "endpoints": ["http://127.0.0.1:3"] });
    let requests = [
        ("PUT", "/v1/releases/red", red),
        ("PUT", "/v1/routes/edge", route),
        ("POST", "/v1/routes/chat/switch", json!({ "to": "blue" })),
        (
            "PUT",
            "/v1/routes/chat/split",
            json!({ "weights": { "blue": 1, "green": 1 } }),
        ),
        ("POST", "/v1/routes/chat/rollback", Value::Null),
        ("POST", "/v1/rollback", Value::Null),
        ("DELETE", "/v1/routes/edge?force=true", Value::Null),
        ("POST", "/v1/import", admin.get("/v1/table")),
    ];
    let mut first = Vec::new();
    for (place, (method, path, body)) in requests.iter().enumerate() {
        if *method == "DELETE" {
            admin.done("PUT", "/v1/routes/edge", &requests[1].2);
        }
        let response = send(&admin, &format!("key-{place}"), method, path, body);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        assert_eq!(response.value("idempotency-replayed"), None);
        first.push(response);
    }
    // What changed nothing then would change something now; and the route and the release are gone.
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    if admin.json("GET", "/v1/releases/red", &Value::Null).0 == 200 {
        admin.done("DELETE", "/v1/releases/red?force=true", &Value::Null);
    }
    let before = (admin.revision(), admin.split("chat"));
    for (place, (method, path, body)) in requests.iter().enumerate() {
        let again = send(&admin, &format!("key-{place}"), method, path, body);
        assert_eq!(again.status, 200, "{path}: {}", again.text());
        assert_eq!(again.text(), first[place].text(), "{path}");
        assert_eq!(again.value("etag"), first[place].value("etag"), "{path}");
        assert_eq!(again.value("idempotency-replayed"), Some("true"));
    }
    assert_eq!((admin.revision(), admin.split("chat")), before);
}

#[test]
fn a_key_belongs_to_one_request() {
    let admin = TestAdmin::start();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "blue" }));
    assert_eq!(
        send(&admin, "undo", "POST", "/v1/rollback", &Value::Null).status,
        200
    );
    let before = admin.revision();
    for (path, body) in [
        ("/v1/rollback", json!({ "step": true })),
        ("/v1/rollback", json!({ "to": 1 })),
        ("/v1/rollback?force=true", Value::Null),
        ("/v1/routes/chat/rollback", Value::Null),
        ("/v1/routes/none/rollback", Value::Null),
    ] {
        let refused = send(&admin, "undo", "POST", path, &body);
        assert_eq!(refused.status, 422, "{path} {body}");
        assert!(refused.text().contains(PROBLEM), "{}", refused.text());
    }
    let asked = send(
        &admin,
        "undo",
        "POST",
        "/v1/rollback?dry_run=true",
        &Value::Null,
    );
    assert_eq!(asked.status, 200, "a dry run has no key");
    assert_eq!(admin.revision(), before);
}

#[test]
fn what_was_refused_may_be_tried_again_under_its_key() {
    let admin = TestAdmin::start();
    let green = json!({ "to": "green" });
    let refused = send(&admin, "k", "POST", "/v1/routes/edge/switch", &green);
    assert_eq!(refused.status, 404);
    let route = json!({ "path": "/edge", "split": { "blue": 1 } });
    admin.done("PUT", "/v1/routes/edge", &route);
    assert_eq!(
        send(&admin, "k", "POST", "/v1/routes/edge/switch", &green).status,
        200
    );
}

#[tokio::test]
async fn an_answer_under_a_key_survives_the_end_of_the_process() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 100, 100).await;
    let (asked, other) = (Digest::of(&"asked"), Digest::of(&"other"));
    let turn = fixture.controller.lock_key("nothing", asked).await.unwrap();
    turn.keep(Revision(7), "first".to_owned(), false)
        .await
        .unwrap();
    drop(turn);
    // The process ends before the response is stored: the record has the key and the request.
    let turn = fixture.controller.lock_key("made", asked).await.unwrap();
    let change = set_split("chat", 10);
    let made = fixture
        .controller
        .apply(change, keyed("made"), Expected::Any, false);
    let made = made.await.unwrap();
    drop(turn);
    let turn = fixture.controller.lock_key("back", asked).await.unwrap();
    let back =
        fixture
            .controller
            .rollback(RollbackTo::Previous, keyed("back"), Expected::Any, true);
    let back = back.await.unwrap();
    drop((turn, fixture));

    let fixture = ControllerFixture::open(&history_path(&folder));
    let turn = fixture.controller.lock_key("nothing", asked).await.unwrap();
    let before = fixture.controller.replayed(&turn).unwrap();
    assert!(matches!(before, Some(ReplayedResponse::Kept(kept)) if kept.body == "first"));
    for (key, revision) in [("made", made.revision), ("back", back.revision)] {
        let turn = fixture.controller.lock_key(key, asked).await.unwrap();
        let before = fixture.controller.replayed(&turn).unwrap();
        assert!(matches!(before, Some(ReplayedResponse::Made(made)) if made.revision == revision));
    }
    for key in ["nothing", "made", "back"] {
        drop(fixture.controller.lock_key(key, asked));
    }
    drop(turn);
    for key in ["nothing", "made", "back"] {
        let turn = fixture.controller.lock_key(key, other).await.unwrap();
        let refused = fixture.controller.replayed(&turn);
        assert!(matches!(
            refused,
            Err(ControlError::KeyReused { revision: Some(_) })
        ));
    }
}

#[tokio::test]
async fn requests_under_one_key_come_one_after_the_other() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 100, 100).await;
    let (asked, other) = (Digest::of(&"asked"), Digest::of(&"other"));
    let first = fixture.controller.lock_key("k", asked).await.unwrap();
    let refused = fixture.controller.lock_key("k", other).await;
    assert!(matches!(
        refused,
        Err(ControlError::KeyReused { revision: None })
    ));
    let mut second = std::pin::pin!(fixture.controller.lock_key("k", asked));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending());
    first
        .keep(Revision(1), "first".to_owned(), true)
        .await
        .unwrap();
    drop(first);
    let second = second.await.unwrap();
    let before = fixture.controller.replayed(&second).unwrap();
    assert!(matches!(before, Some(ReplayedResponse::Kept(kept)) if kept.body == "first"));
}
