//! Both roles back to back, with bytes cut anywhere: what was sent arrives, or the stream is seen as reset, and a
//! stream whose reader has stopped stops no other.

use proptest::prelude::*;

use super::*;

/// Steps without progress of bytes or streams, after which the run is stuck. Longer than any pause of a reader.
const PATIENCE: usize = 64;

/// Content of one stream.
#[derive(Clone, Debug)]
struct Plan {
    asked: Vec<usize>,
    answered: Vec<usize>,
    has_trailers: bool,
    /// Number of steps after which the client, or the server, resets it.
    reset: Option<(bool, usize)>,
    reads_every: usize,
    /// Neither side reads its data before all other streams have ended.
    is_stalled: bool,
}

/// One side of a stream.
struct Side {
    key: Key,
    out: Vec<u8>,
    at: usize,
    is_over: bool,
    got: Vec<u8>,
    /// End, if it has ended: true if regular.
    end: Option<bool>,
    has_head: bool,
}

/// Both sides, their streams and the bytes between them.
struct World<'p> {
    plans: &'p [Plan],
    client: Connection,
    server: Connection,
    asking: Vec<Side>,
    answering: Vec<Option<Side>>,
    between: [Vec<u8>; 2],
    step: usize,
    /// Stalled streams are read from now on.
    is_thawed: bool,
}

// === impl Side ===

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
                connection.release_capacity(self.key, data.len());
                self.got.extend(data);
                self.end = is_end.then_some(true);
            }
            Some(Err(_)) => self.end = Some(false),
            None => {}
        }
    }

    fn read_head(&mut self, connection: &mut Connection) {
        match connection.poll_head(self.key, &quiet()) {
            Poll::Ready(Ok(_)) => self.has_head = true,
            Poll::Ready(Err(_)) => self.end = Some(false),
            Poll::Pending => {}
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some() && self.is_over
    }

    /// Progress counter: grows with every event.
    fn progress(&self) -> usize {
        let done = [self.is_over, self.end.is_some(), self.has_head];
        self.at + self.got.len() + done.into_iter().filter(|done| *done).count()
    }
}

// === impl World ===

impl<'p> World<'p> {
    fn new(plans: &'p [Plan], [of_client, of_server]: [Settings; 2]) -> Self {
        let calm = BudgetLimits {
            leave: u32::MAX,
            close: u32::MAX,
            window_ms: 1,
        };
        let mut client = Connection::new(Role::Client, of_client, calm);
        let server = Connection::new(Role::Server, of_server, calm);
        let open = |(at, plan): (usize, &Plan)| {
            let key = client.open(&asking(), false).unwrap();
            Side::new(key, &plan.asked, at)
        };
        Self {
            asking: plans.iter().enumerate().map(open).collect(),
            answering: plans.iter().map(|_| None).collect(),
            plans,
            client,
            server,
            between: Default::default(),
            step: 0,
            is_thawed: false,
        }
    }

    /// Passes bytes both ways, at most `cuts`; returns how many.
    fn carry(&mut self, cuts: [usize; 2]) -> usize {
        let mut moved = 0;
        for (way, most) in cuts.into_iter().enumerate() {
            let (from, to) = match way {
                0 => (&mut self.client, &mut self.server),
                _ => (&mut self.server, &mut self.client),
            };
            let waiting = &mut self.between[way];
            let n = from.outgoing().len().min(most);
            waiting.extend_from_slice(&from.outgoing()[..n]);
            from.sent(n);
            let taken = to.receive(waiting, 0).unwrap();
            waiting.drain(..taken);
            moved += n + taken;
        }
        moved
    }

    fn accept(&mut self) {
        while let Some((key, _)) = self.server.accept() {
            let id = self.server.streams.get(key).unwrap().id;
            let at = (id as usize - 1) / 2;
            let _ = self.server.send_head(key, &answering(200), false);
            let side = Side::new(key, &self.plans[at].answered, at + 100);
            self.answering[at] = Some(side);
        }
    }

    /// Performs one step of both sides of a stream.
    fn turn(&mut self, at: usize) {
        let (plan, step) = (&self.plans[at], self.step);
        let piece = |pieces: &[usize]| pieces.get(step % pieces.len().max(1)).copied().unwrap_or(1);
        let is_read = self.is_thawed || !plan.is_stalled;
        let one = &mut self.asking[at];
        one.write(&mut self.client, piece(&plan.asked), plan.has_trailers);
        if !one.has_head {
            one.read_head(&mut self.client);
        } else if is_read && step.is_multiple_of(plan.reads_every) {
            one.read(&mut self.client);
        }
        if let Some((true, when)) = plan.reset
            && step == when
        {
            self.client.reset(one.key, Code::CANCEL);
        }
        if let Some(other) = &mut self.answering[at] {
            other.write(&mut self.server, piece(&plan.answered), !plan.has_trailers);
            if is_read && step.is_multiple_of(7 - plan.reads_every) {
                other.read(&mut self.server);
            }
            if let Some((false, when)) = plan.reset
                && (when..when + 2).contains(&step)
            {
                self.server.reset(other.key, Code::CANCEL);
            }
        }
    }

    fn is_done(&self, at: usize) -> bool {
        let answering = self.answering[at].as_ref();
        self.asking[at].is_done() && answering.is_none_or(Side::is_done)
    }

