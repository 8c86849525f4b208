//! Rollouts of a program that is killed at random moments, and of people who intervene at random moments.

use super::*;
use crate::{conformance::child::Switchback, support::random::Random};

/// A plan that is over in some seconds.
const PLAN: &str =
    r#"{"steps":[{"weight":5,"hold":"1s"},{"weight":50,"hold":"1s"},{"weight":100}],"bake":"1s"}"#;
/// Weights of the release at its steps, and without any.
const WEIGHTS: [u64; 4] = [0, 5, 50, 95];

/// A program to be killed.
pub(super) struct Killed {
    pub(super) program: Switchback,
    pub(super) is_bad: Arc<AtomicBool>,
    pub(super) random: Random,
    /// Paths that get requests.
    pub(super) paths: &'static [&'static str],
    _origins: [Origin; 2],
}

impl Killed {
    pub(super) fn start(seed: u64) -> Self {
        let is_bad = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&is_bad);
        let green = Origin::answering(move |_| {
            if fails.load(Ordering::Relaxed) {
                return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngreen".to_vec()
        });
        let origins = [Origin::replying("blue"), green];
        let [blue, green] = origins.each_ref().map(Origin::url);
        let rest = format!(
            "access_log.format = \"off\"\nworkers = 1\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n\
             [[routes]]\nname = \"tools\"\npath_prefix = \"/tools\"\nsplit = {{ blue = 100, green = 0 }}\n\
             [[routes]]\nname = \"other\"\npath_prefix = \"/other\"\nsplit = {{ blue = 100, green = 0 }}\n"
        );
        Self {
            program: Switchback::start(&[""], &rest),
            is_bad,
            random: Random(seed),
            paths: &["/"],
            _origins: origins,
        }
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (address, length) = (self.program.admin(), body.len());
        let mut client = Client::connect(address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        let response = client.response();
        (
            response.status,
            serde_json::from_slice(&response.body).unwrap(),
        )
    }

    fn begin(&self) -> String {
        let plan: Value = serde_json::from_str(PLAN).unwrap();
        let body = json!({"route": "chat", "to": "green", "plan": plan}).to_string();
        let (status, rollout) = self.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 201, "{rollout}");
        format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap())
    }

    fn split(&self) -> Value {
        self.ask("GET", "/v1/routes/chat", "").1["split"].clone()
    }

    /// Sends requests for a random time of up to a second, and kills the program then.
    pub(super) fn serve_and_kill(&mut self) {
        let end = Instant::now() + Duration::from_millis(self.random.below(1_000));
        self.serve_until(|_| Instant::now() > end);
        self.program.kill_and_restart();
    }

    /// Sends requests until something is true.
    fn serve_until(&self, is_over: impl Fn(&Self) -> bool) {
        let mut client = Client::connect(self.program.listeners[0]);
        while !is_over(self) {
            for path in self.paths {
                (0..20).for_each(|_| drop(client.get(path)));
            }
        }
    }

    /// Sends requests until a rollout has ended.
    pub(super) fn ends(&self, path: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        let rollout = |this: &Self| this.ask("GET", path, "").1;
        self.serve_until(|this| rollout(this)["ended_at"].is_string() || Instant::now() > end);
        rollout(self)
    }
}

#[test]
fn a_good_release_goes_to_its_end_through_kills_and_no_step_is_left_out_or_taken_back() {
    let mut killed = Killed::start(1_129);
    let path = killed.begin();
    let mut step = 0;
    for _ in 0..6 {
        killed.serve_and_kill();
        let (_, rollout) = killed.ask("GET", &path, "");
        let (now, weight) = (
            rollout["step"].as_u64().unwrap(),
            rollout["weight"].as_u64().unwrap(),
        );
        assert!(now >= step, "{step}: {rollout}");
        // What is live is the weight of its step, or that of the next one, which was ordered when it was killed.
        let at = WEIGHTS
            .iter()
            .position(|known| *known == weight)
            .map_or(4, |at| at as u64 - 1);
        assert!(
            at == now || at == now + 1 || rollout["state"] == "succeeded",
            "{rollout}"
        );
        step = now;
    }
    let ended = killed.ends(&path);
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert_eq!(killed.split(), json!({ "blue": 0, "green": 100 }));
    let (_, page) = killed.ask("GET", "/v1/revisions?limit=100", "");
    let group = ended["group"].as_str().unwrap();
    let revisions = page["revisions"].as_array().unwrap();
    let own = revisions
        .iter()
        .filter(|one| one["author"]["group"] == group);
    assert_eq!(own.count(), 4, "each step once: {page:#}");
    assert_eq!(killed.ask("POST", "/v1/rollback", "").0, 200);
    assert_eq!(killed.split(), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn a_bad_release_is_taken_back_through_kills_and_stays_in_quarantine() {
    for seed in 0..3 {
        let mut killed = Killed::start(seed);
        killed.is_bad.store(true, Ordering::Relaxed);
        let path = killed.begin();
        (0..3).for_each(|_| killed.serve_and_kill());
        let ended = killed.ends(&path);
        assert_eq!(ended["state"], "rolled_back", "seed {seed}: {ended:#}");
        assert_eq!(
            killed.split(),
            json!({ "blue": 100, "green": 0 }),
            "seed {seed}"
        );
        killed.program.kill_and_restart();
        let (_, list) = killed.ask("GET", "/v1/quarantine", "");
        assert_eq!(
            list["releases"][0]["release"], "green",
            "seed {seed}: {list}"
        );
        assert_eq!(
            killed.split(),
            json!({ "blue": 100, "green": 0 }),
            "seed {seed}"
        );
    }
}

#[test]
fn what_a_person_decides_at_a_random_moment_stays_through_kills() {
    for seed in 10..14 {
        let mut killed = Killed::start(seed);
        killed.is_bad.store(seed % 2 == 0, Ordering::Relaxed);
        let path = killed.begin();
        let end = Instant::now() + Duration::from_millis(killed.random.below(3_000));
        killed.serve_until(|_| Instant::now() > end);
        let (status, answer) = killed.ask(
            "PATCH",
            "/v1/routes/chat/split",
            r#"{"percent":{"green":33}}"#,
        );
        assert_eq!(status, 200, "{answer}");
        (0..2).for_each(|_| killed.serve_and_kill());
        let ended = killed.ends(&path);
        let state = ended["state"].as_str().unwrap();
        assert!(
            ["superseded", "rolled_back", "succeeded"].contains(&state),
            "{ended:#}"
        );
        assert_eq!(
            killed.split(),
            json!({ "blue": 67, "green": 33 }),
            "seed {seed}: {ended:#}"
        );
    }
}
