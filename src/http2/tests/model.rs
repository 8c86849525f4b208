//! Both roles back to back, with bytes cut anywhere: what was sent is what arrives, or the stream is seen as broken.

use proptest::prelude::*;

use super::*;

/// What one direction of a stream is to carry.
#[derive(Clone, Debug)]
struct Plan {
    asked: Vec<usize>,
    answered: Vec<usize>,
    has_trailers: bool,
    /// After how many steps the client, or the server, breaks it off.
    reset: Option<(bool, usize)>,
    reads_every: usize,
}

/// One side's stream.
struct Side {
    key: Key,
    out: Vec<u8>,
    at: usize,
    is_over: bool,
    got: Vec<u8>,
    /// Whether it came to its end.
    end: Option<bool>,
    has_head: bool,
}

impl Side {
    fn new(key: Key, pieces: &[usize], seed: usize) -> Self {
        let out =
            (0..pieces.iter().sum()).map(|i: usize| (i * 7 + seed + i / 251).to_le_bytes()[0]);
        Self {
            key,
            out: out.collect(),
            at: 0,
            is_over: false,
            got: Vec::new(),
            end: None,
            has_head: false,
        }
    }

    fn write(&mut self, connection: &mut Connection, piece: usize, has_trailers: bool) {
        if self.is_over {
            return;
        }
        let end = (self.at + piece.max(1)).min(self.out.len());
        let is_last = end == self.out.len() && !has_trailers;
        let mut data = &self.out[self.at..end];
        let sent = connection.poll_send(self.key, &quiet(), &mut data, is_last);
        self.at = end - data.len();
        self.is_over = match sent {
            Poll::Ready(Ok(())) if self.at == self.out.len() && has_trailers => connection
                .send_head(self.key, &trailing(b"yes"), true)
                .is_ok(),
            Poll::Ready(Ok(())) => is_last,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
    }

    fn read(&mut self, connection: &mut Connection) {
        if self.end.is_some() {
            return;
        }
        match take(connection, self.key) {
            Some(Ok((data, is_end))) => {
                connection.taken(self.key, data.len());
                self.got.extend(data);
                self.end = is_end.then_some(true);
            }
            Some(Err(_)) => self.end = Some(false),
            None => {}
        }
    }
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let pieces = || prop::collection::vec(1_usize..40_000, 0..6);
    let reset = prop::option::weighted(0.25, (any::<bool>(), 0_usize..30));
    let plan = (pieces(), pieces(), any::<bool>(), reset, 1_usize..6);
    let plan = plan.prop_map(|(asked, answered, has_trailers, reset, reads_every)| Plan {
        asked,
        answered,
        has_trailers,
        reset,
        reads_every,
    });
    prop::collection::vec(plan, 1..8)
}

fn windows() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![1_u32..200, 1_000_u32..100_000];
    (window, 1_u32..200_000, 1_usize..70_000).prop_map(
        |(stream_window, connection_window, gathered)| Settings {
            stream_window,
            connection_window: connection_window.max(65_535),
            gathered,
            ..settings()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives_or_is_seen_as_broken(
        plans in plans(),
        of_client in windows(),
        of_server in windows(),
        cuts in prop::collection::vec(1_usize..30_000, 1..20),
    ) {
        let calm = BudgetLimits { leave: u32::MAX, close: u32::MAX, window_ms: 1 };
        let mut client = Connection::new(Role::Client, of_client, calm);
        let mut server = Connection::new(Role::Server, of_server, calm);
        let mut asking_sides: Vec<Side> = plans.iter().enumerate().map(|(at, plan)| {
            let key = client.open(&asking(), false).unwrap();
            Side::new(key, &plan.asked, at)
        }).collect();
        let mut answering_sides: Vec<Option<Side>> = plans.iter().map(|_| None).collect();
        let mut cuts = cuts.iter().cycle();
        let mut bytes: [Vec<u8>; 2] = Default::default();
        let mut step = 0;
        loop {
            step += 1;
            prop_assert!(step < 600_000, "it does not end");
            // Bytes move, as many as it happens.
            for (way, waiting) in bytes.iter_mut().enumerate() {
                let (from, to) = if way == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
                let n = from.outgoing().len().min(*cuts.next().unwrap());
                waiting.extend_from_slice(&from.outgoing()[..n]);
                from.sent(n);
                let taken = to.receive(waiting, 0).unwrap();
                prop_assert!(taken <= waiting.len());
                waiting.drain(..taken);
            }
            while let Some((key, _)) = server.accept() {
                let id = server.streams.get(key).unwrap().id;
                let at = (id as usize - 1) / 2;
                let _ = server.send_head(key, &answering(200), false);
                answering_sides[at] = Some(Side::new(key, &plans[at].answered, at + 100));
            }
            let mut is_over = true;
            for (at, plan) in plans.iter().enumerate() {
                let one = &mut asking_sides[at];
                let piece = plan.asked.get(step % plan.asked.len().max(1)).copied().unwrap_or(1);
                one.write(&mut client, piece, plan.has_trailers);
                if !one.has_head {
                    match client.poll_head(one.key, &quiet()) {
                        Poll::Ready(Ok(_)) => one.has_head = true,
                        Poll::Ready(Err(_)) => one.end = Some(false),
                        Poll::Pending => {}
                    }
                } else if step % plan.reads_every == 0 {
                    one.read(&mut client);
                }
                if let Some((true, when)) = plan.reset && step == when {
                    client.reset(one.key, Code::CANCEL);
                }
                if let Some(other) = &mut answering_sides[at] {
                    let piece = plan.answered.get(step % plan.answered.len().max(1)).copied().unwrap_or(1);
                    other.write(&mut server, piece, !plan.has_trailers);
                    if step % (7 - plan.reads_every) == 0 {
                        other.read(&mut server);
                    }
                    if let Some((false, when)) = plan.reset && step >= when && step < when + 2 {
                        server.reset(other.key, Code::CANCEL);
                    }
                    is_over &= other.end.is_some() && other.is_over;
                }
                is_over &= one.end.is_some() && one.is_over;
            }
            if is_over && client.outgoing().is_empty() && server.outgoing().is_empty() && bytes.iter().all(Vec::is_empty) {
                break;
            }
        }
        for (at, plan) in plans.iter().enumerate() {
            let one = &asking_sides[at];
            let Some(other) = &answering_sides[at] else {
                prop_assert!(plan.reset.is_some());
                continue;
            };
            for (from, to) in [(one, other), (other, one)] {
                prop_assert!(from.out.starts_with(&to.got), "nothing else arrives, and in order");
                prop_assert!(to.end == Some(false) || from.out == to.got, "what ends is whole");
                prop_assert!(to.end == Some(true) || plan.reset.is_some(), "nothing breaks by itself");
            }
        }
        for side in asking_sides {
            client.release(side.key, Code::NO_ERROR);
        }
        for side in answering_sides.into_iter().flatten() {
            server.release(side.key, Code::NO_ERROR);
        }
        settle(&mut client, &mut server);
        for (connection, own) in [(&client, &of_client), (&server, &of_server)] {
            prop_assert!(connection.is_idle() && connection.open == 0 && connection.broken().is_none());
            prop_assert!(is_whole(connection, own), "{} of {}", connection.receiving.window, own.connection_window);
        }
        // What one may send is what the other has given.
        prop_assert_eq!(client.sending.window, server.receiving.window);
        prop_assert_eq!(server.sending.window, client.receiving.window);
    }
}
