//! Releases that were taken back: no rollout and no edited file gives them requests again.

use super::*;

/// Starts a rollout of green on `chat`.
fn start(bench: &Bench, force: bool) -> (u16, Value) {
    let plan: Value = serde_json::from_str(LONG).unwrap();
    let body = json!({"route": "chat", "to": "green", "force": force, "plan": plan});
    bench.ask("POST", "/v1/rollouts", &body.to_string())
}

/// True if an answer says that the release is in quarantine.
fn is_quarantined((code, refusal): &(u16, Value)) -> bool {
    let kind = refusal["type"].as_str().unwrap_or_default();
    *code == 409 && kind.ends_with("quarantined")
}

#[test]
fn no_rollout_and_no_edited_file_gives_requests_to_what_was_taken_back() {
    let mut bench = Bench::start();
    let path = bench.begin(LONG);
    let message = r#"{"message":"wrong answers"}"#;
    let (code, _) = bench.ask("POST", &format!("{path}/rollback"), message);
    assert_eq!(code, 200);
    let (_, list) = bench.ask("GET", "/v1/quarantine", "");
    assert_eq!(list["releases"][0]["release"], "green", "{list}");
    // It is on the disk.
    bench.restart();
    let (_, status) = bench.ask("GET", "/v1/status", "");
    assert_eq!(status["quarantine"][0]["version"], "2", "{status}");
    let refusal = start(&bench, false);
    assert!(is_quarantined(&refusal), "{refusal:?}");
    let hint = refusal.1["hint"].as_str().unwrap();
    assert!(hint.contains("quarantine lift green"), "{hint}");
    let (_, mut table) = bench.ask("GET", "/v1/table", "");
    table["routes"][0]["split"] = json!({"blue": 50, "green": 50});
    let body = json!({"releases": table["releases"], "routes": table["routes"]}).to_string();
    for path in ["/v1/import?wins=file&dry_run=true", "/v1/import?wins=file"] {
        let refusal = bench.ask("POST", path, &body);
        assert!(is_quarantined(&refusal), "{path}: {refusal:?}");
    }
    // A person may.
    let split = r#"{"weights":{"blue":95,"green":5}}"#;
    let (code, answer) = bench.ask("PUT", "/v1/routes/chat/split", split);
    assert_eq!(code, 200, "{answer}");
}

#[test]
fn force_passes_the_quarantine_and_a_bare_rollback_puts_there_what_it_took_back() {
    let bench = Bench::start();
    let reason = r#"{"reason":"under suspicion"}"#;
    assert_eq!(bench.ask("PUT", "/v1/quarantine/green", reason).0, 200);
    let (code, rollout) = start(&bench, true);
    assert_eq!(code, 201, "{rollout}");
    let id = rollout["id"].as_str().unwrap().to_owned();
    let (code, rollout) = bench.ask("POST", &format!("/v1/rollouts/{id}/promote"), "");
    assert_eq!(
        (code, &rollout["state"]),
        (200, &json!("succeeded")),
        "{rollout}"
    );
    let (code, answer) = bench.ask("POST", "/v1/rollback", r#"{"message":"slow"}"#);
    assert_eq!(code, 200, "{answer}");
    let (_, list) = bench.ask("GET", "/v1/quarantine", "");
    let entries = list["releases"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{list}");
    let reason = entries[0]["reason"].as_str().unwrap();
    assert!(reason.ends_with(": slow"), "{reason}");
    assert_eq!(bench.ask("DELETE", "/v1/quarantine/green", "").0, 200);
    assert_eq!(bench.ask("DELETE", "/v1/quarantine/green", "").0, 404);
    assert_eq!(start(&bench, false).0, 201);
}

#[test]
fn a_release_that_is_put_in_quarantine_amid_its_rollout_goes_no_further() {
    let bench = Bench::start();
    let load = bench.load();
    let path = bench.begin(SHORT);
    let (code, entry) = bench.ask(
        "PUT",
        "/v1/quarantine/green",
        r#"{"reason":"under suspicion"}"#,
    );
    assert_eq!((code, &entry["version"]), (200, &json!("2")), "{entry}");
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, rollout) = bench.ask("GET", &path, "");
        if rollout["waiting_for"]
            .as_str()
            .is_some_and(|reason| reason.contains("under suspicion"))
        {
            assert_eq!(rollout["weight"], 50, "{rollout}");
            break;
        }
        assert!(Instant::now() < end, "{rollout:#}");
        thread::sleep(Duration::from_millis(20));
    }
    let (code, problem) = bench.ask("DELETE", "/v1/quarantine/green?version=1", "");
    let close = json!("did you mean `2`?");
    assert_eq!((code, &problem["hint"]), (404, &close), "{problem}");
    let (code, problem) = bench.ask("GET", "/v1/rollouts/nosuch", "");
    let id = path.trim_start_matches("/v1/rollouts/");
    assert_eq!((code, &problem["known"]), (404, &json!([id])), "{problem}");
    assert_eq!(
        bench.ask("DELETE", "/v1/quarantine/green?version=2", "").0,
        200
    );
    bench.reaches(&path, "succeeded");
    drop(load);
}

