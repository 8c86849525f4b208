//! The configuration file that a verb is about, however it was named.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser as _},
};

use super::exit::{Exit, Failure};

/// A file, as an argument or with `--config`. One of the two is needed; the argument comes first.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, as an option
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "SWITCHBACK_CONFIG",
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Its path. A variable of the environment that is set to nothing names none.
    pub(super) fn path(self) -> Result<PathBuf, Failure> {
        let named = self.file.or(self.config);
        named
            .filter(|path| !path.as_os_str().is_empty())
            .ok_or_else(|| {
                let message = "no configuration file is named\nhint: as the argument FILE, with `--config FILE`, or in \
                               `SWITCHBACK_CONFIG`";
                Failure::new(Exit::Usage, message)
            })
    }
}
