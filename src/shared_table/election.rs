//! The election of the node that leads a fleet, as one node sees it. No I/O, no clock: times are those since its start.
//!
//! The office is a document under the lease of its holder. Who holds it leads until a moment before the lease can have ended:
//! nobody else can hold it before that, however long an answer takes or a process stands still.

use std::time::Duration;

/// Part of a lease at whose end nobody leads: one in so many.
const MARGIN: u32 = 5;

/// The office, as the store has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Office {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// Nobody holds it.
    Vacant,
    /// Another node holds it.
    Held,
    /// This process holds it.
    Own,
}

/// State of a node in the election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does not lead.
    Following,
    /// It leads, and nobody else does.
    Leading,
    /// It held the office, and has not heard of it for so long that another one may hold it soon: it does not lead.
    Unsure,
}

/// One node in the election.
#[derive(Debug, Clone, Copy)]
pub struct Election {
    lease: Duration,
    office: Office,
    sure_until: Duration,
}

impl Election {
    /// A node that knows nothing yet, with the time of its lease.
    pub const fn new(lease: Duration) -> Self {
        Self {
            lease,
            office: Office::Unknown,
            sure_until: Duration::ZERO,
        }
    }

    /// Takes what the store said of the office. `kept` is the time at which the lease was asked to be kept, the last time that
    /// this was answered, before the office was read.
    pub fn saw(&mut self, office: Office, kept: Duration) {
        let sure = self.lease / MARGIN * (MARGIN - 1);
        self.sure_until = if office == Office::Own {
            kept.saturating_add(sure)
        } else {
            Duration::ZERO
        };
        self.office = office;
    }

    /// Its state at a time.
    pub fn standing(&self, now: Duration) -> Standing {
        match self.office {
            Office::Own if now < self.sure_until => Standing::Leading,
            Office::Own => Standing::Unsure,
            Office::Unknown | Office::Vacant | Office::Held => Standing::Following,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEASE: Duration = Duration::from_millis(100);

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_leader_that_hears_nothing_stops_before_its_lease_ends() {
        let mut one = Election::new(LEASE);
        assert_eq!(one.standing(at(0)), Standing::Following);
        one.saw(Office::Own, at(10));
        assert_eq!(one.standing(at(89)), Standing::Leading);
        assert_eq!(one.standing(at(90)), Standing::Unsure);
        one.saw(Office::Own, at(85));
        assert_eq!(one.standing(at(90)), Standing::Leading);
        for office in [Office::Held, Office::Vacant, Office::Unknown] {
            one.saw(office, at(90));
            assert_eq!(one.standing(at(90)), Standing::Following);
        }
    }

    /// The store: the ends of the leases, and the holder of the office.
    #[derive(Debug, Default)]
    struct Store {
        leases: [Option<u64>; 3],
        holder: Option<usize>,
    }

    impl Store {
        fn tick(&mut self, now: u64) {
            for (node, lease) in self.leases.iter_mut().enumerate() {
                if lease.is_some_and(|end| end <= now) {
                    *lease = None;
                    self.holder = self.holder.filter(|holder| *holder != node);
                }
            }
        }
    }

    /// A call on its way: the lease is kept, then the office is read or taken, then the answer is there.
    #[derive(Debug, Clone, Copy)]
    struct Call {
        node: usize,
        asked: u64,
        kept: u64,
        read: u64,
        answered: u64,
    }

    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let delay = || prop_oneof![4 => 0_u64..6, 1 => 0_u64..250];
        let call = (0_usize..3, 0_u64..600, delay(), delay(), delay());
        let call = call.prop_map(|(node, asked, keep, read, answer)| Call {
            node,
            asked,
            kept: asked + keep,
            read: asked + keep + read,
            answered: asked + keep + read + answer,
        });
        prop::collection::vec(call, 1..60)
    }

    proptest! {
        #[test]
        fn there_is_never_more_than_one_leader(calls in calls()) {
            let mut store = Store::default();
            let mut nodes = [Election::new(LEASE); 3];
            // The answers of a node come in the order of its calls, as those of a loop do.
            let mut answers: Vec<Option<Office>> = vec![None; calls.len()];
            let mut busy_until = [0_u64; 3];
            let mut in_order = calls;
            in_order.sort_by_key(|call| call.asked);
            in_order.retain(|call| {
                let is_free = busy_until[call.node] <= call.asked;
                if is_free {
                    busy_until[call.node] = call.answered + 1;
                }
                is_free
            });
            for now in 0..1_400 {
                store.tick(now);
                for (index, call) in in_order.iter().enumerate() {
                    if call.kept == now {
                        store.leases[call.node] = Some(now + 100);
                    }
                    if call.read == now {
                        // Without a lease nothing can be written under it.
                        let may_take = store.leases[call.node].is_some();
                        if store.holder.is_none() && may_take {
                            store.holder = Some(call.node);
                        }
                        answers[index] = Some(match store.holder {
                            Some(holder) if holder == call.node => Office::Own,
                            Some(_) => Office::Held,
                            None => Office::Vacant,
                        });
                    }
                    if call.answered == now {
                        let office = answers[index].unwrap_or_default();
                        nodes[call.node].saw(office, at(call.asked));
                    }
                }
                let leading = nodes.iter().filter(|node| node.standing(at(now)) == Standing::Leading);
                prop_assert!(leading.count() <= 1, "at {now}");
            }
        }
    }
}
