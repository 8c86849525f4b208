//! TOML syntax errors, explained for users of other formats.

use toml::de::Error;

use super::spans;
use crate::model::Problem;

/// Syntax errors of a text, one for each line, with the line.
pub(super) fn problems(text: &str, errors: &[Error], most: usize) -> Vec<(usize, Problem)> {
    if let Some(found) = other_format(text) {
        return vec![found];
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<(usize, Problem)> = Vec::new();
    let mut doubled: Option<usize> = None;
    for error in errors {
        let line = spans::line(text, error.span().map_or(0, |span| span.start));
        let content = lines.get(line - 1).copied().unwrap_or_default();
        if found.iter().any(|(other, _)| *other == line) || is_below(&lines, doubled, line) {
            continue;
        }
        let is_double = error.message() == "duplicate key";
        if is_double && content.trim_start().starts_with('[') {
            doubled = Some(line);
        }
        found.push((line, problem(error.message(), content)));
    }
    found.sort_by_key(|(line, _)| *line);
    found.truncate(most);
    found
}

/// True if a line belongs to a duplicate table, which was already reported.
fn is_below(lines: &[&str], header: Option<usize>, line: usize) -> bool {
    let Some(header) = header.filter(|header| *header < line) else {
        return false;
    };
    let between = &lines[header.min(lines.len())..line.min(lines.len())];
    !between
        .iter()
        .any(|line| line.trim_start().starts_with('['))
}

/// Detects a text in another format than TOML.
fn other_format(text: &str) -> Option<(usize, Problem)> {
    let mut lines = text.lines().enumerate();
    let (number, first) = lines.find(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    })?;
    let first = first.trim();
    let (name, hint) = if first == "---" || is_yaml(first) {
        (
            "YAML",
            "write `key = value` instead of `key: value`, `[[listeners]]` for an element of a list, `[releases.blue]` for a table",
        )
    } else if first.starts_with('{') {
        (
            "JSON",
            "write `key = value` on separate lines, `[[listeners]]` for an element of a list, `[releases.blue]` for a table",
        )
    } else if first.ends_with('{') && !first.contains('=') {
        (
            "written in blocks",
            "write `[[listeners]]` or `[releases.blue]` instead of a block, and `key = value` below it",
        )
    } else {
        return None;
    };
    let message = format!("this is {name}, and the file has to be TOML");
    Some((number + 1, Problem::new("", message).hint(hint)))
}

/// True if a line is `key:` or `key: value`.
fn is_yaml(line: &str) -> bool {
    let Some((key, rest)) = line.split_once(':') else {
        return false;
    };
    is_bare(key) && (rest.is_empty() || rest.starts_with(' '))
}

fn is_bare(key: &str) -> bool {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !key.is_empty() && key.bytes().all(bare)
}

fn problem(message: &str, line: &str) -> Problem {
    let line = line.trim();
    let say = |message: String, hint: String| Problem::new("", message).hint(hint);
    if message == "duplicate key" {
        return if line.starts_with('[') {
            say(
                format!("duplicate table `{line}`"),
                "keep all keys of a table below one header".into(),
            )
        } else {
            let key = line.split('=').next().unwrap_or_default().trim();
            say(format!("duplicate key `{key}`"), "keep one of them".into())
        };
    }
    if is_yaml(line) {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        return say(
            "`:` instead of `=`".into(),
            format!("write `{key} ={value}`"),
        );
    }
    if line.starts_with('[') && message.starts_with("unclosed ") {
        return unclosed(line);
    }
    let Some((key, value)) = line.split_once('=') else {
        return Problem::new("", message);
    };
    unquoted(key.trim(), value.trim()).unwrap_or_else(|| Problem::new("", message))
}

/// Problem of a table header that lacks a bracket.
fn unclosed(line: &str) -> Problem {
    let line = line.split(" #").next().unwrap_or(line).trim();
    let open = if line.starts_with("[[") { 2 } else { 1 };
    let name = line.trim_matches(['[', ']', ' ']);
    let (before, after) = ("[".repeat(open), "]".repeat(open));
    Problem::new("", format!("`{line}` lacks a bracket"))
        .hint(format!("write `{before}{name}{after}`"))
}

/// Problem of a string without quotes, or with quotes of another kind.
fn unquoted(key: &str, value: &str) -> Option<Problem> {
    let value = value.split(" #").next().unwrap_or(value).trim();
    let say = |message: &str, hint: String| Some(Problem::new("", message).hint(hint));
    if value.contains(['“', '”', '„', '‘', '’']) {
        let straight = value
            .replace(['“', '”', '„'], "\"")
            .replace(['‘', '’'], "'");
        return say("typographic quotes", format!("write `{key} = {straight}`"));
    }
    if value.contains(['"', '\'']) || value.is_empty() {
        return None;
    }
    match value {
        "yes" | "on" | "True" | "TRUE" => {
            return say(
                "a boolean is `true` or `false`",
                format!("write `{key} = true`"),
            );
        }
        "no" | "off" | "False" | "FALSE" => {
            return say(
                "a boolean is `true` or `false`",
                format!("write `{key} = false`"),
            );
        }
        _ => {}
    }
    let inside = value.trim_start_matches('[').trim_end_matches(']').trim();
    let (open, close) = if value.starts_with('[') {
        ("[", "]")
    } else {
        ("", "")
    };
    let plain = !inside.is_empty() && !inside.contains(['{', '}', '[', ']', ',', '=', ' ']);
    if !plain {
        return None;
    }
    say(
        "a string needs quotes",
        format!("write `{key} = {open}\"{inside}\"{close}`"),
    )
}
