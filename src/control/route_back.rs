//! A rollback of one route: its previous split comes back, everything else stays.
//!
//! Like any rollback it is live before it is durable, and it never leads forth again: what it took back leaves the undo
//! stack.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ControlError, Controller, Expected, controller::now_ms, guard::Scope, rollback::Tried,
};
use crate::{
    history::{Entry, Kept, Whole, with_whole},
    model::{Author, Cause, Change, ChangeError, Revision, RouteName, TableState, Touched},
    table::{Level, RoutingTable, Target, Undo, compile},
};

/// A change to one route, worked out.
pub(super) struct RouteBack {
    pub(super) level: Level,
    pub(super) change: Change,
    pub(super) state: TableState,
    pub(super) whole: Whole,
    pub(super) undid: Vec<Revision>,
}

impl Controller {
    pub(super) fn try_route_back(
        &self,
        route: &RouteName,
        by: &Author,
        expected: Expected,
        force: bool,
    ) -> Result<Tried, ControlError> {
        let same = |kept: &Kept| {
            kept.touched.routes.contains(route)
                && matches!(
                    kept.record.cause,
                    Cause::RollbackRoute | Cause::Rollback { .. }
                )
        };
        if let Some(kept) = Self::made_before(&self.book(), by.idempotency_key.as_ref(), same)? {
            return Ok(Tried::Made(kept));
        }
        let live = self.cell.load();
        self.check(&self.book(), live.revision(), Scope::Route(route), expected)?;
        let back = self.route_back(&live, route)?;
        if !force {
            self.ready_state(&live, &back.state.spec, back.level.compiled.as_deref())?;
        }
        if back.state.spec.digest() == back.level.spec.digest() {
            // Nothing else has changed since: it is that revision again.
            self.ensure_compiled(&live, &back.level)?;
            return Ok(self.swap_back(&live, Target::Revision(back.level.revision), by));
        }
        self.swap_route_back(&live, route, back, by)
    }

    fn swap_route_back(
        &self,
        live: &Arc<RoutingTable>,
        route: &RouteName,
        back: RouteBack,
        by: &Author,
    ) -> Result<Tried, ControlError> {
        let touched = Touched {
            routes: [route.clone()].into(),
            ..Touched::default()
        };
        let draft = compile(
            back.state.clone(),
            &touched,
            Some(live.compiled()),
            &self.fleet,
        )
        .map_err(ControlError::Invalid)?;
        let mut book = self.book();
        if by
            .idempotency_key
            .as_ref()
            .is_some_and(|key| book.by_key(key).is_some())
        {
            return Ok(Tried::Again);
        }
        let (revision, level) = (self.history.reserve(), back.level.revision);
        let swapped = self.cell.publish(
            draft,
            revision,
            live.revision(),
            Undo::Above(level),
            now_ms(),
        );
        let Ok(swapped) = swapped else {
            return Ok(Tried::Again);
        };
        let mut kept = self.record_back(&swapped, Cause::RollbackRoute, by);
        Arc::make_mut(&mut kept.record).change = Some(back.change);
        kept.whole = back.whole;
        kept.touched = touched;
        book.insert(kept.clone());
        self.history.keep(Entry {
            record: (*kept.record).clone(),
            whole: kept.whole.clone(),
        });
        drop(book);
        Ok(Tried::Done(self.done_back(
            live,
            &kept,
            back.undid,
            swapped.took,
        )))
    }

    /// The nearest level at which the route had another split, and the table with that one on this route alone.
    pub(super) fn route_back(
        &self,
        live: &RoutingTable,
        route: &RouteName,
    ) -> Result<RouteBack, ControlError> {
        let before = live.state();
        let known = || {
            before
                .spec
                .routes()
                .iter()
                .map(|route| route.name.clone())
                .collect()
        };
        let now = before
            .spec
            .route(route)
            .ok_or_else(|| ChangeError::UnknownRoute {
                name: route.to_string(),
                known: known(),
            })?;
        let mut undid = vec![live.revision()];
        let mut levels = self.cell.levels();
        while let Some(level) = levels.pop() {
            let Some(then) = level.spec.route(route).cloned() else {
                break;
            };
            if (&then.split, &then.stable) == (&now.split, &now.stable) {
                undid.push(level.revision);
                continue;
            }
            let mut spec = (***now).clone();
            spec.split.clone_from(&then.split);
            spec.stable.clone_from(&then.stable);
            let whole: Whole = then
                .last_whole
                .clone()
                .map(|release| BTreeMap::from([(route.clone(), release)]))
                .unwrap_or_default();
            let change = Change::PutRoute {
                route: Box::new(spec),
            };
            let state = with_whole(change.apply_to(&before)?.state, &whole);
            // What changed the route is the lowest of those passed: above it stand changes to other routes.
            undid = undid.into_iter().next_back().into_iter().collect();
            return Ok(RouteBack {
                level,
                change,
                state,
                whole,
                undid,
            });
        }
        Err(ControlError::NothingToUndo)
    }
}
