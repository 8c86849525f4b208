//! Ids in the messages of agent protocols: those that an agent hands out, and the one that a request is about.
//!
//! MCP 2026-07-28: a `CreateTaskResult` has a `taskId`, which later calls of `tasks/…` repeat in the field `Mcp-Name`.
//! A2A: tasks, messages and updates have a `taskId` and a `contextId`; a request has them in its path or in its message.

use serde_json::Value;

use crate::message::KnownField;
use crate::model::AgentProtocol;

use super::io::RequestParts;

/// Longest id that is looked at.
const LONGEST: usize = 256;

/// An id that an agent handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MintedId<'m> {
    pub(super) id: &'m str,
    /// Time for which it is valid, if the agent says so.
    pub(super) seconds: Option<u32>,
}

/// The id in the head of a request: of MCP in the field, of A2A in the path.
pub(super) fn of_request_head<'h>(
    protocol: AgentProtocol,
    parts: &RequestParts<'h>,
) -> Option<&'h [u8]> {
    let id = match protocol {
        AgentProtocol::Mcp => task_of_mcp(parts),
        AgentProtocol::A2a => task_in_path(parts.facts.target.path),
    };
    id.filter(|id| (1..=LONGEST).contains(&id.len()))
}

fn task_of_mcp<'h>(parts: &RequestParts<'h>) -> Option<&'h [u8]> {
    if !parts.facts.present.contains(KnownField::Mcp) {
        return None;
    }
    let field = |name: &[u8]| {
        let mut fields = parts.fields.clone();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| field.value)
    };
    let is_task = field(b"mcp-method").is_some_and(|method| method.starts_with(b"tasks/"));
    is_task.then(|| field(b"mcp-name")).flatten()
}

/// The id in `…/tasks/{id}`, `…/tasks/{id}:cancel` and what lies below it.
fn task_in_path(path: &[u8]) -> Option<&[u8]> {
    let mut segments = path.split(|&byte| byte == b'/');
    segments.find(|segment| *segment == b"tasks")?;
    let segment = segments.next()?;
    Some(&segment[..memchr::memchr(b':', segment).unwrap_or(segment.len())])
}

/// The id that a message of A2A to an agent is about: of a task before that of a context.
pub(super) fn of_request_body(body: &[u8]) -> Option<String> {
    let call: Value = serde_json::from_slice(body).ok()?;
    // Over JSON-RPC in `params`, over HTTP at the top.
    let params = match call.get("jsonrpc") {
        Some(_) => call.get("params")?,
        None => &call,
    };
    let message = params.get("message").unwrap_or(&Value::Null);
    let found = [
        (message, "taskId"),
        (params, "taskId"),
        (params, "id"),
        (message, "contextId"),
        (params, "contextId"),
    ];
    let text = |(object, key): &(&Value, &str)| Some(object.get(key)?.as_str()?.to_owned());
    let is_id = |id: &String| (1..=LONGEST).contains(&id.len());
    found.iter().filter_map(text).find(is_id)
}

/// True for a call over JSON-RPC for the extended card of an agent, by the name of 1.0 or 0.3.
pub(super) fn is_for_card(body: &[u8]) -> bool {
    const METHODS: [&str; 2] = ["GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"];
    if memchr::memmem::find(body, b"Extended").is_none() {
        return false;
    }
    let call = serde_json::from_slice::<Value>(body).ok();
    let method = call.as_ref().and_then(|call| call.get("method")?.as_str());
    method.is_some_and(|method| METHODS.contains(&method))
}

/// Calls `each` with the ids that a message of an agent hands out.
pub(super) fn of_response(
    protocol: AgentProtocol,
    message: &[u8],
    mut each: impl FnMut(MintedId<'_>),
) {
    // Most messages have none, and are not parsed.
    let marks: &[&[u8]] = match protocol {
        AgentProtocol::Mcp => &[b"\"taskId\""],
        AgentProtocol::A2a => &[b"\"taskId\"", b"\"contextId\""],
    };
    if !marks
        .iter()
        .any(|mark| memchr::memmem::find(message, mark).is_some())
    {
        return;
    }
    let Ok(message) = serde_json::from_slice::<Value>(message) else {
        return;
    };
    let result = message.get("result").unwrap_or(&message);
    let ids = match protocol {
        AgentProtocol::Mcp => of_mcp(result),
        AgentProtocol::A2a => of_a2a(result),
    };
    let is_id = |minted: &MintedId<'_>| (1..=LONGEST).contains(&minted.id.len());
    ids.into_iter().filter(is_id).for_each(&mut each);
}

/// A result of the type `task`; up to 2025-11-25 the task was an object in it.
fn of_mcp(result: &Value) -> Vec<MintedId<'_>> {
    let is_task = result.get("resultType").and_then(Value::as_str) == Some("task");
    let task = result.get("task").or_else(|| is_task.then_some(result));
    let minted = task.and_then(|task| {
        let millis = task.get("ttlMs").or_else(|| task.get("ttl"));
        let seconds = millis
            .and_then(Value::as_u64)
            .map(|millis| millis.div_ceil(1_000));
        Some(MintedId {
            id: task.get("taskId")?.as_str()?,
            seconds: seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        })
    });
    minted.into_iter().collect()
}

