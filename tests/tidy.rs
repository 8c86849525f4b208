//! Conventions that the compiler does not check: layers, file sizes, doc comments, what must be documented.
//!
//! Sources are read as text, with comments and string literals blanked out where only code counts. No type of the crate
//! is imported, so this builds in seconds.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it should do"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

#[path = "tidy/circles.rs"]
mod circles;

use circles::CIRCLES;

/// Each module of `src/` with the modules that it may import, lowest layer first: an imported module comes earlier in
/// this list, so there can be no cycle. The diagram is in ARCHITECTURE.md, section "Layers".
const LAYERS: &[(&str, &[&str])] = &[
    // the rules of messages, which the stack knows paths by
    ("model", &[]),
    ("seal", &[]),
    ("analysis", &[]),
    ("backup", &["model"]),
    ("rollout", &["analysis", "model"]),
    ("message", &["model"]),
    // the stack
    ("stats", &["model"]),
    ("fleet", &["model", "stats"]),
    ("table", &["fleet", "message", "model", "seal", "stats"]),
    // leaves beside it
    ("http1", &["message"]),
    ("http2", &["message"]),
    ("api", &["model"]),
    ("config", &["fleet", "model", "table"]),
    ("net", &["config", "model"]),
    ("shared_table", &["model"]),
    ("etcd", &["model", "net"]),
    ("hooks", &["api", "config", "model", "net"]),
    ("telemetry", &["fleet", "model", "net", "stats", "table"]),
    ("demo", &["config", "message", "model"]),
    // the control plane
    ("history", &["backup", "model"]),
    (
        "acme",
        &[
            "api",
            "config",
            "model",
            "net",
            "seal",
            "shared_table",
            "telemetry",
        ],
    ),
    (
        "control",
        &[
            "analysis",
            "api",
            "backup",
            "config",
            "fleet",
            "history",
            "hooks",
            "model",
            "rollout",
            "shared_table",
            "stats",
            "table",
            "telemetry",
        ],
    ),
    // siblings: they never import each other
    (
        "proxy",
        &[
            "config",
            "fleet",
            "http1",
            "http2",
            "message",
            "model",
            "net",
            "seal",
            "stats",
            "table",
            "telemetry",
        ],
    ),
    (
        "admin",
        &[
            "api",
            "config",
            "control",
            "model",
            "net",
            "rollout",
            "seal",
            "telemetry",
        ],
    ),
    (
        "health",
        &[
            "config",
            "fleet",
            "http1",
            "http2",
            "message",
            "model",
            "net",
            "telemetry",
        ],
    ),
    ("discovery", &["config", "fleet", "model", "net"]),
    ("ofrep", &["config", "model", "net", "seal", "table"]),
    // what wires them
    (
        "server",
        &[
            "acme",
            "admin",
            "api",
            "config",
            "control",
            "discovery",
            "etcd",
            "fleet",
            "health",
            "history",
            "hooks",
            "model",
            "net",
            "ofrep",
            "proxy",
            "seal",
            "shared_table",
            "table",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "backup",
            "config",
            "demo",
            "history",
            "model",
            "net",
            "server",
            "telemetry",
        ],
    ),
];

/// Files that may name types of hyper, http and axum: those that do the I/O. A folder ends in `/`.
const HTTP_TYPES: &[&str] = &[
    "src/acme/client.rs",
    "src/admin/",
    "src/cli/",
    "src/demo/",
    "src/net/http_answer.rs",
    "src/net/http_body.rs",
    "src/net/http_connection.rs",
    "src/net/http_exchange.rs",
    "src/ofrep/",
    "src/server/synthetic.rs",
];

/// The files that say which modules a crate has.
const ROOTS: [&str; 3] = ["src/data_plane.rs", "src/lib.rs", "src/main.rs"];

const MAX_LINES: usize = 400;

