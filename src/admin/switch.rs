//! A boolean argument in the query.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::Error as _};
use utoipa::openapi::{
    Schema,
    schema::{ObjectBuilder, OneOfBuilder, Type},
};

/// Parses one. Without a value it is on, since `?dry_run` must not be a real change.
pub(super) fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    match &*text {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        other => Err(D::Error::custom(format!(
            "`{other}` is neither `true` nor `false`"
        ))),
    }
}

/// Schema: a boolean, or empty.
pub(super) fn switch_schema() -> Schema {
    let nothing = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(0));
    let either = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Boolean))
        .item(nothing);
    either.into()
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::Uri};

    use super::*;

    #[derive(Deserialize)]
    struct Only {
        #[serde(default, deserialize_with = "switch")]
        on: bool,
    }

    #[test]
    fn a_switch_without_a_value_is_on() {
        let read = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            Query::<Only>::try_from_uri(&uri).map(|Query(only)| only.on)
        };
        for (uri, on) in [
            ("/", false),
            ("/?on", true),
            ("/?on=", true),
            ("/?on=true", true),
            ("/?on=false", false),
        ] {
            assert_eq!(read(uri).unwrap(), on, "{uri}");
        }
        for wrong in ["/?on=1", "/?on=yes", "/?on&on"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
