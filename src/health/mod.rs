//! Active health checks of every release that is watched and has a `health` in its document.
//!
//! A check is one request on a connection of its own, over HTTP/1.1 or HTTP/2 as the release says, with its TLS
//! settings. An answer with a status, and where asked for a body, as the release expects it is good; another one, none
//! in time, or no connection is bad. So many bad ones
//! in a row make an endpoint unhealthy, so many good ones healthy again. A new endpoint is checked at once, and what
//! comes of its first check is what it is; until then it is taken as fit to serve.
//!
//! Each endpoint is checked by a task of its own, at intervals that vary by a tenth so that many proxies do not ask in
//! step. The whole runs in a thread of its own, so that neither requests nor changes ever wait for a check, and it has
//! at most so many checks under way: with more slow endpoints than that, checks of others come later.

mod check;
mod error;
mod expect;
mod http1_client;
mod http2_client;
mod hysteresis;
mod supervise;
mod user_agent;

use std::{io, sync::Arc, thread};

use tokio::{
    sync::{oneshot, watch},
    task::LocalSet,
};

pub use self::supervise::run;
use crate::{config, fleet::Fleet};

/// Checks that go on until this is dropped.
#[derive(Debug)]
pub struct Checks {
    reloads: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Starts to look after the health of whatever the fleet says is to be watched.
///
/// # Errors
/// When no thread or no runtime can be had.
pub fn start(fleet: Arc<Fleet>, settings: config::HealthChecks) -> io::Result<Checks> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let reloads = watch::Sender::new(0);
    let reload = reloads.subscribe();
    let thread = thread::Builder::new()
        .name("health".into())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = run(fleet, settings, reload) => {}
                    // Dropped is as good as sent.
                    _ = stopped => {}
                }
            });
        })?;
    Ok(Checks {
        reloads,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Checks {
    /// Makes later checks read the files of their TLS settings anew.
    pub fn reload_tls(&self) {
        self.reloads.send_modify(|count| *count += 1);
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in a check was reported by its thread.
            let _ = thread.join();
        }
    }
}