/// A task, a message or an update, by itself or in an object that names its kind.
fn of_a2a(result: &Value) -> Vec<MintedId<'_>> {
    const KINDS: [&str; 4] = ["task", "message", "statusUpdate", "artifactUpdate"];
    let wrapped = KINDS.iter().filter_map(|kind| result.get(kind));
    let mut ids = Vec::new();
    for object in wrapped.chain([result]) {
        let is_task = object.get("status").is_some();
        let own = is_task.then(|| object.get("id")).flatten();
        let others = ["taskId", "contextId"].map(|key| object.get(key));
        let found = others.into_iter().chain([own]).flatten();
        ids.extend(
            found
                .filter_map(Value::as_str)
                .map(|id| MintedId { id, seconds: None }),
        );
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(protocol: AgentProtocol, message: &str) -> Vec<(String, Option<u32>)> {
        let mut found = Vec::new();
        of_response(protocol, message.as_bytes(), |minted| {
            found.push((minted.id.to_owned(), minted.seconds));
        });
        found
    }

    #[test]
    fn tasks_of_mcp_are_minted_by_their_result_alone() {
        let of = |message| minted(AgentProtocol::Mcp, message);
        let modern = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t1","ttlMs":1500,"pollIntervalMs":5}}"#;
        assert_eq!(of(modern), [("t1".to_owned(), Some(2))]);
        let endless = r#"{"result":{"resultType":"task","taskId":"t1","ttlMs":null}}"#;
        assert_eq!(of(endless), [("t1".to_owned(), None)]);
        let earlier = r#"{"result":{"task":{"taskId":"t2","ttl":60000}}}"#;
        assert_eq!(of(earlier), [("t2".to_owned(), Some(60))]);
        for none in [
            r#"{"result":{"content":[{"text":"\"taskId\""}]}}"#,
            r#"{"result":{"resultType":"complete","taskId":"t1"}}"#,
            r#"{"result":{"resultType":"task","taskId":7}}"#,
            r#"{"result":{"resultType":"task","taskId":"""#,
            "",
        ] {
            assert_eq!(of(none), [], "{none}");
        }
    }

    #[test]
    fn ids_of_a2a_are_in_tasks_messages_and_updates() {
        let of = |message| {
            let found = minted(AgentProtocol::A2a, message);
            found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        let task = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t","contextId":"c","status":{"state":"x"}}}}"#;
        assert_eq!(of(task), ["c", "t"]);
        let rest = r#"{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}"#;
        assert_eq!(of(rest), ["c", "t"]);
        let update = r#"{"statusUpdate":{"taskId":"t","contextId":"c"}}"#;
        assert_eq!(of(update), ["t", "c"]);
        let message = r#"{"result":{"kind":"message","messageId":"m","contextId":"c"}}"#;
        assert_eq!(of(message), ["c"]);
    }

    #[test]
    fn a_request_of_a2a_is_about_its_task_before_its_context() {
        let of = |body: &str| of_request_body(body.as_bytes());
        let send = r#"{"jsonrpc":"2.0","id":"9","method":"SendMessage","params":{"message":{"contextId":"c","taskId":"t"}}}"#;
        assert_eq!(of(send).as_deref(), Some("t"));
        let first = r#"{"jsonrpc":"2.0","id":"9","params":{"message":{"contextId":"c"}}}"#;
        assert_eq!(of(first).as_deref(), Some("c"));
        assert_eq!(
            of(r#"{"jsonrpc":"2.0","method":"GetTask","params":{"id":"t"}}"#).as_deref(),
            Some("t")
        );
        assert_eq!(of(r#"{"message":{"taskId":"t"}}"#).as_deref(), Some("t"));
        assert_eq!(
            of(r#"{"jsonrpc":"2.0","id":"9","params":{"message":{"parts":[]}}}"#),
            None
        );
        assert_eq!(
            of(r#"{"jsonrpc":"2.0","id":"9","method":"ListTasks"}"#),
            None
        );
        assert_eq!(of("no json"), None);
    }

    #[test]
    fn a_call_for_the_extended_card_is_recognised() {
        for (body, is_it) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"GetExtendedAgentCard"}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"agent\/getAuthenticatedExtendedCard"}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"SendMessage","params":"GetExtendedAgentCard"}"#,
                false,
            ),
            (r#"[{"method":"GetExtendedAgentCard"}]"#, false),
            ("GetExtendedAgentCard", false),
        ] {
            assert_eq!(is_for_card(body.as_bytes()), is_it, "{body}");
        }
    }

    #[test]
    fn a_task_is_named_in_the_path() {
        for (path, id) in [
            ("/tasks/t1", Some("t1")),
            ("/agents/a/tasks/t1:cancel", Some("t1")),
            ("/v1/tasks/t1/pushNotificationConfigs/7", Some("t1")),
            ("/tasks", None),
            ("/message:send", None),
        ] {
            let found = task_in_path(path.as_bytes());
            assert_eq!(found, id.map(str::as_bytes), "{path}");
        }
    }
}
