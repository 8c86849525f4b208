//! The configuration files that are shipped, the reference that names every key, and golden files of the normal form
//! and of all errors.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use switchback::{
    config::{self, Config, ConfigError, FileCheck, LocatedProblem, Size},
    model::HumanDuration,
};
use toml::{Table, Value};

const REFERENCE: &str = include_str!("../../config/switchback.toml");

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn parse(text: &str) -> Result<Config, Vec<LocatedProblem>> {
    config::parse(text, Path::new("/etc/switchback"), FileCheck::MayBeMissing)
}

fn shown(problems: &[LocatedProblem]) -> String {
    let line = |placed: &LocatedProblem| placed.line.map_or("-".into(), |line| line.to_string());
    let one = |placed: &LocatedProblem| format!("{}: {}", line(placed), placed.problem);
    problems.iter().map(one).collect::<Vec<_>>().join("\n") + "\n"
}

/// The reference with its commented-out keys, those without a default, activated.
fn whole_reference() -> String {
    let awake = |line: &str| {
        let key = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
        key.unwrap_or(line).to_owned()
    };
    // `tokens = []` and `path_prefix` are replaced by the uncommented lines.
    let instead = [
        "tokens = []",
        "#path = \"/exact\"",
        "#env = \"SWITCHBACK",
        "#env = \"CHECKS",
    ];
    let kept = REFERENCE
        .lines()
        .filter(|line| !instead.iter().any(|front| line.starts_with(front)));
    kept.map(awake).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_file_in_config_is_valid() {
    let mut seen = 0;
    for entry in fs::read_dir(home("config")).unwrap() {
        let path = entry.unwrap().path();
        if let Err(error) = config::load(&path) {
            panic!("{error}");
        }
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn the_reference_states_the_defaults() {
    let reference = parse(REFERENCE).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let plain = Config {
        listeners: reference.listeners.clone(),
        releases: reference.releases.clone(),
        routes: reference.routes.clone(),
        ..Config::default()
    };
    assert_eq!(reference, plain);
    let few = r#"[[listeners]]
        address = "127.0.0.1:8080"
        [releases.blue]
        version = "1.0.0"
        endpoints = ["http://10.0.0.11:9000", "http://10.0.0.12:9000"]
        health = { path = "/healthz" }
        [releases.green]
        version = "2.0.0"
        endpoints = ["http://10.0.1.11:9000"]
        [[routes]]
        name = "chat"
        path_prefix = "/"
        split = { blue = 95, green = 5 }"#;
    assert_eq!(parse(few).unwrap(), plain);
}

#[test]
fn the_reference_names_every_key() {
    let text = whole_reference();
    let known: Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    // Some of its keys exclude each other, so only its form is validated.
    known
        .clone()
        .try_into::<Config>()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut missing = BTreeSet::new();
    missing_keys(
        &known,
        &Value::Table(known.clone()),
        &mut Vec::new(),
        &mut missing,
    );
    // The reference has them beside keys that exclude them, or names them with one that has the same keys.
    let excluded = [
        "routes.path",
        "admin.tls.acme",
        "admin.tokens.env",
        "hooks.checks.secrets.env",
        "opentelemetry.headers.authorization.env",
        "prometheus.token.env",
        "releases.rollback.check",
        "sessions.keys.env",
        "ofrep.tokens.env",
    ];
    let alike = ["remove", "split", "switch"].map(|cause| format!("routes.in_flight.{cause}"));
    for key in excluded.into_iter().chain(alike.iter().map(String::as_str)) {
        assert!(missing.remove(key), "{key}");
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Adds an unknown key to each table in turn: the error lists the keys that the table may have.
fn missing_keys(
    document: &Table,
    here: &Value,
    way: &mut Vec<String>,
    missing: &mut BTreeSet<String>,
) {
    match here {
        Value::Array(items) => {
            if let Some(first) = items.first() {
                way.push("0".into());
                missing_keys(document, first, way, missing);
                way.pop();
            }
        }
        Value::Table(table) => {
            for key in expected_keys(document, way) {
                let names = way.iter().filter(|step| *step != "0" && *step != "blue");
                let path = names.chain([&key]).cloned().collect::<Vec<_>>().join(".");
                if !table.contains_key(&key) {
                    missing.insert(path);
                }
            }
            // One release has all keys; the second one is there for the split.
            for (key, value) in table.iter().filter(|(key, _)| *key != "green") {
                way.push(key.clone());
                missing_keys(document, value, way, missing);
                way.pop();
            }
        }
        _ => {}
    }
}

fn expected_keys(document: &Table, way: &[String]) -> Vec<String> {
    let mut document = Value::Table(document.clone());
    let mut here = &mut document;
    for step in way {
        here = match here {
            Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
            other => other.get_mut(step).unwrap(),
        };
    }
    let Value::Table(table) = here else {
        unreachable!("the caller stands on a table");
    };
    // A table of names or of weights takes any key, or refuses it with another error: it has no keys of its own.
    table.insert("zzzz_unknown".into(), Value::Integer(1));
    let Err(error) = document.try_into::<Config>() else {
        return Vec::new();
    };
    let error = error.to_string();
    let Some(rest) = error
        .split("unknown field `zzzz_unknown`, expected ")
        .nth(1)
    else {
        return Vec::new();
    };
    let words = rest.lines().next().unwrap().split('`');
    words.skip(1).step_by(2).map(str::to_owned).collect()
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it instead.
fn golden(path: &str, found: &str) {
    let path = home(&format!("tests/golden/config/{path}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, found.as_bytes()))
            .unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn the_normal_form_is_stable() {
    let text = fs::read_to_string(home("tests/golden/config/full.toml")).unwrap();
    let config = parse(&text).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let normal = config.normal_form();
    golden("full.normal.toml", &normal);
    assert_eq!(parse(&normal).unwrap(), config);
}

#[test]
fn everything_that_is_wrong_is_shown_at_once() {
    for name in ["form", "meaning", "table"] {
        let text = fs::read_to_string(home(&format!("tests/golden/config/{name}.toml"))).unwrap();
        golden(&format!("{name}.txt"), &shown(&parse(&text).unwrap_err()));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = config::load(Path::new("/nowhere/switchback.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    assert_eq!(
        error.to_string(),
        "`/nowhere/switchback.toml` cannot be read"
    );
}

#[test]
fn an_error_shows_one_block_for_each_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let text = "worker = 1\n[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = { certificates = [{ cert = \"no.pem\", key = \"no.key\" }] }\n";
    std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
    let shown = config::load(&path).unwrap_err().to_string();
    let blocks: Vec<_> = shown.split("\n\n").collect();
    assert_eq!(blocks.len(), 3, "{shown}");
    assert_eq!(
        blocks[0],
        format!(
            "{}:1: worker: unexpected key `worker`\n  hint: did you mean `workers`?",
            path.display()
        )
    );
    assert!(
        blocks[1].contains(":4: listeners.0.tls.certificates.0.cert: "),
        "{shown}"
    );
}

#[test]
fn relative_paths_are_seen_from_the_folder_of_the_file() {
    let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[history]\npath = \"state\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.history.path, Path::new("/etc/switchback/state"));
}

/// A head larger than the largest buffer would be refused whatever the limit is.
#[test]
fn sizes_that_no_buffer_has_are_refused() {
    let text = r#"[[listeners]]
address = "127.0.0.1:8080"
[limits]
head = "1MiB"
response_head = "257KiB"
target = "512KiB"
buffer = "4KiB"
"#;
    let problems = shown(&parse(text).unwrap_err());
    for expected in [
        "limits.head: 1048576 is more than 262144",
        "limits.response_head: 263168 is more than 262144",
        "limits.target: 524288 is more than 262144",
        "limits.buffer: 4096 is less than 16384",
        "a head has to fit into one buffer",
        "there are buffers of 16KiB, 64KiB and 256KiB",
    ] {
        assert!(problems.contains(expected), "{expected}\n{problems}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(
        workers in proptest::option::of(1_usize..64),
        head in 1_024_usize..1 << 18,
        millis in 1_u64..10_000_000,
        port in 1_u16..,
        preview: bool,
        queue in 1_usize..1 << 20,
        level in "[a-z=,:\"\\\\]{0,20}",
        weights in proptest::collection::btree_map("[a-z][a-z0-9._-]{0,8}", 0_u32..=1_000_000, 1..4),
    ) {
        let mut config = parse("[[listeners]]\naddress = \"127.0.0.1:0\"\n").unwrap();
        config.workers = workers;
        config.limits.head = Size(head);
        config.timeouts.silence = HumanDuration(std::time::Duration::from_millis(millis));
        config.listeners[0].preview = preview;
        config.access_log.queue = queue;
        config.log.level = level;
        let mut text = config.normal_form();
        for name in weights.keys() {
            writeln!(text, "[releases.\"{name}\"]\nendpoints = [\"http://192.0.2.1:{port}\"]").unwrap();
        }
        let split = weights.iter().map(|(name, weight)| format!("\"{name}\" = {}", weight + 1));
        let split = split.map(|one| one.replace("1000001", "1000000")).collect::<Vec<_>>().join(", ");
        writeln!(text, "[[routes]]\nname = \"chat\"\nsplit = {{ {split} }}").unwrap();
        let config = parse(&text).map_err(|problems| TestCaseError::fail(shown(&problems)))?;
        let again = parse(&config.normal_form()).map_err(|problems| TestCaseError::fail(shown(&problems)))?;
        prop_assert_eq!(again, config);
    }
}

#[test]
fn mistakes_of_form_and_of_meaning_are_shown_together_and_each_once() {
    let text = r#"worker = 1
[[listeners]]
address = "127.0.0.1:8080"
[releases.blue]
endpoints = ["192.0.2.1:9000"]
[releases.green]
endpoints = ["http://192.0.2.2:9000"]
version = 2
[[routes]]
name = "chat"
split = { blue = 1, green = 1, gren = 1 }
"#;
    let problems = parse(text).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|placed| placed.problem.path.as_str())
        .collect();
    let expected = [
        "worker",
        "releases.blue.endpoints.0",
        "releases.green.version",
        "routes.chat.split.gren",
    ];
    assert_eq!(places, expected, "{}", shown(&problems));
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_validated(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[\\[\\]{}\"'=.,#a-z0-9 \n-]{0,12}"), 1..6),
    ) {
        let mut text = REFERENCE.to_owned();
        for (place, length, instead) in cuts {
            let start = place.index(text.len());
            let end = (start + length).min(text.len());
            if text.is_char_boundary(start) && text.is_char_boundary(end) {
                text.replace_range(start..end, &instead);
            }
        }
        match parse(&text) {
            Ok(config) => {
                let again = parse(&config.normal_form());
                let again = again.map_err(|problems| TestCaseError::fail(shown(&problems)))?;
                prop_assert_eq!(again, config);
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                let lines = text.lines().count() + 1;
                let inside = |placed: &LocatedProblem| placed.line.is_none_or(|line| (1..=lines).contains(&line));
                prop_assert!(problems.iter().all(inside), "{}", shown(&problems));
            }
        }
    }
}

#[test]
fn a_problem_of_an_element_points_to_the_line_of_the_element() {
    let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[releases.blue]\nendpoints = [\n  \"http://10.0.0.1:80\",\n\
                \x20 \"http://10.0.0.1:80\",\n]\n[[routes]]\nname = \"chat\"\nsplit = { blue = 1 }\naffinity = [\n\
                \x20 { header = \"x-session\" },\n  { header = \"X-Session\" },\n]\n";
    assert_eq!(
        shown(&parse(text).unwrap_err()),
        "6: releases.blue.endpoints.1: `http://10.0.0.1:80` is listed twice\n13: routes.chat.affinity.1: `X-Session` is not a header field name\n  hint: use lower case letters, digits and `-`\n"
    );
}

const TWO_PROTOCOLS: &str = "[[listeners]]\naddress = \"127.0.0.1:8080\"\n\
    [releases.old]\nendpoints = [\"http://127.0.0.1:9000\"]\n\
    [releases.new]\nendpoints = [\"http://127.0.0.1:9001\"]\nprotocol = \"h2\"\n\
    [[routes]]\nname = \"all\"\nsplit = { old = 1, new = 0 }\n";

#[test]
fn what_is_http_or_passes_in_any_case_is_no_upgrade_that_a_route_may_let_through() {
    let refused = |name: &str| {
        let text = format!("{TWO_PROTOCOLS}upgrades = [\"tcp\", {name:?}]\n");
        let problems = parse(&text).err().map(|problems| shown(&problems));
        problems.inspect(|shown| assert!(shown.starts_with("11: routes.all.upgrades.1"), "{shown}"))
    };
    for name in [
        "h2",
        "h2c",
        "H2C",
        "http",
        "HTTP/2.0",
        "https",
        "tls",
        "TLS/1.0",
        "websocket",
        "WebSocket",
    ] {
        assert!(refused(name).is_some(), "{name}");
    }
    for name in ["tcp", "SPDY/3.1", "ht", "connect-udp"] {
        assert_eq!(refused(name), None);
    }
}

#[test]
fn a_fallback_that_leads_nowhere_is_said_beforehand() {
    let places = |lines: &str| {
        let trial = TWO_PROTOCOLS.replace("new = 0", "new = 1");
        let config = parse(&format!("{trial}fallback = \"stable\"\n{lines}")).unwrap();
        let warnings = config.warnings();
        warnings
            .iter()
            .map(|one| one.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(places(""), ["routes.all.fallback"]);
    assert_eq!(places("stable = \"old\""), [""; 0]);
}

#[test]
fn a_queue_in_which_nothing_waits_is_said_beforehand() {
    let places = |limits: &str| {
        let text = TWO_PROTOCOLS.replace(
            "[[routes]]",
            &format!("limits = {{ {limits} }}\n[[routes]]"),
        );
        let warnings = parse(&text).unwrap().warnings();
        warnings
            .iter()
            .map(|one| one.path.clone())
            .collect::<Vec<_>>()
    };
    let [place] = &places("queue = 9")[..] else {
        panic!("one warning");
    };
    assert!(place.ends_with(".limits.queue"), "{place}");
    for fine in [
        "queue = 0",
        "queue = 9, concurrency = 2",
        "queue = 9, in_flight_per_endpoint = 1",
    ] {
        assert_eq!(places(fine), [""; 0], "{fine}");
    }
}

#[test]
fn what_a_release_of_http2_makes_of_upgrades_is_said_beforehand() {
    let warned = |lines: &str| {
        let config = parse(&format!("{TWO_PROTOCOLS}{lines}")).unwrap();
        let told = |problem: &switchback::model::Problem| problem.to_string();
        config.warnings().iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(warned(""), [""; 0]);
    for (lines, place, what) in [
        (
            "timeouts.websocket_idle = \"1h\"",
            "routes.all.timeouts.websocket_idle",
            "RFC 8441",
        ),
        ("upgrades = [\"tcp\"]", "routes.all.upgrades", "get 501"),
    ] {
        let [warning] = &warned(lines)[..] else {
            panic!("not one warning for {lines}");
        };
        let is_told = |word: &str| warning.contains(word);
        assert!(
            is_told(place) && is_told(what) && is_told("`new`"),
            "{warning}"
        );
    }
}
