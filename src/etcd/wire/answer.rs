//! Answers to calls.

use serde::Deserialize;

use super::{
    error::WireError,
    number::number,
    pair::{KeyValue, PairText},
    store::StoreState,
};

/// Page of a range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangePage {
    /// The store.
    pub store: StoreState,
    /// The pairs, in the order of the keys.
    pub pairs: Vec<KeyValue>,
    /// More keys follow.
    pub more: bool,
}

/// Outcome of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The store, at the revision of the transaction.
    pub store: StoreState,
    /// All compares held.
    pub succeeded: bool,
    /// The pairs of each read of the branch that was taken.
    pub read: Vec<Vec<KeyValue>>,
}

/// State of a member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberStatus {
    /// The store.
    #[serde(rename = "header")]
    pub store: StoreState,
    /// Version of etcd.
    #[serde(default)]
    pub version: String,
    /// Bytes of its database.
    #[serde(rename = "dbSize", default, deserialize_with = "number")]
    pub db_size: u64,
    /// Id of the leader; 0 if it knows none.
    #[serde(default, deserialize_with = "number")]
    pub leader: u64,
}

/// Lease that was granted or kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LeaseAnswer {
    /// Seconds that it lives; none if there is no such lease.
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    pub seconds: i64,
}

/// Token of a user.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Token {
    /// Its text.
    pub token: Box<str>,
}

#[derive(Deserialize)]
struct RangeText {
    header: StoreState,
    #[serde(default)]
    kvs: Vec<PairText>,
    #[serde(default)]
    more: bool,
}

#[derive(Deserialize)]
struct CommittedText {
    header: StoreState,
    #[serde(default)]
    succeeded: bool,
    #[serde(default)]
    responses: Vec<OperationText>,
}

#[derive(Deserialize)]
struct OperationText {
    response_range: Option<RangeText>,
}

impl RangePage {
    /// Reads an answer.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let text: RangeText = read(body)?;
        Ok(Self {
            store: text.header,
            pairs: pairs(text.kvs),
            more: text.more,
        })
    }
}

impl Committed {
    /// Reads an answer.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let text: CommittedText = read(body)?;
        let ranges = text.responses.into_iter();
        let ranges = ranges.filter_map(|operation| operation.response_range);
        Ok(Self {
            store: text.header,
            succeeded: text.succeeded,
            read: ranges.map(|range| pairs(range.kvs)).collect(),
        })
    }

    /// True if a read shows this key with this value.
    pub fn holds(&self, key: &[u8], value: &[u8]) -> bool {
        let mut shown = self.read.iter().flatten();
        shown.any(|pair| pair.key == key && pair.value == value)
    }
}

/// Reads an answer of another kind.
///
/// # Errors
/// If it is none.
pub fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|error| WireError::malformed(&error))
}

fn pairs(texts: Vec<PairText>) -> Vec<KeyValue> {
    texts.into_iter().map(KeyValue::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#""header":{"cluster_id":"10144879847569953045","member_id":"7","revision":"3","raft_term":"2"}"#;

    #[test]
    fn a_page_has_pairs_and_numbers_beyond_63_bits() {
        let text = format!(
            r#"{{{HEADER},"kvs":[{{"key":"azE=","create_revision":"2","mod_revision":3,"version":"2","value":"dw==","lease":"9"}}],"count":"1","more":true}}"#
        );
        let page = RangePage::read(text.as_bytes()).unwrap();
        assert_eq!(page.store.cluster, 10_144_879_847_569_953_045);
        assert!(page.more);
        let pair = &page.pairs[0];
        assert_eq!((&pair.key[..], &pair.value[..]), (&b"k1"[..], &b"w"[..]));
        assert_eq!(
            (pair.create_revision, pair.mod_revision, pair.version),
            (2, 3, 2)
        );
        assert_eq!(pair.lease.unwrap().to_string(), "9");
    }

    #[test]
    fn what_is_left_out_is_zero_false_or_empty() {
        let page = RangePage::read(format!("{{{HEADER}}}").as_bytes()).unwrap();
        assert!(page.pairs.is_empty() && !page.more);
        let committed = Committed::read(format!("{{{HEADER}}}").as_bytes()).unwrap();
        assert!(!committed.succeeded && committed.read.is_empty());
        let lease: LeaseAnswer = read(br#"{"header":{},"ID":"5"}"#).unwrap();
        assert_eq!(lease.seconds, 0);
    }

    #[test]
    fn a_transaction_shows_what_it_read_and_nothing_of_its_writes() {
        let text = format!(
            r#"{{{HEADER},"responses":[{{"response_put":{{"header":{{"revision":"3"}}}}}},{{"response_range":{{"header":{{"revision":"3"}},"kvs":[{{"key":"azE=","value":"dw=="}}],"count":"1"}}}},{{"response_range":{{"header":{{"revision":"3"}}}}}}]}}"#
        );
        let committed = Committed::read(text.as_bytes()).unwrap();
        assert_eq!(
            committed.read.iter().map(Vec::len).collect::<Vec<_>>(),
            [1, 0]
        );
        assert!(committed.holds(b"k1", b"w"));
        assert!(!committed.holds(b"k1", b"v") && !committed.holds(b"k2", b"w"));
    }

    #[test]
    fn an_error_of_the_parser_shows_no_content() {
        let error = RangePage::read(br#"{"header":{"revision":"SECRET"}}"#).unwrap_err();
        assert!(!error.to_string().contains("SECRET"), "{error}");
        for bad in [
            "",
            "[]",
            r#"{"kvs":[]}"#,
            r#"{"header":{},"kvs":[{"key":"?"}]}"#,
            r#"{"header":{"revision":"-1"}}"#,
        ] {
            assert!(RangePage::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
