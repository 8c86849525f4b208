//! The moment of a takeover, in the running process: the admin API waits, the history changes hands, and the new process
//! serves, or everything is taken back.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    super::{control::ControlPlane, inherited::Section},
    channel::{Channel, is_late},
    entrance::{Prepared, PreparedProcess},
    link::Successor,
    message::{FromNew, FromOld},
};
use crate::admin::ReloadRequest;

/// Time for the last requests to the admin API; changes go on without their clients.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// Time for the history to write what is pending and to let go of its lock.
const RELEASE: Duration = Duration::from_secs(5);
/// Time for the new process to open the history.
const OPENING: Duration = Duration::from_secs(10);
/// Time for the new process to begin, once it was told to.
const BEGINNING: Duration = Duration::from_secs(5);

/// The result of a takeover, for the running process.
pub(in crate::server) enum Outcome {
    /// It serves on.
    Kept,
    /// The new process serves.
    HandedOver(Successor),
}

/// Lets a prepared process take over. If it fails before it serves, everything goes on here as before.
pub(in crate::server) async fn hand_over(
    control: &mut ControlPlane,
    prepared: Prepared,
) -> Outcome {
    // Its turn is over when this returns.
    let Prepared { process, .. } = &prepared;
    let (number, version) = (process.channel.process(), process.version.clone());
    // Long requests end while others are still answered; then only those of a moment are left.
    let renewed = tokio::select! {
        renewed = control.services.renew(Section::Admin) => renewed,
        () = refuse(&mut control.reloads) => return Outcome::Kept,
    };
    if let Err(error) = renewed {
        tracing::warn!(%error, "the takeover is given up; this process serves on");
        return Outcome::Kept;
    }
    let begin = Instant::now();
    control.services.pause(Section::Admin, LAST_REQUESTS).await;
    control.hold_still();
    let PreparedProcess { channel, .. } = prepared.process;
    let channel = Arc::new(channel);
    let exchanged = match release(control).await {
        Ok(()) => exchange(Arc::clone(&channel), begin).await,
        Err(reason) => {
            drop(channel.send(&FromOld::Refused {
                reason: reason.clone(),
            }));
            Err(reason)
        }
    };
    let waited_ms = begin.elapsed().as_millis();
    match exchanged {
        Ok(()) => {
            tracing::info!(process = number, %version, waited_ms, "a new process has taken over");
            Outcome::HandedOver(Successor::new(channel))
        }
        Err(reason) => {
            drop(channel);
            take_back(control).await;
            let waited_ms = begin.elapsed().as_millis();
            tracing::error!(process = number, %version, %reason, waited_ms, "a takeover failed; this process serves on");
            Outcome::Kept
        }
    }
}

/// Refuses reloads, for as long as it is polled: who waits for one would hold the takeover up.
async fn refuse(reloads: &mut mpsc::Receiver<ReloadRequest>) {
    while reloads.recv().await.is_some() {}
    std::future::pending::<()>().await;
}

async fn release(control: &ControlPlane) -> Result<(), String> {
    let controller = Arc::clone(&control.controller);
    let released = tokio::task::spawn_blocking(move || controller.release_history(RELEASE));
    released.await.map_err(|error| error.to_string())?
}

/// Tells the new process that the history is free, and waits until it serves.
async fn exchange(channel: Arc<Channel>, begin: Instant) -> Result<(), String> {
    let exchanged = tokio::task::spawn_blocking(move || {
        let waited_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let gone = |error: io::Error| format!("the new process has gone: {error}");
        channel.send(&FromOld::Free { waited_ms }).map_err(gone)?;
        expect(&channel, OPENING, "opened the history", |message| {
            matches!(message, FromNew::Opened)
        })?;
        channel.send(&FromOld::Commit).map_err(gone)?;
        expect(&channel, BEGINNING, "begun to serve", |message| {
            matches!(message, FromNew::Serving)
        })
    });
    exchanged.await.map_err(|error| error.to_string())?
}

/// Waits for a message. A process that is late is ended: it may have the lock of the history, and then it has changed
/// nothing yet.
fn expect(
    channel: &Channel,
    within: Duration,
    to_have: &str,
    is_expected: impl Fn(&FromNew) -> bool,
) -> Result<(), String> {
    let received = channel.receive(Some(within)).map(|(message, _)| message);
    let error = match received {
        Ok(message) if is_expected(&message) => return Ok(()),
        Ok(_) => {
            channel.kill_peer();
            return Err("the new process sent another message than expected".to_owned());
        }
        Err(error) => error,
    };
    if !is_late(&error) {
        return Err(format!(
            "the new process ended before it had {to_have}; its own log says why"
        ));
    }
    channel.kill_peer();
    // It may have sent the message in the last moment. All that it sent is there once it is gone.
    match channel.receive(Some(BEGINNING)) {
        Ok((message, _)) if is_expected(&message) => Ok(()),
        _ => Err(format!(
            "the new process had not {to_have} within {within:?}, and was ended"
        )),
    }
}

/// Goes on as before the takeover.
async fn take_back(control: &mut ControlPlane) {
    let controller = Arc::clone(&control.controller);
    let retaken = tokio::task::spawn_blocking(move || controller.retake_history());
    match retaken.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "the history cannot be taken back yet; the next write tries again");
        }
        Err(error) => tracing::error!(%error, "the history cannot be taken back"),
    }
    control.go_on();
    if let Err(error) = control.open() {
        tracing::error!(%error, "the admin API cannot be opened again");
    }
}
