//! The thread that sends copies, compares their answers with the originals' and throws them away.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::nice;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use super::connections::{Connections, Target};
use super::failure::{CopyAnswer, SendError};
use super::json_body::JsonBody;
use super::json_comparison::compare;
use super::parcel::Parcel;
use crate::fleet::{Endpoint, Health, Roster};
use crate::model::MirrorFailure;
use crate::proxy::upstream_tls::UpstreamTlsConfigs;
use crate::stats::MirroredAnswer;
use crate::table::{LiveTable, Mirror};

/// Interval for closing idle connections.
const SWEEP: Duration = Duration::from_secs(5);

/// Lowest priority of a thread, as a nice value.
const LEAST: i32 = 19;

/// The state of the thread.
struct Sender {
    /// The live table: what it does not mirror any more is not sent.
    table: Arc<LiveTable>,
    connections: Connections,
    /// Endpoints get copies in turn.
    turn: Cell<usize>,
}

/// Sends what comes, until the workers have gone.
pub(super) fn run(
    parcels: mpsc::Receiver<Parcel>,
    table: Arc<LiveTable>,
    tls: Arc<UpstreamTlsConfigs>,
) {
    // A copy can wait for a worker that wants the same core.
    if let Err(error) = nice(LEAST) {
        tracing::warn!(%error, "mirrored requests cannot step back behind those of users");
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, send_all(parcels, table, tls)),
        Err(error) => tracing::error!(%error, "the thread for mirrored requests cannot be started"),
    }
}

async fn send_all(
    mut parcels: mpsc::Receiver<Parcel>,
    table: Arc<LiveTable>,
    tls: Arc<UpstreamTlsConfigs>,
) {
    let sender = Rc::new(Sender {
        table,
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
        let counters = parcel.mirror.counters();
        let mut json = parcel.json.as_ref().map(JsonBody::beside);
        match self.answer(&parcel, json.as_mut()).await {
            Err(reason) => counters.record_failed(reason),
            Ok(answer) => {
                counters.record_answers(parcel.original, answer);
                if let (Some(original), Some(copy)) = (&parcel.json, &json) {
                    let is_alike = parcel.original.is_of_class_of(answer);
                    let ignored = parcel.mirror.ignored_json();
                    counters.record_json(is_alike, || compare((original, copy), ignored));
                }
            }
        }
        // What is counted is counted before it is over.
        drop(parcel.turn);
        drop(parcel.share);
    }

    /// Waits for its turn, sends it, and reads the answer; each has as much time as the mirror gives.
    async fn answer(
        &self,
        parcel: &Parcel,
        json: Option<&mut JsonBody>,
    ) -> Result<MirroredAnswer, MirrorFailure> {
        let mirror = &parcel.mirror;
        let limit = mirror.spec().timeout.0;
        let turn = tokio::time::timeout(limit, mirror.turns().acquire()).await;
        let _running = turn.map_err(|_| MirrorFailure::Timeout)?;
        if !self.is_live(mirror) {
            return Err(MirrorFailure::Withdrawn);
        }
        let begun = Instant::now();
        let sent = tokio::time::timeout(limit, self.exchange(parcel, json)).await;
        let answer = sent.map_err(|_| MirrorFailure::Timeout)?;
        let answer = answer.map_err(SendError::failure)?;
        Ok(MirroredAnswer {
            status: answer.status,
            duration: begun.elapsed(),
            bytes: answer.bytes,
        })
    }

    /// True if the live table has this mirror, or one that stands for it.
    fn is_live(&self, mirror: &Mirror) -> bool {
        let live = self.table.load();
        let route = live.compiled().named(mirror.route());
        let now = route.and_then(|route| route.mirror());
        now.is_some_and(|now| now.stands_for(mirror))
    }

    async fn exchange(
        &self,
        parcel: &Parcel,
        mut json: Option<&mut JsonBody>,
    ) -> Result<CopyAnswer, SendError> {
        let (mirror, copy) = (&parcel.mirror, &parcel.copy);
        let release = mirror.release();
        let endpoint = self.endpoint(release.roster());
        let endpoint = endpoint.ok_or(SendError::Failed(MirrorFailure::NoEndpoint))?;
        let target = Target::new(&endpoint, release.spec());
        let most = mirror.spec().max_answer.0 as u64;
        let marked = (copy, release.name().as_str());
        if let Some(mut connection) = self.connections.take(&target) {
            let limits = (most, json.as_deref_mut());
            match connection.exchange(&target, marked, limits).await {
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
        let answer = connection.exchange(&target, marked, (most, json)).await?;
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
