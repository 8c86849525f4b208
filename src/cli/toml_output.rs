//! TOML output.

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    text::drop_nothings,
};

/// A JSON value as TOML: `null`, which TOML lacks, and empty tables are left out.
pub(super) fn to_toml(value: &impl Serialize) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Internal,
            format!("the response cannot be written as TOML: {error}"),
        )
    };
    let mut value = serde_json::to_value(value).map_err(|error| failed(&error))?;
    drop_nothings(&mut value);
    let table = toml::Table::try_from(value).map_err(|error| failed(&error))?;
    toml::to_string(&table).map_err(|error| failed(&error))
}