#[test]
fn the_command_line_shows_and_lifts_a_quarantine() {
    let admin = TestAdmin::start();
    assert_eq!(
        run_ok(&admin, &["quarantine", "list"]),
        "no release is in quarantine\n"
    );
    let plan = file(&admin, "plan.json", LONG);
    run_ok(
        &admin,
        &["rollout", "start", "chat", "green", "--plan-file", &plan],
    );
    let shown = run_ok(&admin, &["status"]);
    assert!(
        shown.contains(" of chat to green: running, step 1 of 2, 5%"),
        "{shown}"
    );
    run_ok(&admin, &["rollout", "rollback", "chat"]);
    let shown = run_ok(&admin, &["quarantine", "list"]);
    assert!(
        shown.contains("rollout on `chat`: rolled back by hand"),
        "{shown}"
    );
    let shown = run_ok(&admin, &["status"]);
    assert!(shown.contains("in quarantine: green"), "{shown}");
    let (code, text) = run_failing(
        &admin,
        &["rollout", "start", "chat", "green", "--plan-file", &plan],
    );
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("switchback quarantine lift green"), "{text}");
    run_ok(
        &admin,
        &[
            "rollout",
            "start",
            "chat",
            "green",
            "--plan-file",
            &plan,
            "--force",
        ],
    );
    run_ok(&admin, &["rollout", "abort", "chat"]);
    assert!(run_ok(&admin, &["quarantine", "lift", "green"]).starts_with("lifted:"));
    let (code, text) = run_failing(&admin, &["quarantine", "lift", "green"]);
    assert!(text.contains("green"), "{code:?}: {text}");
    run_ok(
        &admin,
        &["quarantine", "add", "green", "-m", "under suspicion"],
    );
    assert!(run_ok(&admin, &["quarantine", "list"]).contains("under suspicion"));
}

#[test]
fn a_damaged_file_is_kept_aside_and_the_status_says_so() {
    let mut bench = Bench::start();
    let reason = r#"{"reason":"under suspicion"}"#;
    assert_eq!(bench.ask("PUT", "/v1/quarantine/green", reason).0, 200);
    bench.running.take().unwrap().stop();
    let path = bench.folder.path().join("history/quarantine.json");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    File::create(&path).unwrap().write_all(&bytes).unwrap();
    bench.run();
    let damaged = |bench: &Bench| {
        let (_, status) = bench.ask("GET", "/v1/status", "");
        status["durability"]["damaged"].clone()
    };
    assert_eq!(damaged(&bench), json!(["quarantine.json.damaged"]));
    assert_eq!(bench.ask("PUT", "/v1/quarantine/blue", reason).0, 200);
    let kept = path.with_file_name("quarantine.json.damaged");
    assert_eq!(std::fs::read(&kept).unwrap(), bytes, "nothing is lost");
    // At the next start all files can be read.
    bench.restart();
    assert_eq!(damaged(&bench), Value::Null);
}
