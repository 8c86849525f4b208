//! The transcripts in `docs/`, and the commands of the README: every command is run, and its output is compared with
//! the page.
//!
//! The `console` blocks of a page are one shell session. Its addresses are replaced by free ports. Times, and the
//! spaces between columns, are not compared; `…` matches anything. `DOCS_RECORD=1 cargo test --test it docs` writes the
//! output into the pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::signal;

/// Timeout for one command of a page.
const COMMAND: Duration = Duration::from_secs(60);

/// The end of a command's output; its exit status follows.
const MARK: &str = "-- end of the output --";

#[test]
fn what_a_release_day_shows_is_what_happens() {
    run_page("docs/release-day.md", Numbers::Same);
}

#[test]
fn the_first_canary_is_taken_back_as_its_page_shows() {
    run_page("docs/first-canary.md", Numbers::Any);
}

#[test]
fn datadog_is_switched_on_as_its_page_shows() {
    run_page("docs/datadog.md", Numbers::Any);
}

#[test]
fn cloudwatch_is_switched_on_as_its_page_shows() {
    run_page("docs/cloudwatch.md", Numbers::Any);
}

#[test]
fn opentelemetry_is_switched_on_as_its_page_shows() {
    run_page("docs/opentelemetry.md", Numbers::Any);
}

#[test]
fn a_release_is_mirrored_to_as_its_page_shows() {
    run_page("docs/mirroring.md", Numbers::Any);
}

#[test]
fn a_route_is_guarded_as_its_page_shows() {
    run_page("docs/guards.md", Numbers::Any);
}

#[test]
fn answers_are_compressed_as_their_page_shows() {
    run_page("docs/compression.md", Numbers::Any);
}

#[test]
fn recipes_do_what_their_page_shows() {
    run_page("docs/recipes.md", Numbers::Any);
}

#[test]
fn a_proxy_is_backed_up_and_restored_as_its_page_shows() {
    run_page("docs/backup.md", Numbers::Any);
}

#[test]
fn an_installation_is_led_through_its_life_as_its_page_shows() {
    run_page("docs/operations.md", Numbers::Any);
}

#[test]
fn a_new_process_takes_over_as_its_page_shows() {
    run_page("docs/hand-over.md", Numbers::Same);
}

#[test]
fn certificates_are_ordered_as_their_page_shows() {
    run_page("docs/certificates.md", Numbers::Any);
}

/// The commands from `Use it` to the containers, as a new user pastes them: none fails.
#[test]
fn every_command_of_the_readme_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let start = readme.find("\n## Use it\n").unwrap();
    let end = start + readme[start..].find("\n### In containers\n").unwrap();
    let page = &readme[start..end];
    let quickstart = std::fs::read_to_string(root.join("config/quickstart.toml")).unwrap();
    let ports = free_ports(&format!("{page}{quickstart}"));
    let mut shell = Shell::start();
    let mut run = |line: &str| {
        let (printed, status) = there_and_back(&mut shell, line, &ports);
        assert_eq!(status, 0, "{line}\n{printed}");
    };
    run("$ mkdir config; export SWITCHBACK_ADMIN=http://127.0.0.1:9900");
    run(&here("config/quickstart.toml", &quickstart));
    let mut count = 0;
    for part in parts(page) {
        match part {
            Part::Command { line, .. } => {
                run(line);
                count += 1;
                if line.contains("switchback serve ") {
                    run("$ until switchback status 2> errors.log; do sleep 0.05; done");
                }
            }
            Part::Toml(text) => run(&here("switchback.toml", text)),
            Part::Text(_) => {}
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

/// A command that appends a text to a file.
fn here(file: &str, text: &str) -> String {
    let text: Vec<_> = text.lines().map(|line| format!("> {line}\n")).collect();
    format!("$ cat >> {file} <<'END'\n{}> END", text.concat())
}

/// The numbers of an output, compared with those of the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// They are the same.
    Same,
    /// Any: they come from traffic.
    Any,
}

impl Numbers {
    /// The text, with one and the same number for all of them if they are not compared.
    fn compared(self, text: &str) -> String {
        if self == Self::Same {
            return text.to_owned();
        }
        let mut compared = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, number) = rest.split_at(start);
            let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
            let end = number.find(|c| !is_part(c)).unwrap_or(number.len());
            // A mark at the end belongs to the sentence.
            let end = number[..end].trim_end_matches(['.', ',']).len();
            compared.push_str(before);
            compared.push('0');
            rest = &number[end..];
        }
        // Said only where a worker was later than the change.
        (compared + rest).replace(" (last: worker 0)", "")
    }
}

