//! The table in `README.md` that names the cases of each requirement is complete.

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Write as _, path::Path};

use super::{cases, h2};

/// The requirements that cases are about.
const REQUIREMENTS: [(u8, &str); 23] = [
    (
        1,
        "one framing: exactly one length or exactly one `chunked`; framing is written anew",
    ),
    (
        2,
        "exactly one valid `Host`; an absolute target and `:authority` override it",
    ),
    (
        3,
        "no `CONNECT`; `*` only with `OPTIONS`; only HTTP/1.0 and 1.1; no odd byte in a target",
    ),
    (
        4,
        "upgrades only to a WebSocket and to what a route names; a tunnel only after 101; no unsolicited 101",
    ),
    (
        5,
        "fields of one connection end here; protected fields cannot be nominated",
    ),
    (6, "forwarding fields tell the truth; no `_` in names"),
    (
        7,
        "HTTP/2 to HTTP/1.1: cookies joined, authority to `Host`, lengths checked, malformed streams reset",
    ),
    (8, "a message that was cut never looks whole"),
    (
        9,
        "what was not sent may be sent again; a POST of which a byte was sent never is",
    ),
    (
        10,
        "a connection to an origin is used again only after both sides were read to the end",
    ),
    (
        11,
        "limits of heads, targets, methods, fields, trailers, extensions",
    ),
    (12, "time limits of clients"),
    (13, "silence of origins is limited, streams are not"),
    (14, "nothing is buffered"),
    (
        15,
        "a client that leaves sets the origin free within a second",
    ),
    (
        16,
        "back-pressure: a reader that does not read costs little",
    ),
    (17, "limits of HTTP/2"),
    (18, "a budget for HTTP/2 frames that cost and bring nothing"),
    (19, "connections are limited, and the accept loop survives"),
    (
        20,
        "odd answers are 502; interim answers pass, up to a limit",
    ),
    (21, "an origin that is down is 502 or 503 at once"),
    (
        26,
        "the bytes matched are the bytes forwarded; ambiguous paths are refused",
    ),
    (27, "no loops, no impersonation; a valid trace passes"),
];

/// The requirements that attacks cover instead of cases.
const ELSEWHERE: [(u8, &str); 4] = [
    (
        12,
        "slow_heads_are_cut, slow_bodies_are_cut, silent_connections_are_cut",
    ),
    (
        16,
        "slow_readers_cost_little, readers_without_a_window_cost_little",
    ),
    (
        18,
        "rapid_resets_are_withstood, made_resets_are_withstood, continuations_are_withstood, settings_are_withstood, \
         pings_are_withstood, priorities_are_withstood, empty_data_is_withstood",
    ),
    (
        19,
        "idle_connections_cost_little, the_accept_loop_survives_without_descriptors",
    ),
];

const START: &str = "<!-- generated: run the suite with BLESS=1 to write it anew -->\n";

fn table() -> String {
    let mut by_requirement: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for case in cases::all().into_iter().chain(h2::cases::all()) {
        for number in &case.requirements {
            let names = by_requirement.entry(*number).or_default();
            names.push(case.name.clone());
        }
    }
    let mut text = String::from(START);
    for (number, what) in REQUIREMENTS {
        let names = by_requirement.remove(&number).unwrap_or_default();
        writeln!(text, "\n### {number}. {what}\n").unwrap();
        writeln!(text, "{} cases: {}.", names.len(), names.join(", ")).unwrap();
        let elsewhere = ELSEWHERE.iter().filter(|(own, _)| *own == number);
        for (_, tests) in elsewhere {
            writeln!(text, "Beside them, in `tests/attacks`: {tests}.").unwrap();
        }
    }
    assert!(
        by_requirement.is_empty(),
        "unknown requirements: {by_requirement:?}"
    );
    text
}

#[test]
fn the_readme_names_the_cases_of_each_requirement() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance/README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text
        .split_once(START)
        .expect("the README has a generated part");
    let expected = format!("{before}{}", table());
    if std::env::var_os("BLESS").is_some() {
        let file = fs::File::create(&path);
        file.and_then(|mut file| file.write_all(expected.as_bytes()))
            .unwrap();
    }
    let is_same = fs::read_to_string(&path).unwrap() == expected;
    assert!(
        is_same,
        "the README is out of date; run this test with BLESS=1"
    );
}
