//! The configuration file that a verb is about, however it was named.

use std::path::PathBuf;

use clap::Args;

/// A file, as an argument or with `--config`. One of the two is needed; the argument comes first.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, as an option
    #[arg(long, short, value_name = "FILE", env = "SWITCHBACK_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Its path.
    pub(super) fn path(self) -> PathBuf {
        self.file.or(self.config).unwrap_or_default()
    }
}
