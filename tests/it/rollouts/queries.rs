//! Values of a Prometheus in the verdict of a rollout.

use super::*;
use crate::support::{Request, Served, reply};

/// A Prometheus that answers as `answer` says for the release of a query, and keeps what it was asked.
struct FakePrometheus {
    origin: Origin,
    asked: Arc<std::sync::Mutex<Vec<Request>>>,
}

impl FakePrometheus {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let origin = Origin::answering(move |request| {
            kept.lock().unwrap().push(request.clone());
            let body = String::from_utf8_lossy(&request.body);
            let is_green = body.contains("release%3D%22green%22");
            answer(if is_green { "green" } else { "blue" })
        });
        Self { origin, asked }
    }
}

fn value(value: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
    );
    reply(200, "", &body)
}

/// Starts a rollout that looks at the tokens a second, and returns it once it is as wanted.
fn judged(prometheus: &FakePrometheus, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let origins = [Origin::replying("blue"), Origin::replying("green")];
    let [blue, green] = origins.each_ref().map(Origin::url);
    let url = prometheus.origin.url();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    crate::support::write(&token, "secret\n");
    let served = Served::start(&format!(
        "[prometheus]\nurl = \"{url}/prom/\"\ninterval = \"1s\"\ntimeout = \"2s\"\ntoken = {{ file = \"{}\" }}\n\
         [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n",
        token.display()
    ));
    let query = r#"sum(rate(tokens_total{release="{{release}}"}[{{interval}}]))"#;
    let metric = json!({"name": "tokens", "query": query, "worse": "lower"});
    let steps = json!([{"weight": 5, "hold": "10m"}, {"weight": 100}]);
    let plan = json!({"steps": steps, "metrics": [metric]});
    let body = json!({"route": "chat", "to": "green", "plan": plan});
    let (status, begun) = served.admin("POST", "/v1/rollouts", &body);
    assert_eq!(status, 201, "{begun}");
    let path = format!("/v1/rollouts/{}", begun["id"].as_str().unwrap());
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let (_, rollout) = served.admin("GET", &path, &Value::Null);
        if is_wanted(&rollout) {
            return rollout;
        }
        assert!(Instant::now() < end, "{rollout:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn tokens(rollout: &Value) -> Value {
    let metrics = rollout["verdict"]["metrics"].as_array().unwrap();
    let mut metrics = metrics.iter();
    let tokens = metrics.find(|metric| metric["name"] == "tokens");
    tokens.cloned().unwrap_or_default()
}

#[test]
fn a_release_whose_values_are_worse_is_taken_back() {
    let prometheus = FakePrometheus::start(|release| match release {
        "green" => value("40"),
        _ => value("100.5"),
    });
    let ended = judged(&prometheus, |rollout| rollout["ended_at"].is_string());
    assert_eq!(ended["state"], "rolled_back", "{ended:#}");
    let tokens = tokens(&ended);
    assert_eq!(tokens["verdict"], "worse", "{ended:#}");
    let words = ended["verdict"]["words"].as_str().unwrap();
    assert!(
        words.contains("`tokens` of green is lower than that of blue in "),
        "{words}"
    );
    let asked = prometheus.asked.lock().unwrap();
    let first = asked.first().unwrap();
    assert_eq!(first.line(), "POST /prom/api/v1/query HTTP/1.1");
    assert_eq!(first.values("authorization"), ["Bearer secret"]);
    let body = String::from_utf8_lossy(&first.body);
    assert!(body.ends_with("%5B1s%5D%29%29&timeout=2s"), "{body}");
}

#[test]
fn a_prometheus_that_does_not_answer_makes_nothing_fine_and_nothing_worse() {
    let prometheus = FakePrometheus::start(|_| reply(503, "", "down"));
    let silent = judged(&prometheus, |rollout| {
        let words = tokens(rollout)["words"].clone();
        words
            .as_str()
            .is_some_and(|words| words.contains("no value: "))
    });
    assert_eq!(silent["state"], "running", "{silent:#}");
    let tokens = tokens(&silent);
    assert_eq!(tokens["verdict"], "not_enough_data", "{silent:#}");
    assert!(
        tokens["words"].as_str().unwrap().contains("503"),
        "{tokens}"
    );
}

#[test]
fn a_prometheus_that_cannot_be_asked_is_found_by_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("switchback.toml");
    let metrics =
        r#"metrics = [{ name = "a", query = "up{release=\"{{release}}\"}", worse = "lower" }]"#;
    for (lines, place) in [
        (
            format!("[plans.quick]\nsteps = [{{ weight = 100 }}]\n{metrics}"),
            "plans.quick.metrics",
        ),
        (
            "[prometheus]\nurl = 'http://127.0.0.1:9'\ntoken = { env = 'SWITCHBACK_TEST_NO_SUCH' }"
                .into(),
            "prometheus.token",
        ),
        (
            "[prometheus]\nurl = 'https://127.0.0.1:9'\nca = 'missing.pem'".into(),
            "prometheus.ca",
        ),
    ] {
        let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{lines}\n");
        crate::support::write(&path, &text);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_switchback"))
            .arg("check")
            .arg(&path)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{lines}");
        assert!(shown.contains(place), "{place}: {shown}");
    }
}
