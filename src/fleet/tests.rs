//! Laws of the load balancer, over random fleets, clocks and failures.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::prelude::*;

use super::{endpoint::Endpoint, *};
use crate::model::{
    Balance, EjectionSpec, EndpointSpec, HumanDuration, LimitsSpec, ReleaseName, ReleaseSpec,
    Version,
};

mod queue;

const POLICIES: [Balance; 4] = [
    Balance::LeastInFlight,
    Balance::PeakEwma,
    Balance::RoundRobin,
    Balance::ConsistentHash,
];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A release whose endpoints have these weights, on ports from 1 on.
fn roster(weights: &[u32]) -> Roster {
    let roster = Roster::new(ReleaseName::new("blue").unwrap(), Version::default(), 2);
    let member = |(port, weight): (u16, &u32)| {
        let url = format!("http://127.0.0.1:{port}").parse().unwrap();
        (EndpointSpec::new(url, *weight).unwrap(), address(port))
    };
    roster.set(&(1..).zip(weights).map(member).collect::<Vec<_>>());
    roster
}

fn policy(spec: &ReleaseSpec) -> BalancePolicy {
    BalancePolicy::of(spec)
}

fn balanced(balance: Balance) -> BalancePolicy {
    policy(&ReleaseSpec {
        balance,
        ..ReleaseSpec::default()
    })
}

fn limited(limit: u32) -> BalancePolicy {
    policy(&ReleaseSpec {
        limits: LimitsSpec {
            in_flight_per_endpoint: Some(limit),
            ..LimitsSpec::default()
        },
        ..ReleaseSpec::default()
    })
}