/// Fails with all violations of a rule, so that one run shows everything.
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder whose names end in one of `ends`: sorted paths from the root of the repository.
fn files(folder: &str, ends: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" {
                folders.push(path);
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(
                    path.strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    files("src", &[".rs"])
        .into_iter()
        .map(|path| (read(&path), path))
        .map(|(text, path)| (path, text))
        .collect()
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The part of a file before its tests.
fn without_tests(text: &str) -> &str {
    let mut tests = text.match_indices("#[cfg(test)]\nmod ");
    // `mod tests;` stands with the other modules, before the rest of the file.
    let inline = tests.find(|(at, mark)| {
        text[at + mark.len()..]
            .lines()
            .next()
            .is_some_and(|line| line.ends_with('{'))
    });
    inline.map_or(text, |(end, _)| &text[..end])
}

/// The code of a file: comments and string literals become spaces, line ends stay.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut blank = |from: usize, to: usize| {
        for byte in &mut out[from..to.min(bytes.len())] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => at + text[at..].find('\n').unwrap_or(text.len() - at),
            [b'/', b'*', ..] => at + text[at..].find("*/").map_or(text.len() - at, |end| end + 2),
            [b'r', b'"' | b'#', ..] if at == 0 || !is_word(bytes[at - 1]) => {
                raw_string_end(text, at)
            }
            [b'"', ..] => string_end(bytes, at),
            [b'\'', b'\\', ..] => at + 2 + text[at + 2..].find('\'').map_or(0, |end| end + 1),
            [b'\'', _, b'\'', ..] => at + 3,
            _ => {
                at += 1;
                continue;
            }
        };
        blank(at, end);
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("only whole literals and comments were blanked")
}

fn raw_string_end(text: &str, at: usize) -> usize {
    let hashes = text[at + 1..]
        .bytes()
        .take_while(|byte| *byte == b'#')
        .count();
    if text.as_bytes().get(at + 1 + hashes) != Some(&b'"') {
        return at + 1; // `r#type`
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let inside = at + 2 + hashes;
    inside
        + text[inside..]
            .find(&close)
            .map_or(0, |end| end + close.len())
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    end + 1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Positions of `word` in the code as a path of its own, not as the tail of another word or path.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = code.as_bytes()[..*at].last().copied().unwrap_or(b' ');
            !is_word(before) && before != b':' && before != b'$'
        })
}