    fn progress(&self) -> usize {
        let answering = self.answering.iter().flatten();
        self.asking
            .iter()
            .chain(answering)
            .map(Side::progress)
            .sum()
    }

    fn is_quiet(&self) -> bool {
        let outgoing = [&self.client, &self.server].map(|side| side.outgoing().len());
        outgoing == [0, 0] && self.between.iter().all(Vec::is_empty)
    }

    /// Runs until all have ended: first the streams that are read, then the stalled ones.
    fn run(&mut self, cuts: &[usize]) -> Result<(), TestCaseError> {
        let mut cuts = cuts.iter().copied().cycle();
        let mut idle = 0;
        loop {
            self.step += 1;
            let before = self.progress();
            let moved = self.carry([cuts.next().unwrap(), cuts.next().unwrap()]);
            self.accept();
            for at in 0..self.plans.len() {
                self.turn(at);
            }
            let is_idle = moved == 0 && self.progress() == before;
            idle = if is_idle { idle + 1 } else { 0 };
            let mut others = 0..self.plans.len();
            if others.all(|at| self.is_done(at) || self.plans[at].is_stalled && !self.is_thawed) {
                if self.is_thawed && self.is_quiet() {
                    return Ok(());
                }
                self.is_thawed = true;
                continue;
            }
            let what = if self.is_thawed {
                "nothing moves"
            } else {
                "a stalled stream stops others"
            };
            prop_assert!(idle < PATIENCE, "{what}");
        }
    }

    /// Checks that each stream received what was sent.
    fn validate(&self) -> Result<(), TestCaseError> {
        for (at, plan) in self.plans.iter().enumerate() {
            let one = &self.asking[at];
            let Some(other) = &self.answering[at] else {
                prop_assert!(plan.reset.is_some());
                continue;
            };
            for (from, to) in [(one, other), (other, one)] {
                let is_front = from.out.starts_with(&to.got);
                prop_assert!(is_front, "nothing else arrives, and in order");
                let is_whole = from.out == to.got;
                prop_assert!(to.end == Some(false) || is_whole, "what ends is whole");
                let may_break = plan.reset.is_some();
                prop_assert!(
                    to.end == Some(true) || may_break,
                    "nothing breaks by itself"
                );
            }
        }
        Ok(())
    }

    /// Releases everything; then no stream is left and no window is lost.
    fn clear(mut self, own: [&Settings; 2]) -> Result<(), TestCaseError> {
        for side in self.asking {
            self.client.release(side.key, Code::NO_ERROR);
        }
        for side in self.answering.into_iter().flatten() {
            self.server.release(side.key, Code::NO_ERROR);
        }
        settle(&mut self.client, &mut self.server);
        for (connection, own) in [&self.client, &self.server].into_iter().zip(own) {
            prop_assert!(connection.is_idle() && connection.open == 0);
            prop_assert!(connection.broken().is_none());
            prop_assert!(is_whole(connection, own), "{}", connection.receiving.window);
        }
        // One side may send what the other allows.
        prop_assert_eq!(self.client.sending.window, self.server.receiving.window);
        prop_assert_eq!(self.server.sending.window, self.client.receiving.window);
        Ok(())
    }
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let pieces = || prop::collection::vec(1_usize..40_000, 0..6);
    let reset = prop::option::weighted(0.25, (any::<bool>(), 0_usize..30));
    let is_stalled = prop::bool::weighted(0.4);
    let plan = (
        pieces(),
        pieces(),
        any::<bool>(),
        reset,
        1_usize..6,
        is_stalled,
    );
    let plan = plan.prop_map(
        |(asked, answered, has_trailers, reset, reads_every, is_stalled)| Plan {
            asked,
            answered,
            has_trailers,
            reset,
            reads_every,
            is_stalled,
        },
    );
    prop::collection::vec(plan, 1..12)
}

fn windows() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![1_u32..200, 1_000_u32..100_000];
    (window, 1_u32..200_000, 1_usize..70_000).prop_map(
        |(stream_window, connection_window, gathered)| Settings {
            stream_window,
            connection_window: connection_window.max(65_535),
            send_buffer_max: gathered,
            ..settings()
        },
    )
}

/// Bodies that pass a window in some hundred steps, so that the smallest windows do not take all the time.
fn shortened(mut plans: Vec<Plan>, [of_client, of_server]: [&Settings; 2]) -> Vec<Plan> {
    for plan in &mut plans {
        // The window is the reader's.
        for (pieces, reader) in [
            (&mut plan.asked, of_server),
            (&mut plan.answered, of_client),
        ] {
            let least = (reader.stream_window as usize).min(reader.send_buffer_max);
            for piece in pieces {
                *piece = (*piece).min(least * 40);
            }
        }
    }
    plans
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_arrives_or_is_seen_as_broken(
        plans in plans(),
        of_client in windows(),
        of_server in windows(),
        mut cuts in prop::collection::vec(1_usize..30_000, 1..20),
    ) {
        // However small the others are, something moves in each round.
        cuts.push(30_001);
        let plans = shortened(plans, [&of_client, &of_server]);
        let mut world = World::new(&plans, [of_client, of_server]);
        world.run(&cuts)?;
        world.validate()?;
        world.clear([&of_client, &of_server])?;
    }
}
