//! Record of a drill: its report, and what a restart needs to take back what it began.

use serde::{Deserialize, Serialize};

use super::clock::now;
use crate::{
    api::{Drill, DrillState, DrillStep},
    model::{Actor, Author, DrillLevel, ReleaseName, Revision, RouteName, Version, Weights},
};

/// Begin of the groups of revisions that drills make.
const DRILL_GROUP: &str = "drill-";
/// Largest number of failures, and of notes.
const MOST_WORDS: usize = 20;
/// Longest failure or note.
const LONGEST_WORDS: usize = 500;

/// A drill, as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DrillRecord {
    pub(super) drill: Drill,
    /// The predecessor, and the route before the drill; absent for a mechanism.
    pub(super) trial: Option<Trial>,
}

/// The two releases of a drill, and the route before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// The release that has most requests.
    pub(super) from: (ReleaseName, Version),
    /// The predecessor.
    pub(super) to: (ReleaseName, Version),
    /// The revision that was live before it.
    pub(super) base: Revision,
    /// The split before it.
    pub(super) original: Weights,
}

impl DrillRecord {
    pub(super) fn new(id: String, route: RouteName, level: DrillLevel, author: String) -> Self {
        let drill = Drill {
            id,
            route,
            routes: None,
            level,
            state: DrillState::Running,
            passed: false,
            from: None,
            to: None,
            to_version: None,
            share: None,
            period: None,
            started_at: now(),
            ended_at: None,
            author,
            message: None,
            steps: Vec::new(),
            requests: Vec::new(),
            verdict: None,
            failures: Vec::new(),
            notes: Vec::new(),
        };
        Self { drill, trial: None }
    }

    pub(super) fn with_trial(mut self, trial: Trial) -> Self {
        self.drill.from = Some(trial.from.0.clone());
        self.drill.to = Some(trial.to.0.clone());
        self.drill.to_version = Some(trial.to.1.clone());
        self.trial = Some(trial);
        self
    }

    pub(super) fn has_ended(&self) -> bool {
        self.drill.state != DrillState::Running
    }

    /// Name of the author of its revisions.
    pub(super) fn name(&self) -> String {
        format!("drill {}", self.drill.id)
    }

    /// Group of its revisions, if they are decisions.
    pub(super) fn group(&self) -> String {
        format!("{DRILL_GROUP}{}", self.drill.id)
    }

    /// The author of a revision that is a decision.
    pub(super) fn author_of(&self, message: String) -> Author {
        Author {
            group: Some(self.group()),
            ..self.author_of_fact(message)
        }
    }

    /// The author of a revision with the content of the live one, which stays in the live group.
    pub(super) fn author_of_fact(&self, message: String) -> Author {
        Author {
            actor: Actor::System,
            name: self.name(),
            message: Some(message),
            idempotency_key: None,
            group: None,
        }
    }

    pub(super) fn fail(&mut self, why: impl Into<String>) {
        add(&mut self.drill.failures, &why.into());
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        add(&mut self.drill.notes, &what.into());
    }

    /// Adds a step, and what was not in time as a failure.
    pub(super) fn add_step(&mut self, step: DrillStep) {
        let (what, revision) = (step.what.as_str(), step.revision);
        if step.durable_ms.is_none() {
            self.fail(format!(
                "the {what}, revision {revision}, was not on the disk in time"
            ));
        }
        if step.converged_ms.is_none() {
            self.fail(format!(
                "the {what}, revision {revision}, was not used by all workers in time; {:?} did not",
                step.waiting_for
            ));
        }
        self.drill.steps.push(step);
    }

    /// Ends it: passed if there is no failure and no other state is given.
    pub(super) fn end(&mut self, state: Option<DrillState>) {
        let drill = &mut self.drill;
        let by_failures = if drill.failures.is_empty() {
            DrillState::Passed
        } else {
            DrillState::Failed
        };
        drill.state = state.unwrap_or(by_failures);
        drill.passed = drill.state == DrillState::Passed;
        drill.ended_at = Some(now());
    }
}

fn add(words: &mut Vec<String>, text: &str) {
    if words.len() < MOST_WORDS {
        words.push(text.chars().take(LONGEST_WORDS).collect());
    }
}