/// The first names after `prefix::`: one, or those of a group in braces.
fn names_after(code: &str, at: usize) -> Vec<String> {
    let rest = &code[at..];
    let Some(group) = rest.strip_prefix('{') else {
        return vec![
            rest.bytes()
                .take_while(|byte| is_word(*byte))
                .map(char::from)
                .collect(),
        ];
    };
    let (mut names, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (place, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b',' | b'}' if depth == 0 => {
                names.extend(
                    group[start..place]
                        .trim()
                        .split("::")
                        .next()
                        .map(str::to_owned),
                );
                start = place + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The modules of the crate that a file names, through `crate::` or through enough `super::`.
fn imports(path: &str, code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for at in occurrences(code, "crate::") {
        found.extend(names_after(code, at + "crate::".len()));
    }
    let inside = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let to_root = "super::".repeat(inside.split('/').count());
    for at in occurrences(code, &to_root) {
        found.extend(names_after(code, at + to_root.len()));
    }
    found
}

fn module(path: &str) -> &str {
    let inside = path.trim_start_matches("src/");
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn the_layers_are_listed_from_the_bottom_up() {
    let mut below = BTreeSet::new();
    for (name, allowed) in LAYERS {
        for import in *allowed {
            assert!(
                below.contains(import),
                "`{name}` may import `{import}`, which is not below it"
            );
        }
        assert!(below.insert(name), "`{name}` is listed twice");
    }
}

#[test]
fn the_table_of_layers_in_architecture_md_is_exact() {
    let text = read("ARCHITECTURE.md");
    for (name, allowed) in LAYERS {
        let imports: Vec<String> = allowed.iter().map(|import| format!("`{import}`")).collect();
        let imports = if imports.is_empty() {
            "–".to_owned()
        } else {
            imports.join(", ")
        };
        let is_row = |line: &str| {
            line.starts_with(&format!("| `{name}` |")) && line.ends_with(&format!("| {imports} |"))
        };
        assert!(
            text.lines().any(is_row),
            "ARCHITECTURE.md: `{name}` imports {imports}"
        );
    }
}

#[test]
fn modules_import_only_what_is_below_them() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources() {
        if ROOTS.contains(&path.as_str()) {
            continue;
        }
        let own = module(&path);
        let Some(allowed) = layers.get(own) else {
            broken.push(format!("{path}: `{own}` has no place in LAYERS"));
            continue;
        };
        // `crate::name!` is a macro: macros of the crate are exported at its root.
        for import in imports(&path, &code(without_tests(&text))) {
            if import != own
                && layers.contains_key(import.as_str())
                && !allowed.contains(&import.as_str())
            {
                broken.push(format!("{path}: `{own}` must not import `{import}`"));
            }
            used.insert((own.to_owned(), import));
        }
    }
    for (own, allowed) in LAYERS {
        let unused = allowed
            .iter()
            .filter(|import| !used.contains(&((*own).to_owned(), (**import).to_owned())));
        broken.extend(unused.map(|import| format!("LAYERS: `{own}` does not import `{import}`")));
    }
    none(&broken);
}

#[test]
fn types_of_http_libraries_stay_in_the_files_that_do_io() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if HTTP_TYPES
            .iter()
            .any(|allowed| path == *allowed || allowed.ends_with('/') && path.starts_with(allowed))
        {
            continue;
        }
        let code = code(without_tests(&text));
        for library in [
            "axum",
            "h2",
            "http",
            "http_body_util",
            "hyper",
            "hyper_util",
        ] {
            // A module of ours may have the name of a library.
            let is_ours = code.contains(&format!("use super::{library};"));
            if !is_ours && occurrences(&code, &format!("{library}::")).next().is_some() {
                broken.push(format!("{path}: names types of `{library}`"));
            }
        }
    }
    none(&broken);
}

#[test]
fn every_file_says_what_it_is() {
    let all = ["src", "tests", "benches", "fuzz"]
        .map(|folder| files(folder, &[".rs"]))
        .concat();
    let headless = all
        .into_iter()
        .filter(|path| !read(path).starts_with("//! "));
    none(
        &headless
            .map(|path| format!("{path}: no `//!`"))
            .collect::<Vec<_>>(),
    );
}

/// Words that open a sentence about the item, not one that says what the item is.
const VAGUE_OPENINGS: &[&str] = &["What", "How", "Whether", "Where", "Who", "Why"];

/// The first line of each doc comment, with its number.
fn doc_openings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut last = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim_start();
        let marker = ["//!", "///"]
            .into_iter()
            .find(|marker| line.starts_with(marker) && !line.starts_with("////"));
        let is_first = marker != std::mem::replace(&mut last, marker);
        marker
            .filter(|_| is_first)
            .map(|marker| (index + 1, line[marker.len()..].trim_start()))
    })
}

#[test]
fn doc_comments_open_with_what_the_item_is() {
    let all = ["src", "tests", "benches", "fuzz"]
        .map(|folder| files(folder, &[".rs"]))
        .concat();
    let mut broken = Vec::new();
    for path in all {
        for (number, opening) in doc_openings(&read(&path)) {
            let word = opening.split(|c: char| !c.is_alphanumeric()).next();
            if word.is_some_and(|word| VAGUE_OPENINGS.contains(&word)) {
                broken.push(format!(
                    "{path}:{number}: say first what the item is: `{opening}`"
                ));
            }
        }
    }
    none(&broken);
}

#[test]
fn the_opening_of_a_doc_comment_is_its_first_line() {
    let text =
        "//! A\n//! What\n\n//// no\n/// B\n/// How\nfn f() {}\n    /// Who\n    a: u8,\n// Why\n";
    let seen: Vec<_> = doc_openings(text).collect();
    assert_eq!(seen, [(1, "A"), (5, "B"), (8, "Who")]);
}

#[test]
fn no_file_is_two_ideas() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let lines = without_tests(&text).lines().count();
        if lines > MAX_LINES && !is_test_file(&path) {
            broken.push(format!(
                "{path}: {lines} lines before its tests, {MAX_LINES} are allowed"
            ));
        }
    }
    none(&broken);
}

