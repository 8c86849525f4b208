//! Notices as log records of OTLP: events, by the conventions for logs.

use prost::Message as _;

use super::{
    notice::{Notice, NoticeLevel},
    otlp::{AnyValue, KeyValue, LogRecord, LogsRequest, Resource, ResourceLogs, Scope, ScopeLogs},
    outbox::Batch,
};

/// Numbers of severities.
const INFO: i32 = 9;
const WARN: i32 = 13;
const ERROR: i32 = 17;

/// A batch with these notices, if there are any. `now` is in nanoseconds since 1970.
pub(super) fn batch(resource: &Resource, notices: &[Notice], now: u64) -> Option<Batch> {
    if notices.is_empty() {
        return None;
    }
    let log_records = notices.iter().map(|notice| record(notice, now)).collect();
    let request = LogsRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource.clone()),
            scope_logs: vec![ScopeLogs {
                scope: Some(Scope::own()),
                log_records,
            }],
        }],
    };
    Some(Batch {
        body: request.encode_to_vec().into(),
        values: notices.len() as u64,
    })
}

fn record(notice: &Notice, now: u64) -> LogRecord {
    let (severity_number, severity_text) = severity(notice.level);
    let label =
        |(name, value): &(&str, String)| KeyValue::text(format!("switchback.{name}"), value);
    LogRecord {
        time_unix_nano: notice.at_ms.saturating_mul(1_000_000),
        observed_time_unix_nano: now,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue::text(body(notice))),
        attributes: notice.labels.iter().map(label).collect(),
        event_name: format!("switchback.{}", notice.kind.as_str()),
    }
}

/// The title, and the text under it.
fn body(notice: &Notice) -> String {
    match notice.text.as_str() {
        "" => notice.title.clone(),
        text => format!("{}\n{text}", notice.title),
    }
}

const fn severity(level: NoticeLevel) -> (i32, &'static str) {
    match level {
        NoticeLevel::Info | NoticeLevel::Success => (INFO, "INFO"),
        NoticeLevel::Warning => (WARN, "WARN"),
        NoticeLevel::Error => (ERROR, "ERROR"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::export::{NoticeKind, otlp::any_value::Value};

    #[test]
    fn a_notice_is_a_record_with_a_name_and_its_labels() {
        let notice = Notice {
            kind: NoticeKind::Rollout,
            title: "a rollout".to_owned(),
            text: "it failed".to_owned(),
            at_ms: 5,
            level: NoticeLevel::Error,
            labels: vec![("route", "chat".to_owned())],
        };
        let record = record(&notice, 7_000_000);
        let body = Some(AnyValue::text("a rollout\nit failed"));
        assert_eq!(record.body, body);
        assert_eq!(
            (record.time_unix_nano, record.observed_time_unix_nano),
            (5_000_000, 7_000_000)
        );
        let severity = (record.severity_number, record.severity_text.as_str());
        assert_eq!(severity, (17, "ERROR"));
        assert_eq!(record.event_name, "switchback.rollout");
        assert_eq!(record.attributes[0].key, "switchback.route");
        let value = record.attributes[0].value.clone().and_then(|one| one.value);
        assert_eq!(value, Some(Value::String("chat".to_owned())));
    }

    #[test]
    fn without_a_notice_there_is_nothing_to_send() {
        let resource = Resource {
            attributes: Vec::new(),
        };
        assert!(batch(&resource, &[], 1).is_none());
    }
}
