//! The normal form of a configuration: TOML again, one way to write each thing, without what is the default anyway.

use toml::{Table, Value};

use super::Config;

impl Config {
    /// The configuration as TOML. Reading it gives the same configuration.
    pub fn normal_form(&self) -> String {
        let mut table = table_of(self);
        let mut defaults = table_of(&Self::default());
        // What makes up the table is written whole: there is nothing in it that goes without saying.
        for whole in ["listeners", "releases", "routes"] {
            defaults.remove(whole);
        }
        subtract(&mut table, &defaults);
        toml::to_string(&table).expect("a TOML table can be written as TOML")
    }
}

fn table_of(config: &Config) -> Table {
    Table::try_from(config).expect("every key of a configuration can be written as TOML")
}

/// Takes out of a table what another one has just as well.
fn subtract(table: &mut Table, defaults: &Table) {
    for (key, default) in defaults {
        match (table.get_mut(key), default) {
            (Some(Value::Table(inner)), Value::Table(default)) => {
                subtract(inner, default);
                if inner.is_empty() {
                    table.remove(key);
                }
            }
            (Some(value), default) if value == default => {
                table.remove(key);
            }
            _ => {}
        }
    }
    for empty in ["listeners", "releases", "routes"] {
        let nothing = table.get(empty).is_some_and(|value| match value {
            Value::Array(items) => items.is_empty(),
            Value::Table(entries) => entries.is_empty(),
            _ => false,
        });
        if nothing {
            table.remove(empty);
        }
    }
}
