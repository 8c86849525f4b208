//! A file with JSON, or standard input.

use std::{io::Read as _, path::Path};

use serde::de::DeserializeOwned;

use super::exit::{Exit, Failure};

/// Reads a value; `-` is standard input. A mistake is named with its place.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let name = file.display();
    let text = text(file)
        .map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {name}: {error}")))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let message = format!("{name}: `{}`: {}", error.path(), error.inner());
        Failure::new(Exit::Config, message)
    })
}

fn text(file: &Path) -> std::io::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map(|_| text)
}
