//! Tests of the rules: each by itself, and random orders of events on three nodes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn route(name: &str) -> TablePart {
    TablePart::Route(name.parse().unwrap())
}

fn parts(names: &[&str]) -> BTreeSet<TablePart> {
    names.iter().copied().map(route).collect()
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn follow(all: &mut LocalRollbacks, kind: ChangeKind, names: &[&str], settles: &[&str]) {
    all.follow(Followed {
        kind,
        parts: &parts(names),
        settles: &owned(settles),
        replaces: &[],
    });
}

fn one(by_machine: bool) -> LocalRollbacks {
    let mut all = LocalRollbacks::default();
    all.roll_back([route("chat")], "a-1", 3, by_machine);
    all
}

const ID: &str = "a-1/route `chat`";

#[test]
fn a_rollback_that_nobody_contradicts_is_published_and_then_settled_by_its_identifier() {
    let mut all = one(false);
    assert_eq!(all.to_publish(|_| false).len(), 1);
    follow(&mut all, ChangeKind::Human, &["tools"], &[]);
    follow(&mut all, ChangeKind::Machine, &["chat"], &[]);
    assert_eq!(all.to_publish(|_| false)[0].id, ID);
    follow(&mut all, ChangeKind::Rollback, &["chat"], &[ID]);
    assert!(all.all().is_empty());
}

#[test]
fn a_person_elsewhere_makes_it_a_dispute_that_waits_for_a_person() {
    for kind in [ChangeKind::Human, ChangeKind::Rollback] {
        let mut all = one(false);
        follow(&mut all, kind, &["chat"], &["b-7"]);
        assert_eq!(all.disputed().count(), 1);
        assert!(all.to_publish(|_| false).is_empty());
        // The fleet has what it went back to: all are told.
        assert_eq!(all.to_publish(|_| true).len(), 1);
        follow(&mut all, ChangeKind::Machine, &["chat"], &[]);
        assert_eq!(all.disputed().count(), 1);
        all.give_up_disputed();
        assert!(all.all().is_empty());
    }
}

#[test]
fn what_automation_rolled_back_ends_with_a_persons_change() {
    let mut all = one(true);
    follow(&mut all, ChangeKind::Machine, &["chat"], &[]);
    assert_eq!(all.all().len(), 1);
    follow(&mut all, ChangeKind::Human, &["chat"], &[]);
    assert!(all.all().is_empty());
}

#[test]
fn a_stretch_that_nobody_knows_is_a_dispute_and_a_later_rollback_is_the_one_that_counts() {
    let mut all = one(false);
    all.follow_unknown(&parts(&["chat"]));
    assert_eq!(all.disputed().count(), 1);
    all.roll_back([route("chat"), route("tools")], "a-2", 4, false);
    assert_eq!(all.all().len(), 2);
    assert_eq!(all.disputed().count(), 0);
    let of_chat = all.of_parts(&parts(&["chat"]));
    assert_eq!(of_chat[0].id, "a-2/route `chat`");
    assert_eq!(of_chat[0].replaces, [ID]);
}

#[test]
fn a_rollback_that_goes_further_back_outlives_the_publication_of_the_earlier_one() {
    let mut all = one(false);
    all.roll_back([route("chat")], "a-2", 3, false);
    // Another node had taken the first one over, and publishes it.
    follow(&mut all, ChangeKind::Rollback, &["chat"], &[ID]);
    assert_eq!(all.to_publish(|_| false)[0].id, "a-2/route `chat`");
    // A person there changes it, who knew of the first one only.
    let mut contradicted = all.clone();
    follow(&mut contradicted, ChangeKind::Human, &["chat"], &[ID]);
    assert_eq!(contradicted.disputed().count(), 1);
    // The other node has the first one still, and hears of the second.
    let mut other = one(false);
    other.follow(Followed {
        kind: ChangeKind::Rollback,
        parts: &parts(&["chat"]),
        settles: &owned(&["a-2/route `chat`"]),
        replaces: &owned(&[ID]),
    });
    assert!(other.all().is_empty());
}

#[test]
fn the_rollbacks_that_one_names_are_bounded() {
    let mut all = LocalRollbacks::default();
    for number in 0..100 {
        all.roll_back([route("chat")], &format!("a-{number}"), 3, false);
    }
    let last = &all.all()[0];
    assert_eq!(last.replaces.len(), LocalRollback::MOST_REPLACED);
    assert_eq!(last.replaces.last().unwrap(), "a-98/route `chat`");
}

#[test]
fn an_offer_is_taken_by_who_serves_what_it_takes_back_and_by_nobody_else() {
    let offered = one(false).all()[0].clone();
    let answer = |own: &LocalRollbacks, revision, unchanged_since| {
        let known = PartKnown {
            revision,
            unchanged_since,
        };
        own.answer(&offered, 2, known)
    };
    let none = LocalRollbacks::default();
    // It went back from revision 3, and revision 2 was the last change.
    for (revision, unchanged_since) in [(2, 2), (3, 2), (3, 3), (9, 1), (9, 3)] {
        assert_eq!(answer(&none, revision, unchanged_since), Offered::Taken);
    }
    assert_eq!(answer(&none, 1, 1), Offered::Behind);
    assert_eq!(answer(&none, 9, 4), Offered::Changed);
    assert_eq!(answer(&one(false), 3, 2), Offered::Known);
    let mut later = one(false);
    later.roll_back([route("chat")], "a-2", 3, false);
    assert_eq!(answer(&later, 3, 2), Offered::Known);
    let mut own = LocalRollbacks::default();
    own.roll_back([route("chat")], "b-1", 3, false);
    assert_eq!(answer(&own, 3, 2), Offered::Contradicted);
    // One that goes further back replaces the one that was taken.
    let known = PartKnown {
        revision: 3,
        unchanged_since: 2,
    };
    let further = &later.all()[0];
    let mut taken = one(false);
    assert_eq!(taken.answer(further, 2, known), Offered::Taken);
    taken.take(further.clone());
    assert_eq!(taken.all(), later.all());
}

#[test]
fn what_is_offered_is_in_the_steps_in_which_it_was_made_and_not_in_dispute() {
    let mut all = LocalRollbacks::default();
    all.roll_back([route("chat"), route("tools")], "a-1", 3, false);
    all.roll_back([route("search")], "a-2", 3, false);
    let steps = all.to_offer();
    assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    follow(&mut all, ChangeKind::Human, &["chat", "search"], &[]);
    let steps = all.to_offer();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0][0].part, route("tools"));
}

