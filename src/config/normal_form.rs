//! Normal form of a configuration: TOML with one spelling for each thing, without defaults.

use toml::{Table, Value};

use super::Config;

impl Config {
    /// The whole configuration as JSON, for programs.
    ///
    /// # Panics
    /// Never: every key can be written as JSON.
    pub fn json(&self) -> serde_json::Value {
        let json = serde_json::to_value(self);
        let mut json = json.expect("every key of a configuration can be written as JSON");
        self.variables.show_in_json(&mut json);
        json
    }

    /// The configuration as TOML. Reading it in the same environment gives the same configuration.
    ///
    /// # Panics
    /// Never: every key can be written as TOML.
    pub fn normal_form(&self) -> String {
        let mut table = table_of(self);
        subtract(&mut table, &table_of(&Self::default()));
        prune(&mut table);
        self.variables.show_in_toml(&mut table);
        toml::to_string(&table).expect("a TOML table can be written as TOML")
    }
}

fn table_of(config: &Config) -> Table {
    Table::try_from(config).expect("every key of a configuration can be written as TOML")
}

/// Removes from a table every value that the defaults have as well.
fn subtract(table: &mut Table, defaults: &Table) {
    for (key, default) in defaults {
        match (table.get_mut(key), default) {
            (Some(Value::Table(inner)), Value::Table(default)) => subtract(inner, default),
            (Some(value), default) if value == default => {
                table.remove(key);
            }
            _ => {}
        }
    }
}

/// Removes empty tables.
fn prune(table: &mut Table) {
    for (_, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => prune(inner),
            Value::Array(items) => items
                .iter_mut()
                .filter_map(Value::as_table_mut)
                .for_each(prune),
            _ => {}
        }
    }
    table.retain(|_, value| value.as_table().is_none_or(|inner| !inner.is_empty()));
}
