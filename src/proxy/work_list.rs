//! A worker's list of its work in flight: every request that is selected for or committed, with its class, its age and the
//! revision that selected it.
//!
//! The list belongs to one thread: a request takes a place and leaves it without an atomic, and without an allocation once
//! the list is as long as it ever was. The control plane asks for sums, and for cuts, over the table's
//! [`WorkBoard`](crate::table::WorkBoard).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::fleet::Roster;
use crate::model::{CutCause, Revision, RouteName};
use crate::net::Tick;
use crate::table::{Ages, CutOrder, WorkTally};

use super::route_cache::CachedRoute;
use super::work_class::{Cut, ResponseClass};

/// End of the list of free places.
const NO_PLACE: u32 = u32::MAX;

/// The work of one worker.
pub(super) struct WorkList {
    places: RefCell<Places>,
    /// Number of places that are marked to be cut.
    cuts: Cell<u32>,
}

struct Places {
    all: Vec<Work>,
    /// The first free place.
    free: u32,
}

/// One request, or a free place.
struct Work {
    /// Absent in a free place.
    route: Option<Rc<CachedRoute>>,
    /// An index into the entries of the route's split.
    entry: usize,
    revision: Revision,
    since: Tick,
    is_preview: bool,
    class: ResponseClass,
    cut: Option<CutCause>,
    /// The free place after this one, if it is free itself.
    next: u32,
}

/// The place of one request in the list, until it is dropped.
pub(super) struct WorkPlace {
    list: Rc<WorkList>,
    // Invariant: an index into the places, which is taken.
    place: u32,
}

// === impl WorkList ===

impl WorkList {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            places: RefCell::new(Places {
                all: Vec::new(),
                free: NO_PLACE,
            }),
            cuts: Cell::new(0),
        })
    }

    /// Enters a request that was selected for.
    pub(super) fn enter(
        self: &Rc<Self>,
        route: &Rc<CachedRoute>,
        entry: usize,
        (revision, is_preview): (Revision, bool),
        since: Tick,
    ) -> WorkPlace {
        let work = Work {
            route: Some(Rc::clone(route)),
            entry,
            revision,
            since,
            is_preview,
            class: ResponseClass::UNARY,
            cut: None,
            next: NO_PLACE,
        };
        WorkPlace {
            place: self.places.borrow_mut().take(work),
            list: Rc::clone(self),
        }
    }

    /// Sums up the work on a release, of one route or of all.
    pub(super) fn tally(
        &self,
        roster: &Arc<Roster>,
        (route, ages): (Option<&RouteName>, &Ages),
        now: Tick,
    ) -> WorkTally {
        let places = self.places.borrow();
        let mut tally = WorkTally::default();
        let places = places.all.iter();
        for work in places.filter(|work| work.is_of(Some(roster), route)) {
            let age = now.since(work.since);
            tally.count(work.class.class, work.revision, age);
            if !work.is_preview {
                tally.count_age(age, ages);
            }
        }
        tally
    }

    /// Marks the work that an order is about. True if any was marked now: their tasks must be woken.
    pub(super) fn mark(&self, order: &CutOrder) -> bool {
        let mut places = self.places.borrow_mut();
        let before = self.cuts.get();
        for (place, work) in (0..).zip(&mut places.all) {
            if work.is_ordered(order, place) {
                work.cut = Some(order.cause);
                self.cuts.set(self.cuts.get() + 1);
            }
        }
        self.cuts.get() > before
    }
}

// === impl Places ===

impl Places {
    fn take(&mut self, work: Work) -> u32 {
        let place = self.free;
        if let Some(free) = self.all.get_mut(place as usize) {
            self.free = free.next;
            *free = work;
            return place;
        }
        self.all.push(work);
        u32::try_from(self.all.len() - 1).expect("fewer than 4 billion requests")
    }

    /// Frees a place; the cause of its cut, if it was to be cut.
    fn leave(&mut self, place: u32) -> Option<CutCause> {
        let work = self.all.get_mut(place as usize)?;
        work.route = None;
        work.next = std::mem::replace(&mut self.free, place);
        work.cut.take()
    }
}

// === impl Work ===

impl Work {
    fn is_of(&self, roster: Option<&Arc<Roster>>, route: Option<&RouteName>) -> bool {
        let Some(own) = &self.route else {
            return false;
        };
        let release = own.split().entries()[self.entry].release();
        roster.is_none_or(|roster| Arc::ptr_eq(release.roster(), roster))
            && route.is_none_or(|route| *route == own.spec().name)
    }

    fn is_ordered(&self, order: &CutOrder, place: u32) -> bool {
        self.cut.is_none()
            && self.revision < order.before
            && order.class.is_none_or(|class| class == self.class.class)
            && lot(place, self.since) <= order.part
            && self.is_of(order.roster.as_ref(), order.route.as_ref())
    }
}

/// A number that a request keeps as long as it runs, evenly spread: a cut of a part takes those below it (murmur3's
/// finalizer).
fn lot(place: u32, since: Tick) -> u32 {
    let mut mixed = since.millis() ^ u64::from(place) << 32;
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    u32::try_from((mixed ^ mixed >> 33) >> 32).expect("half of the bits are left")
}

// === impl WorkPlace ===

impl WorkPlace {
    /// Sets the class, once the response says what it is.
    pub(super) fn set_class(&self, class: ResponseClass) {
        self.list.places.borrow_mut().all[self.place as usize].class = class;
    }

    /// True if it is to end.
    pub(super) fn is_cut(&self) -> bool {
        self.list.cuts.get() > 0 && self.cut().is_some()
    }

