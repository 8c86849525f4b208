//! Circles of imports: no file imports another one that imports it, directly or through others.
//!
//! A module's re-exports are no imports; a name that is imported through them belongs to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::{ROOTS, code, is_test_file, is_word, none, sources, without_tests};

/// Files that still import each other, directly or through others.
pub(super) const CIRCLES: &[&str] = &[];

/// Paths in the code of a file, with groups in braces written out; `true` if re-exported.
fn paths(code: &str) -> Vec<(bool, String)> {
    let is_tree = |text: &str| {
        text.bytes()
            .all(|byte| is_word(byte) || b" \n:{},*".contains(&byte))
    };
    let mut found = Vec::new();
    for statement in code.split(';') {
        let tree = statement
            .rfind("use ")
            .filter(|at| is_tree(&statement[*at..]));
        let (before, tree) = statement.split_at(tree.unwrap_or(statement.len()));
        let is_export = before.rsplit('\n').next().unwrap().contains("pub");
        let tree = tree.trim_start_matches("use ");
        found.extend(expand(tree).into_iter().map(|path| (is_export, path)));
        let words = before.split(|c: char| c != '_' && c != ':' && !c.is_alphanumeric());
        let words = words.filter(|word| word.contains("::"));
        found.extend(words.map(|word| (false, word.to_owned())));
    }
    found
}

fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let (group, _) = group.rsplit_once('}').unwrap();
    let mut depth = 0;
    let parts = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts
        .filter(|part| !part.trim().is_empty())
        .flat_map(expand);
    let paths = parts.map(|path| format!("{}{path}", prefix.trim()));
    paths
        .map(|path| path.trim_end_matches("::self").to_owned())
        .collect()
}

/// A path from the root of the crate, if it begins at a module of the crate.
fn absolute(module: &str, path: &str, files: &BTreeMap<String, String>) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let (mut base, mut rest) = (module, path.trim_start_matches("self::"));
    while let Some(up) = rest.strip_prefix("super::") {
        (base, rest) = (base.rsplit_once("::").map_or("", |(up, _)| up), up);
    }
    let absolute = format!("{base}::{rest}").trim_start_matches(':').to_owned();
    let first = rest.split("::").next().unwrap();
    let is_ours = rest.len() < path.len() || files.contains_key(&format!("{base}::{first}"));
    is_ours.then_some(absolute)
}

/// The module of a path, behind re-exports.
fn resolve(
    path: &str,
    files: &BTreeMap<String, String>,
    exports: &BTreeMap<String, String>,
) -> Option<String> {
    let mut prefix = path;
    loop {
        if files.contains_key(prefix) {
            return Some(prefix.to_owned());
        }
        if let Some(target) = exports.get(prefix) {
            return resolve(
                &format!("{target}{}", &path[prefix.len()..]),
                files,
                exports,
            );
        }
        prefix = prefix.rsplit_once("::")?.0;
    }
}

/// True if a file imports itself through others.
fn is_in_circle(start: &String, imports: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(at) = next.pop() {
        let imported = imports.get(at).into_iter().flatten();
        next.extend(imported.filter(|to| seen.insert(*to)));
    }
    seen.contains(start)
}

#[test]
fn files_do_not_import_each_other() {
    let module = |path: &str| {
        let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.trim_end_matches("/mod").replace('/', "::")
    };
    let is_root = |path: &str| ROOTS.contains(&path);
    let sources = sources().into_iter();
    let sources: Vec<_> = sources
        .filter(|(path, _)| !is_test_file(path) && !is_root(path))
        .collect();
    let files: BTreeMap<_, _> = sources
        .iter()
        .map(|(path, _)| (module(path), path.clone()))
        .collect();
    let (mut exports, mut named) = (BTreeMap::new(), Vec::new());
    for (path, text) in &sources {
        let own = module(path);
        for (is_export, path) in paths(&code(without_tests(text))) {
            let Some(target) = absolute(&own, &path, &files) else {
                continue;
            };
            if is_export {
                exports.insert(
                    format!("{own}::{}", path.rsplit("::").next().unwrap()),
                    target,
                );
            } else {
                named.push((own.clone(), target));
            }
        }
    }
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (own, target) in named {
        let target = resolve(&target, &files, &exports).filter(|target| *target != own);
        imports.entry(own).or_default().extend(target);
    }
    let found: BTreeSet<&str> = files
        .iter()
        .filter(|(name, _)| is_in_circle(name, &imports))
        .map(|(_, path)| path.as_str())
        .collect();
    let known: BTreeSet<&str> = CIRCLES.iter().copied().collect();
    let new = found
        .difference(&known)
        .map(|path| format!("{path}: imports a file that imports it"));
    let gone = known
        .difference(&found)
        .map(|path| format!("CIRCLES: {path} is in no circle any more"));
    none(&new.chain(gone).collect::<Vec<_>>());
}
