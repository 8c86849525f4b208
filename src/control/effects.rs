//! The effect of a revision: key figures of its routes before it and after it.

use super::{
    ControlError, Controller,
    kpi_comparison::{Pair, failing, points_in_words, seconds},
    kpi_effects::{Effect, EffectOnRoute, Period},
    kpi_figures,
    route_shares::{self, Shares},
};
use crate::{
    api::{
        EffectFinding, EffectPeriod, EffectState, KpiDifference, KpiFinding, Kpis, ReleaseEffect,
        RevisionEffect, RouteEffect, Timestamp,
    },
    fleet::CellKey,
    history::StoredRevision,
    model::{Revision, RouteName, TableState},
    stats::OutcomeTotals,
};

/// The tables before and after a revision.
struct Tables {
    before: TableState,
    after: TableState,
}

impl Controller {
    /// The effect of a revision.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn effect(&self, revision: Revision) -> Result<RevisionEffect, ControlError> {
        let (kept, before) = {
            let index = self.log.index();
            let kept = index.get(revision).cloned();
            let kept = kept.ok_or_else(|| index.unknown(revision))?;
            let before = index.state(kept.record.parent).unwrap_or_default();
            (kept, before)
        };
        let found = {
            let readings = self.kpis.lock();
            self.kpis.effects().get(&readings, revision)
        };
        let mut shown = self.unknown_effect(&kept);
        if let Some((effect, is_over)) = found {
            let after = kept.state.unwrap_or_default();
            measured(&mut shown, &effect, is_over, &Tables { before, after });
        }
        shown.verification = self.verification_of(revision);
        Ok(shown)
    }

    /// The revision without its effect, and the reason why nothing is known of it.
    fn unknown_effect(&self, kept: &StoredRevision) -> RevisionEffect {
        let record = &kept.record;
        let at = Timestamp::from_millis(record.published_at_ms);
        let words = if kept.state.is_none() {
            "it was never live"
        } else if record.cause.is_drill() {
            "a drill leaves things as they are"
        } else if at < self.kpis.lock().time_of(0) {
            "it was live before this switchback was started"
        } else if self.kpis.is_to_come(record.revision) {
            "it has just become live"
        } else {
            "only the effects of the last 100 revisions are kept"
        };
        RevisionEffect {
            revision: record.revision,
            at,
            cause: record.cause.as_str().to_owned(),
            author: record.author.name.clone(),
            message: record.author.message.clone(),
            state: EffectState::NotKnown,
            words: words.to_owned(),
            routes: Vec::new(),
            more_routes: 0,
            verification: None,
        }
    }
}

fn measured(shown: &mut RevisionEffect, effect: &Effect, is_over: bool, tables: &Tables) {
    shown.state = if is_over {
        EffectState::Complete
    } else {
        EffectState::Measuring
    };
    shown.more_routes = effect.more_routes;
    let routes = effect.routes.iter();
    shown.routes = routes.map(|route| on_route(route, tables)).collect();
    shown.words = overall(&shown.routes);
}

/// The worst finding, or the best where none is bad.
fn overall(routes: &[RouteEffect]) -> String {
    let order = [
        EffectFinding::Worse,
        EffectFinding::Improved,
        EffectFinding::NoDifference,
        EffectFinding::NotEnoughData,
    ];
    let found = order
        .iter()
        .find_map(|finding| routes.iter().find(|route| route.finding == *finding));
    found.map_or_else(
        || "it touches no route".to_owned(),
        |route| format!("{}: {}", route.finding.words(), route.words),
    )
}

fn on_route(effect: &EffectOnRoute, tables: &Tables) -> RouteEffect {
    let nothing = Period::default();
    let (before, after) = (&effect.before, effect.after.as_ref().unwrap_or(&nothing));
    let (earlier, later) = (before.total(), after.total());
    let pair = Pair {
        one: &later,
        other: &earlier,
    };
    let failure_share = pair.failure_share();
    let p95 = pair.p95(|totals| &totals.duration);
    RouteEffect {
        route: effect.route.clone(),
        finding: finding(failure_share.as_ref(), p95.as_ref()),
        words: sentence(&effect.route, pair, failure_share.zip(p95)),
        before: period(before, &earlier),
        after: period(after, &later),
        failure_share,
        duration_p95_seconds: p95,
        releases: releases(&effect.route, (before, after), tables),
    }
}

fn finding(failures: Option<&KpiDifference>, p95: Option<&KpiDifference>) -> EffectFinding {
    let (Some(failures), Some(p95)) = (failures, p95) else {
        return EffectFinding::NotEnoughData;
    };
    match (failures.finding, p95.finding) {
        (KpiFinding::Less, _) | (KpiFinding::NotShown, KpiFinding::Less) => EffectFinding::Improved,
        (KpiFinding::More, _) | (KpiFinding::NotShown, KpiFinding::More) => EffectFinding::Worse,
        (KpiFinding::NotShown, KpiFinding::NotShown) => EffectFinding::NoDifference,
    }
}

fn sentence(
    route: &RouteName,
    Pair { one, other }: Pair<'_>,
    differences: Option<(KpiDifference, KpiDifference)>,
) -> String {
    let Some((failures, p95)) = differences else {
        let time = if other.requests == 0 {
            "before"
        } else {
            "after"
        };
        return format!("{route} had no requests {time} it");
    };
    let (later, earlier) = (failing(one), failing(other));
    let points = points_in_words(&failures);
    let (after, before) = (seconds(p95.value), seconds(p95.other));
    format!(
        "{route} fails {later} after it, {earlier} before: {points}; p95 {after} after, {before} before"
    )
}

fn period(period: &Period, total: &OutcomeTotals) -> EffectPeriod {
    EffectPeriod {
        seconds: period.seconds,
        bounded_by: period.bounded_by,
        kpis: figures(total, period.seconds),
    }
}

fn figures(totals: &OutcomeTotals, seconds: u64) -> Kpis {
    Kpis {
        in_flight: None,
        ..kpi_figures::kpis(totals, seconds, 0)
    }
}

/// The releases that had a share or requests.
fn releases(
    route: &RouteName,
    (before, after): (&Period, &Period),
    tables: &Tables,
) -> Vec<ReleaseEffect> {
    let shares = |state: &TableState| route_shares::shares(&state.spec, route).unwrap_or_default();
    let (old, new): (Shares, Shares) = (shares(&tables.before), shares(&tables.after));
    let with_share = old.keys().chain(new.keys());
    let with_share =
        with_share.map(|(name, version)| (route.clone(), name.clone(), version.clone()));
    let with_requests = before.releases.iter().chain(&after.releases);
    let mut keys: Vec<CellKey> = with_requests.map(|(key, _)| key.clone()).collect();
    keys.extend(with_share);
    keys.sort();
    keys.dedup();
    let of = |key: CellKey| {
        let release = (key.1.clone(), key.2.clone());
        ReleaseEffect {
            share_before: route_shares::share(&old, &release),
            share_after: route_shares::share(&new, &release),
            before: figures(&before.of(&key), before.seconds),
            after: figures(&after.of(&key), after.seconds),
            release: key.1,
            version: key.2,
        }
    };
    keys.into_iter().map(of).collect()
}
