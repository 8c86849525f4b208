//! The configuration file of a subcommand, from any of its sources.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};

/// A file as an argument, with `--config`, or in the environment. One of the three is required; the first one counts.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same, as an option [env: `SWITCHBACK_CONFIG`]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Its path. An empty environment variable counts as unset.
    pub(super) fn path(self) -> Result<PathBuf, Failure> {
        let variable = || std::env::var_os("SWITCHBACK_CONFIG").map(PathBuf::from);
        let named = self.file.or(self.config).or_else(variable);
        named
            .filter(|path| !path.as_os_str().is_empty())
            .ok_or_else(|| {
                let message = "no configuration file is given\nhint: use the argument FILE, `--config FILE` or \
                               `SWITCHBACK_CONFIG`";
                Failure::new(Exit::Usage, message)
            })
    }
}
