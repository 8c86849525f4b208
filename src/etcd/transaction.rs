//! Transactions: writes that are made together if what they are based on still holds.

use serde_json::{Value, json};

use super::{
    client::EtcdClient,
    error::EtcdError,
    key_range::KeyRange,
    member::Call,
    wire::{Committed, LeaseId, base64},
};

/// Transaction. etcd takes 128 operations and 1.5 MiB in one, unless its operator has raised that.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Conditions, which hold all or the transaction takes the other branch.
    pub compare: Vec<Compare>,
    /// Operations if they hold.
    pub then: Vec<Operation>,
    /// Operations if one does not.
    pub otherwise: Vec<Operation>,
    /// The compares make it harmless if it is done twice.
    ///
    /// It is then sent to another member as well when an answer is late or lost. So its answer may be that of the second
    /// time, whose compares fail on what the first time has written: a read in `otherwise` and [`Committed::holds`] tell
    /// that from another one's write.
    pub repeatable: bool,
}

/// Condition on a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Compare {
    /// There is no such key.
    Absent(Vec<u8>),
    /// A revision has written it last.
    ModRevision {
        /// The key.
        key: Vec<u8>,
        /// The revision; 0 if there is no such key.
        equals: u64,
    },
    /// It has a value.
    Value {
        /// The key.
        key: Vec<u8>,
        /// The value.
        equals: Vec<u8>,
    },
}

/// Operation of a transaction.
#[derive(Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write of a key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// Lease that it ends with.
        lease: Option<LeaseId>,
    },
    /// Deletion of keys.
    Delete(KeyRange),
    /// Read of keys, in one answer.
    Get(KeyRange),
}

impl EtcdClient {
    /// Makes a transaction.
    ///
    /// # Errors
    /// If etcd cannot be reached or refuses. [`EtcdError::outcome_is_unknown`] tells if it may have been made.
    pub async fn commit(&self, transaction: &Transaction) -> Result<Committed, EtcdError> {
        let call = Call {
            path: "/v3/kv/txn",
            body: transaction.to_json().to_string().into(),
            repeatable: transaction.repeatable,
            writes: true,
            needs_leader: true,
        };
        Ok(Committed::read(&self.call(&call).await?)?)
    }
}

impl Transaction {
    fn to_json(&self) -> Value {
        let operations = |all: &[Operation]| all.iter().map(Operation::to_json).collect::<Value>();
        json!({
            "compare": self.compare.iter().map(Compare::to_json).collect::<Value>(),
            "success": operations(&self.then),
            "failure": operations(&self.otherwise),
        })
    }
}

impl Compare {
    fn to_json(&self) -> Value {
        let (key, target, member, value) = match self {
            Self::Absent(key) => (key, "CREATE", "create_revision", "0".to_owned()),
            Self::ModRevision { key, equals } => (key, "MOD", "mod_revision", equals.to_string()),
            Self::Value { key, equals } => (key, "VALUE", "value", base64(equals)),
        };
        json!({"key": base64(key), "target": target, "result": "EQUAL", member: value})
    }
}

impl Operation {
    fn to_json(&self) -> Value {
        match self {
            Self::Put { key, value, lease } => json!({"request_put": {
                "key": base64(key),
                "value": base64(value),
                "lease": lease.map_or(0, LeaseId::get).to_string(),
            }}),
            Self::Delete(keys) => json!({"request_delete_range": keys.members()}),
            Self::Get(keys) => json!({"request_range": keys.members()}),
        }
    }
}

impl std::fmt::Debug for Compare {
    /// Without the value, which may be large or a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, key) = match self {
            Self::Absent(key) => ("Absent", key),
            Self::ModRevision { key, .. } => ("ModRevision", key),
            Self::Value { key, .. } => ("Value", key),
        };
        f.debug_tuple(name)
            .field(&String::from_utf8_lossy(key))
            .finish()
    }
}

impl std::fmt::Debug for Operation {
    /// Without the value, which may be large or a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, key) = match self {
            Self::Put { key, .. } => ("Put", &key[..]),
            Self::Delete(keys) => ("Delete", keys.start()),
            Self::Get(keys) => ("Get", keys.start()),
        };
        f.debug_tuple(name)
            .field(&String::from_utf8_lossy(key))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_written_as_the_gateway_reads_it() {
        let transaction = Transaction {
            compare: vec![
                Compare::Absent(b"k1".to_vec()),
                Compare::ModRevision {
                    key: b"k1".to_vec(),
                    equals: 7,
                },
            ],
            then: vec![Operation::Put {
                key: b"k1".to_vec(),
                value: b"w".to_vec(),
                lease: Some(LeaseId::new(9)),
            }],
            otherwise: vec![Operation::Get(KeyRange::one("k1"))],
            repeatable: true,
        };
        let expected = json!({
            "compare": [
                {"key": "azE=", "target": "CREATE", "result": "EQUAL", "create_revision": "0"},
                {"key": "azE=", "target": "MOD", "result": "EQUAL", "mod_revision": "7"},
            ],
            "success": [{"request_put": {"key": "azE=", "value": "dw==", "lease": "9"}}],
            "failure": [{"request_range": {"key": "azE="}}],
        });
        assert_eq!(transaction.to_json(), expected);
    }

    #[test]
    fn no_value_is_in_a_log() {
        let operation = Operation::Put {
            key: b"k".to_vec(),
            value: b"SECRET".to_vec(),
            lease: None,
        };
        assert_eq!(format!("{operation:?}"), "Put(\"k\")");
    }
}
