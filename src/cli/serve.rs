//! `serve`, `demo` and `agent`: subcommands that run until a signal ends them.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    admin_url::AdminUrl,
    config_file::ConfigFile,
    exit::{Exit, Failure},
    output::{Out, print},
    runtime::runtime,
};
use crate::{
    api::ConflictPolicy,
    config::{Config, ConfigError, LogFormat},
    demo::{self, Demo, DemoError},
    model::{HumanDuration, ReleaseName},
    server::{self, Options, ServerError, Service},
    telemetry::{ErrorChain, start_log},
};

/// Grace period for streams after Ctrl-C. A second one ends a demo at once.
const DEMO_GRACE: HumanDuration = HumanDuration::seconds(3);

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Side that wins where the file and the live table changed the same entry
    #[arg(long, value_name = "file|live")]
    wins: Option<ConflictPolicy>,
    /// Do not start (exit status 75, or 78) when the file's releases and routes cannot be imported; without it, the
    /// last live table is served, with a warning
    #[arg(long)]
    strict: bool,
    /// Take the listening sockets and the history over from the running process
    #[arg(long)]
    takeover: bool,
}

/// Runs the configuration of a file.
pub(super) fn serve(args: ServeArgs) -> Result<Out, Failure> {
    let ServeArgs {
        config,
        wins,
        strict,
        takeover,
    } = args;
    let file = config.path()?;
    // While there is one thread.
    let inherited = server::inherited_sockets();
    let inherited = inherited.map_err(|error| not_started(&error.into()))?;
    let signals = server::Signals::early();
    let signals = signals.map_err(|error| not_started(&ServerError::Thread(error)))?;
    let config = server::load(&file).map_err(|error| unreadable(&error))?;
    start_logging(&config)?;
    let options = Options {
        file: Some(file),
        wins,
        strict,
        writer_program: Some(this_program()),
        service: std::env::current_exe().ok().map(|program| Service {
            program,
            arguments: std::env::args_os().skip(1).collect(),
        }),
        takeover,
    };
    server::run(config, options, inherited, signals).map_err(|error| not_started(&error))?;
    Ok(Out::default())
}

/// Runs the proxy in front of two sample agents.
pub(super) fn demo(
    listen: SocketAddr,
    admin: &AdminUrl,
    history: Option<PathBuf>,
) -> Result<Out, Failure> {
    let options = demo::Options {
        listen,
        admin: admin.address()?,
        history,
    };
    let mut demo = Demo::prepare(&options).map_err(|error| unprepared(&error))?;
    demo.config.shutdown.grace = Some(DEMO_GRACE);
    // Success is reported by the printed commands.
    start_log("warn", false)
        .map_err(|error| Failure::new(Exit::Internal, ErrorChain(&error).to_string()))?;
    let options = Options {
        writer_program: Some(this_program()),
        ..Options::default()
    };
    let running =
        server::start(demo.config.clone(), options).map_err(|error| not_started(&error))?;
    let proxy = running.listeners().first().copied().unwrap_or(listen);
    let program = std::env::current_exe().ok();
    let folder = program.as_deref().and_then(Path::parent);
    print(demo.next_steps(proxy, running.admin(), folder).as_bytes());
    running
        .until_signalled()
        .map_err(|error| not_started(&error))?;
    Ok(Out::default())
}

/// Path of the running program, even if its file was replaced meanwhile. Under a tool that runs it (valgrind), the link
/// leads to the tool; then the path to the program is used.
fn this_program() -> PathBuf {
    let linked = PathBuf::from("/proc/self/exe");
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match std::env::current_exe() {
        Ok(path) if path.exists() && file(&path).ok() != file(&linked).ok() => path,
        _ => linked,
    }
}

/// Writes the history's disk for the proxy that started this process.
pub(super) fn keep(is_beside: bool) -> Result<Out, Failure> {
    let failed = |error: std::io::Error| {
        let message = format!("the history writer is started by `serve` and `demo` only: {error}");
        Failure::new(Exit::Usage, message)
    };
    let run = if is_beside {
        server::run_beside_process
    } else {
        server::run_writer_process
    };
    run().map_err(failed)?;
    Ok(Out::default())
}

fn unprepared(error: &DemoError) -> Failure {
    let exit = match error {
        DemoError::Agents(_) => Exit::Internal,
        DemoError::Folder(_) => Exit::History,
        DemoError::Address { .. } | DemoError::Config(_) => Exit::Config,
    };
    Failure::new(exit, ErrorChain(error).to_string())
}

/// Runs one sample agent.
pub(super) fn agent(name: &ReleaseName, label: &str, address: SocketAddr) -> Result<Out, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Config, format!("cannot listen on {address}: {error}"))
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    print(format!("{name} {label} listens on {bound}").as_bytes());
    runtime()?.block_on(async {
        let mut end = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            served = demo::serve_agent(name.as_str(), label, listener) => served.map_err(failed)?,
            _ = end.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(Out::default())
    })
}

/// Starts the process's log as configured.
pub(super) fn start_logging(config: &Config) -> Result<(), Failure> {
    let json = config.log.format == LogFormat::Json;
    start_log(&config.log.level, json)
        .map_err(|error| Failure::new(Exit::Config, format!("log.level: {error}")))
}

fn unreadable(error: &ConfigError) -> Failure {
    let exit = match error {
        ConfigError::Invalid { .. } => Exit::Config,
        ConfigError::Read { .. } => Exit::NoInput,
    };
    Failure::new(exit, ErrorChain(error).to_string())
}

/// Failure of switchback to start.
pub(super) fn not_started(error: &ServerError) -> Failure {
    let exit = match error {
        ServerError::History(_) => Exit::History,
        ServerError::Import(_) | ServerError::Takeover(_) => Exit::TryAgain,
        // A supervisor takes 78 for a mistake that a person has to mend, and starts it no more.
        error if error.is_of_the_store() => Exit::TryAgain,
        ServerError::Thread(_) | ServerError::Discovery(_) => Exit::Internal,
        ServerError::Access(_)
        | ServerError::Acme(_)
        | ServerError::Activation(_)
        | ServerError::Collector(_)
        | ServerError::AccessLog { .. }
        | ServerError::ApiServer(_)
        | ServerError::Fleet(_)
        | ServerError::Bind { .. }
        | ServerError::Config(_)
        | ServerError::Control(_)
        | ServerError::FlagTokens(_)
        | ServerError::Hooks(_)
        | ServerError::Seal(_)
        | ServerError::Tls { .. } => Exit::Config,
    };
    Failure::new(exit, ErrorChain(error).to_string())
}
