//! The listeners of the control plane: what each serves, and its pauses while another process may take the history.

use std::{io, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::inherited::{ListenerSockets, Section};
use crate::admin::Service;

/// The services of the control plane.
#[derive(Default)]
pub(super) struct Services(Vec<Listening>);

struct Listening {
    section: Section,
    service: Service,
    sockets: ListenerSockets,
    run: Option<Run>,
}

/// A service that accepts connections.
struct Run {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Services {
    /// Adds a service, which does not accept connections yet.
    pub(super) fn add(&mut self, service: Service, sockets: ListenerSockets, section: Section) {
        self.0.push(Listening {
            section,
            service,
            sockets,
            run: None,
        });
    }

    /// Accepts connections of a section, if it has a service that does not yet. Called within a runtime.
    pub(super) fn open(&mut self, section: Section) -> io::Result<()> {
        for one in self.0.iter_mut().filter(|one| one.section == section) {
            if one.run.is_none() {
                one.run = Some(one.start()?);
            }
        }
        Ok(())
    }

    /// Leaves the connections of a section to end, while new ones are accepted.
    pub(super) async fn renew(&mut self, section: Section) -> io::Result<()> {
        for one in self.0.iter_mut().filter(|one| one.section == section) {
            let next = one.start()?;
            if let Some(before) = one.run.replace(next) {
                before.end().await;
            }
        }
        Ok(())
    }

    /// Accepts no connections of a section, and returns when those that are open have ended, or were cut once the time is
    /// over. New ones wait.
    pub(super) async fn pause(&mut self, section: Section, patience: Duration) {
        for one in self.0.iter_mut().filter(|one| one.section == section) {
            if let Some(mut run) = one.run.take() {
                run.stop.send_replace(true);
                if tokio::time::timeout(patience, &mut run.task).await.is_err() {
                    run.task.abort();
                }
            }
        }
    }

    /// Their sockets, for another process.
    pub(super) fn sockets(&self) -> io::Result<Vec<ListenerSockets>> {
        self.0.iter().map(|one| one.sockets.try_clone()).collect()
    }

    /// Ends all, within a time limit, and closes their sockets.
    pub(super) async fn end(self, patience: Duration) {
        let runs: Vec<Run> = self.0.into_iter().filter_map(|one| one.run).collect();
        for run in &runs {
            run.stop.send_replace(true);
        }
        let deadline = tokio::time::Instant::now() + patience;
        for Run { mut task, .. } in runs {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Listening {
    fn start(&self) -> io::Result<Run> {
        let (stop, stopped) = watch::channel(false);
        let serving = self.service.serve(until(stopped))?;
        Ok(Run {
            stop,
            task: tokio::spawn(serving),
        })
    }
}

impl Run {
    /// Stops it; returns when its connections have ended, for which they have a few seconds.
    async fn end(self) {
        self.stop.send_replace(true);
        // A panic in a service was reported by its task.
        drop(self.task.await);
    }
}

async fn until(mut stop: watch::Receiver<bool>) {
    // An error means that the sender was dropped, which is a stop as well.
    let _stopped = stop.wait_for(|stop| *stop).await;
}