/// A store and its nodes, each with one route of which a value is all that is known.
#[derive(Debug, Default)]
struct World {
    revisions: Vec<(ChangeKind, u32, Vec<LocalRollback>)>,
    nodes: Vec<Node>,
    fresh: u32,
}

#[derive(Debug, Default, Clone)]
struct Node {
    seen: usize,
    has_store: bool,
    live: u32,
    rollbacks: LocalRollbacks,
    // What a person took back here, and has not been given back by a person since.
    banned: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Publish(usize),
    Automate(usize),
    RollBack(usize),
    Lose(usize),
    Return(usize),
    KeepMine(usize),
    KeepTheirs(usize),
    Sync(usize),
    Offer(usize, usize),
}

impl World {
    fn value(&self, seen: usize) -> u32 {
        self.revisions[..seen].last().map_or(0, |last| last.1)
    }

    fn sync(&mut self, number: usize) {
        if !self.nodes[number].has_store {
            return;
        }
        loop {
            let mut node = self.nodes[number].clone();
            while let Some((kind, value, settles)) = self.revisions.get(node.seen) {
                let before = self.value(node.seen);
                let changed = if before == *value && settles.is_empty() {
                    parts(&[])
                } else {
                    parts(&["chat"])
                };
                let ids: Vec<_> = settles.iter().map(|one| one.id.clone()).collect();
                let replaced: Vec<_> = settles
                    .iter()
                    .flat_map(|one| one.replaces.clone())
                    .collect();
                node.rollbacks.follow(Followed {
                    kind: *kind,
                    parts: &changed,
                    settles: &ids,
                    replaces: &replaced,
                });
                node.seen += 1;
            }
            let theirs = self.value(node.seen);
            if node.rollbacks.all().is_empty() {
                node.live = theirs;
            }
            let mine = node.live;
            let publish = node.rollbacks.to_publish(|_| theirs == mine);
            self.nodes[number] = node;
            let Some(first) = publish.first() else { return };
            let settles = vec![first.clone()];
            self.revisions.push((ChangeKind::Rollback, mine, settles));
        }
    }

    fn publish(&mut self, number: usize, machine: bool) {
        self.sync(number);
        let node = &self.nodes[number];
        if !node.has_store || machine && !node.rollbacks.all().is_empty() {
            return;
        }
        if machine
            && self
                .revisions
                .last()
                .is_some_and(|last| last.0 == ChangeKind::Rollback)
        {
            return;
        }
        self.fresh += 1;
        let settles = node.rollbacks.of_parts(&parts(&["chat"]));
        let kind = if machine {
            ChangeKind::Machine
        } else {
            ChangeKind::Human
        };
        if !machine {
            self.nodes[number].banned = None;
        }
        self.revisions.push((kind, self.fresh, settles));
        self.sync(number);
    }