/// Runs a page and compares or records the output.
fn run_page(name: &str, numbers: Numbers) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let ports = free_ports(&page);
    let mut shell = Shell::start();
    let mut shown = String::new();
    let mut wrong = String::new();
    for part in parts(&page) {
        match part {
            Part::Text(text) | Part::Toml(text) => shown.push_str(text),
            Part::Command { line, expected } => {
                let (printed, _) = there_and_back(&mut shell, line, &ports);
                let is_shown = agrees(&numbers.compared(expected), &numbers.compared(&printed));
                if !is_shown {
                    let _ = writeln!(
                        wrong,
                        "{line}\n-- the page shows:\n{expected}-- it printed:\n{printed}"
                    );
                }
                let _ = writeln!(shown, "{line}");
                shown.push_str(if is_shown { expected } else { &printed });
            }
        }
    }
    if std::env::var_os("DOCS_RECORD").is_some() {
        record(&path, &shown);
    } else {
        assert!(
            wrong.is_empty(),
            "{name}, to be recorded with DOCS_RECORD=1:\n{wrong}"
        );
    }
}

/// Runs a line with the ports of this run; returns its output with the ports of the page, and its status.
fn there_and_back(
    shell: &mut Shell,
    line: &str,
    ports: &BTreeMap<String, String>,
) -> (String, i32) {
    let lines: Vec<_> = line.lines().map(|line| &line[2..]).collect();
    let mut text = lines.join("\n");
    for (page, own) in ports {
        text = text.replace(page, own);
    }
    let (mut printed, status) = shell.run(&text);
    for (page, own) in ports {
        printed = printed.replace(own, page);
    }
    (printed, status)
}

fn record(path: &Path, text: &str) {
    let new: PathBuf = path.with_extension("new");
    std::fs::File::create(&new)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A part of a page.
enum Part<'a> {
    /// Prose, and the lines around a block.
    Text(&'a str),
    /// A line of a file.
    Toml(&'a str),
    /// A command with the output that the page shows.
    Command { line: &'a str, expected: &'a str },
}

fn parts(page: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut block = "";
    let mut at = 0;
    while at < page.len() {
        let end = page[at..]
            .find('\n')
            .map_or(page.len(), |length| at + length + 1);
        let line = &page[at..end];
        if let Some(kind) = line.strip_prefix("```") {
            block = kind.trim_end();
        }
        if block != "console" || !line.starts_with("$ ") {
            let in_toml = block == "toml" && !line.starts_with("```");
            let part = if in_toml { Part::Toml } else { Part::Text };
            parts.push(part(line));
            at = end;
            continue;
        }
        // Lines that begin with `> ` continue the command.
        let more = page[end..].split_inclusive('\n');
        let more: usize = more
            .take_while(|line| line.starts_with("> "))
            .map(str::len)
            .sum();
        let (line, rest) = page[at..].split_at(end + more - at);
        let stops = ["\n$ ", "\n```"].iter();
        let length = stops
            .filter_map(|stop| format!("\n{rest}").find(stop))
            .min();
        let length = length.unwrap_or(rest.len());
        parts.push(Part::Command {
            line: line.trim_end(),
            expected: &rest[..length],
        });
        at = end + more + length;
    }
    parts
}

/// A free port for each loopback address of the page.
///
/// It is below the system's ephemeral ports: a test beside this one cannot take it before the page's program does.
fn free_ports(page: &str) -> BTreeMap<String, String> {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 700).unwrap() * 16;
    let free = || loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (first + tried) % 12_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    };
    let mut ports = BTreeMap::new();
    for rest in page.split("127.0.0.1:").skip(1) {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        ports
            .entry(format!("127.0.0.1:{digits}"))
            .or_insert_with(free);
    }
    ports
}

