//! The workers with their sockets, as they are started together.

use std::{sync::Arc, thread::JoinHandle};

use tokio::sync::watch;

use super::{
    ServerError,
    listeners::OpenListener,
    takeover::Held,
    worker::{self, ConnectionBalancer, Phase, WorkerListener, WorkerSetup},
};
use crate::{config::Network, proxy::Shared};

/// The threads of the workers, and what they share.
pub(super) struct Crew {
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) balance: Arc<ConnectionBalancer>,
    /// Copies of their sockets.
    pub(super) held: Vec<Held>,
}

/// Starts so many workers, which accept connections at once.
pub(super) fn start_workers(
    bound: Vec<OpenListener>,
    trusted: &[Network],
    workers: usize,
    shared: &Arc<Shared>,
    phase: &watch::Sender<Phase>,
) -> Result<Crew, ServerError> {
    let limits: Vec<_> = bound
        .iter()
        .map(|bound| Arc::clone(&bound.limits))
        .collect();
    let (balance, handed) = ConnectionBalancer::new(workers, &limits);
    let mut held = Vec::new();
    let mut listeners: Vec<Vec<WorkerListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (
        place,
        OpenListener {
            sockets: each,
            tls,
            spec,
            address,
            held: sockets,
            ..
        },
    ) in bound.into_iter().enumerate()
    {
        held.push(Held {
            sockets,
            tls: tls.clone(),
        });
        for (slot, sockets) in each.into_iter().enumerate() {
            let (tls, limits) = (tls.clone(), balance.limits(slot, place));
            listeners[slot].push(WorkerListener {
                sockets,
                limits,
                tls,
                preview: spec.preview,
                proxy_senders: spec.proxy_senders(trusted).map(<[_]>::to_vec),
                name: address.to_string(),
            });
        }
    }
    let seats = listeners
        .into_iter()
        .zip(handed)
        .enumerate()
        .map(|(slot, (listeners, handed))| WorkerSetup {
            slot,
            shared: Arc::clone(shared),
            listeners,
            phase: phase.subscribe(),
            balance: Arc::clone(&balance),
            handed,
        });
    let threads = seats.map(|setup| worker::start(setup).map_err(ServerError::Thread));
    let threads = threads.collect::<Result<_, _>>()?;
    Ok(Crew {
        threads,
        balance,
        held,
    })
}
