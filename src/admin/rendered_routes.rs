//! Rendered routes of a status. Only decisions change them, while a status is polled every second: so unchanged routes
//! are not rendered again, and all statuses share their memory.

use std::{
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;

use super::page::PageWriter;
use crate::{
    api::{RouteFacts, RouteStatus},
    model::{ChunkedMap, Hashed, RouteSpec},
};

type Route = Arc<Hashed<RouteSpec>>;

/// The routes of the last status.
#[derive(Debug, Default)]
pub(super) struct RenderedRoutes(Mutex<Vec<Arc<Rendered>>>);

/// A chunk of the table's routes as JSON, each followed by a comma.
#[derive(Debug)]
struct Rendered {
    routes: Arc<Vec<Route>>,
    facts: Vec<RouteFacts>,
    json: Vec<Bytes>,
}

impl RenderedRoutes {
    /// The routes of a table as items of a JSON list. `facts` are those of each of these routes.
    pub(super) fn of(
        &self,
        routes: &ChunkedMap<Route>,
        facts: impl Fn(&[Route]) -> Vec<RouteFacts>,
    ) -> Vec<Bytes> {
        // Locked to copy pointers; one status is rendered at a time.
        let memo = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = memo().clone();
        let chunks = routes.chunks().iter().enumerate();
        let rendered: Vec<_> = chunks
            .map(|(place, routes)| {
                let facts = facts(routes);
                let known = before
                    .get(place)
                    .filter(|known| Arc::ptr_eq(&known.routes, routes) && known.facts == facts);
                let render = || Arc::new(Rendered::of(Arc::clone(routes), facts.clone()));
                known.map_or_else(render, Arc::clone)
            })
            .collect();
        memo().clone_from(&rendered);
        items(&rendered)
    }
}

impl Rendered {
    fn of(routes: Arc<Vec<Route>>, facts: Vec<RouteFacts>) -> Self {
        let mut writer = PageWriter::default();
        for (route, facts) in routes.iter().zip(&facts) {
            serde_json::to_writer(&mut writer, &RouteStatus::of(route, facts))
                .expect("types of the API have string keys, and memory takes every byte");
            writer.write_all(b",").expect("memory takes every byte");
        }
        Self {
            routes,
            facts,
            json: writer.into_chunks(),
        }
    }
}

/// All items, without the last comma.
fn items(rendered: &[Arc<Rendered>]) -> Vec<Bytes> {
    let all = rendered.iter().flat_map(|chunk| chunk.json.iter().cloned());
    let mut items: Vec<Bytes> = all.collect();
    if let Some(last) = items.last_mut() {
        last.truncate(last.len() - 1);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

    fn route(name: &str, weight: u32) -> Route {
        let spec = serde_json::json!({ "name": name, "split": { "blue": weight } });
        Arc::new(Hashed::new(serde_json::from_value(spec).unwrap()))
    }

    fn shown(items: &[Bytes]) -> Vec<RouteStatus> {
        serde_json::from_slice(&[b"[", &*items.concat(), b"]"].concat()).unwrap()
    }

    #[test]
    fn what_did_not_change_is_rendered_once_and_its_memory_is_shared() {
        let rendered = RenderedRoutes::default();
        let changed = |by: u64| {
            let of = move |route: &Route| RouteFacts {
                changed_by: (route.name.as_str() == "r300").then_some(Revision(by)),
                drill: None,
            };
            move |routes: &[Route]| routes.iter().map(of).collect::<Vec<_>>()
        };
        let before: ChunkedMap<_> = (0..1_000).map(|n| route(&format!("r{n}"), 1)).collect();
        let first = rendered.of(&before, changed(1));
        let all: Vec<_> = before.iter().map(|route| route.name.clone()).collect();
        let names = |items: &[Bytes]| -> Vec<_> {
            shown(items).into_iter().map(|route| route.name).collect()
        };
        assert_eq!(names(&first), all);
        let new = |before: &[Bytes], after: &[Bytes]| -> usize {
            let known: Vec<_> = before.iter().map(|bytes| bytes.as_ptr()).collect();
            let is_new = |bytes: &&Bytes| !known.contains(&bytes.as_ptr());
            after.iter().filter(is_new).count()
        };
        assert_eq!(new(&first, &rendered.of(&before, changed(1))), 0);
        let after = before.set(300, route("r300", 2));
        let second = rendered.of(&after, changed(2));
        let share = first.len().div_ceil(before.chunks().len()) + 1;
        assert!((1..=share).contains(&new(&first, &second)));
        let route = &shown(&second)[300];
        assert_eq!(
            (route.split[0].weight, route.changed_by),
            (2, Some(Revision(2)))
        );
        // The same route with another last revision.
        assert!(new(&second, &rendered.of(&after, changed(3))) > 0);
        assert!(rendered.of(&ChunkedMap::default(), changed(4)).is_empty());
    }
}