    /// The end that it is to have, if it is to end.
    pub(super) fn cut(&self) -> Option<Cut> {
        let work = &self.list.places.borrow().all[self.place as usize];
        work.cut.map(|cause| Cut {
            cause,
            class: work.class,
        })
    }
}

impl Drop for WorkPlace {
    fn drop(&mut self) {
        if self.list.places.borrow_mut().leave(self.place).is_some() {
            self.list.cuts.set(self.list.cuts.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const NO_AGES: Ages = [std::time::Duration::MAX; 4];
    use crate::fleet::Fleet;
    use crate::model::{ChangeSet, LeaveCause, TableDocument, TableState, WorkClass};
    use crate::net::Timers;
    use crate::table::compile;

    use super::super::route_cache::RouteCache;

    /// Two routes with the same two releases, of which the first has all the weight.
    fn routes() -> [Rc<CachedRoute>; 2] {
        let document: TableDocument = serde_json::from_value(serde_json::json!({
            "releases": {
                "blue": {"endpoints": ["http://127.0.0.1:9"]},
                "green": {"endpoints": ["http://127.0.0.1:9"]},
            },
            "routes": (["a", "b"].map(|name| serde_json::json!({
                "name": name, "path": format!("/{name}"), "split": {"blue": 1, "green": 0},
            }))),
        }))
        .unwrap();
        let state = document.into_state(&TableState::default());
        let draft = compile(state, &ChangeSet::default(), None, &Fleet::new(1)).unwrap();
        let mut cache = RouteCache::default();
        let routes: Vec<_> = draft.compiled().routes().iter().collect();
        [cache.get(routes[0]), cache.get(routes[1])]
    }

    fn roster(route: &CachedRoute, entry: usize) -> &Arc<Roster> {
        route.split().entries()[entry].release().roster()
    }

    fn order(route: &Rc<CachedRoute>, before: u64, part: u32) -> CutOrder {
        CutOrder {
            roster: Some(Arc::clone(roster(route, 0))),
            route: Some(route.spec().name.clone()),
            class: None,
            before: Revision(before),
            part,
            cause: CutCause::Left(LeaveCause::Rollback),
        }
    }

    #[test]
    fn the_list_counts_by_release_and_route_and_its_places_are_used_again() {
        let (list, [a, b]) = (WorkList::new(), routes());
        let now = Timers::new().now();
        let enter = |route, entry| list.enter(route, entry, (Revision(3), false), now);
        let held = [enter(&a, 0), enter(&a, 1), enter(&b, 0)];
        held[0].set_class(ResponseClass {
            class: WorkClass::Stream,
            is_events: true,
        });
        let total = |roster, route| list.tally(roster, (route, &NO_AGES), now).total();
        assert_eq!(total(roster(&a, 0), None), 2);
        assert_eq!(total(roster(&a, 0), Some(&b.spec().name)), 1);
        assert_eq!(total(roster(&a, 1), None), 1);
        let tally = list.tally(roster(&a, 0), (None, &NO_AGES), now);
        assert_eq!(tally.classes[WorkClass::Stream.index()].count, 1);
        assert_eq!(tally.revisions[&Revision(3)].count, 2);
        let [first, second, third] = held;
        drop((second, first));
        let again = [enter(&a, 0), enter(&a, 0)];
        assert_eq!(list.places.borrow().all.len(), 3, "no place is added");
        assert_eq!(total(roster(&a, 0), None), 3);
        drop((again, third));
        assert_eq!(total(roster(&a, 0), None), 0);
    }

    #[test]
    fn a_cut_marks_what_earlier_revisions_selected_for_its_route_and_nothing_else() {
        let (list, [a, b]) = (WorkList::new(), routes());
        let now = Timers::new().now();
        let enter =
            |route, entry, revision| list.enter(route, entry, (Revision(revision), false), now);
        let (old, new) = (enter(&a, 0, 4), enter(&a, 0, 5));
        let (other_release, other_route) = (enter(&a, 1, 4), enter(&b, 0, 4));
        assert!(list.mark(&order(&a, 5, u32::MAX)));
        assert!(!list.mark(&order(&a, 5, u32::MAX)), "each is marked once");
        assert_eq!(
            old.cut().unwrap().cause,
            CutCause::Left(LeaveCause::Rollback)
        );
        for kept in [&new, &other_release, &other_route] {
            assert!(!kept.is_cut());
        }
        let everything = CutOrder {
            roster: None,
            route: None,
            class: Some(WorkClass::Unary),
            before: Revision(u64::MAX),
            part: u32::MAX,
            cause: CutCause::Shutdown,
        };
        other_route.set_class(ResponseClass {
            class: WorkClass::Stream,
            is_events: true,
        });
        assert!(list.mark(&everything));
        assert_eq!(new.cut().unwrap().cause, CutCause::Shutdown);
        assert!(other_release.is_cut() && !other_route.is_cut());
        drop((old, new, other_release));
        assert_eq!(list.cuts.get(), 0);
    }

    #[test]
    fn a_part_takes_its_share_and_a_larger_one_takes_all_of_a_smaller_one() {
        let (list, [a, _]) = (WorkList::new(), routes());
        let now = Timers::new().now();
        let all: Vec<_> = (0..2_000)
            .map(|_| list.enter(&a, 0, (Revision(1), false), now))
            .collect();
        let cut = || all.iter().filter(|work| work.is_cut()).count();
        let mut before = 0;
        for (part, least, most) in [
            (0, 0, 1),
            (u32::MAX / 2, 900, 1_100),
            (u32::MAX, 2_000, 2_000),
        ] {
            list.mark(&order(&a, 2, part));
            assert!((least..=most).contains(&cut()), "{} of {part}", cut());
            assert!(before <= cut());
            before = cut();
        }
    }
}
