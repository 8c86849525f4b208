//! A value of a flag or of a condition: JSON, so that it is the same in the file, over the API and for applications.

use std::{borrow::Cow, ops::Deref};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{FlagType, schema};

/// A boolean, a text, a number or an object.
// Not `transparent`: by its name, a reader knows that `2.0` is not `2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagValue(pub Value);

impl FlagValue {
    /// Type of a flag that can have it; `None` for an array and for `null`.
    pub fn kind(&self) -> Option<FlagType> {
        match &self.0 {
            Value::Bool(_) => Some(FlagType::Boolean),
            Value::String(_) => Some(FlagType::String),
            Value::Number(_) => Some(FlagType::Number),
            Value::Object(_) => Some(FlagType::Object),
            Value::Array(_) | Value::Null => None,
        }
    }

    /// Number of objects and arrays in each other, this one included.
    pub fn depth(&self) -> usize {
        fn depth(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
                Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
            }
        }
        depth(&self.0)
    }

    /// True if a `null` is in it somewhere, which TOML cannot express.
    pub fn has_null(&self) -> bool {
        fn has_null(value: &Value) -> bool {
            match value {
                Value::Null => true,
                Value::Array(items) => items.iter().any(has_null),
                Value::Object(members) => members.values().any(has_null),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            }
        }
        has_null(&self.0)
    }
}

impl Deref for FlagValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl PartialSchema for FlagValue {
    fn schema() -> RefOr<Schema> {
        schema::keywords(json!({
            "type": ["boolean", "string", "number", "object"],
            "description": "A boolean, a text, a number or an object; of a flag, all have its type.",
        }))
        .into()
    }
}

impl ToSchema for FlagValue {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FlagValue")
    }
}
