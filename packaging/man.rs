//! Writes the manual pages of the command line: `cargo run --example man -- FOLDER`.
//!
//! It is an example and not a verb, so that the program does not carry what only a package needs. The date is that of
//! `SOURCE_DATE_EPOCH`, so that the pages of a release are always the same.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap_mangen::Man;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("the folder is missing"))?;
    fs::create_dir_all(&folder)?;
    let mut command = switchback::cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, &folder, &date())
}

/// Writes the page of a command, and those of its verbs that are not hidden.
fn write_pages(command: &clap::Command, folder: &Path, date: &str) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let page = Man::new(command.clone())
        .title(name)
        .date(date)
        .source(concat!("switchback ", env!("CARGO_PKG_VERSION")))
        .manual("switchback");
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::File::create(folder.join(format!("{name}.1")))?.write_all(plain(&text).as_bytes())?;
    let shown = command.get_subcommands();
    shown
        .filter(|verb| !verb.is_hide_set())
        .try_for_each(|verb| write_pages(verb, folder, date))
}

/// The page with the usual name for its last section, and without breaks that the rules of pages call useless.
fn plain(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .replace("\n.SH EXTRA\n", "\n.SH NOTES\n")
        .replace("\n.br\n\n.br\n", "\n.sp\n")
}

fn date() -> String {
    let at = env::var("SOURCE_DATE_EPOCH").ok();
    let at = at.and_then(|seconds| seconds.parse().ok());
    let time = at.map_or_else(SystemTime::now, |seconds| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    });
    let mut text = humantime::format_rfc3339_seconds(time).to_string();
    text.truncate("2026-01-01".len());
    text
}
