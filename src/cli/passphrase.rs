//! Passphrase of the keys in a backup: from a file or the environment, and never an argument, which others can see.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};

/// Environment variable with a passphrase.
const VARIABLE: &str = "SWITCHBACK_BACKUP_PASSPHRASE";

/// Source of a passphrase.
#[derive(Debug, Args)]
pub(super) struct PassphraseArgs {
    /// File with the passphrase of the keys, as one line [env: `SWITCHBACK_BACKUP_PASSPHRASE` has the passphrase itself]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase, if there is one.
    pub(super) fn read(&self) -> Result<Option<String>, Failure> {
        let text = match &self.passphrase_file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                let message = format!(
                    "the passphrase file `{}` cannot be read: {error}",
                    file.display()
                );
                Failure::new(Exit::NoInput, message)
            })?,
            None => std::env::var(VARIABLE).unwrap_or_default(),
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() && self.passphrase_file.is_some() {
            return Err(Failure::new(Exit::NoInput, "the passphrase file is empty"));
        }
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    /// The passphrase, which is needed.
    pub(super) fn required(&self) -> Result<String, Failure> {
        self.read()?.ok_or_else(|| {
            let message = format!(
                "the keys need a passphrase\nhint: give it with `--passphrase-file FILE` or `{VARIABLE}`; \
                 `openssl rand -base64 32` makes one"
            );
            Failure::new(Exit::Usage, message)
        })
    }
}
