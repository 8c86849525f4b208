//! A worker's cache of references to the routes of the live table.
//!
//! A request holds its route, and every worker would write to the route's reference count for each request. So a worker
//! takes a reference once and counts its own requests on it without an atomic. The cache is bounded and is cleared when
//! the table changes: no removed route stays alive because of it.

use std::{cell::OnceCell, ops::Deref, rc::Rc, sync::Arc};

use crate::{
    fleet::AnswerOrigin,
    table::{Route, SplitEntry},
};

/// Number of slots; two routes that fall on one slot replace each other.
const PLACES: usize = 64;

/// The most recently used routes.
#[derive(Default)]
pub(super) struct RouteCache(Vec<Option<Rc<CachedRoute>>>);

/// A reference to a route, shared by the requests of one worker.
pub(super) struct CachedRoute {
    route: Arc<Route>,
    /// The origin of the answers of each entry of the split, once answers are remembered.
    origins: OnceCell<Box<[Rc<AnswerOrigin>]>>,
}

impl Deref for CachedRoute {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.route
    }
}

impl CachedRoute {
    fn new(route: &Arc<Route>) -> Self {
        Self {
            route: Arc::clone(route),
            origins: OnceCell::new(),
        }
    }

    /// The origin of the answers of the release at an entry of the split.
    pub(super) fn origin(&self, entry: usize) -> &Rc<AnswerOrigin> {
        let origin = |entry: &SplitEntry| {
            Rc::new(AnswerOrigin {
                route: self.spec().name.clone(),
                release: entry.release().name().clone(),
                version: entry.release().version().clone(),
            })
        };
        let entries = self.split().entries();
        &self
            .origins
            .get_or_init(|| entries.iter().map(origin).collect())[entry]
    }
}

impl RouteCache {
    #[inline]
    pub(super) fn get(&mut self, route: &Arc<Route>) -> Rc<CachedRoute> {
        if self.0.is_empty() {
            self.0.resize_with(PLACES, || None);
        }
        // The lowest bits of addresses differ least.
        let place = &mut self.0[(Arc::as_ptr(route).addr() >> 5) % PLACES];
        match place {
            Some(held) if Arc::ptr_eq(&held.route, route) => Rc::clone(held),
            _ => Rc::clone(place.insert(Rc::new(CachedRoute::new(route)))),
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::Fleet,
        model::{ChangeSet, TableDocument, TableState},
        table::compile,
    };

    #[test]
    fn a_route_is_taken_once_and_let_go_when_the_table_changes() {
        let document: TableDocument = serde_json::from_value(serde_json::json!({
            "releases": {"blue": {"endpoints": ["http://127.0.0.1:9"]}},
            "routes": (0..200).map(|route| serde_json::json!({
                "name": format!("r{route}"), "path": format!("/{route}"), "split": {"blue": 1},
            })).collect::<Vec<_>>(),
        }))
        .unwrap();
        let state = document.into_state(&TableState::default());
        let draft = compile(state, &ChangeSet::default(), None, &Fleet::new(1)).unwrap();
        let routes: Vec<_> = draft.compiled().routes().iter().collect();
        let mut held = RouteCache::default();
        for route in &routes {
            assert!(Arc::ptr_eq(&held.get(route).route, route));
            assert!(Arc::ptr_eq(&held.get(route).route, route));
        }
        let count = |held: &RouteCache| held.0.iter().flatten().count();
        assert!((1..=PLACES).contains(&count(&held)));
        let (first, again) = (held.get(routes[7]), held.get(routes[7]));
        assert!(Rc::ptr_eq(&first, &again));
        assert_eq!(Arc::strong_count(routes[7]), 2);
        held.clear();
        assert_eq!((count(&held), Arc::strong_count(routes[7])), (0, 2));
        drop((first, again));
        assert_eq!(Arc::strong_count(routes[7]), 1);
    }
}
