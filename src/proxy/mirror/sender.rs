//! The thread that sends copies, compares their answers with the originals' and throws them away.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use super::connections::{Connections, Target};
use super::failure::{CopyAnswer, SendError};
use super::parcel::Parcel;
use crate::fleet::{Endpoint, Health, Roster};
use crate::model::MirrorFailure;
use crate::proxy::upstream_tls::UpstreamTlsConfigs;
use crate::stats::MirroredAnswer;

/// Interval for closing idle connections.
const SWEEP: Duration = Duration::from_secs(5);

/// The state of the thread.
struct Sender {
    connections: Connections,
    /// Endpoints get copies in turn.
    turn: Cell<usize>,
}

/// Sends what comes, until the workers have gone.
pub(super) fn run(parcels: mpsc::Receiver<Parcel>, tls: Arc<UpstreamTlsConfigs>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, send_all(parcels, tls)),
        Err(error) => tracing::error!(%error, "the thread for mirrored requests cannot be started"),
    }
}

async fn send_all(mut parcels: mpsc::Receiver<Parcel>, tls: Arc<UpstreamTlsConfigs>) {
    let sender = Rc::new(Sender {
        connections: Connections::new(tls),
        turn: Cell::new(0),
    });
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            parcel = parcels.recv() => match parcel {
                Some(parcel) => drop(spawn_local(Rc::clone(&sender).send(parcel))),
                None => return,
            },
            _ = sweep.tick() => sender.connections.sweep(),
        }
    }
}

impl Sender {
    async fn send(self: Rc<Self>, parcel: Parcel) {
        let mirror = &parcel.mirror;
        // It is never closed.
        let Ok(_running) = mirror.turns().acquire().await else {
            return;
        };
        let begun = Instant::now();
        let sent = tokio::time::timeout(mirror.spec().timeout.0, self.exchange(&parcel)).await;
        let counters = mirror.counters();
        match sent {
            Err(_) => counters.record_failed(MirrorFailure::Timeout),
            Ok(Err(error)) => counters.record_failed(error.failure()),
            Ok(Ok(answer)) => counters.record_answers(
                parcel.original,
                MirroredAnswer {
                    status: answer.status,
                    duration: begun.elapsed(),
                    bytes: answer.bytes,
                },
            ),
        }
        // What is counted is counted before it is over.
        drop(parcel.turn);
        drop(parcel.share);
    }

    async fn exchange(&self, parcel: &Parcel) -> Result<CopyAnswer, SendError> {
        let (mirror, copy) = (&parcel.mirror, &parcel.copy);
        let release = mirror.release();
        let endpoint = self.endpoint(release.roster());
        let endpoint = endpoint.ok_or(SendError::Failed(MirrorFailure::NoEndpoint))?;
        let target = Target::new(&endpoint, release.spec());
        let most = mirror.spec().max_answer.0 as u64;
        let marked = (copy, release.name().as_str());
        if let Some(mut connection) = self.connections.take(&target) {
            match connection.exchange(&target, marked, most).await {
                // It was closed as the copy was sent, which proves nothing about the release.
                Err(SendError::Ended) if copy.head.is_safe() => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    if answer.is_reusable {
                        self.connections.give_back(target, connection);
                    }
                    return Ok(answer);
                }
            }
        }
        let mut connection = self.connections.dial(&target).await?;
        let answer = connection.exchange(&target, marked, most).await?;
        if answer.is_reusable {
            self.connections.give_back(target, connection);
        }
        Ok(answer)
    }

    /// The next endpoint that serves users; nothing is counted on it.
    fn endpoint(&self, roster: &Roster) -> Option<Arc<Endpoint>> {
        let endpoints = roster.endpoints();
        let first = self.turn.replace(self.turn.get().wrapping_add(1));
        let count = endpoints.len();
        let in_turn = (0..count).map(|step| &endpoints[(first.wrapping_add(step)) % count]);
        let serves = |endpoint: &&Arc<Endpoint>| {
            endpoint.health() != Health::Unhealthy && endpoint.weight() > 0
        };
        let mut serving = in_turn.filter(serves);
        let any = serving.clone().next();
        serving
            .find(|endpoint| endpoint.ejected().is_none())
            .or(any)
            .map(Arc::clone)
    }
}
