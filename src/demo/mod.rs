//! Two sample agents and a configuration that puts switchback in front of them, to try everything out with one command.
//!
//! `blue` (1.0.0) and `green` (2.0.0) listen on loopback, in a thread of their own; faults can be injected into green.
//! A [`Demo`] is what a run needs: agents, a folder for the history, a [`Config`], and commands to try. On drop it
//! stops the agents and removes the folder, unless the user named it.

mod agent;
mod faults;
mod serve;
mod stream;
mod temp_dir;
mod tour;
mod websocket;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    thread,
};

use thiserror::Error;
use tokio::sync::oneshot;

use self::temp_dir::TempDir;
pub use self::{faults::Behaviour, serve::serve_agent, tour::next_steps};
use crate::config::{self, Config, FileCheck, LocatedProblem};

/// Addresses and folder of a demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the proxy.
    pub listen: SocketAddr,
    /// Address of the admin API.
    pub admin: SocketAddr,
    /// Folder of the history; when absent a temporary one, removed when the demo ends.
    pub history: Option<PathBuf>,
}

/// Error of preparing a demo.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {cause}; choose another with `{flag}`")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// The reason; part of the message, so that the hint comes last.
        cause: io::Error,
    },
    /// The sample agents cannot be started.
    #[error("the sample agents cannot be started")]
    Agents(#[source] io::Error),
    /// The options give no valid configuration.
    #[error("{}", .0.iter().map(|placed| placed.problem.to_string()).collect::<Vec<_>>().join("\n"))]
    Config(Vec<LocatedProblem>),
    /// The folder of the history cannot be created.
    #[error("the history folder cannot be created; choose one with `--history`")]
    Folder(#[source] io::Error),
}

/// The two sample agents, which serve until this is dropped.
#[derive(Debug)]
pub struct Agents {
    /// Address of blue, 1.0.0.
    pub blue: SocketAddr,
    /// Address of green, 2.0.0.
    pub green: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Everything that a run needs.
#[derive(Debug)]
pub struct Demo {
    /// Configuration of the server.
    pub config: Config,
    /// The agents.
    pub agents: Agents,
    folder: TempDir,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9900)),
            history: None,
        }
    }
}

// === impl Agents ===

impl Agents {
    /// Starts both on free ports of loopback.
    ///
    /// # Errors
    /// When there is no free port, or no thread or runtime.
    pub fn start() -> io::Result<Self> {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (blue, green) = (free()?, free()?);
        let (blue_address, green_address) = (blue.local_addr()?, green.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = async move {
            tokio::select! {
                _ = serve_agent("blue", "1.0.0", blue) => {}
                _ = serve_agent("green", "2.0.0", green) => {}
                // Dropping the sender stops the agents as well. Open streams end with the runtime.
                _ = stopped => {}
            }
        };
        let thread = thread::Builder::new()
            .name("agents".into())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self {
            blue: blue_address,
            green: green_address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in an agent was reported by its thread.
            let _ = thread.join();
        }
    }
}

// === impl Demo ===

impl Demo {
    /// Starts the agents and prepares the rest.
    ///
    /// # Errors
    /// When a port is in use, which the error names together with the flag that changes it, or when something else that
    /// a demo needs fails.
    pub fn prepare(options: &Options) -> Result<Self, DemoError> {
        is_free(options.listen, "--listen")?;
        is_free(options.admin, "--admin")?;
        let folder = TempDir::take(options.history.as_deref()).map_err(DemoError::Folder)?;
        let agents = Agents::start().map_err(DemoError::Agents)?;
        let config = config(options, &agents, folder.path()).map_err(DemoError::Config)?;
        Ok(Self {
            config,
            agents,
            folder,
        })
    }

    /// Commands to try, with the actual addresses of the server.
    pub fn next_steps(
        &self,
        listen: SocketAddr,
        admin: SocketAddr,
        folder: Option<&Path>,
    ) -> String {
        next_steps(listen, admin, &self.agents, folder)
    }

    /// The folder of the history.
    pub fn history(&self) -> &Path {
        self.folder.path()
    }
}

fn is_free(address: SocketAddr, flag: &'static str) -> Result<(), DemoError> {
    TcpListener::bind(address)
        .map(drop)
        .map_err(|cause| DemoError::Address {
            address,
            flag,
            cause,
        })
}

/// The configuration of a demo.
///
/// # Errors
/// When the options are not consistent.
pub fn config(
    options: &Options,
    agents: &Agents,
    history: &Path,
) -> Result<Config, Vec<LocatedProblem>> {
    let Options { listen, admin, .. } = options;
    let Agents { blue, green, .. } = agents;
    let text = format!(
        r#"
        access_log = {{ format = "off" }}
        admin = {{ address = "{admin}" }}
        [[listeners]]
        address = "{listen}"
        preview = true
        [releases.blue]
        version = "1.0.0"
        endpoints = ["http://{blue}"]
        health = {{ path = "/healthz", interval = "2s" }}
        [releases.green]
        version = "2.0.0"
        endpoints = ["http://{green}"]
        health = {{ path = "/healthz", interval = "2s" }}
        [[routes]]
        name = "chat"
        path_prefix = "/"
        split = {{ blue = 100, green = 0 }}
        stable = "blue"
        affinity = [{{ header = "x-session-id" }}]
        expose_release = "x-release"
        "#
    );
    let mut config = config::parse(&text, Path::new("/"), FileCheck::MayBeMissing)?;
    history.clone_into(&mut config.history.path);
    Ok(config)
}
