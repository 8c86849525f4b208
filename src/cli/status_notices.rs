//! The notices of a status besides its tables: the fleet of proxies, rollouts that run, ways back in parts, verifications of rollbacks that run or ended badly,
//! and releases in quarantine.

use std::fmt::Write as _;

use super::{
    certificate_words, fleet_words, rollout_words::state, rollouts::goes_back, text::clean,
};
use crate::{
    api::{
        BackupStatus, GoingBack, QuarantinedRelease, RolloutStatus, RouteStatus,
        ServiceWatchStatus, StaleFlag, Status, VerificationState, VerificationStatus,
        VerificationVerdict,
    },
    model::RouteName,
};

/// Most releases in quarantine that are shown.
const MOST: usize = 5;
/// Most routes of one way back that are named.
const MOST_NAMES: usize = 3;

/// A line for each rollout, and for each release in quarantine.
pub(super) fn notices(status: &Status) -> String {
    let files = status.durability.damaged.iter();
    let mut text: String = files.map(|name| damaged(name)).collect();
    text.extend(status.fleet.as_ref().map(fleet_words::line));
    text.extend(status.backup.as_ref().and_then(backup));
    text.push_str(&certificate_words::lines(&status.certificates));
    let services = status.service_watches.iter().filter_map(service_watch);
    text.extend(services.take(MOST));
    text.extend(held(
        status,
        "in maintenance",
        "maintenance {} off",
        |route| route.maintenance,
    ));
    text.extend(held(status, "paused", "resume {}", |route| route.paused));
    text.extend(status.rollouts.iter().map(rollout));
    text.extend(status.going_back.iter().map(going_back));
    let verifications = status.verifications.iter();
    text.extend(
        verifications
            .filter(|one| is_worth_a_look(one))
            .map(verification),
    );
    text.extend(status.quarantine.iter().take(MOST).map(quarantined));
    text.extend(status.stale_flags.iter().map(stale));
    if let Some(more @ 1..) = status.quarantine.len().checked_sub(MOST) {
        let _ = writeln!(
            text,
            "{more} more in quarantine: `switchback quarantine list`"
        );
    }
    text
}

fn damaged(name: &str) -> String {
    let name = clean(name);
    format!("DAMAGED: what was saved in {name} could not be read at the start, and is not known\n")
}

/// A line if the last backup has failed.
fn backup(status: &BackupStatus) -> Option<String> {
    let error = status.last.as_ref()?.error.as_ref()?;
    let good = status
        .good_at
        .map(|at| format!("; the last good one is of {at}"));
    Some(format!(
        "BACKUP FAILS: {}{}\n",
        clean(error),
        good.unwrap_or_default()
    ))
}

/// A line if the watch of a Service fails.
fn service_watch(watch: &ServiceWatchStatus) -> Option<String> {
    let (since, error) = (watch.failing_since?, watch.error.as_ref()?);
    let endpoints = match watch.endpoints {
        Some(count) => format!("its {count} endpoints are as of {since}"),
        None => "its endpoints come by DNS".to_owned(),
    };
    Some(format!(
        "SERVICE NOT WATCHED: {}, {endpoints}: {}\n",
        clean(&watch.service),
        clean(error)
    ))
}

/// A line if routes do not let requests pass at the moment, with the command that ends it.
fn held(
    status: &Status,
    state: &str,
    command: &str,
    is_held: impl Fn(&RouteStatus) -> bool,
) -> Option<String> {
    let routes = status.routes.iter().filter(|route| is_held(route));
    let names: Vec<_> = routes.map(|route| route.name.as_str()).collect();
    let command = command.replace("{}", names.first()?);
    let names = listed(&names);
    Some(format!(
        "{state}: {names}; `switchback {command}` ends it\n"
    ))
}

fn stale(flag: &StaleFlag) -> String {
    let owner = flag.owner.as_deref();
    let owner = owner.map_or_else(String::new, |owner| format!(" ({})", clean(owner)));
    format!(
        "stale flag: {}, expired on {}{owner}\n",
        flag.flag, flag.expired
    )
}

/// A rollback or an abort in parts, and the command that ends it.
fn going_back(one: &GoingBack) -> String {
    let waiting = one.waiting_for.as_deref();
    let waiting = waiting.map_or_else(String::new, |reason| {
        format!("; waiting: {}", clean(reason))
    });
    let names: Vec<_> = one.routes.iter().map(RouteName::as_str).collect();
    let names = listed(&names);
    let parts = goes_back(&one.parts);
    let (what, command) = match one.to {
        Some(to) => (
            format!("rollback to revision {to}: {names}"),
            format!("rollback --to {to}"),
        ),
        None => (format!("abort: {names}"), format!("abort {names}")),
    };
    format!(
        "{what} {parts}, until {}{waiting}; `switchback {command}` gives back the rest at once\n",
        one.parts.ends_at
    )
}

/// The first names of several.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>();
    let more = names.len() - shown.len();
    let shown = shown.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

fn rollout(rollout: &RolloutStatus) -> String {
    let waiting = rollout.waiting_for.as_deref();
    let waiting = waiting.map_or_else(String::new, |reason| {
        format!("; waiting: {}", clean(reason))
    });
    let back = rollout.going_back.as_ref();
    let back = back.map_or_else(String::new, |back| format!(", {}", goes_back(back)));
    let verdict = rollout.verdict.as_deref();
    let verdict = verdict.map_or_else(String::new, |words| format!(": {}", clean(words)));
    format!(
        "rollout {} of {} to {}: {}, step {} of {}, {}%{back}{verdict}{waiting}\n",
        clean(&rollout.id),
        rollout.route_names(),
        rollout.to_names(),
        state(rollout.state, rollout.paused_for),
        rollout.step + 1,
        rollout.steps,
        rollout.weight,
    )
}

fn is_worth_a_look(one: &VerificationStatus) -> bool {
    let is_running = one.state == VerificationState::Running;
    let is_bad = matches!(
        one.verdict,
        VerificationVerdict::NotRecovered | VerificationVerdict::Worse
    );
    is_running || is_bad
}

fn verification(one: &VerificationStatus) -> String {
    let (id, state) = (clean(&one.id), one.state.as_str());
    format!(
        "rollback {id} of {}, verification {state}: {}\n",
        one.route,
        clean(&one.words)
    )
}

fn quarantined(entry: &QuarantinedRelease) -> String {
    let version = if entry.version.is_empty() {
        String::new()
    } else {
        format!(" {}", clean(entry.version.as_str()))
    };
    format!(
        "in quarantine: {}{version}, {}\n",
        entry.release,
        clean(&entry.reason)
    )
}
