//! Access to the admin API: flags, with environment variables as fallback.
//!
//! The variables are read here and not by `clap`, which would treat one as a flag on the command line.

use std::path::{Path, PathBuf};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser as _},
};

use super::{
    admin_url::{AdminUrl, DEFAULT_ADMIN},
    client::Client,
    exit::{Exit, Failure},
};
use crate::net::{CertificateFiles, ClientTlsSettings};

/// Flags for the admin API.
#[derive(Debug, Args)]
pub(super) struct AccessArgs {
    /// Address of the admin API [env: `SWITCHBACK_ADMIN`] [default: <http://127.0.0.1:9900>]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Access",
        help = "Address of the admin API [env: `SWITCHBACK_ADMIN`] [default: http://127.0.0.1:9900]"
    )]
    admin: Option<AdminUrl>,
    /// File that holds the bearer token [env: `SWITCHBACK_TOKEN_FILE`; `SWITCHBACK_TOKEN` is the token itself]
    #[arg(long, global = true, value_name = "FILE", value_parser = file(), help_heading = "Access")]
    token_file: Option<PathBuf>,
    /// PEM file of the CAs for the admin API's certificate, or of that certificate itself, instead of the system's CAs
    /// [env: `SWITCHBACK_CA_FILE`]
    #[arg(long, global = true, value_name = "FILE", value_parser = file(), help_heading = "Access")]
    ca_file: Option<PathBuf>,
    /// PEM file of the client certificate for an admin API that requests one [env: `SWITCHBACK_CERT_FILE`]
    #[arg(long, global = true, value_name = "FILE", value_parser = file(), help_heading = "Access")]
    cert_file: Option<PathBuf>,
    /// PEM file of its private key [env: `SWITCHBACK_KEY_FILE`]
    #[arg(long, global = true, value_name = "FILE", value_parser = file(), help_heading = "Access")]
    key_file: Option<PathBuf>,
    /// Print the response of the admin API as JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,
}

/// A parser of paths that accepts an empty one, which means no file.
fn file() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The value of an environment variable; an empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The file of a flag, or else that of a variable.
fn file_of(flag: Option<&PathBuf>, name: &str) -> Option<PathBuf> {
    let flag = flag.filter(|path| !path.as_os_str().is_empty()).cloned();
    let set = || std::env::var_os(name).filter(|value| !value.is_empty());
    flag.or_else(|| set().map(PathBuf::from))
}

// === impl AccessArgs ===

impl AccessArgs {
    /// Creates a client of the configured admin API.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let admin = self.admin()?;
        self.check_scheme(&admin)?;
        Client::new(admin, self.token()?.as_deref(), &self.tls()?)
    }

    /// The address of the admin API.
    pub(super) fn admin(&self) -> Result<AdminUrl, Failure> {
        if let Some(admin) = &self.admin {
            return Ok(admin.clone());
        }
        let named = variable("SWITCHBACK_ADMIN");
        let text = named.as_deref().unwrap_or(DEFAULT_ADMIN);
        let wrong = |error| Failure::new(Exit::Usage, format!("SWITCHBACK_ADMIN: {error}"));
        text.parse().map_err(wrong)
    }

    /// Rejects TLS files for a plain HTTP address: their presence shows that a protected connection is expected.
    fn check_scheme(&self, admin: &AdminUrl) -> Result<(), Failure> {
        if admin.is_tls() {
            return Ok(());
        }
        let flags = [
            ("--ca-file", &self.ca_file),
            ("--cert-file", &self.cert_file),
            ("--key-file", &self.key_file),
        ];
        let named =
            |flag: &Option<PathBuf>| flag.clone().filter(|path| !path.as_os_str().is_empty());
        for (flag, path) in flags {
            if let Some(path) = named(path) {
                let message = format!(
                    "`{flag} {}` has no effect: {admin} is plain HTTP\nhint: write `https://` in `--admin`, or leave \
                     the file out",
                    path.display()
                );
                return Err(Failure::new(Exit::Usage, message));
            }
        }
        Ok(())
    }

    fn tls(&self) -> Result<ClientTlsSettings, Failure> {
        let cert = file_of(self.cert_file.as_ref(), "SWITCHBACK_CERT_FILE");
        let key = file_of(self.key_file.as_ref(), "SWITCHBACK_KEY_FILE");
        let client_certificate = match (cert, key) {
            (Some(cert), Some(key)) => Some(CertificateFiles { cert, key }),
            (None, None) => None,
            (Some(cert), None) => return Err(half("--key-file", "certificate", &cert)),
            (None, Some(key)) => return Err(half("--cert-file", "private key", &key)),
        };
        Ok(ClientTlsSettings {
            ca: file_of(self.ca_file.as_ref(), "SWITCHBACK_CA_FILE"),
            client_certificate,
            server_name: None,
        })
    }

    /// The bearer token, from its file or from the environment.
    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(file) = file_of(self.token_file.as_ref(), "SWITCHBACK_TOKEN_FILE") else {
            let token = variable("SWITCHBACK_TOKEN").map(|token| token.trim().to_owned());
            return Ok(token.filter(|token| !token.is_empty()));
        };
        let failed = |why: &str| {
            let message = format!("the token file `{}` {why}", file.display());
            Failure::new(Exit::NoInput, message)
        };
        let text = std::fs::read_to_string(&file)
            .map_err(|error| failed(&format!("cannot be read: {error}")))?;
        match text.trim() {
            "" => Err(failed(
                "is empty\nhint: it holds the token of `[admin] tokens`, as one line",
            )),
            token => Ok(Some(token.to_owned())),
        }
    }
}

fn half(missing: &str, what: &str, file: &Path) -> Failure {
    let message = format!(
        "the {what} `{}` is given without its counterpart\nhint: add `{missing} FILE`",
        file.display()
    );
    Failure::new(Exit::Usage, message)
}