/// A spread of random numbers that is the same on every run.
fn draws(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|i| crate::model::rendezvous::mix(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

fn port(picked: &InFlight) -> u16 {
    picked.endpoint().address().port()
}

/// Requests by port of `count` picks, each of which ends before the next.
fn shares(roster: &Roster, policy: &BalancePolicy, count: u64) -> BTreeMap<u16, u32> {
    let mut shares = BTreeMap::new();
    for draw in draws(count) {
        let pick = Pick {
            policy,
            key: Some(draw),
            ..Pick::random(draw, 1_000, 0)
        };
        let picked = roster.pick(&pick).unwrap();
        if policy.measures_latency() {
            roster.record_latency(&picked, false, 1_100);
        }
        *shares.entry(port(&picked)).or_default() += 1;
    }
    shares
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// 4,000 picks; the bound is five standard deviations of a share.
    #[test]
    fn weights_are_respected_by_every_policy(
        weights in proptest::collection::vec(0..6_u32, 1..6)
            .prop_filter("one endpoint has a weight", |weights| weights.iter().any(|weight| *weight > 0)),
        which in 0..4_usize,
    ) {
        // The first pick of an unmeasured endpoint is not by weight.
        prop_assume!(POLICIES[which] != Balance::PeakEwma);
        let roster = roster(&weights);
        let total: u32 = weights.iter().sum();
        let shares = shares(&roster, &balanced(POLICIES[which]), 4_000);
        for (index, weight) in weights.iter().enumerate() {
            let port = u16::try_from(index + 1).unwrap();
            let share = f64::from(shares.get(&port).copied().unwrap_or(0)) / 4_000.0;
            let wanted = f64::from(*weight) / f64::from(total);
            let bound = 5.0 * (wanted * (1.0 - wanted) / 4_000.0).sqrt() + 0.001;
            prop_assert!((share - wanted).abs() <= bound, "{weights:?}: {port} has {share}");
            prop_assert!(*weight > 0 || share == 0.0);
        }
    }

    #[test]
    fn only_keys_of_a_member_that_left_move_and_they_come_back(
        weights in proptest::collection::vec(1..5_u32, 2..7),
        gone in any::<prop::sample::Index>(),
        keys in proptest::collection::vec(any::<u64>(), 200),
    ) {
        let roster = roster(&weights);
        let policy = balanced(Balance::ConsistentHash);
        let picks = || -> Vec<u16> {
            let pick = |key: &u64| Pick { policy: &policy, key: Some(*key), ..Pick::random(*key, 1, 0) };
            keys.iter().map(|key| port(&roster.pick(&pick(key)).unwrap())).collect()
        };
        let before = picks();
        let endpoints = roster.endpoints();
        let gone = &endpoints[gone.index(endpoints.len())];
        gone.set_health(Health::Unhealthy);
        let without = picks();
        for (before, without) in before.iter().zip(&without) {
            prop_assert_ne!(*without, gone.address().port());
            prop_assert!(before == without || *before == gone.address().port());
        }
        gone.set_health(Health::Healthy);
        prop_assert_eq!(picks(), before);
    }

    /// Whatever fails, in whatever order: a request finds an endpoint as long as one is not unhealthy, and ejections for
    /// failures take half of the endpoints at most.
    #[test]
    fn ejections_never_empty_a_release(
        count in 1..6_usize,
        steps in proptest::collection::vec((any::<prop::sample::Index>(), 0..5_u8, 0..40_000_u64), 1..200),
    ) {
        let roster = roster(&vec![1; count]);
        let policy = policy(&ReleaseSpec { ejection: Some(EjectionSpec::default()), ..ReleaseSpec::default() });
        let endpoints = roster.endpoints();
        let mut now_ms = 1;
        for (which, what, passed) in steps {
            now_ms += passed;
            let endpoint: &Endpoint = &endpoints[which.index(count)];
            match what {
                0 => { (0..5).for_each(|_| { roster.record_failure(endpoint, &policy, true, now_ms); }); }
                1 => endpoint.refused(now_ms),
                2 => endpoint.responded(now_ms),
                3 => { roster.record_retry_after(endpoint, &policy, std::time::Duration::from_secs(9), now_ms); }
                _ => endpoint.succeeded(),
            }
            let failed = |one: &&std::sync::Arc<Endpoint>| {
                one.ejected().is_some_and(|reason| reason != EjectionReason::ConnectFailed)
            };
            prop_assert!(endpoints.iter().filter(failed).count() <= count / 2);
            let pick = Pick { policy: &policy, ..Pick::random(now_ms, now_ms, 0) };
            prop_assert!(roster.pick(&pick).is_ok());
        }
    }
}

#[test]
fn busy_endpoints_keep_loads_in_proportion_to_their_weights() {
    let roster = roster(&[1, 2, 3]);
    let policy = balanced(Balance::LeastInFlight);
    let picked: Vec<_> = draws(600)
        .map(|draw| {
            let pick = Pick {
                policy: &policy,
                ..Pick::random(draw, 1, 0)
            };
            roster.pick(&pick).unwrap()
        })
        .collect();
    for (endpoint, wanted) in roster.endpoints().iter().zip([100_u32, 200, 300]) {
        assert!(endpoint.in_flight().abs_diff(wanted) <= 15, "{endpoint:?}");
    }
    drop(picked);
}

#[test]
fn round_robin_is_smooth() {
    let roster = roster(&[5, 1, 1]);
    let policy = balanced(Balance::RoundRobin);
    let pick = Pick {
        policy: &policy,
        ..Pick::random(0, 1, 0)
    };
    let order: Vec<_> = (0..7).map(|_| port(&roster.pick(&pick).unwrap())).collect();
    assert_eq!(order, [1, 1, 2, 1, 3, 1, 1], "nginx's example");
}

#[test]
fn peak_ewma_prefers_the_endpoint_that_responds_sooner() {
    let roster = roster(&[1, 1]);
    let policy = balanced(Balance::PeakEwma);
    let mut slow = 0;
    for (turn, draw) in (1..).zip(draws(1_000)) {
        let began = turn * 10;
        let pick = Pick {
            policy: &policy,
            ..Pick::random(draw, began, 0)
        };
        let picked = roster.pick(&pick).unwrap();
        let latency = if port(&picked) == 1 { 200 } else { 20 };
        roster.record_latency(&picked, false, began + latency);
        slow += u32::from(port(&picked) == 1);
    }
    assert!(
        (1..20).contains(&slow),
        "{slow} of 1,000, once it has decayed"
    );
}

#[test]
fn an_endpoint_with_an_open_stream_gets_requests_after_a_quiet_time() {
    let roster = roster(&[1, 1]);
    let policy = balanced(Balance::PeakEwma);
    let request = |index: u64, now_ms| {
        let pick = Pick {
            policy: &policy,
            preferred: (index < 2).then(|| address(1 + u16::try_from(index).unwrap())),
            ..Pick::random(draws(index + 1).last().unwrap(), now_ms, 0)
        };
        let picked = roster.pick(&pick).unwrap();
        roster.record_latency(&picked, false, now_ms + 100);
        picked
    };
    let _stream = request(0, 1_000);
    drop(request(1, 1_000));
    let at_first = (2..100)
        .filter(|index| port(&request(*index, 300_000 + index * 1_000)) == 1)
        .count();
    assert!((5..50).contains(&at_first), "{at_first} of 98");
}

#[test]
fn a_recovered_endpoint_starts_slowly() {
    let roster = roster(&[1, 1]);
    let policy = policy(&ReleaseSpec {
        slow_start: Some(HumanDuration::seconds(10)),
        ..ReleaseSpec::default()
    });
    let share = |now_ms: u64| {
        let of = |draw| {
            let pick = Pick {
                policy: &policy,
                ..Pick::random(draw, now_ms, 0)
            };
            u32::from(port(&roster.pick(&pick).unwrap()) == 1)
        };
        draws(2_000).map(of).sum::<u32>()
    };
    share(1);
    assert!(share(10_001).abs_diff(1_000) < 120, "both are new, and old");
    roster.endpoints()[0].set_health(Health::Unhealthy);
    roster.endpoints()[0].set_health(Health::Healthy);
    // Shares of w / (w + 1), for weights of 0.1, 0.1, 0.5, 0.9 and 1.
    for (after, wanted) in [
        (0, 182),
        (1_000, 182),
        (5_000, 667),
        (9_000, 947),
        (10_000, 1_000),
    ] {
        let share = share(20_000 + after);
        assert!(share.abs_diff(wanted) < 120, "{after}: {share}");
    }
}

#[test]
fn an_endpoint_with_nothing_in_flight_gets_no_more_than_its_weight_says() {
    let roster = roster(&[10, 1]);
    let policy = policy(&ReleaseSpec::default());
    let pick = |draw| {
        let pick = Pick {
            policy: &policy,
            ..Pick::random(draw, 1, 0)
        };
        roster.pick(&pick).unwrap()
    };
    let heavy = |picked: &InFlight| port(picked) == 1;
    let _busy = draws(100).map(pick).find(heavy).unwrap();
    // 1 - exp(-1/10) / (1 + 1/10) = 0.177
    let share = draws(6_000)
        .map(pick)
        .filter(|picked| !heavy(picked))
        .count();
    assert!(share.abs_diff(1_065) < 150, "{share} of 6,000");
}

#[test]
fn an_endpoint_without_weight_takes_no_new_work_but_keeps_its_sessions() {
    let roster = roster(&[0, 1]);
    let policy = BalancePolicy::DEFAULT;
    assert!(shares(&roster, &policy, 200).keys().eq([&2]));
    let pinned = Pick {
        preferred: Some(address(1)),
        ..Pick::random(3, 1, 0)
    };
    assert_eq!(port(&roster.pick(&pinned).unwrap()), 1);
}

#[test]
fn a_pause_moves_requests_away_unless_all_ask_for_one() {
    let roster = roster(&[1, 1]);
    let policy = BalancePolicy::DEFAULT;
    let avoid = |index: usize| {
        let endpoints = roster.endpoints();
        let wanted = std::time::Duration::from_secs(3_600);
        assert!(roster.record_retry_after(&endpoints[index], &policy, wanted, 1_000));
    };
    avoid(0);
    assert!(shares(&roster, &policy, 200).keys().eq([&2]));
    avoid(1);
    assert_eq!(shares(&roster, &policy, 200).len(), 2);
    let later = Pick::random(0, 61_000, 0);
    drop(roster.pick(&later).unwrap());
    assert!(
        (0..2).any(|index| roster.endpoints()[index].is_fit()),
        "the time is capped at 60 s"
    );
}

#[test]
fn an_ejected_endpoint_gets_one_probe_and_the_last_one_is_never_ejected() {
    let roster = roster(&[1, 1]);
    let policy = policy(&ReleaseSpec {
        ejection: Some(EjectionSpec::default()),
        ..ReleaseSpec::default()
    });
    let endpoints = roster.endpoints();
    let fail = |index: usize, now_ms| {
        let failed =
            (0..5).filter_map(|_| roster.record_failure(&endpoints[index], &policy, false, now_ms));
        failed.count()
    };
    assert_eq!((fail(0, 1_000), fail(1, 1_000)), (1, 0));
    let picks = |now_ms| -> Vec<u16> {
        let pick = |draw| Pick {
            policy: &policy,
            ..Pick::random(draw, now_ms, 0)
        };
        draws(50)
            .map(|draw| port(&roster.pick(&pick(draw)).unwrap()))
            .collect()
    };
    assert!(picks(30_999).iter().all(|port| *port == 2));
    assert_eq!(picks(31_000).iter().filter(|port| **port == 1).count(), 1);
    endpoints[0].responded(31_010);
    assert!(picks(31_020).contains(&1));
    assert_eq!(
        endpoints[0].ejections(EjectionReason::ConsecutiveFailures),
        1
    );
}
