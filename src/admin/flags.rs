//! Endpoints of feature flags.

use axum::{extract::State, response::Response};
use serde_json::{Map, Value};

use super::{
    body::{Body, NoBody, OptionalBody},
    error::ApiError,
    json_response::{json, tagged},
    params::{ChangeConditions, ChangeOptions, ChangeParams, PathParams, QueryParams},
    problems::refused,
    respond::{answer, named, roll_back},
    state::AdminState,
};
use crate::{
    api::{ChangeAnswer, FlagEvaluation, FlagList, MessageRequest, ProblemDocument},
    control::RollbackTo,
    model::{Change, FlagName, FlagPatch, FlagSpec, FlagState, TARGETING_KEY},
};

/// Most attributes of an evaluation.
const MOST_ATTRIBUTES: usize = 100;

/// All flags.
#[utoipa::path(get, path = "/v1/flags", tag = "flags",
    responses((status = 200, description = "the flags", body = FlagList,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn list_flags(State(admin): State<AdminState>) -> Result<Response, ApiError> {
    Ok(admin.pages.flags.get().await?.response())
}

/// One flag.
#[utoipa::path(get, path = "/v1/flags/{flag}", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag")),
    responses((status = 200, description = "the flag", body = FlagSpec,
        headers(("etag" = String, description = "the live revision, in quotes")))))]
pub(super) async fn read_flag(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
) -> Result<Response, ApiError> {
    let name = admin.flag(&name)?;
    let live = admin.controller.live();
    match live.state().spec.flag(&name) {
        Some(flag) => Ok(tagged(live.revision(), &***flag)),
        None => Err(admin
            .flag(name.as_str())
            .err()
            .unwrap_or_else(ApiError::internal)),
    }
}

/// Adds a flag, or replaces one.
#[utoipa::path(put, path = "/v1/flags/{flag}", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"), ChangeOptions, ChangeConditions),
    request_body = FlagSpec,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn put_flag(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(spec): Body<FlagSpec>,
) -> Result<Response, ApiError> {
    let flag: FlagName = named(&name)?;
    let state = admin.controller.live().state();
    params
        .condition
        .holds_for(state.spec.flag(&flag).is_some())?;
    let spec = Box::new(spec);
    answer(&admin, params, Change::PutFlag { flag, spec }).await
}

/// Changes some keys of a flag.
///
/// The body is a JSON merge patch (RFC 7396): the keys that change, and `null` to remove one; a list replaces the whole
/// list.
#[utoipa::path(patch, path = "/v1/flags/{flag}", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"), ChangeOptions, ChangeConditions),
    request_body = FlagPatch,
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn patch_flag(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    Body(patch): Body<FlagPatch>,
) -> Result<Response, ApiError> {
    let flag = admin.flag(&name)?;
    answer(&admin, params, Change::PatchFlag { flag, patch }).await
}

/// Removes a flag.
#[utoipa::path(delete, path = "/v1/flags/{flag}", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"), ChangeOptions, ChangeConditions),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn delete_flag(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    _: NoBody,
) -> Result<Response, ApiError> {
    let flag = admin.flag(&name)?;
    answer(&admin, params, Change::RemoveFlag { flag }).await
}

/// Switches a flag on: its rules decide.
#[utoipa::path(post, path = "/v1/flags/{flag}/on", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"), ChangeOptions, ChangeConditions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn flag_on(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    switch(&admin, &name, params.because(message)?, FlagState::On).await
}

/// Switches a flag off: everybody gets the default variant.
#[utoipa::path(post, path = "/v1/flags/{flag}/off", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"), ChangeOptions, ChangeConditions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn flag_off(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    switch(&admin, &name, params.because(message)?, FlagState::Off).await
}

async fn switch(
    admin: &AdminState,
    name: &str,
    params: ChangeParams,
    state: FlagState,
) -> Result<Response, ApiError> {
    let flag = admin.flag(name)?;
    answer(admin, params, Change::SetFlagState { flag, state }).await
}

/// Restores what one flag was before its last change, and leaves everything else as it is.
#[utoipa::path(post, path = "/v1/flags/{flag}/rollback", tag = "rollback",
    params(("flag" = FlagName, Path, description = "the flag"), ChangeOptions, ChangeConditions),
    request_body(content = MessageRequest, description = "may be left out"),
    responses((status = 200, description = "the receipt, or the result of the dry run", body = ChangeAnswer)))]