#[test]
fn what_the_conventions_rule_out_is_not_there() {
    let ruled_out = [
        ("use crate::*", "say what is imported"),
        ("#[allow(", "use #[expect(lint, reason = \"…\")]"),
        ("#![allow(", "use #![expect(lint, reason = \"…\")]"),
        ("todo!", "leave nothing half done"),
        ("unimplemented!", "leave nothing half done"),
    ];
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["X", "XX"].concat(),
    ];
    let mut broken = Vec::new();
    for path in ["src", "tests", "benches", "fuzz"]
        .map(|folder| files(folder, &[".rs"]))
        .concat()
    {
        let text = read(&path);
        if path != "tests/tidy.rs" {
            let code = code(&text);
            broken.extend(
                ruled_out
                    .iter()
                    .filter(|(what, _)| code.contains(what))
                    .map(|(what, instead)| format!("{path}: `{what}`: {instead}")),
            );
        }
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| {
                line.split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == mark)
            }) {
                broken.push(format!("{path}:{}: a mark for later", number + 1));
            }
        }
    }
    none(&broken);
}

/// String literals in the code of a file that satisfy a condition.
fn literals(text: &str, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let lines = without_tests(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|text| wanted(text))
        .map(str::to_owned)
        .collect()
}

fn is_metric(text: &str) -> bool {
    text.starts_with("switchback_")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The names in the first column of the metric table.
fn documented_metrics() -> BTreeSet<String> {
    let text = read("README.md");
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names
        .filter(|name| name.starts_with("switchback_"))
        .map(|name| name.split('{').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_metric_is_documented_and_nothing_else_is() {
    let in_code: BTreeSet<_> = files("src", &[".rs"])
        .into_iter()
        .flat_map(|path| literals(&read(path), is_metric))
        .collect();
    assert!(!in_code.is_empty(), "src names no metric");
    let documented = documented_metrics();
    let missing = in_code
        .difference(&documented)
        .map(|name| format!("README.md: `{name}` is missing"));
    let stale = documented
        .difference(&in_code)
        .map(|name| format!("README.md: there is no `{name}`"));
    none(&missing.chain(stale).collect::<Vec<_>>());
}

#[test]
fn alert_rules_name_metrics_that_exist() {
    let documented = documented_metrics();
    let text = read("docker/alerts.yml");
    let rules = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let words: BTreeSet<_> = rules
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| word.starts_with("switchback_"))
        .collect();
    assert!(!words.is_empty());
    let base = |word: &str| {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| word.strip_suffix(end))
            .unwrap_or(word);
        documented.contains(word) || documented.contains(family)
    };
    let unknown = words.into_iter().filter(|word| !base(word));
    let said = unknown.map(|word| format!("docker/alerts.yml: there is no `{word}`"));
    none(&said.collect::<Vec<_>>());
}

#[test]
fn every_endpoint_of_the_admin_api_stands_in_its_module_doc() {
    let head = read("src/admin/mod.rs");
    let head: Vec<&str> = head
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .collect();
    let mut broken = Vec::new();
    for path in files("src/admin", &[".rs"]) {
        let endpoints = literals(&read(&path), |text| {
            text.starts_with("/v1/")
                || ["/metrics", "/livez", "/readyz", "/openapi.json"].contains(&text)
        });
        for endpoint in endpoints {
            if !head
                .iter()
                .any(|line| line.split(['`', ' ']).any(|word| word == endpoint))
            {
                broken.push(format!(
                    "src/admin/mod.rs: `{endpoint}` ({path}) is not in the module doc"
                ));
            }
        }
    }
    none(&broken);
}

#[test]
fn every_file_in_config_passes_check() {
    let configs = files("config", &[".toml"]);
    assert!(
        configs.len() >= 2,
        "config/ holds the reference and the quick start"
    );
    // Those of Kubernetes read a Secret, with which tests/kubernetes checks them.
    let of_containers = files("docker", &[".toml"]).into_iter();
    let of_containers = of_containers.filter(|path| !path.starts_with("docker/kubernetes/"));
    let mut broken = Vec::new();
    for path in configs.into_iter().chain(of_containers) {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_switchback"))
            .args(["check", &path])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        if !run.status.success() {
            broken.push(format!(
                "{path}: {}{}",
                String::from_utf8_lossy(&run.stdout),
                String::from_utf8_lossy(&run.stderr)
            ));
        }
    }
    none(&broken);
}

/// Paths in the backquotes of a Markdown text. A name beside a folder in a table is a file of that folder.
fn named_paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let names = line.split('`').skip(1).step_by(2);
        let names: Vec<&str> = names.filter(|name| !name.contains("://")).collect();
        let folder = names
            .first()
            .filter(|name| name.starts_with("src/") && line.starts_with("| `"));
        for name in &names {
            let name = name.split(' ').next().unwrap();
            let kind = Path::new(name).extension().and_then(OsStr::to_str);
            let is_file = matches!(kind, Some("rs" | "md" | "toml"));
            let top = name.split('/').next().unwrap();
            match folder {
                Some(folder) if is_file && !name.starts_with("config/") => {
                    found.push(format!("{folder}/{name}"));
                }
                _ if name.contains('/') && !top.is_empty() && top != "target" || is_file => {
                    found.push(name.to_owned());
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn files_that_are_named_exist() {
    let lists = HTTP_TYPES.iter().chain(CIRCLES);
    let lists = lists.map(|path| ("tests/tidy.rs", (*path).to_owned()));
    let documents = ["ARCHITECTURE.md", "CONTRIBUTING.md"].into_iter();
    let documents = documents.flat_map(|document| {
        named_paths(&read(document))
            .into_iter()
            .map(move |path| (document, path))
    });
    let missing = lists
        .chain(documents)
        .filter(|(_, path)| !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists());
    none(
        &missing
            .map(|(place, path)| format!("{place}: there is no `{path}`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_tests_that_hold_the_invariants_exist() {
    let text = read("ARCHITECTURE.md");
    let section = text
        .split("\n## ")
        .find(|part| part.starts_with("Invariants\n"));
    let named = section.unwrap().split('`').skip(1).step_by(2);
    let named: Vec<&str> = named.filter(|name| name.matches('_').count() > 2).collect();
    assert!(named.len() > 12, "an invariant without a test is a wish");
    let all = ["src", "tests"]
        .map(|folder| files(folder, &[".rs"]))
        .concat();
    let code: String = all.into_iter().map(read).collect();
    let missing = named
        .into_iter()
        .filter(|name| !code.contains(&format!("fn {name}(")));
    let said = missing.map(|name| format!("ARCHITECTURE.md: there is no test `{name}`"));
    none(&said.collect::<Vec<_>>());
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    assert!(read("CHANGELOG.md").contains("\n## [Unreleased]\n"));
}

/// Every version that deny.toml skips is a duplicate in Cargo.lock and has a reason.
#[test]
fn duplicate_crates_that_are_skipped_exist_and_have_a_reason() {
    let deny: toml::Table = read("deny.toml").parse().expect("deny.toml is TOML");
    for section in ["graph", "advisories", "licenses", "bans", "sources"] {
        assert!(deny.contains_key(section), "deny.toml has no [{section}]");
    }
    let lock: toml::Table = read("Cargo.lock").parse().expect("Cargo.lock is TOML");
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        versions
            .entry(package["name"].as_str().unwrap())
            .or_default()
            .push(package["version"].as_str().unwrap());
    }
    let mut broken = Vec::new();
    for entry in deny["bans"]["skip"].as_array().unwrap() {
        let (name, version) = entry["crate"]
            .as_str()
            .unwrap()
            .split_once('@')
            .expect("an entry is `name@version`");
        let known = versions.get(name).map_or(&[][..], Vec::as_slice);
        if known.len() < 2 || !known.iter().any(|known| known.starts_with(version)) {
            broken.push(format!(
                "deny.toml: {name} {version} is not a duplicate any more"
            ));
        }
        if entry.get("reason").is_none() {
            broken.push(format!(
                "deny.toml: {name} {version} is skipped without a reason"
            ));
        }
    }
    none(&broken);
}

#[test]
fn the_reader_of_sources_sees_code_only() {
    let text = "//! crate::a\nuse crate::{b::X, c::{d, e}};\nlet s = \"crate::f\"; let c = '\"'; let l: &'a str; r#\"crate::g\"#; crate::h!()";
    let seen = imports("src/x/y.rs", &code(text));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["b", "c", "h"]);
    assert_eq!(
        imports("src/x/y.rs", "use super::super::k::Z; use super::own;")
            .into_iter()
            .collect::<Vec<_>>(),
        ["k"]
    );
    assert_eq!(
        imports("src/x/mod.rs", "use super::k::Z;")
            .into_iter()
            .collect::<Vec<_>>(),
        ["k"]
    );
}