/// True if the output matches the page, except for times and the spaces between columns.
fn agrees(expected: &str, printed: &str) -> bool {
    let (expected, printed) = (plain(expected), plain(printed));
    let mut pieces = expected.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut exact = true;
    for piece in pieces {
        exact = piece.is_empty();
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty() || (exact && expected.contains('…'))
}

/// A text with single spaces and without times.
fn plain(text: &str) -> String {
    let text: Vec<_> = text.lines().map(plain_line).collect();
    text.join("\n")
}

fn plain_line(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let bare = word.trim_end_matches([',', ';']);
        let after_number = words.last().is_some_and(|last| last.parse::<f64>().is_ok());
        if matches!(bare, "µs" | "ms") && after_number {
            // `38 µs`, `1.2 ms`: a duration.
            words.pop();
            words.push(word.replace(bare, "TIME"));
        } else if bare.len() > 20 && bare.starts_with("20") && bare.ends_with('Z') {
            words.push(word.replace(bare, "TIME"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// A shell session in a folder of its own. Everything that it started ends with it.
struct Shell {
    child: Child,
    lines: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Shell {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_switchback"));
        let path = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut child = Command::new("bash")
            .current_dir(folder.path())
            .env("PATH", path)
            .env_remove("SWITCHBACK_ADMIN")
            .env_remove("SWITCHBACK_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self {
            child,
            lines,
            _folder: folder,
        };
        shell.run("exec 2>&1");
        shell
    }

    /// Runs a line; returns its output and its exit status.
    fn run(&mut self, line: &str) -> (String, i32) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}\necho \"{MARK}$?\"").unwrap();
        let mut printed = String::new();
        loop {
            let next = self.lines.recv_timeout(COMMAND);
            let next = next.unwrap_or_else(|_| panic!("`{line}` did not end: {printed}"));
            if let Some((rest, status)) = next.split_once(MARK) {
                printed.push_str(rest);
                return (printed, status.parse().unwrap());
            }
            printed.push_str(&next);
            printed.push('\n');
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        signal::kill_group(self.child.id());
        let _ = self.child.wait();
    }
}

#[test]
fn numbers_of_traffic_are_not_compared_and_the_words_around_them_are() {
    let same = |one: &str, other: &str| Numbers::Any.compared(one) == Numbers::Any.compared(other);
    assert!(same("36.4 % (4 of 1,164), 2.", "0 % (12 of 9), 33."));
    assert!(!same("4 of 11 fail", "4 of 11 pass"));
    assert_eq!(Numbers::Same.compared("4 of 11"), "4 of 11");
}

#[test]
fn a_page_that_shows_something_else_is_seen() {
    for (expected, printed, same) in [
        (
            "revision 2  a: 1→2   live in 10 µs, durable\n",
            "revision 2  a: 1→2   live in 7.1 ms, durable\n",
            true,
        ),
        (
            "revision 2   live in 10 µs\n",
            "revision 2 live in 10 µs\n",
            true,
        ),
        ("revision 2\n", "revision 3\n", false),
        ("a …\n", "a b c\n", true),
        ("a … d\n", "a b c\n", false),
        (
            "at 2026-11-20T15:57:03.519000Z by x\n",
            "at 2026-11-28T01:02:03.000000Z by x\n",
            true,
        ),
    ] {
        assert_eq!(agrees(expected, printed), same, "{expected} {printed}");
    }
}
