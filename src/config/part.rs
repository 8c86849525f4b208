//! A file that holds one release or one route. It is read as if it stood in a configuration, so that a mistake has the
//! same place and the same hint there; a whole configuration that has the release or route will do as well.

use std::{borrow::Cow, path::Path};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{Config, ConfigError, LocatedProblem, read, text_of};
use crate::model::{Problem, ReleaseDocument, ReleaseName, RouteName, RouteSpec};

/// Reads a release, as it stands below `[releases.NAME]`. Relative paths in it are seen from the folder of the file.
///
/// # Errors
/// When the file cannot be read, with the reason; when it holds something else, with all that is wrong.
pub fn load_release(path: &Path, name: &ReleaseName) -> Result<ReleaseDocument, ConfigError> {
    let mut config = load_within(path, |document| {
        below("releases", document, |release| {
            let span = release.span();
            let named = DeTable::from_iter([(word(name.as_str()), release)]);
            Spanned::new(span, DeValue::Table(named))
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

/// Reads a route, as it stands below `[[routes]]`; its name may be left out.
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

/// The configuration that has a document below a key, unless it has the key itself.
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

/// A key that does not stand in the text.
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

/// The error of a file that is about others.
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
