//! Settings of the backups that the proxy makes by itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::History;
use crate::model::{HumanDuration, Problem};

/// Shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);
/// Fewest and most backups that are kept.
const KEEP: (usize, usize) = (1, 10_000);

/// Backups that the proxy makes by itself, or when it is told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backups {
    /// Folder of the backups; none are made when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Interval; when absent, one is made only if it is ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<HumanDuration>,
    /// Number of backups that are kept.
    pub keep: usize,
    /// Program with its arguments that is run after each backup; the path of the file is one more argument. No shell
    /// reads it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

impl Default for Backups {
    fn default() -> Self {
        Self {
            path: None,
            every: None,
            keep: 14,
            after: Vec::new(),
        }
    }
}

impl Backups {
    pub(super) fn check(&self, history: &History, found: &mut Vec<Problem>) {
        if let Some(every) = self.every.filter(|every| every.0 < SHORTEST) {
            let message = format!("`{every}` is too short");
            let problem = Problem::new("backup.every", message);
            found.push(problem.hint("the minimum is 1s; once a day is usual"));
        }
        if !(KEEP.0..=KEEP.1).contains(&self.keep) {
            let message = format!("{} is not from {} to {}", self.keep, KEEP.0, KEEP.1);
            found.push(Problem::new("backup.keep", message));
        }
        let needed = [
            ("every", self.every.is_some()),
            ("after", !self.after.is_empty()),
        ];
        for (key, _) in needed
            .iter()
            .filter(|(_, is_set)| *is_set && self.path.is_none())
        {
            let problem = Problem::new(format!("backup.{key}"), "there is no folder for backups");
            found.push(
                problem.hint("add `path = \"/var/backups/switchback\"`, best on another disk"),
            );
        }
        if self.after.first().is_some_and(String::is_empty) {
            found.push(Problem::new("backup.after", "the program has no name"));
        }
        if self
            .path
            .as_ref()
            .is_some_and(|path| path.starts_with(&history.path))
        {
            let message = "it is the folder of the history, or in it";
            let problem = Problem::new("backup.path", message);
            found.push(problem.hint("what happens to the history must not happen to its backups"));
        }
    }

    /// Problem of a program that is not there. One without an absolute path is looked for where the proxy runs, which
    /// may be elsewhere.
    pub(super) fn missing_program(&self) -> Option<Problem> {
        let program = Path::new(self.after.first()?);
        if !program.is_absolute() {
            return None;
        }
        let message = match fs::metadata(program) {
            Ok(found) if !found.is_file() => "it is no file".to_owned(),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => "it is not executable".into(),
            Ok(_) => return None,
            Err(error) => error.to_string(),
        };
        let message = format!("`{}` cannot be run: {message}", program.display());
        let problem = Problem::new("backup.after", message);
        Some(problem.hint("the first word is the program, the others are its arguments"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(backups: &Backups) -> Vec<String> {
        let mut found = Vec::new();
        backups.check(&History::default(), &mut found);
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_folder_of_its_own_is_needed() {
        let good = Backups {
            path: Some("/backups".into()),
            every: Some(HumanDuration::seconds(60)),
            after: vec!["/usr/bin/true".to_owned()],
            ..Backups::default()
        };
        assert!(problems(&Backups::default()).is_empty() && problems(&good).is_empty());
        let nowhere = Backups {
            path: None,
            ..good.clone()
        };
        assert_eq!(problems(&nowhere), ["backup.every", "backup.after"]);
        let inside = Backups {
            path: Some("/var/lib/switchback/backups".into()),
            keep: 0,
            every: Some(HumanDuration::seconds(0)),
            ..good
        };
        assert_eq!(
            problems(&inside),
            ["backup.every", "backup.keep", "backup.path"]
        );
    }

    #[test]
    fn a_program_is_looked_for_only_where_its_place_is_said() {
        let told = |program: &str| {
            let backups = Backups {
                after: vec![program.to_owned(), "-x".to_owned()],
                ..Backups::default()
            };
            backups.missing_program().map(|problem| problem.message)
        };
        assert_eq!(told("/bin/sh"), None);
        assert_eq!(told("rclone"), None);
        assert_eq!(Backups::default().missing_program(), None);
        assert!(told("/nope").unwrap().contains("No such file"));
        assert!(told("/tmp").unwrap().contains("no file"));
        assert!(told("/etc/passwd").unwrap().contains("not executable"));
    }
}
