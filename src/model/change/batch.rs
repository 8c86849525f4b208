//! A batch: several changes that are made as one.

use std::collections::BTreeSet;

use super::{Applied, Change, ChangeError, ChangeSet, apply};
use crate::model::{FlagName, Problem, ReleaseName, RouteName, TableState, closest};

impl Change {
    /// Applies the change. Pure: the same state and change always give the same state.
    ///
    /// The compiler of the table validates the result; errors here are only those that prevent the change itself. Of a
    /// batch they are those of all its changes, each with its place.
    ///
    /// # Errors
    /// If a route, a release or a flag does not exist or is still in use, or if the release is ambiguous.
    pub fn apply_to(&self, state: &TableState) -> Result<Applied, ChangeError> {
        let Self::Batch { changes } = self else {
            return apply::apply(self, state);
        };
        let (applied, problems) = apply_possible(changes, state);
        if problems.is_empty() {
            return Ok(applied);
        }
        Err(ChangeError::Invalid(problems))
    }

    /// The changes of a batch, in their order; of any other change the change itself.
    pub fn parts(&self) -> &[Change] {
        match self {
            Self::Batch { changes } => changes,
            one => std::slice::from_ref(one),
        }
    }

    /// One change of several: a batch, or the change itself if it is the only one.
    #[must_use]
    pub fn joined(mut changes: Vec<Self>) -> Self {
        match (changes.pop(), changes.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                changes.extend(last);
                Self::Batch { changes }
            }
        }
    }

    /// True if it only ends trials: an abort, or a batch of them.
    pub fn is_abort(&self) -> bool {
        let mut parts = self.parts().iter();
        parts.all(|part| matches!(part, Self::Abort { .. }))
    }

    /// True for a batch.
    pub fn is_batch(&self) -> bool {
        matches!(self, Self::Batch { .. })
    }

    /// Result of the changes of a batch that can be applied, and the problems of the others, each with its place in the
    /// batch. So a check of the result finds the problems of all parts at once.
    pub fn apply_possible(&self, state: &TableState) -> (Applied, Vec<Problem>) {
        apply_possible(self.parts(), state)
    }

    /// Problems of the table, with the place in the batch of the change that they are about. Those of another change
    /// stay as they are.
    pub fn place_problems(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let Self::Batch { changes } = self else {
            return problems;
        };
        let place = |problem: Problem| match part_of(changes, &problem.path) {
            Some((place, rest)) => Problem {
                path: format!("changes[{place}]{rest}"),
                ..problem
            },
            None => problem,
        };
        problems.into_iter().map(place).collect()
    }
}

fn apply_possible(changes: &[Change], state: &TableState) -> (Applied, Vec<Problem>) {
    let mut problems = doubles(changes);
    let mut applied = Applied {
        state: state.clone(),
        touched: ChangeSet::default(),
    };
    for (place, change) in changes.iter().enumerate() {
        match apply::apply(change, &applied.state) {
            Ok(next) => applied = apply::joined(applied, next),
            Err(error) => problems.extend(problems_of(place, change, error)),
        }
    }
    (applied, problems)
}

/// Changes of the same route, release or flag: which of them is meant would depend on their order.
fn doubles(changes: &[Change]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (place, change) in changes.iter().enumerate() {
        let subject = subject(change);
        if !seen.insert(subject.clone()) {
            let message = format!("an earlier change of the batch is about {subject} as well");
            let problem = Problem::new(format!("changes[{place}]"), message);
            problems.push(problem.hint("keep one of the two"));
        }
    }
    problems
}

fn subject(change: &Change) -> String {
    match (change.route(), change.release(), change.flag()) {
        (Some(route), _, _) => format!("route `{route}`"),
        (None, Some(release), _) => format!("release `{release}`"),
        (None, None, Some(flag)) => format!("flag `{flag}`"),
        (None, None, None) => "the whole table".to_owned(),
    }
}

fn problems_of(place: usize, change: &Change, error: ChangeError) -> Vec<Problem> {
    let path = format!("changes[{place}]");
    let text = error.to_string();
    let problem = Problem::new(path, text);
    match error {
        ChangeError::Invalid(problems) => placed(place, change, problems),
        ChangeError::ReleaseInUse { .. } => {
            vec![problem.hint("give it a weight of 0 there first, in an earlier change")]
        }
        ChangeError::UnknownFlag { name, known } => {
            let known: Vec<_> = known.iter().map(FlagName::as_str).collect();
            vec![hinted(problem, &name, &known)]
        }
        ChangeError::UnknownRelease { name, known } => {
            let known: Vec<_> = known.iter().map(ReleaseName::as_str).collect();
            vec![hinted(problem, &name, &known)]
        }
        ChangeError::UnknownRoute { name, known } => {
            let known: Vec<_> = known.iter().map(RouteName::as_str).collect();
            vec![hinted(problem, &name, &known)]
        }
    }
}

fn hinted(problem: Problem, name: &str, known: &[&str]) -> Problem {
    /// Most names in a hint.
    const MOST: usize = 20;
    match closest(name, known.iter().copied()) {
        Some(hint) => problem.hint(hint),
        None if known.is_empty() => problem,
        None => {
            let shown: Vec<_> = known
                .iter()
                .take(MOST)
                .map(|one| format!("`{one}`"))
                .collect();
            problem.hint(format!("there are {}", shown.join(", ")))
        }
    }
}

fn placed(place: usize, change: &Change, problems: Vec<Problem>) -> Vec<Problem> {
    let alone = std::slice::from_ref(change);
    let rest =
        |path: &str| part_of(alone, path).map_or_else(|| format!(".{path}"), |(_, rest)| rest);
    let placed = |problem: Problem| Problem {
        path: format!("changes[{place}]{}", rest(&problem.path)),
        ..problem
    };
    problems.into_iter().map(placed).collect()
}

/// The place of the change that a path of the table belongs to, and the rest of the path. Names may contain periods, so
/// the longest that fits is the one.
fn part_of(changes: &[Change], path: &str) -> Option<(usize, String)> {
    let fits = |(place, change): (usize, &Change)| {
        let rest = path.strip_prefix(&prefix(change)?)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| (place, rest.to_owned()))
    };
    let places = changes.iter().enumerate().filter_map(fits);
    places.min_by_key(|(_, rest)| rest.len())
}

fn prefix(change: &Change) -> Option<String> {
    match (change.route(), change.release(), change.flag()) {
        (Some(route), _, _) => Some(format!("routes.{route}")),
        (None, Some(release), _) => Some(format!("releases.{release}")),
        (None, None, Some(flag)) => Some(format!("flags.{flag}")),
        (None, None, None) => None,
    }
}
