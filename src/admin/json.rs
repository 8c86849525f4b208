//! Strict JSON: an array is no object, and a key is unique.
//!
//! A struct derived with serde also accepts an array of its fields, so `[]` would be a rollback and `["green"]` a
//! switch; and of a duplicate key in a map the last would silently win. A body is parsed into this form first, and only
//! then into its type.

use serde::{
    Deserialize, Deserializer,
    de::{
        Error as _, IntoDeserializer, Unexpected, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Map, Number, Value};

use crate::model::UniqueJson;

/// Types that keep the point of a number: to those who read a flag's value, `2.0` is not `2`.
const EXACT: [&str; 2] = ["FlagPatch", "FlagValue"];

/// A value of JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Json(pub(super) Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UniqueJson::deserialize(deserializer).map(|UniqueJson(value)| Self(value))
    }
}

fn as_found(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// A number for a field of any type: JSON has one kind of number, so `2.0` is the integer 2.
fn plain(number: Number) -> Number {
    /// Below this every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = number.as_f64().filter(|_| number.is_f64());
    match whole.filter(|value| value.fract() == 0.0 && value.abs() < EXACT) {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within 53 bits")]
        Some(value) => (value as i64).into(),
        None => number,
    }
}

/// The members of an object.
fn each(members: Map<String, Value>) -> impl Iterator<Item = (String, Json)> {
    members.into_iter().map(|(key, value)| (key, Json(value)))
}

impl IntoDeserializer<'_, Error> for Json {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Json {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(value) => plain(value).deserialize_any(visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Self));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(members) => {
                let mut members = MapDeserializer::new(each(members));
                let value = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            value => visitor.visit_some(Self(value)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if EXACT.contains(&name) {
            return visitor.visit_newtype_struct(self.0);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            other => Err(Error::invalid_type(as_found(other), &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Object(members) if members.len() != 1 => {
                let found = format!("an object with {} keys", members.len());
                let expected = "an object with exactly one key";
                Err(Error::invalid_value(Unexpected::Other(&found), &expected))
            }
            Value::Object(members) => {
                let members = MapDeserializer::new(each(members));
                visitor.visit_enum(MapAccessDeserializer::new(members))
            }
            other => Err(Error::invalid_type(as_found(&other), &visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::RollbackRequest,
        model::{AffinitySource, FlagValue, TableDocument},
    };

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
        T::deserialize(serde_json::from_str::<Json>(text)?)
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(read::<RollbackRequest>("{}").is_ok());
        for wrong in ["[]", "[null]", "3", "null", "\"\""] {
            assert!(read::<RollbackRequest>(wrong).is_err(), "{wrong}");
        }
        let nested = r#"{"routes":[{"name":"a","split":{"b":1},"timeouts":[]}]}"#;
        assert!(read::<TableDocument>(nested).is_err());
        assert!(read::<TableDocument>(r#"{"routes":[["a"]]}"#).is_err());
    }

    #[test]
    fn a_key_stands_there_once_and_a_number_is_a_number() {
        assert_eq!(read::<u8>("2.0").unwrap(), read::<u8>("2").unwrap());
        assert!(read::<u8>("2.5").is_err());
        let twice = read::<Json>(r#"{"blue":1,"blue":2}"#).unwrap_err();
        assert!(twice.to_string().contains("duplicate key `blue`"));
    }

    #[test]
    fn a_choice_is_one_and_no_other_is_dropped() {
        assert!(read::<AffinitySource>(r#"{"header":"x"}"#).is_ok());
        for wrong in [
            r#"{"header":"x","cookie":"y"}"#,
            r#"{"query":"q","bearer":null}"#,
            "{}",
        ] {
            let error = read::<AffinitySource>(wrong).unwrap_err();
            assert!(error.to_string().contains("exactly one key"), "{error}");
        }
    }

    #[test]
    fn a_value_of_a_flag_keeps_its_point() {
        let value: FlagValue = read(r#"{"a":[2.0,2,{"b":-0.0}]}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"a":[2.0,2,{"b":-0.0}]}"#);
    }

    #[test]
    fn a_table_is_read_as_serde_json_reads_it() {
        let text = r#"{
            "releases": {"blue": {"version": "1", "endpoints": ["http://a:1"], "protocol": "h2",
                "health": {"path": "/", "interval": "2s"}, "limits": {"queue": 7, "queue_timeout": null}}},
            "routes": [{"name": "chat", "split": {"blue": 1, "green": 0}, "affinity": [{"header": "x"}, {"cookie": "y"}, "bearer"],
                "strip_prefix": true, "host_header": "endpoint", "timeouts": {"request": "1m"}},
                {"name": "b", "split": {"blue": 1}, "strip_prefix": "/b", "path_prefix": "/b", "host": null}]
        }"#;
        let table: TableDocument = read(text).unwrap();
        assert_eq!(table, serde_json::from_str(text).unwrap());
    }
}
