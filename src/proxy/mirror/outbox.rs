//! The way of copies from the workers to the thread that sends them. It is started by the first copy.

use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::mpsc;

use super::json_body::JsonBody;
use super::parcel::Parcel;
use super::request_copy::RequestCopy;
use super::room::{Room, RoomShare};
use super::sender;
use crate::model::MirrorSkip;
use crate::proxy::upstream_tls::UpstreamTlsConfigs;
use crate::stats::MirroredAnswer;
use crate::table::{LiveTable, Mirror};

/// Most copies of all routes between the workers and the thread.
const MOST: usize = 8_192;

/// The workers' end.
pub(in crate::proxy) struct Outbox {
    table: Arc<LiveTable>,
    tls: Arc<UpstreamTlsConfigs>,
    room: Room,
    way: OnceLock<Option<mpsc::Sender<Parcel>>>,
}

impl Outbox {
    /// An outbox for the mirrors of this table, whose copies use these TLS settings.
    pub(in crate::proxy) fn new(table: Arc<LiveTable>, tls: Arc<UpstreamTlsConfigs>) -> Self {
        Self {
            table,
            tls,
            room: Room::default(),
            way: OnceLock::new(),
        }
    }

    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Hands a copy over, without waiting for anything.
    ///
    /// # Errors
    /// If as many wait as may.
    pub(super) fn send(
        &self,
        mirror: &Arc<Mirror>,
        (copy, share): (RequestCopy, RoomShare),
        (original, json): (MirroredAnswer, Option<JsonBody>),
    ) -> Result<(), MirrorSkip> {
        let counters = mirror.counters();
        let turn = counters.take_turn(mirror.most_pending());
        let way = self
            .way
            .get_or_init(|| start(Arc::clone(&self.table), Arc::clone(&self.tls)));
        let place = way.as_ref().and_then(|way| way.try_reserve().ok());
        let (Some(turn), Some(place)) = (turn, place) else {
            return Err(MirrorSkip::Full);
        };
        counters.record_mirrored();
        place.send(Parcel {
            mirror: Arc::clone(mirror),
            copy,
            original,
            json,
            turn,
            share,
        });
        Ok(())
    }
}

/// Starts the thread; it ends when the way to it is dropped.
fn start(table: Arc<LiveTable>, tls: Arc<UpstreamTlsConfigs>) -> Option<mpsc::Sender<Parcel>> {
    let (way, parcels) = mpsc::channel(MOST);
    let thread = thread::Builder::new().name("mirror".into());
    match thread.spawn(move || sender::run(parcels, table, tls)) {
        Ok(_) => Some(way),
        Err(error) => {
            tracing::error!(%error, "no thread can be started to mirror requests; none is mirrored");
            None
        }
    }
}
