//! Answers of hooks about data guards, and the questions to them.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;

use super::{
    ControlError,
    clock::{now, now_ms},
    metrics,
};
use crate::{
    api::DataGuard,
    hooks::{Answer, DataQuestion, Decision, Hook, HookSet, ask_about_data},
    model::{ReleaseName, RouteName, Version},
};

/// Answers of hooks about guards: allowed, or the reason why not.
#[derive(Debug, Clone, Default)]
pub(super) struct DataAnswers(BTreeMap<Key, Result<(), String>>);

type Key = (RouteName, ReleaseName, Version);

/// No answers: no hook was asked yet.
pub(super) static NOT_ASKED: DataAnswers = DataAnswers(BTreeMap::new());

/// Asks the hooks of guards, all at once: it takes as long as the longest timeout.
pub(super) async fn ask_checks(hooks: Arc<HookSet>, guards: Vec<DataGuard>) -> DataAnswers {
    let asked = guards.into_iter().map(|guard| {
        let hook = guard.check.as_ref().and_then(|name| hooks.get(name));
        let hook = hook.map(Arc::clone);
        async move {
            let answer = match hook {
                Some(hook) => ask_check(&hook, &guard).await,
                None => Err("there is no such hook".to_owned()),
            };
            (key(&guard), answer)
        }
    });
    DataAnswers(join_all(asked).await.into_iter().collect())
}

async fn ask_check(hook: &Hook, guard: &DataGuard) -> Result<(), String> {
    let question = DataQuestion {
        id: format!("data_{:x}_{:x}", now_ms(), rand::random::<u32>()),
        at: now(),
        guard: guard.clone(),
    };
    let answer = ask_about_data(hook, &question, now_ms() / 1000).await;
    let (outcome, answer) = match answer {
        Ok(Answer { decision, reason }) => (decision.as_str(), allowed(decision, reason)),
        Err(error) => ("silent", Err(error.to_string())),
    };
    let name = hook.name();
    metrics::count_hook(name, outcome);
    tracing::info!(
        target: "audit",
        hook = %name, route = %guard.route, release = %guard.release, outcome, "a check was asked about the way back"
    );
    answer
}

impl DataAnswers {
    /// Adds later answers.
    pub(super) fn add(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Guards that are still to be asked about after these answers; an error if one does not allow it.
    pub(super) fn apply(&self, guards: Vec<DataGuard>) -> Result<Vec<DataGuard>, ControlError> {
        let mut open = Vec::new();
        for mut guard in guards {
            match self.0.get(&key(&guard)) {
                Some(Ok(())) if guard.check.is_some() => continue,
                Some(Err(reason)) => guard.answer = Some(reason.clone()),
                _ => {}
            }
            open.push(guard);
        }
        let refuses = |guard: &DataGuard| guard.check.is_none() || guard.answer.is_some();
        if open.iter().any(refuses) {
            open.retain(refuses);
            return Err(ControlError::RollbackNotAllowed(open));
        }
        Ok(open)
    }
}

fn key(guard: &DataGuard) -> Key {
    (
        guard.route.clone(),
        guard.release.clone(),
        guard.version.clone(),
    )
}

fn allowed(decision: Decision, reason: Option<String>) -> Result<(), String> {
    match decision {
        Decision::Continue | Decision::Rollback => Ok(()),
        Decision::Wait => Err(reason.unwrap_or_else(|| "it gave no reason".to_owned())),
    }
}
