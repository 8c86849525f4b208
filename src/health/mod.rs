//! Active health checks of every watched release that has a `health` section.
//!
//! A check is one request on its own connection, over HTTP/1.1 or HTTP/2 and with TLS settings as the release says. It
//! succeeds if the response has the expected status and, if configured, the expected body; it fails on any other
//! response, on a timeout, or without a connection. A number of failures in a row makes an endpoint unhealthy, a
//! number of successes healthy again. A new endpoint is checked at once, and the result of its first check is its
//! health; until then it may be picked.
//!
//! Each endpoint has its own task, at intervals that vary by a tenth so that many proxies do not check in step. All
//! checks run in a thread of their own, so that neither requests nor changes wait for a check. The number of
//! concurrent checks is limited: with more slow endpoints than that, the checks of others are delayed.

mod check;
mod error;
mod expect;
mod grpc_client;
mod grpc_message;
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

/// Handle on the running checks, which stop when it is dropped.
#[derive(Debug)]
pub struct Checks {
    reloads: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Starts to check all watched releases of the fleet.
///
/// # Errors
/// If no thread or no runtime can be created.
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
                    // A dropped sender stops it too.
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
    /// Makes later checks reload the files of their TLS settings.
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