    fn roll_back(&mut self, number: usize) {
        let seen = self.nodes[number].seen;
        let (now, before) = (self.nodes[number].live, self.value(seen.saturating_sub(1)));
        if now == before {
            return;
        }
        self.fresh += 1;
        let id = format!("{number}-{}", self.fresh);
        let node = &mut self.nodes[number];
        node.live = before;
        node.banned = Some(now);
        node.rollbacks
            .roll_back([route("chat")], &id, seen as u64, false);
    }

    /// Number of the last revision that changed the value, up to one.
    fn changed(&self, seen: usize) -> usize {
        let mut numbers = (1..=seen).rev();
        let last = numbers.find(|number| self.value(*number) != self.value(number - 1));
        last.unwrap_or_default()
    }

    fn offer(&mut self, giver: usize, taker: usize) {
        let Some(step) = self.nodes[giver].rollbacks.to_offer().pop() else {
            return;
        };
        let (live, banned) = (self.nodes[giver].live, self.nodes[giver].banned);
        let seen = self.nodes[taker].seen;
        let known = PartKnown {
            revision: seen as u64,
            unchanged_since: self.changed(seen) as u64,
        };
        let of = usize::try_from(step[0].of).unwrap();
        let changed = self.changed(of) as u64;
        let node = &mut self.nodes[taker];
        if node.rollbacks.answer(&step[0], changed, known) == Offered::Taken {
            node.rollbacks.take(step[0].clone());
            (node.live, node.banned) = (live, banned);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Publish(number) => self.publish(number, false),
            Event::Automate(number) => self.publish(number, true),
            Event::RollBack(number) => self.roll_back(number),
            Event::Lose(number) => self.nodes[number].has_store = false,
            Event::Return(number) => self.nodes[number].has_store = true,
            Event::KeepMine(number) if self.nodes[number].has_store => {
                self.sync(number);
                let node = &self.nodes[number];
                if node.rollbacks.disputed().count() == 0 {
                    return;
                }
                let settles = node.rollbacks.of_parts(&parts(&["chat"]));
                self.revisions
                    .push((ChangeKind::Rollback, node.live, settles));
                self.sync(number);
            }
            Event::KeepTheirs(number) if self.nodes[number].has_store => {
                let node = &mut self.nodes[number];
                if node.rollbacks.disputed().count() > 0 {
                    node.rollbacks.give_up_disputed();
                    node.banned = None;
                }
                self.sync(number);
            }
            Event::KeepMine(_) | Event::KeepTheirs(_) => {}
            Event::Sync(number) => self.sync(number),
            Event::Offer(giver, taker) => self.offer(giver, taker),
        }
    }
}

fn event(nodes: usize) -> impl Strategy<Value = Event> {
    (0..10_u8, 0..nodes, 0..nodes).prop_map(|(kind, node, other)| match kind {
        0 => Event::Publish(node),
        1 => Event::Automate(node),
        2 => Event::RollBack(node),
        3 => Event::Lose(node),
        4 => Event::Return(node),
        5 => Event::KeepMine(node),
        6 => Event::KeepTheirs(node),
        7 | 8 => Event::Offer(node, other),
        _ => Event::Sync(node),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_comes_back_by_itself_and_all_agree_once_nothing_is_disputed(
        events in proptest::collection::vec(event(3), 1..60),
    ) {
        let mut world = World {
            nodes: vec![Node { has_store: true, ..Node::default() }; 3],
            ..World::default()
        };
        for event in events {
            world.step(event);
            for node in &world.nodes {
                // While the fleet does not have the rollback, nothing but a person on this node ends it.
                if !node.rollbacks.all().is_empty() {
                    prop_assert_ne!(Some(node.live), node.banned);
                }
            }
        }
        for round in 0..2 {
            for number in 0..3 {
                world.nodes[number].has_store = true;
                world.sync(number);
                if round == 0 {
                    world.step(Event::KeepTheirs(number));
                }
            }
        }
        for number in 0..3 {
            world.sync(number);
            prop_assert_eq!(world.nodes[number].live, world.value(world.revisions.len()));
            prop_assert!(world.nodes[number].rollbacks.all().is_empty());
        }
    }
}
