//! The room on endpoints: a limit that holds, and requests that wait for a place.

use super::*;

#[test]
fn the_limit_holds_while_workers_pick_wait_and_leave() {
    const LIMIT: u32 = 2;
    let roster = roster(&[1, 1, 1]);
    let policy = limited(LIMIT);
    let served = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for slot in 0..4 {
            let (roster, policy, served) = (&roster, &policy, &served);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.build().unwrap();
                let held: std::cell::RefCell<Vec<InFlight>> = std::cell::RefCell::default();
                for draw in draws(3_000) {
                    let plain = Pick {
                        policy,
                        ..Pick::random(draw, 1, slot)
                    };
                    let picked = roster.pick(&plain).or_else(|_| {
                        // It waits for others, who must not wait for what it holds.
                        held.borrow_mut().clear();
                        let ticket = roster.wait_for_room(policy, 9, None).unwrap();
                        if draw % 5 == 0 {
                            return Err(PickError::NoEndpoint);
                        }
                        let mut ticket = Some(ticket);
                        loop {
                            let own = ticket.take().unwrap();
                            runtime.block_on(own.called());
                            let picked = roster.pick(&Pick {
                                is_called: true,
                                ..plain
                            });
                            ticket = roster.end_turn(policy, own, picked.is_ok());
                            if picked.is_ok() {
                                return picked;
                            }
                        }
                    });
                    for endpoint in roster.endpoints().iter() {
                        assert!(endpoint.in_flight() <= LIMIT);
                    }
                    served.fetch_add(u32::from(picked.is_ok()), Ordering::Relaxed);
                    let mut held = held.borrow_mut();
                    held.extend(picked);
                    if held.len() > 2 {
                        held.remove(0);
                    }
                }
            });
        }
    });
    assert!(served.into_inner() >= 4 * 3_000 * 4 / 5 - 100);
    assert_eq!((roster.in_flight(), roster.waiting_for_room()), (0, 0));
}

#[test]
fn whoever_waits_is_not_overtaken_and_a_pinned_request_waits_for_its_endpoint() {
    let roster = roster(&[1, 1]);
    let policy = limited(1);
    let plain = Pick {
        policy: &policy,
        ..Pick::random(7, 1, 0)
    };
    let pinned = Pick {
        preferred: Some(address(1)),
        ..plain
    };
    let first = roster.pick(&pinned).unwrap();
    assert_eq!(
        roster.pick(&pinned).unwrap_err(),
        PickError::Full(Some(address(1)))
    );
    let ticket = roster.wait_for_room(&policy, 2, Some(address(1))).unwrap();
    assert!(!ticket.is_called(), "room elsewhere is not for it");
    drop(first);
    assert!(ticket.is_called());
    assert_eq!(roster.pick(&plain).unwrap_err(), PickError::Full(None));
    let called = Pick {
        is_called: true,
        ..pinned
    };
    let picked = roster.pick(&called).unwrap();
    assert!(roster.end_turn(&policy, ticket, true).is_none());
    assert_eq!((port(&picked), roster.waiting_for_room()), (1, 0));
    assert_eq!(port(&roster.pick(&plain).unwrap()), 2);
}

#[test]
fn a_place_is_called_for_although_another_request_was_called_for_nothing() {
    let roster = roster(&[1, 1]);
    let policy = limited(1);
    let pick = |preferred| Pick {
        policy: &policy,
        preferred,
        ..Pick::random(7, 1, 0)
    };
    let held = [1, 2].map(|port| roster.pick(&pick(Some(address(port)))).unwrap());
    let wait = |wanted| roster.wait_for_room(&policy, 9, wanted).unwrap();
    let (first, pinned, last) = (wait(None), wait(Some(address(2))), wait(None));
    drop(held);
    assert!(first.is_called() && pinned.is_called() && !last.is_called());
    // The first was called for endpoint 1 and takes the place on endpoint 2, for which the pinned one was called.
    let tried = [address(1)];
    let picked = roster.pick(&Pick {
        tried: &tried,
        is_called: true,
        ..pick(None)
    });
    assert_eq!(picked.as_ref().map(port), Ok(2));
    roster.end_turn(&policy, first, true);
    let called = Pick {
        is_called: true,
        ..pick(Some(address(2)))
    };
    assert!(roster.pick(&called).is_err());
    let pinned = roster.end_turn(&policy, pinned, false);
    assert!(pinned.is_some() && last.is_called(), "endpoint 1 is free");
}

#[test]
fn a_place_on_an_endpoint_without_weight_calls_who_is_pinned_to_it() {
    let roster = roster(&[0, 1]);
    let policy = limited(1);
    let pick = |preferred| Pick {
        policy: &policy,
        preferred,
        ..Pick::random(7, 1, 0)
    };
    let other = roster.pick(&pick(None)).unwrap();
    let any = roster.wait_for_room(&policy, 9, None).unwrap();
    assert!(!any.is_called(), "the room is not for new work");
    let held = {
        let pick = Pick {
            is_called: true,
            ..pick(Some(address(1)))
        };
        roster.pick(&pick).unwrap()
    };
    let pinned = roster.wait_for_room(&policy, 9, Some(address(1))).unwrap();
    drop(held);
    assert!(pinned.is_called() && !any.is_called());
    drop(other);
    assert!(any.is_called());
}

#[test]
fn a_request_does_not_wait_for_its_endpoint_while_that_cannot_serve() {
    let roster = roster(&[1, 1]);
    let policy = limited(1);
    let pick = |preferred| Pick {
        policy: &policy,
        preferred,
        ..Pick::random(7, 1, 0)
    };
    let full = |preferred| roster.pick(&pick(preferred)).unwrap_err();
    let _held = [1, 2].map(|port| roster.pick(&pick(Some(address(port)))).unwrap());
    let _ticket = roster.wait_for_room(&policy, 9, None).unwrap();
    assert_eq!(full(Some(address(1))), PickError::Full(Some(address(1))));
    roster.endpoints()[0].set_health(Health::Unhealthy);
    assert_eq!(full(Some(address(1))), PickError::Full(None));
    roster.endpoints()[1].refused(1);
    assert_eq!(full(Some(address(2))), PickError::Full(None));
    assert_eq!(full(Some(address(3))), PickError::Full(None), "no member");
}