pub(super) async fn rollback_flag(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    params: ChangeParams,
    OptionalBody(MessageRequest { message }): OptionalBody<MessageRequest>,
) -> Result<Response, ApiError> {
    let flag = admin.flag(&name)?;
    roll_back(&admin, params.because(message)?, RollbackTo::Flag(flag)).await
}

/// The variant that a context gets, with the reason.
#[utoipa::path(get, path = "/v1/flags/{flag}/evaluate", tag = "flags",
    params(("flag" = FlagName, Path, description = "the flag"),
        ("key" = Option<String>, Query, nullable = false, description = "the key of splits (`targetingKey`), such as the id of a user"),
        ("attr" = Option<Vec<String>>, Query, nullable = false, max_items = 100, explode, description = "`name=value`, an attribute of the context; several with one name are a list. A number, `true`, `false` and a text in quotes are read as JSON, all else is text.")),
    responses((status = 200, description = "the variant", body = FlagEvaluation),
        (status = 422, description = "the flag splits by a key, and there is none", body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn evaluate_flag(
    State(admin): State<AdminState>,
    PathParams(name): PathParams<String>,
    QueryParams(query): QueryParams<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let flag = admin.flag(&name)?;
    let attributes = attributes(query)?;
    let found = admin.controller.evaluate_flag(&flag, attributes);
    found.map(|found| json(&found)).map_err(refused)
}

/// The context in a query.
fn attributes(query: Vec<(String, String)>) -> Result<Map<String, Value>, ApiError> {
    if query.len() > MOST_ATTRIBUTES + 1 {
        return Err(ApiError::malformed(format!(
            "there are more than {MOST_ATTRIBUTES} attributes"
        )));
    }
    let (mut attributes, mut key) = (Map::new(), None);
    for (name, value) in query {
        match name.as_str() {
            "key" => key = Some(value),
            "attr" => {
                let (name, value) = value.split_once('=').ok_or_else(|| {
                    ApiError::malformed("`attr` is not `name=value`")
                        .hint("such as `attr=plan=pro`")
                })?;
                add(&mut attributes, name, typed(value));
            }
            other => {
                let shown: String = other.chars().take(80).collect();
                return Err(ApiError::malformed(format!("unknown argument `{shown}`"))
                    .hint("an attribute of the context is `attr=name=value`"));
            }
        }
    }
    if let Some(key) = key {
        attributes.insert(TARGETING_KEY.to_owned(), key.into());
    }
    Ok(attributes)
}

/// Adds an attribute; the values of one that is there already become a list.
fn add(attributes: &mut Map<String, Value>, name: &str, value: Value) {
    match attributes.get_mut(name) {
        None => drop(attributes.insert(name.to_owned(), value)),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// A number, a boolean or a text in quotes; all else is text.
fn typed(text: &str) -> Value {
    let value = serde_json::from_str(text).ok();
    let value =
        value.filter(|value: &Value| value.is_number() || value.is_boolean() || value.is_string());
    value.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Value, ApiError> {
        let query = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        attributes(query.collect()).map(Value::Object)
    }

    #[test]
    fn a_context_is_read_from_a_query() {
        let query = [
            ("key", "5"),
            ("attr", "plan=pro"),
            ("attr", "age=40"),
            ("attr", "build=\"40\""),
            ("attr", "beta=true"),
        ];
        let expected = serde_json::json!({ "targetingKey": "5", "plan": "pro", "age": 40, "build": "40", "beta": true });
        assert_eq!(read(&query).unwrap(), expected);
        let list = read(&[
            ("attr", "group=a"),
            ("attr", "group=b"),
            ("attr", "group=c"),
            ("attr", "x=a=b"),
        ]);
        assert_eq!(
            list.unwrap(),
            serde_json::json!({ "group": ["a", "b", "c"], "x": "a=b" })
        );
        for wrong in [("attr", "plan"), ("plan", "pro")] {
            assert_eq!(read(&[wrong]).unwrap_err().status().as_u16(), 400);
        }
    }
}
