//! Trains of a program that is killed in the middle of a step and of a way back.

use super::{killed::Killed, *};

/// Weights of the steps; none is left by itself.
const WEIGHTS: [u64; 8] = [1, 5, 10, 20, 30, 40, 50, 60];
/// A plan that is over in some seconds.
const SHORT_TRAIN: &str =
    r#"{"steps":[{"weight":5,"hold":"1s"},{"weight":50,"hold":"1s"},{"weight":100}],"bake":"1s"}"#;
/// Longest time, in microseconds, from an order to the kill: some orders have not begun then, and some have ended.
const LATEST_KILL: u64 = 25_000;

impl Killed {
    fn start_train(seed: u64) -> Self {
        let mut killed = Self::start(seed);
        killed.paths = &["/", "/tools"];
        killed
    }

    fn begin_train(&self, plan: &Value) -> String {
        let body = json!({"routes": ["chat", "tools"], "to": "green", "plan": plan}).to_string();
        let (status, rollout) = self.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 201, "{rollout}");
        format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap())
    }

    /// Percents that green has on both routes, which are the same.
    fn weight(&self) -> u64 {
        // One table for both: the routes are read together.
        let (_, table) = self.ask("GET", "/v1/routes", "");
        let routes = table["routes"].as_array().unwrap();
        let weights = ["chat", "tools"].map(|name| {
            let route = routes.iter().find(|route| route["name"] == name);
            let split = &route.unwrap()["split"];
            let part = |release: &str| split[release].as_u64().unwrap_or(0);
            part("green") * 100 / (part("blue") + part("green"))
        });
        assert_eq!(weights[0], weights[1], "{table:#}");
        weights[0]
    }

    /// Sends an order, kills the program at a random moment of it, and starts it again.
    fn kill_amid(&mut self, path: &str) {
        let address = self.program.admin();
        let mut client = Client::connect(address);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n"
        ));
        thread::sleep(Duration::from_micros(self.random.below(LATEST_KILL)));
        self.program.kill_and_restart();
    }

    /// Waits until something is true of a rollout, with both routes in the same step all the time.
    fn train_reaches(&self, path: &str, mut is_there: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            self.weight();
            let (_, rollout) = self.ask("GET", path, "");
            if is_there(&rollout) {
                return rollout;
            }
            assert!(Instant::now() < end, "{rollout:#}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The revisions of a rollout.
    fn own_revisions(&self, rollout: &Value) -> usize {
        let (_, page) = self.ask("GET", "/v1/revisions?limit=100", "");
        let revisions = page["revisions"].as_array().unwrap();
        let group = &rollout["group"];
        let own = revisions
            .iter()
            .filter(|one| one["author"]["group"] == *group && one["cause"]["kind"] == "publish");
        own.count()
    }
}

fn held_plan() -> Value {
    let steps = WEIGHTS.map(|weight| json!({"weight": weight, "hold": "1h"}));
    let steps: Vec<_> = steps.into_iter().chain([json!({"weight": 100})]).collect();
    json!({ "steps": steps })
}

#[test]
fn a_train_that_is_killed_amid_its_steps_and_its_way_back_keeps_its_routes_together() {
    for seed in 30..33 {
        let mut killed = Killed::start_train(seed);
        let path = killed.begin_train(&held_plan());
        let mut step = 0;
        for _ in 0..3 {
            killed.kill_amid(&format!("{path}/skip"));
            // The order was not given, it is live, or it is given now.
            let weight = killed.weight();
            let at = WEIGHTS.iter().position(|known| *known == weight).unwrap();
            assert!(at == step || at == step + 1, "seed {seed}: {weight}");
            // Only in a step that is live its time goes on.
            let mut first: Option<(Value, Value)> = None;
            let settled = killed.train_reaches(&path, |rollout| {
                let now = (rollout["step"].clone(), rollout["held"].clone());
                match &first {
                    Some(first) if first.0 == now.0 => first.1 != now.1,
                    _ => {
                        first = Some(now);
                        false
                    }
                }
            });
            let now = usize::try_from(settled["step"].as_u64().unwrap()).unwrap();
            assert!(now >= at && now <= step + 1, "seed {seed}: {settled:#}");
            step = now;
            assert_eq!(settled["weight"], WEIGHTS[step], "{settled:#}");
            assert_eq!(killed.own_revisions(&settled), step + 1, "each step once");
        }
        // Where another route was changed since, the way back is no rollback of the group.
        if seed % 2 == 1 {
            let change = r#"{"percent":{"green":7}}"#;
            assert_eq!(killed.ask("PATCH", "/v1/routes/other/split", change).0, 200);
        }
        killed.kill_amid(&format!("{path}/rollback"));
        let weight = killed.weight();
        assert!(
            [0, WEIGHTS[step]].contains(&weight),
            "seed {seed}: {weight}"
        );
        // Ordered again, unless it has begun or is over.
        let (status, answer) = killed.ask("POST", &format!("{path}/rollback"), "");
        assert!([200, 409].contains(&status), "seed {seed}: {answer}");
        let ended = killed.train_reaches(&path, |rollout| rollout["ended_at"].is_string());
        assert_eq!(ended["state"], "rolled_back", "seed {seed}: {ended:#}");
        assert_eq!(killed.weight(), 0, "seed {seed}");
        let other = killed.ask("GET", "/v1/routes/other", "").1["split"]["green"].clone();
        assert_eq!(other, json!(if seed % 2 == 1 { 7 } else { 0 }));
        killed.program.kill_and_restart();
        assert_eq!(killed.weight(), 0, "seed {seed}");
    }
}

#[test]
fn a_promoted_train_that_is_killed_amid_its_abort_is_not_promoted_again() {
    for seed in 40..43 {
        let mut killed = Killed::start_train(seed);
        let path = killed.begin_train(&held_plan());
        killed.kill_amid(&format!("{path}/promote"));
        let promoted = killed.weight();
        assert!([1, 100].contains(&promoted), "seed {seed}: {promoted}");
        let (status, answer) = killed.ask("POST", &format!("{path}/rollback"), "");
        assert_eq!(status, 200, "seed {seed}: {answer}");
        killed.program.kill_and_restart();
        let ended = killed.train_reaches(&path, |rollout| rollout["ended_at"].is_string());
        assert_eq!(ended["state"], "rolled_back", "seed {seed}: {ended:#}");
        assert_eq!(killed.weight(), 0, "seed {seed}");
    }
}

#[test]
fn a_bad_train_is_taken_back_through_kills_with_all_of_its_routes() {
    for seed in 50..52 {
        let mut killed = Killed::start_train(seed);
        killed.is_bad.store(true, Ordering::Relaxed);
        let path = killed.begin_train(&serde_json::from_str(SHORT_TRAIN).unwrap());
        for _ in 0..3 {
            killed.serve_and_kill();
            killed.weight();
        }
        let ended = killed.ends(&path);
        assert_eq!(ended["state"], "rolled_back", "seed {seed}: {ended:#}");
        assert_eq!(killed.weight(), 0, "seed {seed}");
    }
}
