//! Notices for exporters: revisions, and verdicts of rollouts and verifications.

use std::sync::Arc;

use crate::{
    api::{RevisionSummary, Rollout, RolloutState, Timestamp, Verification, VerificationVerdict},
    control::Controller,
    model::{Cause, Revision},
    telemetry::{Notice, NoticeKind, NoticeLevel},
};

/// Most revisions in one call: the latest ones.
const MOST: usize = 32;

/// Feed of notices.
pub(super) struct NoticeFeed {
    controller: Arc<Controller>,
    revision: Option<Revision>,
    rollout: Timestamp,
    verification: Timestamp,
}

impl NoticeFeed {
    /// A feed of what happens from now on.
    pub(super) fn new(controller: Arc<Controller>) -> Self {
        let mut feed = Self {
            controller,
            revision: None,
            rollout: Timestamp::default(),
            verification: Timestamp::default(),
        };
        feed.take();
        feed
    }

    /// Takes the notices since the last call, the oldest first.
    pub(super) fn take(&mut self) -> Vec<Notice> {
        let mut notices = self.revisions();
        let rollouts = self.controller.rollouts();
        notices.extend(later(
            &mut self.rollout,
            &rollouts,
            |one| one.ended_at,
            of_rollout,
        ));
        let verifications = self.controller.verifications();
        notices.extend(later(
            &mut self.verification,
            &verifications,
            |one| one.ended_at,
            of_verification,
        ));
        notices.sort_by_key(|notice| notice.at_ms);
        notices
    }

    /// Notices of revisions. Those of drills and of endpoints are none: they are no decisions.
    fn revisions(&mut self) -> Vec<Notice> {
        let page = self.controller.revisions(None, MOST).revisions;
        let since = self.revision;
        let is_new = |one: &&RevisionSummary| since.is_some_and(|since| one.revision > since);
        let is_decision = |one: &&RevisionSummary| {
            !matches!(one.cause, Cause::Roster | Cause::Drill { .. } | Cause::Void)
        };
        let new = page.iter().filter(is_new).filter(is_decision);
        let notices = new.map(of_revision).collect();
        let latest = page.first().map(|one| one.revision);
        self.revision = Some(latest.unwrap_or_default().max(since.unwrap_or_default()));
        notices
    }
}

/// Notices of what ended after `last`, which becomes the latest end.
fn later<T>(
    last: &mut Timestamp,
    all: &[T],
    ended: impl Fn(&T) -> Option<Timestamp>,
    notice: impl Fn(&T, Timestamp) -> Notice,
) -> Vec<Notice> {
    let since = *last;
    let ends = all.iter().filter_map(|one| Some((one, ended(one)?)));
    let new: Vec<_> = ends.filter(|(_, end)| *end > since).collect();
    *last = new.iter().map(|(_, end)| *end).fold(since, Timestamp::max);
    new.into_iter().map(|(one, end)| notice(one, end)).collect()
}

fn of_revision(one: &RevisionSummary) -> Notice {
    let (number, by) = (one.revision, &one.author.name);
    let (level, what) = match &one.cause {
        Cause::Rollback { to } => (NoticeLevel::Warning, format!("rollback to {to}")),
        Cause::RollbackRoute { route, to } => {
            let route = route.as_ref().map_or("a route", |route| route.as_str());
            (NoticeLevel::Warning, format!("rollback of {route} to {to}"))
        }
        Cause::ReturnPart { to, part, parts } => {
            let to = to.map_or_else(
                || "the stable release".to_owned(),
                |to| format!("revision {to}"),
            );
            let what = format!("part {part} of {parts} of the way back to {to}");
            (NoticeLevel::Warning, what)
        }
        cause => (NoticeLevel::Info, cause.as_str().to_owned()),
    };
    Notice {
        kind: NoticeKind::Revision,
        title: format!("switchback revision {number}: {what} by {by}"),
        text: one.author.message.clone().unwrap_or_default(),
        at_ms: one.published_at.millis(),
        level,
        labels: vec![
            ("cause", one.cause.as_str().to_owned()),
            ("revision", number.to_string()),
        ],
    }
}

fn of_rollout(one: &Rollout, end: Timestamp) -> Notice {
    let level = match one.state {
        RolloutState::Succeeded => NoticeLevel::Success,
        RolloutState::RolledBack => NoticeLevel::Error,
        _ => NoticeLevel::Warning,
    };
    let state = one.state.as_str();
    let words = one.verdict.as_ref().map(|verdict| verdict.words.clone());
    Notice {
        kind: NoticeKind::Rollout,
        title: format!("switchback rollout of {} on {}: {state}", one.to, one.route),
        text: words.unwrap_or_default(),
        at_ms: end.millis(),
        level,
        labels: vec![
            ("route", one.route.to_string()),
            ("release", one.to.to_string()),
            ("state", state.to_owned()),
        ],
    }
}

fn of_verification(one: &Verification, end: Timestamp) -> Notice {
    let level = match one.verdict {
        VerificationVerdict::Recovered => NoticeLevel::Success,
        VerificationVerdict::NotRecovered | VerificationVerdict::Worse => NoticeLevel::Error,
        VerificationVerdict::NotEnoughData => NoticeLevel::Info,
    };
    let verdict = one.verdict.as_str();
    Notice {
        kind: NoticeKind::Verification,
        title: format!("switchback rollback {}: {verdict}", one.id),
        text: one.words.clone(),
        at_ms: end.millis(),
        level,
        labels: vec![
            ("revision", one.revision.to_string()),
            ("verdict", verdict.to_owned()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_said_once() {
        let mut last = Timestamp(5);
        let ends = [
            Some(Timestamp(9)),
            None,
            Some(Timestamp(5)),
            Some(Timestamp(7)),
        ];
        let notice = |_: &Option<Timestamp>, end: Timestamp| Notice {
            kind: NoticeKind::Revision,
            title: String::new(),
            text: String::new(),
            at_ms: end.0,
            level: NoticeLevel::Info,
            labels: Vec::new(),
        };
        let mut said = || -> Vec<u64> {
            let notices = later(&mut last, &ends, |end| *end, notice);
            notices.into_iter().map(|one| one.at_ms).collect()
        };
        assert_eq!(said(), [9, 7]);
        assert!(said().is_empty());
    }
}
