//! A file that holds one release, one route or one flag. It is parsed as a part of a configuration, so that a mistake has the
//! same path and hint there. A whole configuration that contains it is accepted as well.

use std::{borrow::Cow, path::Path};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{Config, ConfigError, LocatedProblem, read, text_of};
use crate::model::{
    FlagName, FlagSpec, Problem, ReleaseDocument, ReleaseName, RouteName, RouteSpec,
};

/// Reads a release, in the form found below `[releases.NAME]`. Relative paths are resolved against the file's folder.
///
/// # Errors
/// When the file cannot be read, with the reason; when it holds something else, with all problems.
pub fn load_release(path: &Path, name: &ReleaseName) -> Result<ReleaseDocument, ConfigError> {
    let mut config = load_within(path, |document| {
        below("releases", document, |release| {
            named(name.as_str(), release)
        })
    })?;
    let found = config.releases.remove(name);
    found.ok_or_else(|| {
        absent(
            path,
            "releases",
            "release",
            name.as_str(),
            config.releases.keys(),
        )
    })
}

/// Reads a route, in the form found below `[[routes]]`; its name may be left out.
///
/// # Errors
/// As [`load_release`].
pub fn load_route(path: &Path, name: &RouteName) -> Result<RouteSpec, ConfigError> {
    let config = load_within(path, |document| {
        below("routes", document, |mut route| {
            if let DeValue::Table(table) = route.get_mut() {
                let own = DeValue::String(Cow::Owned(name.as_str().to_owned()));
                table.entry(word("name")).or_insert(Spanned::new(0..0, own));
            }
            let span = route.span();
            let mut routes = DeArray::new();
            routes.push(route);
            Spanned::new(span, DeValue::Array(routes))
        })
    })?;
    let mut routes = config.routes.into_iter();
    let mut others = Vec::new();
    let found = routes.find_map(|route| {
        let is_meant = route.name == *name;
        others.push(route.name.clone());
        is_meant.then_some(route)
    });
    found.ok_or_else(|| absent(path, "routes", "route", name.as_str(), others.iter()))
}

/// Reads a flag, in the form found below `[flags.NAME]`.
///
/// # Errors
/// As [`load_release`].
pub fn load_flag(path: &Path, name: &FlagName) -> Result<FlagSpec, ConfigError> {
    let mut config = load_within(path, |document| {
        below("flags", document, |flag| named(name.as_str(), flag))
    })?;
    let found = config.flags.remove(name);
    found.ok_or_else(|| absent(path, "flags", "flag", name.as_str(), config.flags.keys()))
}

/// A table with one entry of this name.
fn named<'i>(name: &str, entry: Spanned<DeValue<'i>>) -> Spanned<DeValue<'i>> {
    let span = entry.span();
    let table = DeTable::from_iter([(word(name), entry)]);
    Spanned::new(span, DeValue::Table(table))
}

/// Wraps a document in a configuration below a key, unless it has the key itself.
fn below<'i>(
    key: &'static str,
    document: Spanned<DeTable<'i>>,
    wrap: impl FnOnce(Spanned<DeValue<'i>>) -> Spanned<DeValue<'i>>,
) -> Spanned<DeTable<'i>> {
    if document.get_ref().contains_key(key) {
        return document;
    }
    let span = document.span();
    let inner = Spanned::new(span.clone(), DeValue::Table(document.into_inner()));
    Spanned::new(span, DeTable::from_iter([(word(key), wrap(inner))]))
}

/// A key that is not part of the text.
fn word(text: &str) -> Spanned<Cow<'static, str>> {
    Spanned::new(0..0, Cow::Owned(text.to_owned()))
}

fn load_within(
    path: &Path,
    put: impl for<'i> FnOnce(Spanned<DeTable<'i>>) -> Spanned<DeTable<'i>>,
) -> Result<Config, ConfigError> {
    let (text, folder) = text_of(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let reading = read::read_within::<Config>(&text, put);
    match reading.value {
        Some(mut config) if reading.problems.is_empty() => {
            config.resolve(&folder);
            Ok(config)
        }
        _ => Err(ConfigError::Invalid {
            path: path.to_owned(),
            problems: placed(reading.problems),
        }),
    }
}

fn placed(problems: Vec<(usize, Problem)>) -> Vec<LocatedProblem> {
    let with_line = |(line, problem)| LocatedProblem {
        line: Some(line),
        problem,
    };
    let mut placed: Vec<_> = problems.into_iter().map(with_line).collect();
    placed.sort_by_key(|placed| placed.line);
    placed
}

/// Error for a file that holds other releases or routes.
fn absent<N: std::fmt::Display>(
    path: &Path,
    key: &str,
    what: &str,
    name: &str,
    others: impl Iterator<Item = N>,
) -> ConfigError {
    let others: Vec<_> = others.map(|other| format!("`{other}`")).collect();
    let problem = Problem::new(key, format!("the file has no {what} `{name}`"));
    let problem = if others.is_empty() {
        problem
    } else {
        problem.hint(format!("it has {}", others.join(", ")))
    };
    ConfigError::Invalid {
        path: path.to_owned(),
        problems: vec![LocatedProblem {
            line: None,
            problem,
        }],
    }
}
