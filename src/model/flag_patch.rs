//! A partial change of a flag: a JSON merge patch (RFC 7396).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{FlagSpec, schema};

/// The keys of a flag that change; `null` removes one, and a list replaces the whole list.
// Not `transparent`: by its name, a reader knows that `2.0` is not `2`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagPatch(pub Map<String, Value>);

impl FlagPatch {
    /// The flag after the change.
    ///
    /// # Errors
    /// If the result is no flag: an unknown key, a wrong type, or a required key that was removed.
    pub fn applied_to(&self, flag: &FlagSpec) -> Result<FlagSpec, serde_json::Error> {
        let mut merged = serde_json::to_value(flag)?;
        merge(&mut merged, &self.0);
        serde_json::from_value(merged)
    }
}

fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (key, value) in patch {
        match value {
            Value::Null => drop(members.remove(key)),
            Value::Object(patch) => merge(members.entry(key).or_insert(Value::Null), patch),
            other => drop(members.insert(key.clone(), other.clone())),
        }
    }
}

impl PartialSchema for FlagPatch {
    fn schema() -> RefOr<Schema> {
        schema::keywords(json!({
            "type": "object",
            "description": "A JSON merge patch (RFC 7396) of a flag: the keys that change. `null` removes one, and a list replaces the whole list.",
            "properties": {
                "type": { "enum": ["boolean", "string", "number", "object"] },
                "variants": { "type": "object" },
                "default": { "type": "string" },
                "state": { "enum": ["on", "off"] },
                "rules": { "type": ["array", "null"] },
                "prerequisite": { "type": ["object", "null"] },
                "kpis": { "type": ["boolean", "null"] },
                "description": { "type": ["string", "null"] },
                "owner": { "type": ["string", "null"] },
                "expires": { "type": ["string", "null"] },
            },
            "additionalProperties": false,
            "examples": [{ "rules": [{ "split": { "on": 5, "off": 95 } }] }],
        }))
        .into()
    }
}

impl ToSchema for FlagPatch {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FlagPatch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(patch: &str) -> Result<FlagSpec, serde_json::Error> {
        let flag = r#"{"type":"boolean","variants":{"on":true,"off":false},"default":"off","owner":"search","rules":[{"split":{"on":1}}]}"#;
        let flag: FlagSpec = serde_json::from_str(flag).unwrap();
        let patch: FlagPatch = serde_json::from_str(patch).unwrap();
        patch.applied_to(&flag)
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_removes() {
        let flag = patched(r#"{"owner":null,"rules":[],"variants":{"maybe":true}}"#).unwrap();
        assert_eq!((flag.owner, flag.rules.len()), (None, 0));
        assert_eq!(flag.variants.len(), 3);
        assert_eq!(flag.default.as_str(), "off");
    }

    #[test]
    fn a_patch_that_leads_to_no_flag_is_an_error() {
        for wrong in [
            r#"{"colour":"blue"}"#,
            r#"{"default":null}"#,
            r#"{"state":"maybe"}"#,
        ] {
            assert!(patched(wrong).is_err(), "{wrong}");
        }
    }
}
