//! The outlook of a dry run in sentences.

use std::time::Duration;

use crate::{
    api::{
        DataGuard, DryRun, LastDrill, MovedUnit, QuarantinedRelease, RouteMoves, ShareMove,
        Timestamp, WayBack,
    },
    model::{HumanDuration, Percent, ReleaseName, SessionPolicy},
};

/// Age from which a drill is worth a sentence.
const OLD_DRILL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most moves that are said; the others are in the list.
const MOST_MOVES: usize = 20;

/// Sentences about everything but the differences, the readiness and the room.
pub(super) fn words(dry_run: &DryRun, now: Timestamp) -> Vec<String> {
    let moves = dry_run.moves.iter().flat_map(|route| {
        let moves = route.moves.iter();
        moves.map(move |one| of_move(route, one))
    });
    let mut words: Vec<_> = moves.take(MOST_MOVES).collect();
    let said = words.len();
    let all: usize = dry_run.moves.iter().map(|route| route.moves.len()).sum();
    if all > said {
        words.push(format!("and {} more moves", all - said));
    }
    words.extend(dry_run.unproven.iter().map(ToString::to_string));
    words.extend(dry_run.quarantined.iter().map(of_quarantine));
    words.extend(dry_run.drills.iter().filter_map(|last| of_drill(last, now)));
    words.extend(dry_run.guards.iter().map(of_guard));
    if let Some(back) = &dry_run.way_back {
        words.push(of_way_back(back));
        words.extend(back.guards.iter().map(of_guard_then));
    }
    if !dry_run.not_ready.is_empty() {
        let names = names(&dry_run.not_ready);
        words.push(format!(
            "without force it is refused: no healthy endpoint in {names}"
        ));
    }
    words
}

fn of_move(route: &RouteMoves, one: &ShareMove) -> String {
    let unit = match route.of {
        MovedUnit::Sessions => "sessions",
        MovedUnit::Requests => "requests",
    };
    let (from, to) = if one.from == one.to {
        (
            format!("`{}` {}", one.from, one.from_version),
            format!("version {}", one.to_version),
        )
    } else {
        (format!("`{}`", one.from), format!("`{}`", one.to))
    };
    let share = percents(one.share);
    let basis = match (&route.seen, one.requests_per_minute) {
        (Some(seen), Some(rate)) => format!(
            "{} requests a minute by those of the last {}",
            rounded(rate),
            seen.over
        ),
        _ => "by the weights alone: no requests were seen lately".to_owned(),
    };
    let pinned = one.pinned.map_or_else(String::new, |policy| {
        let what = match policy {
            SessionPolicy::Keep => "stay".to_owned(),
            SessionPolicy::KeepFor(time) => format!("stay for {time}"),
            SessionPolicy::Move => "move as well".to_owned(),
        };
        format!("; sessions with a pin {what}")
    });
    let route = &route.route;
    format!("{share} percent of the {unit} of `{route}` move from {from} to {to} ({basis}){pinned}")
}

/// A number of requests a minute; few have a decimal.
fn rounded(rate: f64) -> String {
    if rate >= 10.0 || rate == 0.0 {
        return format!("{rate:.0}");
    }
    format!("{rate:.1}")
}

fn percents(share: f64) -> Percent {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is from 0 to 1"
    )]
    let millionths = (share * 1e6).round().clamp(0.0, 1e6) as u32;
    Percent::of_weights(millionths, 1_000_000)
}

fn of_quarantine(entry: &QuarantinedRelease) -> String {
    format!(
        "`{}` in version `{}` is in quarantine since {}: {}; no rollout and no edited file gives it more",
        entry.release, entry.version, entry.since, entry.reason
    )
}

fn of_drill(last: &LastDrill, now: Timestamp) -> Option<String> {
    let route = &last.route;
    let rehearse = format!("`switchback drill {route}` rehearses it");
    if last.failed {
        return Some(format!(
            "the last drill of the way back of `{route}` has not passed"
        ));
    }
    let Some(passed) = last.passed_at else {
        return Some(format!(
            "the way back of `{route}` has never been rehearsed: {rehearse}"
        ));
    };
    let age = Duration::from_micros(now.0.saturating_sub(passed.0));
    let age = HumanDuration::seconds(age.as_secs() / 3600 * 3600);
    (age.0 > OLD_DRILL)
        .then(|| format!("the way back of `{route}` was last rehearsed {age} ago: {rehearse}"))
}

fn of_guard(guard: &DataGuard) -> String {
    match guard.check {
        Some(_) => format!("{guard}; it is asked first"),
        None => format!("{guard}; only force goes back"),
    }
}

fn of_guard_then(guard: &DataGuard) -> String {
    format!("once it has had requests, {guard}")
}

fn of_way_back(back: &WayBack) -> String {
    let to = back.to;
    if back.not_ready.is_empty() {
        return format!("a rollback from there restores revision {to}, which is ready");
    }
    let names = names(&back.not_ready);
    format!(
        "a rollback from there restores revision {to}, and is NOT ready: no healthy endpoint in {names}"
    )
}

fn names(releases: &[ReleaseName]) -> String {
    let names: Vec<_> = releases.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
