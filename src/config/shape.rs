//! Detects releases that are not written as tables by name. This runs before the values are parsed, since the parser's
//! messages would be misleading.

use toml::de::{DeTable, DeValue};

use super::spans::PathStep;
use crate::model::Problem;

/// An error of shape.
pub(super) struct Misshapen {
    /// Path to remove, so that the rest can be parsed.
    pub(super) steps: Vec<PathStep>,
    /// Offset in the text.
    pub(super) offset: usize,
    pub(super) problem: Problem,
    /// Paths that are missing as a consequence.
    pub(super) gone: Vec<String>,
}

/// All errors of shape of a document.
pub(super) fn misshapen(root: &DeTable<'_>) -> Vec<Misshapen> {
    let Some((key, releases)) = root.get_key_value("releases") else {
        return Vec::new();
    };
    match releases.get_ref() {
        DeValue::Array(items) => {
            let name = |item: &DeValue<'_>| Some(item.get("name")?.get_ref().as_str()?.to_owned());
            let names: Vec<_> = items
                .iter()
                .filter_map(|item| name(item.get_ref()))
                .collect();
            let first = names.first().map_or("blue", String::as_str);
            let problem = Problem::new("releases", "releases are tables by name, not a list").hint(
                format!("write `[releases.{first}]` instead of `[[releases]]` and `name`"),
            );
            vec![Misshapen {
                steps: vec![PathStep::Key("releases".into())],
                offset: key.span().start,
                problem,
                gone: vec!["releases".into()],
            }]
        }
        DeValue::Table(table) => dotted(table),
        _ => Vec::new(),
    }
}

/// Unquoted names with a dot: `[releases.v1.0]` is a table in a table.
fn dotted(releases: &DeTable<'_>) -> Vec<Misshapen> {
    let mut found = Vec::new();
    for (name, release) in releases {
        let Some(release) = release.get_ref().as_table() else {
            continue;
        };
        if release.contains_key("endpoints") {
            continue;
        }
        let inner = release.iter().find(|(_, value)| {
            let table = value.get_ref().as_table();
            table.is_some_and(|table| table.contains_key("endpoints"))
        });
        if let Some((rest, _)) = inner {
            let whole = format!("{}.{}", name.get_ref(), rest.get_ref());
            let problem = Problem::new(
                format!("releases.{whole}"),
                format!("the name `{whole}` has a dot and needs quotes"),
            )
            .hint(format!("write `[releases.\"{whole}\"]`"));
            found.push(Misshapen {
                steps: vec![
                    PathStep::Key("releases".into()),
                    PathStep::Key(name.get_ref().to_string()),
                ],
                offset: rest.span().start,
                problem,
                gone: vec![
                    format!("releases.{whole}"),
                    format!("releases.{}", name.get_ref()),
                ],
            });
        }
    }
    found
}
