//! Tests of the memory of answers.

use super::*;
use crate::model::Version;

fn origin(route: &str, release: &str) -> Rc<AnswerOrigin> {
    Rc::new(AnswerOrigin {
        route: route.parse().unwrap(),
        release: release.parse().unwrap(),
        version: Version::default(),
    })
}

fn answer(origin: &Rc<AnswerOrigin>, number: u64, session: u64) -> GivenAnswer {
    GivenAnswer {
        origin: Rc::clone(origin),
        revision: Revision(7),
        number,
        session,
        variants: Box::default(),
        at_ms: number,
    }
}

fn by_id(id: &str) -> AnswerKey {
    AnswerKey::RequestId(id.into())
}

fn by_session(route: &str, session: u64) -> AnswerKey {
    AnswerKey::Session {
        route: route.parse().unwrap(),
        session,
    }
}

/// The number of the answer that was found.
fn number(found: Option<Found>) -> Option<u64> {
    match found? {
        Found::One(answer) => Some(answer.number),
        Found::Several => panic!("several"),
    }
}

#[test]
fn an_answer_is_found_by_its_id_and_the_last_one_by_its_session() {
    let mut memory = AnswerMemory::default();
    let (blue, green) = (origin("chat", "blue"), origin("chat", "green"));
    assert_eq!(memory.find(&by_id("a"), 0), None, "nothing is there yet");
    memory.remember(answer(&blue, 1, 40), Some(AnswerId::Own(0xab)), true);
    memory.remember(answer(&green, 2, 40), Some(AnswerId::Given("req-2")), true);
    memory.remember(answer(&green, 3, 41), Some(AnswerId::Own(3)), false);
    let own = format!("{:032x}", 0xab);
    let Some(Found::One(found)) = memory.find(&by_id(&own), 31) else {
        panic!("{memory:?}");
    };
    assert_eq!((&found.origin, found.revision), (&*blue, Revision(7)));
    assert_eq!(found.age, Duration::from_millis(30));
    assert_eq!(number(memory.find(&by_id("req-2"), 0)), Some(2));
    assert_eq!(number(memory.find(&by_session("chat", 40), 0)), Some(2));
    for nothing in [
        by_id(&own.to_uppercase()),
        by_id("ab"),
        by_session("chat", 41),
        by_session("tools", 40),
    ] {
        assert_eq!(memory.find(&nothing, 0), None, "{nothing:?}");
    }
}

#[test]
fn an_id_that_comes_again_names_no_answer_as_long_as_the_later_one_is_remembered() {
    let mut memory = AnswerMemory::default();
    let blue = origin("chat", "blue");
    // A client behind a trusted proxy may send the id of another's answer.
    memory.remember(answer(&blue, 1, 0), Some(AnswerId::Own(0xcd)), false);
    let taken = format!("{:032x}", 0xcd);
    memory.remember(answer(&blue, 2, 0), Some(AnswerId::Given(&taken)), false);
    assert_eq!(memory.find(&by_id(&taken), 0), Some(Found::Several));
    for number in 0..MOST as u64 - 1 {
        let other = AnswerId::Own(u128::from(number) | 1 << 90);
        memory.remember(answer(&blue, number, 0), Some(other), false);
    }
    let found = memory.find(&by_id(&taken), 0);
    assert_eq!(found, Some(Found::Several), "the first has gone");
    memory.remember(answer(&blue, 9, 0), Some(AnswerId::Own(1 << 100)), false);
    assert_eq!(memory.find(&by_id(&taken), 0), None, "both have gone");
}

#[test]
fn a_flood_replaces_the_oldest_and_takes_no_more_room() {
    let mut memory = AnswerMemory::default();
    let blue = origin("chat", "blue");
    let id = |number: u64| format!("{number:032x}");
    for number in 0..3 * MOST as u64 {
        // One session floods, the others have an answer each.
        let session = if number % 2 == 0 { 0 } else { number };
        memory.remember(
            answer(&blue, number, session),
            Some(AnswerId::Own(number.into())),
            true,
        );
        assert!(memory.answers.len() <= MOST);
        assert_eq!(memory.answers.capacity(), MOST);
    }
    assert_eq!(memory.answers.len(), MOST);
    assert_eq!(size_of::<Remembered>(), 72, "docs/feedback.md says so");
    let last = 3 * MOST as u64 - 1;
    let oldest = last + 1 - MOST as u64;
    for there in (oldest..=last).step_by(997).chain([oldest, last]) {
        let found = memory.find(&by_id(&id(there)), 0);
        assert_eq!(number(found), Some(there));
        if there % 2 == 1 {
            let found = memory.find(&by_session("chat", there), 0);
            assert_eq!(number(found), Some(there));
        }
    }
    assert_eq!(
        number(memory.find(&by_session("chat", 0), 0)),
        Some(last - 1)
    );
    for gone in [0, 1, oldest - 1, last + 1] {
        assert_eq!(memory.find(&by_id(&id(gone)), 0), None);
    }
    assert_eq!(memory.find(&by_session("chat", 1), 0), None);
}

#[test]
fn the_memory_finds_what_a_list_of_the_last_answers_has() {
    let mut memory = AnswerMemory::default();
    let routes = ["chat", "tools"].map(|route| origin(route, "blue"));
    let mut list = Vec::new();
    // A fixed sequence (Knuth's multiplier), in which sessions and given ids come again.
    let mut state = 1_u64;
    for count in 0..2 * MOST as u64 + 100 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let random = state >> 33;
        let (session, has_session) = (random % 5_000, !random.is_multiple_of(3));
        let route = &routes[usize::try_from(random % 2).unwrap()];
        let id = format!("r{}", random % 200_000);
        let has_id = !random.is_multiple_of(7);
        let given = has_id.then_some(AnswerId::Given(&id));
        memory.remember(answer(route, count, session), given, has_session);
        list.push((has_id.then_some(id), route, has_session.then_some(session)));
    }
    let kept = list.len() - MOST;
    for (id, route, session) in list[kept..].iter().step_by(251) {
        let places = (kept..list.len()).rev();
        if let Some(session) = session {
            let is_it =
                |place: &usize| list[*place].1 == *route && list[*place].2 == Some(*session);
            let expected = places.clone().find(is_it).map(|place| place as u64);
            let key = by_session(route.route.as_str(), *session);
            assert_eq!(number(memory.find(&key, 0)), expected);
        }
        if let Some(id) = id {
            let of_id = |place: &usize| list[*place].0.as_ref() == Some(id);
            let all: Vec<_> = places.filter(of_id).collect();
            match memory.find(&by_id(id), 0) {
                Some(Found::One(answer)) => {
                    assert_eq!(all, [usize::try_from(answer.number).unwrap()]);
                }
                found => assert!(found == Some(Found::Several), "{id}: {found:?}"),
            }
        }
    }
}
